"""The in-process connector: LMCache's remote storage on a HyperPod daemon.

It has the name, the settings, the keys and the bytes of LMCache's own connector. Copies and
requests are done by native threads; what is done here is to read headers, to get memory from
LMCache, and to give it back exactly once on every path.

A failure is a miss, or a put that did not happen: nothing that a daemon sends makes the engine
stop.
"""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lmcache.logging import init_logger
from lmcache.observability import LMCStatsMonitor
from lmcache.v1.storage_backend.connector.base_connector import RemoteConnector

from kvlease._kvlease import Connector, ConnectorSettings, KvleaseError
from kvlease.lmcache.failures import Failures
from kvlease.lmcache.header import header_of
from kvlease.lmcache.operations import Operations
from kvlease.lmcache.reads import Reads, give_back

if TYPE_CHECKING:
    from lmcache.utils import CacheEngineKey
    from lmcache.v1.memory_management import MemoryObj
    from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

logger = init_logger(__name__)

# How long another loop waits for this one to close the connector, in seconds.
CLOSE_WITHIN_S = 20.0
# What `ping` returns when the daemon does not answer; LMCache has no finer codes.
PING_FAILED = -2


class SageMakerHyperPodConnector(RemoteConnector):
    """LMCache's remote storage on a HyperPod daemon."""

    def __init__(
        self,
        settings: ConnectorSettings,
        loop: asyncio.AbstractEventLoop,
        local_cpu_backend: LocalCPUBackend,
    ) -> None:
        """May be called from any thread; the loop need not run yet.

        Args:
            settings: Daemon, bucket, segment and limits.
            loop: The loop that all coroutines are run on.
            local_cpu_backend: LMCache's memory, which objects are read into.
        """
        super().__init__(local_cpu_backend.config, local_cpu_backend.metadata)
        self.loop = loop
        self.local_cpu_backend = local_cpu_backend
        self._connector = Connector(settings)
        self._failures = Failures()
        self._operations = Operations(self._connector, loop, self._failures)
        self._queue = self._operations.queue
        self._monitor = LMCStatsMonitor.GetOrCreate()
        self._reads = Reads(self._operations, local_cpu_backend, self._monitor, self._failures)
        self._puts_done = 0
        self._puts_failed = 0
        self._closed = False
        logger.info("kvlease connector opened: %r", settings)

    @property
    def stats(self) -> dict[str, int]:
        """What was done so far, under the names of LMCache's own connector.

        Leases are released in the background; one whose release fails ends by its time to live.
        """
        native = self._connector.stats()
        return {
            "get_success": self._reads.hits,
            "get_failure": self._reads.misses,
            "put_success": self._puts_done,
            "put_failure": self._puts_failed,
            "lease_acquired": native["leases"],
            "lease_released": native["leases_released"],
            "lease_release_failed": native["release_failures"],
        }

    async def exists(self, key: CacheEngineKey) -> bool:
        """Whether the daemon has an object."""
        names = [key.to_string()]
        found = await self._operations.run("lookup", lambda: self._queue.exists_or_submit(names))
        return found == [True]

    def exists_sync(self, key: CacheEngineKey) -> bool:
        """Whether the daemon has an object, for callers on any thread."""
        return bool(self._wait("lookup", lambda: self._connector.exists(key.to_string())))

    def support_batched_contains(self) -> bool:
        """True."""
        return True

    def batched_contains(self, keys: Sequence[CacheEngineKey]) -> int:
        """How many objects the daemon has before the first that it has not."""
        names = [key.to_string() for key in keys]
        return self._wait("lookup", lambda: self._connector.lookup_prefix(names)) or 0

    def support_batched_async_contains(self) -> bool:
        """True."""
        return True

    async def batched_async_contains(
        self, lookup_id: str, keys: Sequence[CacheEngineKey], pin: bool = False
    ) -> int:
        """How many objects the daemon has before the first that it has not."""
        names = [key.to_string() for key in keys]
        count = await self._operations.run("lookup", lambda: self._queue.lookup_or_submit(names))
        return count or 0

    async def put(self, key: CacheEngineKey, memory_obj: MemoryObj) -> None:
        """Stores an object, unless the daemon has it. The caller keeps its reference."""
        await self.batched_put([key], [memory_obj])

    def support_batched_put(self) -> bool:
        """True."""
        return True

    async def batched_put(
        self, keys: Sequence[CacheEngineKey], memory_objs: Sequence[MemoryObj]
    ) -> None:
        """Stores objects, each unless the daemon has it. The caller keeps its references."""
        begin = time.perf_counter()
        names: builtins.list[str] = []
        parts: builtins.list[tuple[bytes, Any]] = []
        memories: builtins.list[MemoryObj] = []
        for key, memory in zip(keys, memory_objs, strict=True):
            try:
                payload = memory.byte_array
                parts.append((header_of(memory, len(payload)), payload))
            except Exception as error:
                self._count_put(0, 0.0, error)
                continue
            names.append(key.to_string())
            memories.append(memory)
        if not names:
            return
        # A caller that cancels gives its references up while the bytes are still being sent.
        stored = await self._operations.run_external(
            "put",
            lambda: self._queue.put_or_submit(names, parts),
            keep=lambda: [memory.ref_count_up() for memory in memories],
            give_back=lambda: give_back(memories),
        )
        millis = (time.perf_counter() - begin) * 1000
        for (header, payload), outcome in zip(parts, stored or [None] * len(parts), strict=True):
            self._count_put(len(header) + len(payload), millis, outcome)

    async def get(self, key: CacheEngineKey) -> MemoryObj | None:
        """Reads an object into memory that the caller gives back. None on a miss."""
        return await self._reads.one(key)

    def support_batched_get(self) -> bool:
        """True."""
        return True

    async def batched_get(self, keys: Sequence[CacheEngineKey]) -> builtins.list[MemoryObj | None]:
        """Reads objects into memory that the caller gives back. None for each miss."""
        return await self._reads.many(keys, prefix=False)

    def support_batched_get_non_blocking(self) -> bool:
        """True."""
        return True

    async def batched_get_non_blocking(
        self, lookup_id: str, keys: Sequence[CacheEngineKey]
    ) -> builtins.list[MemoryObj]:
        """Reads the objects before the first miss into memory that the caller gives back."""
        found = await self._reads.many(keys, prefix=True)
        return [memory for memory in found if memory is not None]

    async def list(self) -> builtins.list[str]:
        """The keys of all objects, where the daemon can tell."""
        return await self._operations.run("list", self._queue.submit_list) or []

    def remove_sync(self, key: CacheEngineKey) -> bool:
        """Removes an object, where the daemon can. Whether it was there."""
        return bool(self._wait("remove", lambda: self._connector.remove(key.to_string())))

    def support_ping(self) -> bool:
        """True."""
        return True

    async def ping(self) -> int:
        """0 if the daemon answers."""
        return 0 if await self._operations.run("ping", self._queue.submit_ping) else PING_FAILED

    async def close(self) -> None:
        """Ends what runs and releases what is held, in a bounded time. Any loop may run it."""
        if self._closed:
            return
        self._closed = True
        if asyncio.get_running_loop() is self.loop:
            await self._operations.close()
        elif self.loop.is_running():
            closing = asyncio.run_coroutine_threadsafe(self._operations.close(), self.loop)
            await asyncio.wait_for(asyncio.wrap_future(closing), CLOSE_WITHIN_S)
        else:
            self._connector.close()
        logger.info("kvlease connector closed: %s", self.stats)

    def _count_put(self, size: int, millis: float, outcome: bool | Exception | None) -> None:
        if isinstance(outcome, bool):
            self._puts_done += 1
            self._monitor.update_interval_remote_time_to_put(millis)
            self._monitor.update_interval_remote_write_metrics(size)
        else:
            self._puts_failed += 1
            if outcome is not None:
                self._failures.say("put", outcome)

    def _wait(self, operation: str, call: Callable[[], Any]) -> Any:
        """The result of a blocking call; None if it failed."""
        try:
            return call()
        except (KvleaseError, ValueError) as error:
            self._failures.say(operation, error)
            return None
