"""The arena as vLLM's worker expects its CPU tier: rows of equal length, one for each unit."""

from __future__ import annotations

import logging
import mmap
import os
from pathlib import Path

import torch

from kvlease.vllm.host.places import UNIT, File

logger = logging.getLogger(__name__)


class Arena:
    """The arena in the memory of one worker.

    It has what vLLM's worker and its registration of memory with the device use of vLLM's own
    `SharedOffloadRegion`. Rows begin at each unit and so overlap, and a chunk is at one of them.
    """

    def __init__(self, path: Path, rank: int, page_len: int, row_len: int) -> None:
        """Maps the arena.

        Args:
            path: Its name.
            rank: The worker's place among those of the engine.
            page_len: What one worker has of a chunk.
            row_len: The length of a chunk.

        Raises:
            OSError: If there is no such file, or it may not be written.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            self.mmap_obj: mmap.mmap | None = mmap.mmap(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        self.file: File = (status.st_dev, status.st_ino)
        self.rank = rank
        self.total_size_bytes = status.st_size
        self.num_chunks = (status.st_size - row_len) // UNIT + 1
        self._row_stride = UNIT
        self.cpu_page_size = page_len
        self.page_size = mmap.PAGESIZE
        self._base: torch.Tensor | None = torch.frombuffer(self.mmap_obj, dtype=torch.int8)
        self._next = rank * page_len
        self._end = self._next + page_len
        # What vLLM notes when it has registered the memory.
        self.is_pinned = False
        self.pinned_addresses: list[int] = []

    def create_next_worker_view(self, tensor_page_size: int) -> torch.Tensor:
        """The rows of the next tensor: what each chunk has of it, for this worker."""
        start = self._next
        self._next += tensor_page_size
        assert self._next <= self._end, "vLLM's tensors are longer than it said that they are"
        return torch.as_strided(
            self._base, (self.num_chunks, tensor_page_size), (self._row_stride, 1), start
        )

    def cleanup(self) -> None:
        """Takes the memory back from the device, and unmaps it once no tensor uses it."""
        if self.is_pinned:
            from vllm.v1.kv_offload.cpu.host_register import host_unregister

            for address in reversed(self.pinned_addresses):
                host_unregister(address)
            self.pinned_addresses.clear()
            self.is_pinned = False
        self._base = None
        if self.mmap_obj is not None:
            try:
                self.mmap_obj.close()
            except BufferError:
                # A tensor still has it: it is unmapped with the last of them.
                logger.debug("the arena is still in use when it is given up")
            self.mmap_obj = None
