"""The tier: chunks go from vLLM's CPU tier to the daemon, and come back.

    OffloadingConnector -> TieringOffloadingSpec -> CPU tier <-> KvleaseTier <-> daemon

All methods run on the scheduler's thread. None of them waits, except those that vLLM says may.
Native threads copy rows of the CPU tier's mapping into the arena and out of it, with the checksum
in the same pass. A failure is a miss, or a store that did not happen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from vllm.v1.kv_offload.base import (
    Locality,
    LookupResult,
    Medium,
    OffloadingEvent,
)
from vllm.v1.kv_offload.tiering.base import JobResult, SecondaryTierManager

from kvlease._kvlease import Queue
from kvlease.engine import Warnings, connect, open_lane
from kvlease.vllm.calls import REFUSALS, SchedulerCalls
from kvlease.vllm.metrics import Counts, definitions
from kvlease.vllm.namespace import fields_of, prefix_of
from kvlease.vllm.verdicts import Verdicts

if TYPE_CHECKING:
    from vllm.v1.kv_offload.base import (
        OffloadingMetricMetadata,
        OffloadingSpec,
        ReqContext,
        ScheduleEndContext,
    )
    from vllm.v1.kv_offload.tiering.base import TransferJob

logger = logging.getLogger(__name__)

# The namespace of the keys in the daemon, unless the configuration has another.
BUCKET = "vllm"
# The name under which vLLM's events tell whose chunks they are about.
OWNERSHIP = "kvlease"
# Seconds between two looks for finished jobs of a caller that waits for all of them.
DRAIN_POLL_S = 0.1


class _Job(NamedTuple):
    job_id: int
    keys: list[bytes]
    is_load: bool
    request: str
    started: float


class KvleaseTier(SchedulerCalls, SecondaryTierManager):
    """A daemon on the same node as a secondary tier of vLLM."""

    medium: ClassVar[Medium] = Medium.CPU

    def __init__(
        self,
        offloading_spec: OffloadingSpec,
        primary_kv_view: memoryview,
        tier_type: str,
        backpressure_detector: Any = None,
        *,
        url: str,
        bucket: str = BUCKET,
        locality: str | None = "LOCAL",
        enable_kv_events: bool = False,
        **others: Any,
    ) -> None:
        """Connects to the daemon, if there is one.

        Args:
            offloading_spec: What the chunks are.
            primary_kv_view: The CPU tier's rows, one for each chunk.
            tier_type: The name of this tier in vLLM's metrics.
            backpressure_detector: vLLM's own.
            url: Where the daemon listens, as `kvlease://host:port`.
            bucket: The namespace of the keys.
            locality: Where the chunks are, as vLLM's events and requests say it.
            enable_kv_events: Whether stores are announced among vLLM's events.
            others: Settings of the connector; others are warned of, for vLLM may add its own.

        Raises:
            ValueError: If a setting cannot be used.
        """
        super().__init__(
            offloading_spec=offloading_spec,
            primary_kv_view=primary_kv_view,
            tier_type=tier_type,
            backpressure_detector=backpressure_detector,
        )
        self.locality = None if locality is None else Locality(locality)
        self._connector = connect(url, bucket, others, logger)
        row_len = primary_kv_view.strides[0] if primary_kv_view.strides else 0
        self._row_len = row_len
        # A view of two dimensions has no slices: rows are slices of the flat one.
        self._rows = primary_kv_view.cast("B")
        self._prefix = prefix_of(fields_of(offloading_spec.config, row_len))
        self._queue = Queue(self._connector)
        self._verdicts = Verdicts()
        self._counts = Counts()
        # Operations of the queue that have not finished, by number.
        self._jobs: dict[int, _Job] = {}
        self._lookups: dict[int, list[bytes]] = {}
        self._results: list[JobResult] = []
        wants = enable_kv_events and offloading_spec.kv_events_config.enable_kv_cache_events
        self._events: list[OffloadingEvent] | None = [] if wants else None
        self._warnings = Warnings(logger)
        open_lane(self._connector, self._warnings)
        logger.info("kvlease tier opened: keys begin with %s", self._prefix)

    # What the scheduler asks.

    def lookup(self, key: bytes, req_context: ReqContext) -> LookupResult:
        """Answers at once what the daemon's published index names; asks for the rest."""
        if not self._verdicts.known(key) and self._connector.is_indexed(self._name(key)):
            self._counts.lookups_in_place += 1
            return LookupResult.HIT
        found = self._verdicts.ask(key, req_context.req_id)
        if found is None:
            return LookupResult.RETRY
        return LookupResult.HIT if found else LookupResult.MISS

    def submit_store(self, job_metadata: TransferJob) -> None:
        """Stores chunks that the daemon has not."""
        # In a store, `keys` is a set, and the ids are in the order in which this set is walked. A
        # copy of the set may have another order, so they are paired before anything else.
        pairs = list(zip(job_metadata.keys, job_metadata.chunk_ids.tolist(), strict=True))
        objects = [(b"", self._row(chunk)) for _, chunk in pairs]
        job = self._job(job_metadata, [key for key, _ in pairs], is_load=False)
        self._submit(job, lambda names: self._queue.submit_put(names, objects))

    def submit_load(self, job_metadata: TransferJob) -> None:
        """Loads chunks into rows of the CPU tier."""
        pairs = list(zip(job_metadata.keys, job_metadata.chunk_ids.tolist(), strict=True))
        rows = [self._row(chunk) for _, chunk in pairs]
        job = self._job(job_metadata, [key for key, _ in pairs], is_load=True)
        self._submit(job, lambda names: self._queue.submit_get_into(names, rows))

    def get_finished_jobs(self) -> Iterable[JobResult]:
        """The jobs that have ended since the last call."""
        self._take_ended(0.0)
        results, self._results = self._results, []
        return results

    def on_request_finished(self, req_context: ReqContext) -> None:
        """Forgets what only this request asked for."""
        self._verdicts.end(req_context.req_id)

    def on_schedule_end(self, context: ScheduleEndContext) -> None:
        """Asks the daemon, in one call, for all chunks that the index did not name."""
        self._ask()

    def take_events(self) -> Iterable[OffloadingEvent]:
        """Stores since the last call."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    # What vLLM asks now and then.

    def drain_jobs(self) -> None:
        """Waits until no job uses the CPU tier's memory. Each call of the connector has a limit."""
        while self._jobs:
            self._take_ended(DRAIN_POLL_S)

    @classmethod
    def build_metric_definitions(
        cls, extra_config: dict[str, Any]
    ) -> dict[str, OffloadingMetricMetadata]:
        """The metrics that `get_stats` has."""
        return definitions()

    def shutdown(self) -> None:
        """Ends what runs, in a bounded time, and gives the CPU tier's memory back."""
        self._connector.close()
        self._take_ended(0.0)
        self._rows.release()

    # How it is done.

    def _job(self, metadata: TransferJob, keys: list[bytes], *, is_load: bool) -> _Job:
        request = metadata.req_context.req_id
        return _Job(metadata.job_id, keys, is_load, request, time.monotonic())

    def _row(self, chunk: int) -> memoryview:
        return self._rows[chunk * self._row_len : (chunk + 1) * self._row_len]

    def _submit(self, job: _Job, submit: Any) -> None:
        try:
            self._jobs[submit(self._names(job.keys))] = job
        except REFUSALS as error:
            self._end(job, [error] * len(job.keys))

    def _submit_lookup(self, names: list[str]) -> int:
        return self._queue.submit_exists(names)

    def _take_ended(self, wait_s: float) -> None:
        """Takes over what has ended; waits for the first at most this long."""
        for number, result in self._queue.drain(wait_s):
            job = self._jobs.pop(number, None)
            if job is not None:
                self._end(job, self._each(result, job.keys))
            else:
                keys = self._lookups.pop(number)
                found = [flag is True for flag in self._each(result, keys)]
                self._verdicts.answer(keys, found)

    def _end(self, job: _Job, flags: list[Any]) -> None:
        """Reports what came of a job."""
        # An object that is there already is as good as stored; a load has to have found it.
        good = [
            key
            for key, flag in zip(job.keys, flags, strict=True)
            if flag is True or (flag is False and not job.is_load)
        ]
        failed = len(job.keys) - len(good)
        if job.is_load:
            self._counts.load_failures += failed
            if failed:
                loaded = set(good)
                misses = [key for key in job.keys if key not in loaded]
                self._verdicts.fail(misses, job.request)
        else:
            self._counts.store_failures += failed
            if good and self._events is not None:
                self._events.append(self._event(good))
        self._results.append(
            JobResult(
                job_id=job.job_id,
                success=not failed,
                successful_keys=tuple(good) if job.is_load and failed and good else None,
                transfer_time=time.monotonic() - job.started,
                transfer_bytes=len(good) * self._row_len,
            )
        )

    def _event(self, keys: list[bytes]) -> OffloadingEvent:
        return OffloadingEvent(
            keys=keys,
            medium=self.medium,
            removed=False,
            locality=self.locality,
            ownership=OWNERSHIP,
        )
