"""Reads: objects are found, LMCache's memory is taken for each, and their payloads copied into it.

Memory that was taken is given back exactly once: by the caller who got it, or here on every other
path. Bytes from a daemon are input: an object that cannot be read is a miss. An object whose header
makes no sense is read to its end all the same, without a destination: if its checksum says that it
is corrupt, it is removed, so that the next put can replace it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from kvlease._kvlease import BusyError, OpenObject
from kvlease.lmcache.failures import Failures
from kvlease.lmcache.header import Layout, MalformedHeader, header_len, layout_of
from kvlease.lmcache.operations import Operations

if TYPE_CHECKING:
    from lmcache.observability import LMCStatsMonitor
    from lmcache.utils import CacheEngineKey
    from lmcache.v1.memory_management import MemoryObj
    from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

    # An object that was found, and the memory for its payload.
    Read: TypeAlias = tuple[OpenObject, MemoryObj]

# Objects of a batch that are found at a time, and leased until they are read.
WINDOW = 64
# The bytes that the loop's own thread copies at most between two of its turns; more goes to other
# threads, which takes two turns longer.
COPY_HERE_LEN_MAX = 1 << 20
# How long a batch waits for LMCache to free memory before it takes what there is, in seconds.
MEMORY_WAIT_S = 1.0
# Between two tries to get memory, in seconds.
MEMORY_POLL_S = 0.1


class Reads:
    """Reads the objects of one connector into LMCache's memory."""

    def __init__(
        self,
        operations: Operations,
        backend: LocalCPUBackend,
        monitor: LMCStatsMonitor,
        failures: Failures,
    ) -> None:
        """`monitor` learns of every read that succeeds."""
        self.hits = 0
        self.misses = 0
        self._operations = operations
        self._queue = operations.queue
        self._backend = backend
        self._monitor = monitor
        self._failures = failures

    async def one(self, key: CacheEngineKey) -> MemoryObj | None:
        """An object in memory that the caller gives back. None on a miss."""
        until = time.monotonic() + MEMORY_WAIT_S
        return (await self._window([key.to_string()], False, until))[0]

    async def many(self, keys: Sequence[CacheEngineKey], *, prefix: bool) -> list[MemoryObj | None]:
        """Objects in memory that the caller gives back, window by window.

        None for each miss; with `prefix`, only the objects before the first miss.
        """
        found: list[MemoryObj | None] = []
        until = time.monotonic() + MEMORY_WAIT_S
        try:
            for start in range(0, len(keys), WINDOW):
                names = [key.to_string() for key in keys[start : start + WINDOW]]
                found += await self._window(names, prefix, until)
                if prefix and None in found:
                    break
        except BaseException:
            give_back(found)
            raise
        if prefix and None in found:
            first = found.index(None)
            give_back(found[first:])
            found = found[:first]
        return found

    async def _window(
        self, names: list[str], prefix: bool, memory_until: float
    ) -> list[MemoryObj | None]:
        """Reads objects round by round.

        What the daemon's arena has no room for beside the others is asked for again once those
        were read and their leases have ended, for as long as each round brings an object.
        """
        found: list[MemoryObj | None] = [None] * len(names)
        places = list(range(len(names)))
        try:
            while places:
                asked = [names[place] for place in places]
                memories, late = await self._round(asked, prefix, memory_until)
                for place, memory in zip(places, memories, strict=True):
                    found[place] = memory
                came = memories.count(None) < len(memories)
                places = [places[index] for index in late] if came else []
        except BaseException:
            give_back(found)
            raise
        hits = len(found) - found.count(None)
        self.hits += hits
        self.misses += len(found) - hits
        return found

    async def _round(
        self, names: list[str], prefix: bool, memory_until: float
    ) -> tuple[list[MemoryObj | None], list[int]]:
        """What came of each name, and which of them are to be asked for again."""
        begin = time.perf_counter()
        opened = await self._operations.run(
            "get", lambda: self._queue.open_or_submit(names, header_len())
        )
        found: list[MemoryObj | None] = [None] * len(names)
        places: list[int] = []
        late: list[int] = []
        reads: list[Read] = []
        suspects: list[OpenObject] = []
        try:
            for index, object in enumerate(opened or ()):
                if isinstance(object, BusyError):
                    late.append(index)
                    continue
                memory = None
                if object is not None:
                    try:
                        layout = self._layout(object)
                        memory = self._allocate(layout)
                        if memory is None:
                            memory = await self._allocate_later(layout, memory_until)
                    except Exception as error:
                        self._failures.say("get", f"{error}, key=`{names[index]}`")
                        if isinstance(object, OpenObject) and not isinstance(error, MemoryError):
                            suspects.append(object)
                if memory is not None:
                    places.append(index)
                    reads.append((object, memory))
                elif prefix:
                    break
            await self._verify(suspects)
        except BaseException:
            give_back(memory for _, memory in reads)
            raise
        results = self._copy_here(reads) or await self._copy_elsewhere(reads)
        millis = (time.perf_counter() - begin) * 1000
        for index, (_, memory), result in zip(places, reads, results, strict=True):
            if result is True:
                found[index] = memory
                self._monitor.update_interval_remote_time_to_get(millis)
                self._monitor.update_interval_remote_read_metrics(memory.get_size())
            else:
                memory.ref_count_down()
                if result is not None:
                    self._failures.say("get", result)
        return found, late

    async def _verify(self, suspects: list[OpenObject]) -> None:
        """Has those that do not match their checksum removed, where the daemon can."""
        if not suspects:
            return
        nothing = bytearray()
        verified = await self._operations.run(
            "get", lambda: self._queue.submit_read_rest([(object, nothing) for object in suspects])
        )
        for error in verified or ():
            if isinstance(error, Exception):
                self._failures.say("get", error)

    def _copy_here(self, reads: list[Read]) -> Sequence[object] | None:
        """Copies little on this thread; what came of each. None if it is much."""
        size = 0
        for object, memory in reads:
            size += memory.get_size()
            if size > COPY_HERE_LEN_MAX or not object.is_shared:
                return None
        try:
            return self._queue.read_rest_here([(object, m.byte_array) for object, m in reads])
        except Exception as error:
            return [error] * len(reads)

    async def _copy_elsewhere(self, reads: list[Read]) -> Sequence[object]:
        """Copies on other threads, or over HTTP; what came of each."""
        if not reads:
            return []
        # The memory is this call's own: if the caller was cancelled, it goes back after the copies.
        results = await self._operations.run_external(
            "get",
            lambda: self._queue.submit_read_rest([(object, m.byte_array) for object, m in reads]),
            keep=lambda: None,
            give_back=lambda: give_back(memory for _, memory in reads),
        )
        return [None] * len(reads) if results is None else results

    def _layout(self, object: OpenObject | Exception) -> Layout:
        """What memory the payload of what was found needs. Raises whatever makes that unknown."""
        if isinstance(object, Exception):
            raise object
        header = object.head
        layout = layout_of(header)
        if len(object) < len(header) + layout.length:
            raise MalformedHeader(f"the object is shorter than it says, len=`{len(object)}`")
        return layout

    def _allocate(self, layout: Layout) -> MemoryObj | None:
        """Memory of LMCache; None if none is free.

        Raises what LMCache raises: there are formats that a header may name, and that it has no
        memory for.
        """
        memory = self._backend.allocate(
            layout.shapes, layout.dtypes, layout.format, busy_loop=False
        )
        if memory is not None and memory.get_size() != layout.length:
            memory.ref_count_down()
            raise MalformedHeader(f"LMCache understands it otherwise, layout=`{layout}`")
        return memory

    async def _allocate_later(self, layout: Layout, until: float) -> MemoryObj:
        """The same, waited for without holding the loop: what frees memory may be a put on it."""
        while time.monotonic() < until:
            await asyncio.sleep(MEMORY_POLL_S)
            memory = self._allocate(layout)
            if memory is not None:
                return memory
        raise MemoryError("no CPU memory is free: give LMCache more with `max_local_cpu_size`")


def give_back(memories: Iterable[MemoryObj | None]) -> None:
    """Gives one reference of each back."""
    for memory in memories:
        if memory is not None:
            memory.ref_count_down()
