"""The operation queue on an event loop: operations that coroutines wait for.

All operations end on one descriptor that the loop watches, and those that have ended together are
handed over together. A coroutine that is cancelled does not end its operation, which may still be
using memory: the operation is seen to its end, and the memory given back then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from kvlease._kvlease import Connector, KvleaseError, Queue
from kvlease.lmcache.ending import settle_at_exit
from kvlease.lmcache.failures import Failures

# An operation's number, or its result if it came at once.
Submitted = int | tuple[Any]

# What a submission may raise: the queue does not take it, or not these arguments.
REFUSALS = (KvleaseError, BufferError, TypeError, ValueError)

# How long calls whose results come at once may keep the loop from others, in seconds.
TURN_WITHIN_S = 0.001


class _Waiting(NamedTuple):
    future: asyncio.Future[Any]
    abandoned: Callable[[], None] | None


class Operations:
    """The operations of one connector on one loop. All methods but the first are the loop's."""

    def __init__(
        self, connector: Connector, loop: asyncio.AbstractEventLoop, failures: Failures
    ) -> None:
        """May be called from any thread; the loop need not run yet."""
        self.queue = Queue(connector)
        self._loop = loop
        self._failures = failures
        self._waiting: dict[int, _Waiting] = {}
        self._turned_at = 0.0
        loop.call_soon_threadsafe(self._watch)
        settle_at_exit(loop)

    async def run(self, name: str, submit: Callable[[], Submitted]) -> Any:
        """The result of the operation that `submit` starts; None if it failed as a whole.

        `submit` returns the operation's number, or a tuple with its result.
        """
        try:
            submitted = submit()
            if isinstance(submitted, tuple):
                result = submitted[0]
                await self._let_others_run()
            else:
                result = await self._result(submitted, None)
        except REFUSALS as error:
            result = error
        return self._checked(name, result)

    async def run_external(
        self,
        name: str,
        submit: Callable[[], Submitted],
        keep: Callable[[], object],
        give_back: Callable[[], None],
    ) -> Any:
        """The same for an operation that uses external memory.

        If the caller is cancelled, `keep` is called before the exception reaches it, and
        `give_back` as soon as the operation uses the memory no more. Otherwise neither is called.
        """
        try:
            submitted = submit()
            if isinstance(submitted, tuple):
                return self._checked(name, submitted[0])
            future = self._result(submitted, give_back)
        except REFUSALS as error:
            return self._checked(name, error)
        try:
            return self._checked(name, await future)
        except asyncio.CancelledError:
            keep()
            if not future.cancelled():
                # The operation had ended, and the cancelled caller was its only reader.
                give_back()
            raise

    async def close(self) -> None:
        """Closes the queue and its connector, which takes a bounded time."""
        await self._result(self.queue.submit_close(), None)
        self._loop.remove_reader(self.queue.event_fd())

    def _result(self, number: int, abandoned: Callable[[], None] | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[number] = _Waiting(future, abandoned)
        return future

    async def _let_others_run(self) -> None:
        """Gives the loop a turn if it had none for a while: results at once need none."""
        now = self._loop.time()
        if now - self._turned_at >= TURN_WITHIN_S:
            await asyncio.sleep(0)
            self._turned_at = self._loop.time()

    def _checked(self, name: str, result: Any) -> Any:
        if isinstance(result, Exception):
            self._failures.say(name, result)
            return None
        return result

    def _watch(self) -> None:
        self._loop.add_reader(self.queue.event_fd(), self._hand_over)

    def _hand_over(self) -> None:
        for number, result in self.queue.drain():
            waiting = self._waiting.pop(number)
            if not waiting.future.done():
                waiting.future.set_result(result)
            elif waiting.abandoned is not None:
                waiting.abandoned()
