"""The clients that the side-by-side bench compares, and its concurrent calls.

A side is one client, stock or native, behind three calls: `prepare` sets up everything that is not
to be timed and returns the measurement, which returns its own wall time; `tidy` undoes it.
"""

import asyncio
import http.client
import itertools
import json
import select
import time
import urllib.parse
from collections.abc import Callable, Iterator

from lmcache.v1.platform import consume_fd

from daemon import Daemon, wait_until
from in_process import InProcess
from multi_process import MultiProcess, memory
from samples import KIB, MIB, STOCK, in_process_key, mp_key, payload

LOOKUP_KEYS = 64
# Objects of a size that are read in turn: more bytes than a cache of the processor holds.
POPULATION = {256 * KIB: 1024, 16 * MIB: 16}
# Objects of a size that are written in turn.
SOURCES = 4
# How many are stored at once before the first measurement of a size.
POPULATED_AT_ONCE = 4
CALLERS_MAX = 16
# The bucket of both kinds of client; the models whose objects stay, and are removed after a put.
BUCKET = "lmcache"
LONG_LIVED = "side-by-side"
SHORT_LIVED = "side-by-side-put"
# No measurement takes this long, in seconds: whatever does is stuck.
MEASURED_WITHIN = 60.0
RELEASED_WITHIN = 10.0
LISTED_MAX = 1000

# Seconds of wall time that a measurement took.
Run = Callable[[], float]


class InProcessSide:
    """The connector inside an engine's process; callers are coroutines on its loop."""

    def __init__(self, daemon: Daemon, host, kind: str) -> None:
        self._daemon = daemon
        self._client = InProcess(daemon, host, kind)
        self._connector = self._client.connector
        self._sources: dict[int, list] = {}
        self._stored: set[int] = set()

    def prepare(self, operation: str, size: int, count: int, callers: int) -> Run:
        """Sets up `count` operations, `callers` of them at once; the result runs them."""
        if operation == "put":
            # Every key is put once: a second put would be refused as existing.
            keys = [in_process_key(next(_fresh), SHORT_LIVED) for _ in range(count)]
            calls = self._puts(keys, size)
        else:
            keys = self._keys(size)
            call = {"get": self._get, "exists": self._exists, "lookup": self._lookup}[operation]
            calls = [call(keys) for _ in range(count)]
        return lambda: self._client.call(_in_turn(calls, callers), MEASURED_WITHIN)

    def tidy(self, operation: str) -> None:
        """Removes the objects that were put."""
        if operation == "put":
            _remove(self._daemon, SHORT_LIVED)

    def close(self) -> None:
        """Closes the client and frees the host memory of its objects."""
        self._client.close()
        for source in itertools.chain(*self._sources.values()):
            source.ref_count_down()

    async def _get(self, keys) -> None:
        found = await self._connector.get(next(keys))
        assert found is not None, "a get missed"
        found.ref_count_down()

    async def _exists(self, keys) -> None:
        assert await self._connector.exists(next(keys)), "an object is gone"

    async def _lookup(self, keys) -> None:
        wanted = list(itertools.islice(keys, LOOKUP_KEYS))
        found = await self._connector.batched_async_contains("side-by-side", wanted)
        assert found == LOOKUP_KEYS, "a look-up missed"

    def _puts(self, keys, size: int) -> list:
        if size not in self._sources:
            contents = [payload(size, "side by side", number) for number in range(SOURCES)]
            self._sources[size] = [self._client.memory(content) for content in contents]
        sources = itertools.cycle(self._sources[size])
        return [self._put(key, next(sources)) for key in keys]

    async def _put(self, key, source) -> None:
        # A put gives one reference back.
        source.ref_count_up()
        await self._connector.put(key, source)

    def _keys(self, size: int) -> Iterator:
        """The keys of the objects of a size, for ever; the objects are stored the first time."""
        keys = [
            in_process_key(number, f"{LONG_LIVED}-{size}") for number in range(POPULATION[size])
        ]
        if size not in self._stored:
            puts = _in_turn(self._puts(keys, size), POPULATED_AT_ONCE)
            self._client.call(puts, MEASURED_WITHIN)
            self._stored.add(size)
        return itertools.cycle(keys)


