"""What the secondary tier and the host tier do alike on the scheduler's thread."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from vllm.v1.kv_offload.base import RequestOffloadingContext

from kvlease._kvlease import KvleaseError

if TYPE_CHECKING:
    from vllm.distributed.kv_transfer.kv_connector.v1.offloading.metrics import (
        OffloadingConnectorStats,
    )
    from vllm.v1.kv_offload.base import ReqContext

    from kvlease._kvlease import Connector, Queue
    from kvlease.engine import Warnings
    from kvlease.vllm.metrics import Counts
    from kvlease.vllm.verdicts import Verdicts

# What a submission may raise: the queue does not take it, or not these arguments.
REFUSALS = (KvleaseError, BufferError, TypeError, ValueError)


class SchedulerCalls:
    """Calls of vLLM, and chunks that are asked for in one call a step."""

    _connector: Connector
    _queue: Queue
    _prefix: str
    _verdicts: Verdicts
    _counts: Counts
    _warnings: Warnings
    # Look-ups that have not finished, by number.
    _lookups: dict[int, list[bytes]]

    def on_new_request(self, req_context: ReqContext) -> RequestOffloadingContext:
        """Chunks are offloaded as they are computed."""
        self._verdicts.begin(req_context.req_id)
        return RequestOffloadingContext()

    def touch(self, keys: Collection[bytes], req_context: ReqContext) -> None:
        """Tells the daemon, later, that the chunks are in use."""
        self._connector.touch(self._names(keys))

    def has_pending_work(self) -> bool:
        """Whether an answer is awaited that a waiting request needs."""
        return bool(self._lookups)

    def get_stats(self) -> OffloadingConnectorStats | None:
        """Metrics since the last call."""
        return self._counts.take(self._connector.stats())

    def _submit_lookup(self, names: list[str]) -> int:
        """Begins a look-up, and returns its number."""
        raise NotImplementedError

    def _ask(self) -> None:
        """Asks the daemon, in one call, for all chunks that no call has asked for."""
        keys = self._verdicts.take_unasked()
        if not keys:
            return
        self._counts.lookups_asked += len(keys)
        try:
            self._lookups[self._submit_lookup(self._names(keys))] = keys
        except REFUSALS as error:
            self._warnings.say("look-up", error)
            self._verdicts.answer(keys, [False] * len(keys))

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()

    def _names(self, keys: Iterable[bytes]) -> list[str]:
        return [self._name(key) for key in keys]

    def _each(self, result: Any, keys: list[bytes]) -> list[Any]:
        """What came of each key; an operation that failed as a whole has failed for each."""
        flags = result if isinstance(result, list) else [result] * len(keys)
        for flag in flags:
            if isinstance(flag, Exception):
                self._warnings.say("call", flag)
        return flags
