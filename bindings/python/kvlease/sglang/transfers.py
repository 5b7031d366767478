"""Transfers of pages between host memory and the daemon, and look-ups. None of them raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kvlease._kvlease import ClosedError, Connector, KvleaseError
from kvlease.engine import Warnings
from kvlease.sglang.measures import Measures
from kvlease.sglang.pages import Pages, bytes_of

# Seconds before each further try of a write. SGLang drops the rest of an operation for one page
# that fails, and a daemon may be full, or away, for a moment.
RETRY_AFTER_S = (0.1, 0.3, 0.6, 1.0)


class Transfers:
    """What the threads of SGLang do, each call on the thread that makes it."""

    def __init__(self, connector: Connector, measures: Measures, warnings: Warnings) -> None:
        self._connector = connector
        self._measures = measures
        self._warnings = warnings
        # Whether the last write succeeded: if not, the next one is tried once.
        self._is_writable = True
        self._closing = threading.Event()

    def close(self) -> None:
        """Ends what runs, in a bounded time."""
        self._closing.set()
        self._connector.close()

    def leading(self, names: Sequence[str]) -> int:
        """Counts the objects before the first that is missing."""
        try:
            return self._connector.lookup_prefix(names)
        except Exception as error:
            self._warnings.say("look-up", error)
            return 0

    def find(self, each: Sequence[Pages | None], keys: Sequence[str]) -> list[list[bool]]:
        """Which of the pages each of the pools has, asked for in one call."""
        names = [pages.names(keys) if pages is not None else [] for pages in each]
        try:
            flags = self._connector.batched_exists([name for part in names for name in part])
        except Exception as error:
            self._warnings.say("look-up", error)
            return [[False] * len(keys) for _ in each]
        found, place = [], 0
        for pages, part in zip(each, names, strict=True):
            objects = [flag is True for flag in flags[place : place + len(part)]]
            place += len(part)
            found.append([False] * len(keys) if pages is None else pages.pages_of(objects))
        return found

    def write(self, pages: Pages | None, keys: Sequence[str], indices: Any) -> list[bool]:
        """Stores pages that are in host memory."""
        if pages is None or not pages.fits(keys, indices):
            self._warnings.say("write", "its slots are not those of its pages, or of no pool")
            return [False] * len(keys)
        if pages.is_logical or not keys:
            return [True] * len(keys)
        try:
            names = pages.names(keys)
            if pages.memory is None:
                return self.store(names, pages.copies(indices))
            memory, regions = pages.memory, pages.regions(indices)
            each = len(regions.addresses) // len(names)

            def gather(places: Sequence[int]) -> list[Any]:
                return self._connector.batched_gather(
                    [names[place] for place in places],
                    memory,
                    _pick(regions.addresses, each, places),
                    _pick(regions.lengths, each, places),
                )

            started = time.perf_counter()
            stored = pages.pages_of(self._try(gather, len(names)))
            done = sum(stored)
            length = sum(regions.lengths) * done // len(keys)
            self._measures.written(done, length, time.perf_counter() - started)
            return stored
        except Exception as error:
            self._warnings.say("write", error)
            return [False] * len(keys)

    def read(self, pages: Pages | None, keys: Sequence[str], indices: Any) -> list[bool]:
        """Reads pages into host memory."""
        if pages is None or not pages.fits(keys, indices):
            self._warnings.say("read", "its slots are not those of its pages, or of no pool")
            return [False] * len(keys)
        if pages.is_logical or not keys:
            return [True] * len(keys)
        try:
            names = pages.names(keys)
            if pages.memory is None:
                read = self.load(names, pages.blanks(keys))
                pages.fill(indices, read)
                return [page is not None for page in read]
            regions = pages.regions(indices)
            started = time.perf_counter()
            flags = self._connector.batched_scatter(names, pages.memory, *regions)
            found = pages.pages_of(self._found(flags))
            done = sum(found)
            length = sum(regions.lengths) * done // len(keys)
            self._measures.read(done, length, time.perf_counter() - started)
            return found
        except Exception as error:
            self._warnings.say("read", error)
            return [False] * len(keys)

    def store(self, names: Sequence[str], data: Sequence[Any]) -> list[bool]:
        """Stores copies of pages."""

        def put(places: Sequence[int]) -> list[Any]:
            return self._connector.batched_put(
                [names[place] for place in places], [data[place] for place in places]
            )

        try:
            return self._try(put, len(names))
        except Exception as error:
            self._warnings.say("write", error)
            return [False] * len(names)

    def load(self, names: Sequence[str], tensors: list[Any]) -> list[torch.Tensor | None]:
        """Reads copies of pages into the tensors; into new ones where there is None."""
        if any(tensor is None for tensor in tensors):
            found = self._connector.batched_get(names)
            tensors = [
                torch.frombuffer(bytearray(data), dtype=torch.uint8)
                if isinstance(data, bytes)
                else None
                for data in found
            ]
            self._found(found)
            return tensors
        contiguous = [tensor.contiguous() for tensor in tensors]
        flags = self._connector.batched_get_into(names, [bytes_of(part) for part in contiguous])
        read: list[torch.Tensor | None] = []
        for is_read, tensor, part in zip(self._found(flags), tensors, contiguous, strict=True):
            if is_read and part is not tensor:
                tensor.copy_(part)
            read.append(tensor if is_read else None)
        return read

    def remove(self, prefixes: Sequence[str]) -> bool:
        """Removes all objects whose names begin so. Whether that succeeded."""
        try:
            for prefix in prefixes:
                flags = self._connector.batched_remove(self._connector.list(prefix))
                for flag in flags:
                    if isinstance(flag, Exception):
                        raise flag
        except KvleaseError as error:
            self._warnings.say("removal", error)
            return False
        return True

    def _try(self, put: Callable[[Sequence[int]], list[Any]], count: int) -> list[bool]:
        """Stores objects, and tries those again that may be stored a moment later."""
        stored = [False] * count
        left = list(range(count))
        error: Any = None
        waits = RETRY_AFTER_S if self._is_writable else ()
        for wait in (0.0, *waits):
            if wait and self._closing.wait(wait):
                break
            failed = []
            for place, flag in zip(left, put(left), strict=True):
                # An object that is there already is as good as stored.
                stored[place] = isinstance(flag, bool)
                if not stored[place]:
                    failed.append(place)
                    error = flag
            left = failed
            if not left or isinstance(error, ClosedError):
                break
        self._is_writable = not left
        if left:
            self._warnings.say("write", error)
        return stored

    def _found(self, flags: Sequence[Any]) -> list[bool]:
        for flag in flags:
            if isinstance(flag, Exception):
                self._warnings.say("read", flag)
        return [flag is True for flag in flags]


def _pick(values: Sequence[int], each: int, places: Sequence[int]) -> list[int]:
    """The values of the objects at these places."""
    if len(places) * each == len(values):
        return list(values)
    return [value for place in places for value in values[place * each : (place + 1) * each]]