class MultiProcessSide:
    """The MP server's client; callers are tasks that are submitted at the same time."""

    def __init__(self, daemon: Daemon, _host, kind: str) -> None:
        self._daemon = daemon
        self._client = MultiProcess(daemon, kind)
        self._adapter = self._client.adapter
        self._memories: dict[int, list] = {}
        self._stored: set[int] = set()
        self._locked: list = []
        # Of the objects of the operation that is being measured.
        self._size = 0

    def prepare(self, operation: str, size: int, count: int, callers: int) -> Run:
        """Sets up `count` operations, `callers` of them at once; the result runs them."""
        self._size = size
        memories = itertools.cycle(self._memory(size))
        if operation == "store":
            keys = [mp_key(next(_fresh), SHORT_LIVED) for _ in range(count)]
            jobs = [([key], [next(memories)]) for key in keys]
            return lambda: self._store(jobs, callers)
        keys = self._keys(size)
        if operation == "lookup":
            jobs = [(list(itertools.islice(keys, LOOKUP_KEYS)), {}) for _ in range(count)]
            return lambda: self._lookup(jobs, callers)
        jobs = [([next(keys)], [next(memories)]) for _ in range(count)]
        self._lookup([(wanted, {}) for wanted, _ in jobs], callers)
        return lambda: self._load(jobs, callers)

    def tidy(self, operation: str) -> None:
        """Ends every lease that a look-up retained, and removes what was stored."""
        if operation == "lookup":
            # As LMCache does, and for the native client the end of the leases: else it would answer
            # the next look-up of these keys from them.
            for keys in _parts(self._locked, LOOKUP_KEYS):
                self._load([(keys, self._memory(self._size)[: len(keys)])], 1)
        self._adapter.submit_unlock(self._locked)
        self._locked = []
        if self._client.kind == STOCK:
            wait_until(
                lambda: not self._adapter._leases and not self._adapter._releasing_leases,
                RELEASED_WITHIN,
                "the stock client's leases are back",
            )
        if operation == "store":
            _remove(self._daemon, SHORT_LIVED)

    def close(self) -> None:
        """Closes the client."""
        self._client.close()

    def _store(self, jobs, callers: int) -> float:
        adapter, done = self._adapter, {}

        def pop(task):
            done.update(adapter.pop_completed_store_tasks())
            return done.pop(task, None)

        results = _in_flight(
            jobs, callers, adapter.submit_store_task, pop, adapter.get_store_event_fd()
        )
        assert all(stored.is_successful() for stored in results[1]), "a store failed"
        return results[0]

    def _lookup(self, jobs, callers: int) -> float:
        adapter = self._adapter
        elapsed, bitmaps = _in_flight(
            jobs,
            callers,
            adapter.submit_lookup_and_lock_task,
            adapter.query_lookup_and_lock_result,
            adapter.get_lookup_and_lock_event_fd(),
        )
        self._locked += [key for keys, _ in jobs for key in keys]
        wanted = sum(len(keys) for keys, _ in jobs)
        assert sum(bitmap.popcount() for bitmap in bitmaps) == wanted, "a look-up missed"
        return elapsed

    def _load(self, jobs, callers: int) -> float:
        adapter = self._adapter
        elapsed, bitmaps = _in_flight(
            jobs,
            callers,
            adapter.submit_load_task,
            adapter.query_load_result,
            adapter.get_load_event_fd(),
        )
        wanted = sum(len(keys) for keys, _ in jobs)
        assert sum(bitmap.popcount() for bitmap in bitmaps) == wanted, "a load missed"
        return elapsed

    def _keys(self, size: int) -> Iterator:
        """The keys of the objects of a size, for ever; the objects are stored the first time."""
        keys = [mp_key(number, f"{LONG_LIVED}-{size}") for number in range(POPULATION[size])]
        if size not in self._stored:
            memories = itertools.cycle(self._memory(size))
            self._store([([key], [next(memories)]) for key in keys], POPULATED_AT_ONCE)
            self._stored.add(size)
        return itertools.cycle(keys)

    def _memory(self, size: int) -> list:
        """Host memory of a size: as many objects as may be loaded at once."""
        if size not in self._memories:
            contents = [payload(size, "side by side", number) for number in range(SOURCES)]
            many = LOOKUP_KEYS if size < MIB else CALLERS_MAX
            self._memories[size] = [memory(contents[number % SOURCES]) for number in range(many)]
        return self._memories[size]


async def _in_turn(calls: list, callers: int) -> float:
    """Awaits the calls, `callers` at a time; the seconds that all of them took."""
    left = iter(calls)

    async def caller() -> None:
        for call in left:
            await call

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started


def _in_flight(jobs: list, callers: int, submit, pop, descriptor: int) -> tuple[float, list]:
    """Submits the jobs, `callers` at a time; the seconds that all took, and their results."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    left = iter(jobs)
    results = []
    started = time.perf_counter()
    tasks = [submit(*job) for job in itertools.islice(left, callers)]
    while tasks:
        assert poller.poll(MEASURED_WITHIN * 1000), f"{len(tasks)} tasks are stuck"
        consume_fd(descriptor)
        still = []
        for task in tasks:
            result = pop(task)
            if result is None:
                still.append(task)
                continue
            results.append(result)
            still += [submit(*job) for job in itertools.islice(left, 1)]
        tasks = still
    return time.perf_counter() - started, results


def _parts(things: list, length: int) -> Iterator[list]:
    for start in range(0, len(things), length):
        yield things[start : start + length]


def _remove(daemon: Daemon, prefix: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    connection.request("GET", f"/v1/kv/{BUCKET}?prefix={prefix}&limit={LISTED_MAX}")
    objects = json.loads(connection.getresponse().read())["objects"]
    for found in objects:
        key = urllib.parse.quote(found["key"], safe="")
        connection.request("DELETE", f"/v1/kv/{BUCKET}/{key}")
        connection.getresponse().read()
    connection.close()


_fresh = itertools.count()
