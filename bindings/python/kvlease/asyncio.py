"""The connector for programs that run on `asyncio`.

`Connector` here has the calls of `kvlease.Connector` as coroutines. Native threads do the work, and
one descriptor that the event loop watches tells when results are there: no thread of Python waits.
"""

import asyncio
import builtins
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from kvlease._kvlease import (
    BusyError,
    ClosedError,
    ConnectorSettings,
    KvleaseError,
    OpenObject,
    Queue,
    View,
)
from kvlease._kvlease import Connector as _Blocking

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Connector"]

T = TypeVar("T")

# What came of each key of a batch.
_Flags: TypeAlias = list[bool | KvleaseError]

# First bytes with which an object is found, so that a small one takes one call.
_HEAD_LEN = 64 << 10

# How long calls whose results come at once may keep the loop from others, in seconds.
_TURN_WITHIN_S = 0.001


class Connector:
    """Stores, finds and reads objects on an event loop, that of the first call.

    Any number of calls may run at a time. Those for one key raise `KvleaseError`; those for many
    return what came of each, in the order of the keys, with an exception as the value of a key that
    failed. A call that is cancelled while it uses a buffer of the caller ends once the buffer is
    free again.
    """

    def __init__(self, settings: ConnectorSettings) -> None:
        """Connects to nothing yet."""
        self._connector = _Blocking(settings)
        self._queue = Queue(self._connector)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._turned_at = 0.0
        self._closed = False

    async def put(self, key: str, data: "ReadableBuffer") -> bool:
        """Stores an object. False if the key had one, which stays as it is."""
        return _one(await self.batched_put([key], [data]))

    async def batched_put(self, keys: Sequence[str], data: "Sequence[ReadableBuffer]") -> _Flags:
        """Stores objects."""
        objects = [(b"", item) for item in data]
        stored: _Flags = await self._run(
            lambda: self._queue.put_or_submit(keys, objects), uses_buffers=True
        )
        return stored

    async def get(self, key: str) -> bytes | None:
        """Reads an object. None on a miss."""
        return _one(await self.batched_get([key]))

    async def batched_get(self, keys: Sequence[str]) -> builtins.list[bytes | None | KvleaseError]:
        """Reads objects."""
        found: builtins.list[bytes | None | KvleaseError] = [None] * len(keys)
        places = list(range(len(keys)))
        while places:
            came = await self._read([keys[place] for place in places])
            for place, value in zip(places, came, strict=True):
                found[place] = value
            late = [place for place in places if isinstance(found[place], BusyError)]
            # What had no room beside the others is asked for again, as long as that brings some.
            places = late if len(late) < len(places) else []
        return found

    async def get_into(self, key: str, buffer: "WriteableBuffer") -> bool:
        """Reads an object into a buffer of its length. False on a miss.

        After a miss or an error the buffer's content is unspecified.
        """
        return _one(await self.batched_get_into([key], [buffer]))

    async def batched_get_into(
        self, keys: Sequence[str], buffers: "Sequence[WriteableBuffer]"
    ) -> _Flags:
        """Reads objects, each into its buffer. Buffers that share memory are a `ValueError`."""
        read: _Flags = await self._run(
            lambda: self._queue.submit_get_into(keys, buffers), uses_buffers=True
        )
        return read

    async def view(self, key: str) -> View | None:
        """An object where it is in shared memory, compared with its checksum. None on a miss.

        Raises:
            KvleaseError: If there is no shared memory, or it cannot be attached.
        """
        views: builtins.list[View | KvleaseError | None] = await self._run(
            lambda: self._queue.submit_view([key])
        )
        return _one(views)

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return _one(await self.batched_exists([key]))

    async def batched_exists(self, keys: Sequence[str]) -> _Flags:
        """Tells which objects there are."""
        there: _Flags = await self._run(lambda: self._queue.exists_or_submit(keys))
        return there

    async def lookup_prefix(self, keys: Sequence[str]) -> int:
        """Counts the objects before the first that is missing."""
        count: int = await self._run(lambda: self._queue.lookup_or_submit(keys))
        return count

    async def list(self, prefix: str = "") -> builtins.list[str]:
        """The keys of all objects that start so, where the daemon can tell."""
        keys: builtins.list[str] = await self._run(lambda: self._queue.submit_list(prefix))
        return keys

    async def remove(self, key: str) -> bool:
        """Removes an object, where the daemon can. Whether it was there."""
        return _one(await self.batched_remove([key]))

    async def batched_remove(self, keys: Sequence[str]) -> _Flags:
        """Removes objects, where the daemon can."""
        removed: _Flags = await self._run(lambda: self._queue.submit_remove(keys))
        return removed

    async def ping(self) -> None:
        """Returns if the daemon answers.

        Raises:
            KvleaseError: If it does not.
        """
        await self._run(self._queue.submit_ping)

    def stats(self) -> dict[str, int]:
        """Counters of what was done so far, as of `kvlease.Connector`. It waits for nothing."""
        return self._connector.stats()

    async def close(self) -> None:
        """Waits for what runs, gives up what takes too long, and releases what is held.

        Later calls raise `ClosedError`; a second close does nothing.
        """
        if self._closed:
            return
        self._closed = True
        await self._run(self._queue.submit_close, uses_buffers=True)
        self._hand_over()
        if self._loop is not None:
            self._loop.remove_reader(self._queue.event_fd())
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ClosedError("the connector was closed: make a new one"))
        self._waiting.clear()

    async def __aenter__(self) -> Self:
        """The connector itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connector."""
        await self.close()

    async def _read(self, keys: Sequence[str]) -> builtins.list[bytes | None | KvleaseError]:
        opened = await self._run(lambda: self._queue.open_or_submit(keys, _HEAD_LEN))
        found: builtins.list[bytes | None | KvleaseError] = []
        rests: builtins.list[tuple[int, OpenObject, bytearray]] = []
        for place, value in enumerate(opened):
            if not isinstance(value, OpenObject):
                found.append(value)
                continue
            head = value.head
            found.append(head)
            # An object that ends with its head is read to its end as well: that checks its bytes.
            rests.append((place, value, bytearray(len(value) - len(head))))
        pairs = [(object, rest) for _, object, rest in rests]
        outcomes = await self._run(lambda: self._queue.submit_read_rest(pairs)) if pairs else []
        for (place, object, rest), outcome in zip(rests, outcomes, strict=True):
            if outcome is True:
                found[place] = b"".join((object.head, rest)) if rest else object.head
            else:
                # An object that left in between is a miss.
                found[place] = outcome if isinstance(outcome, KvleaseError) else None
        return found

    async def _run(
        self, submit: Callable[[], int | tuple[Any]], *, uses_buffers: bool = False
    ) -> Any:
        """The result of the operation that `submit` starts, or has at once, in a tuple."""
        loop = self._watched()
        submitted = submit()
        if isinstance(submitted, tuple):
            # Results at once need no turn of the loop; without any, others would never run.
            if loop.time() - self._turned_at >= _TURN_WITHIN_S:
                await asyncio.sleep(0)
                self._turned_at = loop.time()
            return _raised(submitted[0])
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[submitted] = future
        if not uses_buffers:
            return await future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.cancelled():
                await asyncio.wait([future])
            raise

    def _watched(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            loop.add_reader(self._queue.event_fd(), self._hand_over)
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("the connector belongs to another event loop: make one for each")
        return loop

    def _hand_over(self) -> None:
        for number, result in self._queue.drain():
            future = self._waiting.pop(number, None)
            # A caller that was cancelled waits no more.
            if future is None or future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _one(results: Iterable[T | KvleaseError]) -> T:
    (result,) = results
    return _raised(result)


def _raised(result: T | KvleaseError) -> T:
    if isinstance(result, KvleaseError):
        raise result
    return result
