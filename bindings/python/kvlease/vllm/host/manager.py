"""The scheduler's half: which chunks there are, and where each is copied from or to.

A chunk is found when it is leased and its bytes were compared with their checksum, so that a load
of what was found cannot fail. The lease is renewed until the load is complete. A chunk is stored
where space is reserved for it, and committed with the checksum of what the workers wrote there.
Without a daemon nothing is found and nothing stored.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vllm.v1.kv_offload.base import (
    LookupResult,
    OffloadingManager,
    PrepareStoreOutput,
)
from vllm.v1.metrics.cache_hit_source import CacheHitSource

from kvlease._kvlease import Connector, ConnectorSettings, KvleaseError, Queue, Reservation, View
from kvlease.engine import Warnings, open_lane
from kvlease.namespace import prefix_of
from kvlease.vllm.calls import REFUSALS, SchedulerCalls
from kvlease.vllm.host.places import ArenaSpec, File, file_at, unit_of
from kvlease.vllm.metrics import Counts
from kvlease.vllm.verdicts import Verdicts

if TYPE_CHECKING:
    from vllm.v1.kv_offload.base import LoadStoreSpec, ReqContext, ScheduleEndContext

logger = logging.getLogger(__name__)

# A chunk is found only while its lease has this part of its time left, or this many seconds: both
# are much longer than a load takes. A lease that is renewed has half of its time left.
MARGIN_PART = 0.25
MARGIN_S = 5.0
# Seconds before the end of a reservation from which on workers begin no copy into it.
WRITE_MARGIN_S = 2.0
# Seconds that the scheduler waits for space. One that waited in vain asks again after a pause.
RESERVE_WAIT_S = 0.2
RESERVE_PAUSE_S = 5.0
# Chunks that are found and not loaded yet have at most this part of the arena.
HELD_PART = 0.5
# Seconds for which places are kept that a reset has taken from transfers under way.
PARKED_S = 60.0


class _Store(NamedTuple):
    space: Reservation
    until: float


class HostManager(SchedulerCalls, OffloadingManager):
    """Chunks of the arena for the scheduler of one engine. All calls are those of its thread."""

    def __init__(
        self, settings: ConnectorSettings, path: Path, fields: dict[str, Any], row_len: int
    ) -> None:
        """Connects to the daemon, if there is one.

        Args:
            settings: The way to the daemon.
            path: The name of the arena, by which the workers map it.
            fields: Everything that decides what the bytes of a chunk mean.
            row_len: The length of a chunk: all layers of all ranks.
        """
        self._connector = Connector(settings)
        self._path = path
        self._fields = fields
        self._prefix = prefix_of(fields)
        self._row_len = row_len
        self._margin = min(MARGIN_S, MARGIN_PART * settings.lease_ttl_s)
        self._queue = Queue(self._connector)
        # Apart, since the scheduler waits for it.
        self._reserving = Queue(self._connector)
        self._reserve_again = 0.0
        self._verdicts = Verdicts()
        self._counts = Counts()
        self._warnings = Warnings(logger)
        # The file of the arena, once something in it was found or reserved.
        self._arena: File | None = None
        self._held_max = 0
        # Leases of chunks that were found; a lease ends with the last reference to its view.
        self._held: dict[bytes, View] = {}
        # Leases of loads under way, one for each load of a chunk.
        self._loading: dict[bytes, list[View]] = {}
        self._stores: dict[bytes, _Store] = {}
        # Operations of the queue that have not finished, by number.
        self._lookups: dict[int, list[bytes]] = {}
        self._commits: dict[int, int] = {}
        # Whether this step has looked for finished operations.
        self._has_looked = False
        self._parked: list[tuple[float, object]] = []
        open_lane(self._connector, self._warnings)
        # A warning, which is shown also where the engine shows no messages of others.
        logger.warning(
            "kvlease host tier opened (a preview: not measured on a GPU): keys begin with %s",
            self._prefix,
        )

    # Look-ups and loads.

    def lookup(self, key: bytes, req_context: ReqContext) -> LookupResult:
        """Finds what is leased and verified; asks for the rest at the end of the step."""
        if not self._has_looked:
            # Once a step: what is found in a step stays found until its loads are prepared.
            self._has_looked = True
            self._take_ended()
        view = self._held.get(key)
        if view is not None and view.remaining_s < self._margin:
            # The lease is not renewed, as when the daemon is gone.
            self._lose(key)
        found = self._verdicts.ask(key, req_context.req_id)
        if found is None:
            return LookupResult.RETRY
        return LookupResult.HIT if found else LookupResult.MISS

    def get_load_source(self, key: bytes, req_context: ReqContext) -> CacheHitSource:
        """The arena is memory of the host."""
        return CacheHitSource.HOST

    def prepare_load(self, keys: Collection[bytes], req_context: ReqContext) -> LoadStoreSpec:
        """Keeps the leases of chunks that were found in this step until they are loaded."""
        views = [self._held[key] for key in keys]
        for key, view in zip(keys, views, strict=True):
            self._loading.setdefault(key, []).append(view)
        # What the request found beyond that it does not load.
        self._forget(req_context.req_id)
        # Only what has a place is held.
        return ArenaSpec([unit_of(view, self._row_len) or 0 for view in views], self._arena)

    def complete_load(self, keys: Collection[bytes], req_context: ReqContext) -> None:
        """Ends the leases of chunks that were loaded.

        Raises:
            RuntimeError: If a lease had ended before. The engine ends then: its tokens could be
                wrong. It takes a process that stood still for the whole time of a lease.
        """
        for key in keys:
            views = self._loading[key]
            view = views.pop(0)
            if not views:
                del self._loading[key]
            if not view.is_live:
                raise RuntimeError(
                    "a chunk was loaded after its lease had ended, and may be another one: "
                    f"raise lease_ttl_ms, key=`{self._name(key)}`"
                )

    def on_request_finished(self, req_context: ReqContext) -> None:
        """Forgets what only this request asked for."""
        self._forget(req_context.req_id)

    # Stores.

    def prepare_store(
        self, keys: Collection[bytes], req_context: ReqContext
    ) -> PrepareStoreOutput | None:
        """Reserves space for chunks that the daemon has not, as far as it has room."""
        wanted = [
            key
            for key in keys
            if key not in self._stores and not self._connector.is_indexed(self._name(key))
        ]
        stored, spaces, units = [], [], []
        for key, space in zip(wanted, self._reserve(wanted), strict=True):
            unit = self._unit_of(space) if isinstance(space, Reservation) else None
            if unit is not None:
                stored.append(key)
                spaces.append(space)
                units.append(unit)
            elif space is not None:
                self._counts.store_failures += 1
        left = min((space.remaining_s for space in spaces), default=0.0)
        until = time.monotonic() + left - WRITE_MARGIN_S
        # Workers and this process go by one moment, so what was not written is not committed.
        self._stores.update(
            (key, _Store(space, until)) for key, space in zip(stored, spaces, strict=True)
        )
        return PrepareStoreOutput(stored, ArenaSpec(units, self._arena, until), [])

    def complete_store(
        self, keys: Collection[bytes], req_context: ReqContext, success: bool = True
    ) -> None:
        """Commits what all workers have written, with the checksum of what is there."""
        stores = [self._stores.pop(key) for key in keys if key in self._stores]
        is_over = time.monotonic() >= min((store.until for store in stores), default=0.0)
        if not success or is_over:
            self._counts.store_failures += len(stores)
            return
        try:
            number = self._queue.submit_commit([store.space for store in stores])
            self._commits[number] = len(stores)
        except REFUSALS as error:
            self._warnings.say("store", error)
            self._counts.store_failures += len(stores)

    # What the scheduler does at each step, and now and then.

    def on_schedule_end(self, context: ScheduleEndContext) -> None:
        """Asks the daemon, in one call, for all chunks that are not known of."""
        for request in context.new_req_ids:
            # It runs: what it found and does not load is held in vain.
            self._forget(request)
        self._take_ended()
        self._has_looked = False
        # Space that was asked for and came too late is given back.
        self._reserving.drain()
        now = time.monotonic()
        self._parked = [parked for parked in self._parked if parked[0] > now]
        self._ask()

    def reset_cache(self) -> None:
        """Leaves all chunks that there are to others: this engine finds none of them any more.

        Places of transfers under way are kept for a while: vLLM 0.32 does not tell of their end.
        """
        self._prefix = prefix_of({**self._fields, "reset": uuid.uuid4().hex})
        parked = (self._loading, self._stores)
        self._parked.append((time.monotonic() + PARKED_S, parked))
        self._loading, self._stores, self._held = {}, {}, {}
        self._verdicts = Verdicts()
        self._lookups.clear()

    def on_reset_flushed(self) -> None:
        """Gives up what a reset has kept: no transfer of before is under way any more."""
        self._parked.clear()

    def shutdown(self) -> None:
        """Ends what runs, in a bounded time. The workers have ended before."""
        self._connector.close()

    # How it is done.

    def _reserve(self, keys: list[bytes]) -> list[Any]:
        """Space for each key, None for one that there is a chunk of, or an error."""
        if not keys or time.monotonic() < self._reserve_again:
            return [None] * len(keys)
        try:
            lengths = [self._row_len] * len(keys)
            number = self._reserving.submit_reserve(self._names(keys), lengths)
        except REFUSALS as error:
            return self._each(error, keys)
        deadline = time.monotonic() + RESERVE_WAIT_S
        while (left := deadline - time.monotonic()) > 0:
            for ended, result in self._reserving.drain(left):
                if ended == number:
                    return self._each(result, keys)
        self._reserve_again = time.monotonic() + RESERVE_PAUSE_S
        return self._each(KvleaseError(f"no answer within {RESERVE_WAIT_S} s"), keys)

    def _submit_lookup(self, names: list[str]) -> int:
        return self._queue.submit_view(names)

    def _take_ended(self) -> None:
        """Takes over what has ended."""
        for number, result in self._queue.drain():
            keys = self._lookups.pop(number, None)
            if keys is not None:
                self._hold(keys, self._each(result, keys))
            elif number in self._commits:
                flags = self._each(result, [b""] * self._commits.pop(number))
                failures = sum(isinstance(flag, Exception) for flag in flags)
                self._counts.store_failures += failures

    def _hold(self, keys: list[bytes], found: list[Any]) -> None:
        """Keeps the leases of chunks that were found and are waited for."""
        usable = [isinstance(it, View) and self._unit_of(it) is not None for it in found]
        room = max(0, self._held_max - len(self._held))
        for place, is_usable in enumerate(usable):
            usable[place] = is_usable and room > 0
            room -= is_usable
        self._verdicts.answer(keys, usable)
        for key, view, is_usable in zip(keys, found, usable, strict=True):
            if is_usable and self._verdicts.is_found(key):
                self._held[key] = view

    def _unit_of(self, place: View | Reservation) -> int | None:
        """Where a chunk begins; None if the workers could not copy from or to there."""
        arena = place.arena
        if arena != self._arena and not self._adopt(arena):
            return None
        return unit_of(place, self._row_len)

    def _adopt(self, arena: File) -> bool:
        """Goes over to another arena, if it is the one that the workers find by its name."""
        if file_at(self._path) != arena:
            self._warnings.say(
                "look at the arena",
                "its file is not that of the daemon, or may not be written: set "
                f"shared_memory_name and shared_memory_dir, path=`{self._path}`",
            )
            return False
        for key in list(self._held):
            self._lose(key)
        self._arena = arena
        self._held_max = max(1, int(HELD_PART * self._path.stat().st_size) // self._row_len)
        return True

    def _lose(self, key: bytes) -> None:
        """Makes a chunk that was found a miss to all requests."""
        self._held.pop(key, None)
        self._counts.load_failures += 1
        self._verdicts.fail([key], "")

    def _forget(self, request: str) -> None:
        for key in self._verdicts.end(request):
            self._held.pop(key, None)
