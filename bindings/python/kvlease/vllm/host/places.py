"""Places of chunks in the arena, as the scheduler names them to the workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec

from kvlease._kvlease import Reservation, View

# The arena is counted in units of this length: a chunk begins at one.
UNIT = 4096
# vLLM registers memory with the device in pieces of this length, and a copy may not cross two.
REGISTERED_LEN = 64 << 30

# Device and inode of a file.
File = tuple[int, int]


class ArenaSpec(CPULoadStoreSpec):
    """The chunks of a transfer: the unit of the arena at which each begins."""

    def __init__(self, units: list[int], arena: File | None, until: float = 0.0) -> None:
        """Names places in the arena.

        Args:
            units: Where the chunks begin, in the order of the transfer.
            arena: The file of the arena.
            until: The moment from which on nothing may be written there, as of `time.monotonic`.
        """
        super().__init__(units)
        self.arena = arena
        self.until = until


def file_at(path: Path) -> File | None:
    """The file of this name; None if there is none, or this process may not read and write it."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if os.access(path, os.R_OK | os.W_OK) else None


def unit_of(place: View | Reservation, row_len: int) -> int | None:
    """The unit at which a chunk of this length begins; None if it is not in one piece there."""
    extents: Sequence[tuple[int, int]] = place.extents
    if len(extents) != 1:
        return None
    [(offset, length)] = extents
    is_crossing = offset // REGISTERED_LEN != (offset + length - 1) // REGISTERED_LEN
    if length != row_len or offset % UNIT or is_crossing:
        return None
    return offset // UNIT
