"""The worker's half: pages are copied between vLLM's cache and the arena.

On a device vLLM's own worker does that, with the arena in the place of its CPU tier. vLLM has none
for caches in memory of the CPU, so for these there is one here.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from vllm.v1.kv_offload.base import (
    CanonicalKVCaches,
    GPULoadStoreSpec,
    OffloadingWorker,
    TransferResult,
)
from vllm.v1.kv_offload.cpu.gpu_worker import compute_sub_block_ptrs

from kvlease.vllm.host.arena import Arena
from kvlease.vllm.host.places import ArenaSpec, File


class HostWorker(OffloadingWorker):
    """Transfers to and from the arena that the scheduler names, one worker for each arena."""

    def __init__(
        self, map_arena: Callable[[], Arena], worker_on: Callable[[Arena], OffloadingWorker]
    ) -> None:
        """Maps the arena, if it is there already: a device takes its time to register it."""
        self._map_arena = map_arena
        self._worker_on = worker_on
        self._inner: OffloadingWorker | None = None
        self._arena: File | None = None
        self._running: set[int] = set()
        self._finished: list[TransferResult] = []
        try:
            self._use(map_arena())
        except FileNotFoundError:
            # The daemon makes it, and nothing is transferred before.
            pass

    def submit_store(
        self, job_id: int, src_spec: GPULoadStoreSpec, dst_spec: ArenaSpec, **others: Any
    ) -> bool:
        """Copies pages into space that is reserved for them; none once that is over."""
        if time.monotonic() >= dst_spec.until:
            # The scheduler goes by the same moment, and commits nothing after it.
            return self._end(job_id)
        worker = self._worker_for(dst_spec)
        self._running.add(job_id)
        return worker.submit_store(job_id, src_spec, dst_spec, **others)

    def submit_load(
        self, job_id: int, src_spec: ArenaSpec, dst_spec: GPULoadStoreSpec, **others: Any
    ) -> bool:
        """Copies leased chunks into pages."""
        if not len(src_spec.block_ids):
            return self._end(job_id)
        worker = self._worker_for(src_spec)
        self._running.add(job_id)
        return worker.submit_load(job_id, src_spec, dst_spec, **others)

    def get_finished(self) -> list[TransferResult]:
        """The transfers that have ended since the last call."""
        self._take_finished()
        finished, self._finished = self._finished, []
        return finished

    def wait(self, job_ids: set[int]) -> None:
        """Waits until these transfers have ended."""
        if self._inner is not None:
            self._inner.wait(job_ids)

    def shutdown(self) -> None:
        """Ends all transfers and unmaps the arena."""
        if self._inner is not None:
            self._inner.shutdown()
            self._inner, self._arena = None, None

    def _worker_for(self, spec: ArenaSpec) -> OffloadingWorker:
        if self._inner is None or spec.arena != self._arena:
            arena = self._map_arena()
            if arena.file != spec.arena:
                arena.cleanup()
                raise RuntimeError(
                    "the arena was replaced while a transfer with it was prepared: start the "
                    f"engine again, wanted=`{spec.arena}` found=`{arena.file}`"
                )
            self._use(arena)
        assert self._inner is not None
        return self._inner

    def _use(self, arena: Arena) -> None:
        """Goes over to another arena, when all transfers with the one before have ended."""
        if self._inner is not None:
            self._inner.wait(set(self._running))
            self._take_finished()
            self._inner.shutdown()
        self._inner = self._worker_on(arena)
        self._arena = arena.file

    def _take_finished(self) -> None:
        if self._inner is not None:
            finished = self._inner.get_finished()
            self._running.difference_update(result.job_id for result in finished)
            self._finished += finished

    def _end(self, job_id: int) -> bool:
        self._finished.append(TransferResult(job_id, success=True))
        return True


class CopyingWorker(OffloadingWorker):
    """vLLM's worker for caches in memory of the CPU. It copies at once, on the thread that asks."""

    def __init__(self, kv_caches: CanonicalKVCaches, blocks_per_chunk: int, arena: Arena) -> None:
        self._blocks_per_chunk = blocks_per_chunk
        self._groups = kv_caches.group_data_refs
        self._arena = arena
        self._finished: list[TransferResult] = []
        # The cache's pages and the arena's rows of each tensor.
        self._tensors = [
            (
                cache.tensor.view(torch.int8).view(-1, cache.page_size_bytes),
                arena.create_next_worker_view(cache.page_size_bytes * blocks_per_chunk),
            )
            for cache in kv_caches.tensors
        ]

    def submit_store(
        self, job_id: int, src_spec: GPULoadStoreSpec, dst_spec: ArenaSpec, **_: Any
    ) -> bool:
        """Copies pages into the arena."""
        return self._copy(job_id, src_spec, dst_spec, is_store=True)

    def submit_load(
        self, job_id: int, src_spec: ArenaSpec, dst_spec: GPULoadStoreSpec, **_: Any
    ) -> bool:
        """Copies pages out of the arena."""
        return self._copy(job_id, dst_spec, src_spec, is_store=False)

    def get_finished(self) -> list[TransferResult]:
        """The transfers that have ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def wait(self, job_ids: set[int]) -> None:
        """Everything is done when it was submitted."""

    def shutdown(self) -> None:
        """Unmaps the arena."""
        self._tensors.clear()
        self._arena.cleanup()

    def _copy(
        self, job_id: int, pages: GPULoadStoreSpec, chunks: ArenaSpec, *, is_store: bool
    ) -> bool:
        started, copied = time.monotonic(), 0
        page_at = chunk_at = 0
        groups = zip(self._groups, pages.group_sizes, pages.block_indices, strict=True)
        for refs, count, first in groups:
            # The first chunk of a group may be used from its middle on.
            skipped = first % self._blocks_per_chunk
            of_chunks = -(-(count + skipped) // self._blocks_per_chunk) if count else 0
            blocks = pages.block_ids[page_at : page_at + count]
            units = chunks.block_ids[chunk_at : chunk_at + of_chunks]
            page_at, chunk_at = page_at + count, chunk_at + of_chunks
            for ref in refs if count else ():
                cache, rows = self._tensors[ref.tensor_idx]
                in_cache = self._addresses(cache, blocks, 1, count, 0)
                in_arena = self._addresses(rows, units, self._blocks_per_chunk, count, skipped)
                into, out_of = (in_arena, in_cache) if is_store else (in_cache, in_arena)
                for target, source in zip(into, out_of, strict=True):
                    ctypes.memmove(target, source, ref.page_size_bytes)
                copied += count * ref.page_size_bytes
        assert (page_at, chunk_at) == (len(pages.block_ids), len(chunks.block_ids))
        took = time.monotonic() - started
        self._finished.append(TransferResult(job_id, True, copied, took))
        return True

    @staticmethod
    def _addresses(
        tensor: torch.Tensor,
        rows: npt.NDArray[np.int32],
        pages_of_row: int,
        count: int,
        skipped: int,
    ) -> list[int]:
        """The addresses of pages of these rows, as vLLM's worker finds them."""
        addresses = np.empty(count, dtype=np.uint64)
        compute_sub_block_ptrs(rows, pages_of_row, addresses, tensor, skip_count=skipped)
        return addresses.tolist()
