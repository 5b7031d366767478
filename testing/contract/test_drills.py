"""Failures of a cluster while native clients work: right bytes or a miss, never a hang."""

import asyncio
import gc
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from lmcache.v1.memory_management import TensorMemoryObj

import samples
from daemon import LEASES_LIVE, SHORT_TIMES, wait_until
from fake_daemon import Answer
from in_process import InProcess, host_memory_used, taken, together
from multi_process import MultiProcess
from samples import KIB, MIB, NATIVE, in_process_key, mp_key, payload

pytestmark = pytest.mark.only(NATIVE)

# Threads of each mode that read and write while the daemon is killed and started, and how often.
WORKERS = 2
KILLS = 3
OBJECTS = 12
SIZE = MIB + 2
# Memory that was leased at a restart is not used again before the leases have ended. In seconds.
SHORT_TTL = 1.0
# After a restart, calls succeed again within this many seconds.
RECOVERS_WITHIN = 60.0
# An in-process get or put, or an MP load or store, ends within this many seconds, come what may.
ENDED_WITHIN = 60.0
MANY = 10_000
# How many of them as a call of its own.
CALLS = 2_000
GIVEN_BACK_WITHIN = 60.0


@pytest.mark.parametrize("ending", (signal.SIGKILL, signal.SIGTERM), ids=lambda how: how.name)
def test_a_daemon_that_is_killed_and_restarted_costs_misses_and_nothing_else(
    make_daemon, in_process, multi_process, host, ending
):
    daemon = make_daemon("256MiB", SHORT_TIMES)
    one = in_process(daemon, lease_ttl_s=SHORT_TTL)
    used = host_memory_used(host)
    stopped = threading.Event()
    workers = [Worker(_work_in_process, one, number, stopped) for number in range(WORKERS)]
    for number in range(WORKERS):
        # LMCache's MP server calls its adapter from one thread.
        other = multi_process(daemon, lease_ttl_ms=int(1000 * SHORT_TTL))
        workers.append(Worker(_work_in_mp, other, number, stopped))
    for _ in range(KILLS):
        _assert_all_hit(workers)
        daemon.restart(ending)
    _assert_all_hit(workers)
    stopped.set()
    for worker in workers:
        worker.join()
    assert host_memory_used(host) == used


class Worker(threading.Thread):
    """Works in a loop until it is stopped; `join` raises its failure in the test."""

    def __init__(self, work, client, number: int, stopped: threading.Event) -> None:
        super().__init__(daemon=True)
        self.hits = 0
        self._work, self._client, self._number, self._stopped = work, client, number, stopped
        self._failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        turn = 0
        try:
            while not self._stopped.is_set():
                self.hits += self._work(self._client, f"{self._number} {turn % 4}")
                turn += 1
        except BaseException as failure:
            self._failure = failure

    def join(self, within: float | None = ENDED_WITHIN) -> None:
        super().join(within)
        assert not self.is_alive(), "a worker is stuck"
        self.check()

    def check(self) -> None:
        """Fails if the worker has."""
        if self._failure:
            raise self._failure


def _assert_all_hit(workers) -> None:
    """Waits until each of the workers has read something since now."""
    before = [worker.hits for worker in workers]

    def all_hit() -> bool:
        for worker in workers:
            worker.check()
        return all(worker.hits > hits for worker, hits in zip(workers, before, strict=True))

    wait_until(all_hit, RECOVERS_WITHIN, "every worker reads again what it wrote")


def _work_in_process(client, name: str) -> int:
    keys = [in_process_key(number, name) for number in range(OBJECTS)]
    contents = [payload(SIZE, name, number) for number in range(OBJECTS)]
    client.put_all(keys, contents)
    return _hits(client.get_all(keys), contents)


def _work_in_mp(client, name: str) -> int:
    keys = [mp_key(number, name) for number in range(OBJECTS)]
    contents = [payload(SIZE, name, number) for number in range(OBJECTS)]
    client.store(keys, contents)
    client.lookup(keys)
    return _hits(client.load(keys, [SIZE] * OBJECTS), contents)


def _hits(found, contents) -> int:
    for read, content in zip(found, contents, strict=True):
        assert read in (None, content), "a read returned other bytes"
    return len(found) - found.count(None)


def test_a_segment_without_its_name_stays_attached_and_is_attached_again(
    in_process, multi_process, fake_daemon
):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    content = payload(SIZE, "unlinked")
    assert one.put(in_process_key(1), content)
    assert other.store([mp_key(1)], [content])
    assert one.get(in_process_key(1)) == content
    assert other.load([mp_key(1)], [SIZE]) == [content]
    fake_daemon.unlink()
    # Who is attached may go on or miss; who comes now finds nothing, and says so by a miss.
    late = in_process(fake_daemon)
    for _ in range(5):
        assert one.get(in_process_key(1)) in (None, content)
        assert other.load([mp_key(1)], [SIZE]) in ([None], [content])
        assert late.get(in_process_key(1)) is None
    fake_daemon.relink()
    for client in (one, late):
        wait_until(lambda: client.get(in_process_key(1)) == content, RECOVERS_WITHIN, "reads")  # noqa: B023
    wait_until(lambda: other.load([mp_key(1)], [SIZE]) == [content], RECOVERS_WITHIN, "loads")


def test_a_segment_that_cannot_be_attached_is_logged_once(
    in_process, multi_process, make_daemon, caplog
):
    daemon = make_daemon("64MiB")
    content = payload(KIB, "logged")
    for name, client in (("absent-1", in_process), ("absent-2", multi_process)):
        client = client(daemon, shared_memory_name=name, socket="none")
        for number in range(3):
            if name == "absent-1":
                assert client.put(in_process_key(number), content)
                assert client.get(in_process_key(number)) == content
            else:
                assert client.store([mp_key(number)], [content])
                assert client.load([mp_key(number)], [KIB]) == [content]
        records = [record for record in caplog.records if name in record.getMessage()]
        (record,) = records
        assert (record.name, record.levelname) == ("kvlease", "WARNING")
        assert "over http" in record.getMessage() and "check its name" in record.getMessage()


# Larger, the same, and so small that most places of the old one are outside of the new one.
@pytest.mark.parametrize("capacity", (96 * MIB, 64 * MIB, 4 * MIB))
def test_a_segment_that_was_replaced_is_attached_anew(
    in_process, multi_process, fake_daemon, capacity
):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    content = payload(SIZE, "replaced")
    assert one.put(in_process_key(1), content)
    assert other.store([mp_key(1)], [content])
    for _ in range(3):
        assert one.get(in_process_key(1)) == content
        assert other.load([mp_key(1)], [SIZE]) == [content]
        assert other.lookup([mp_key(1)]) == [True]
        fake_daemon.replace_segment(capacity)
        assert one.get(in_process_key(1)) in (None, content)
        # Through the lease of the old segment.
        assert other.load([mp_key(1)], [SIZE]) in ([None], [content])
        wait_until(lambda: one.get(in_process_key(1)) == content, RECOVERS_WITHIN, "reads")
        wait_until(lambda: other.load([mp_key(1)], [SIZE]) == [content], RECOVERS_WITHIN, "loads")


def test_a_lease_that_ended_before_the_copy_is_a_miss(in_process, multi_process, fake_daemon):
    ttl = 0.05
    one = in_process(fake_daemon, lease_ttl_s=ttl)
    other = multi_process(fake_daemon, lease_ttl_ms=int(ttl * 1000))
    assert one.put(in_process_key(1), payload(SIZE, "late"))
    assert other.store([mp_key(1)], [payload(SIZE, "late")])

    def answer(request):
        # The daemon grants at once; the answer takes longer than the lease lives.
        if request.wants == "lease":
            return Answer(fake_daemon.right_answer(request), after=4 * ttl)
        return None

    fake_daemon.answer = answer
    assert one.get(in_process_key(1)) is None
    assert one.get_all([in_process_key(1)] * 4) == [None] * 4
    assert other.load([mp_key(1)], [SIZE]) == [None]
    fake_daemon.answer = lambda request: None
    wait_until(
        lambda: one.get(in_process_key(1)) == payload(SIZE, "late"), RECOVERS_WITHIN, "reads"
    )


def test_a_lease_that_ends_between_lookup_and_load_is_taken_anew(multi_process, fake_daemon):
    ttl = 0.2
    client = multi_process(fake_daemon, lease_ttl_ms=int(ttl * 1000))
    keys = [mp_key(number) for number in range(8)]
    contents = [payload(100 * KIB, "anew", number) for number in range(8)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * 8
    time.sleep(2 * ttl)
    loaded = client.load(keys, [100 * KIB] * 8)
    assert all(found in (None, content) for found, content in zip(loaded, contents, strict=True))
    # Each load has a lease of its own, or one that still lives: unless the machine is held up.
    wait_until(lambda: client.load(keys, [100 * KIB] * 8) == contents, RECOVERS_WITHIN, "loads")


def test_ten_thousand_keys_at_once_in_process(in_process, shared_daemon, host):
    client = in_process(shared_daemon)
    keys = [in_process_key(number, "ten thousand") for number in range(MANY)]
    blob = payload(MANY + KIB, "ten thousand")
    contents = [blob[number : number + KIB] for number in range(MANY)]
    used = host_memory_used(host)
    assert client.put_all(keys, contents) == MANY
    wanted = [*keys, in_process_key(MANY, "ten thousand")]
    assert client.call(client.connector.batched_async_contains("", wanted)) == MANY
    assert client.get_all(wanted) == [*contents, None]
    # Each as a call of its own.
    found = client.call(together(client.connector.get(key) for key in keys[:CALLS]))
    assert [taken(memory) for memory in found] == contents[:CALLS]
    assert all(client.call(together(client.connector.exists(key) for key in keys[:CALLS])))
    assert host_memory_used(host) == used


def test_ten_thousand_keys_at_once_in_mp(multi_process, shared_daemon):
    client = multi_process(shared_daemon)
    keys = [mp_key(number, "ten thousand") for number in range(MANY)]
    blob = payload(MANY + KIB, "ten thousand")
    contents = [blob[number : number + KIB] for number in range(MANY)]
    assert client.store(keys, contents)
    assert client.lookup([*keys, mp_key(MANY, "ten thousand")]) == [True] * MANY + [False]
    assert client.load(keys, [KIB] * MANY) == contents
    # Each as a call of its own.
    assert client.lookup_many([[key] for key in keys[:CALLS]]) == [[True]] * CALLS
    loaded = client.load_many([([key], [KIB]) for key in keys[:CALLS]])
    assert loaded == [[content] for content in contents[:CALLS]]
    wait_until(
        lambda: shared_daemon.metric(LEASES_LIVE) == 0, GIVEN_BACK_WITHIN, "the leases are back"
    )


@pytest.fixture
def no_safety_net(monkeypatch):
    """LMCache frees memory that is garbage and still counted; here that is a leak."""
    monkeypatch.setattr(TensorMemoryObj, "__del__", lambda memory: None)


@pytest.mark.parametrize("size", (64 * KIB, 6 * MIB))
@pytest.mark.parametrize("call", ("get", "batched_get", "batched_get_non_blocking"))
def test_cancelled_gets_give_host_memory_back_exactly_once(
    in_process, shared_daemon, host, no_safety_net, call, size
):
    client = in_process(shared_daemon)
    keys = [in_process_key(number, f"cancelled {size}") for number in range(8)]
    contents = [payload(size, "cancelled", number) for number in range(8)]
    assert client.put_all(keys, contents) == len(keys)
    used = host_memory_used(host)
    chance = random.Random(samples.SEED)
    calls = {
        "get": lambda: client.connector.get(keys[0]),
        "batched_get": lambda: client.connector.batched_get(keys),
        "batched_get_non_blocking": lambda: client.connector.batched_get_non_blocking("", keys),
    }
    for _ in range(20):
        gets = [calls[call]() for _ in range(3)]
        for result in client.call(_cancelled(gets, chance.uniform(0, 0.006))):
            # One that came before the cancellation is the caller's to give back.
            for memory in result if isinstance(result, list) else [result]:
                assert taken(memory) in contents
    wait_until(
        lambda: host_memory_used(host) == used, GIVEN_BACK_WITHIN, "host memory is given back"
    )
    assert client.get_all(keys) == contents
    assert host_memory_used(host) == used


def test_a_cancelled_put_never_stores_what_the_memory_held_later(
    in_process, shared_daemon, host, no_safety_net
):
    client = in_process(shared_daemon)
    used = host_memory_used(host)
    chance = random.Random(samples.SEED)
    size = 8 * MIB
    for number in range(20):
        key, content = in_process_key(number, "cancelled put"), payload(size, "put", number)
        put = client.connector.put(key, client.memory(content))
        client.call(_cancelled([put], chance.uniform(0, 0.006)))
        # LMCache gives the same memory to another object as soon as it is free.
        others = [client.memory(bytes([0xFF]) * size) for _ in range(2)]
        assert client.get(key) in (None, content)
        for other in others:
            other.ref_count_down()
        wait_until(lambda: host_memory_used(host) == used, GIVEN_BACK_WITHIN, "memory is back")
        assert client.get(key) in (None, content)


async def _cancelled(coroutines, after: float) -> list:
    """Starts all and cancels them `after` seconds later; the results of those that had ended."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(after)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [result for result in results if not isinstance(result, asyncio.CancelledError)]


def test_reference_counts_are_those_that_lmcache_expects(in_process, shared_daemon, host):
    client = in_process(shared_daemon)
    used = host_memory_used(host)
    key = in_process_key(1, "references")
    memory = client.memory(payload(KIB, "references"))
    # LMCache's wrapper gives one reference up after a put; the caller's second one stays.
    memory.ref_count_up()
    client.call(client.connector.put(key, memory))
    assert memory.get_ref_count() == 1
    memory.ref_count_up()
    client.call(client.connector.batched_put([key], [memory]))
    assert memory.get_ref_count() == 1
    memory.ref_count_down()
    (found,) = client.call(client.connector.batched_get([key]))
    assert found.get_ref_count() == 1
    found.ref_count_down()
    assert host_memory_used(host) == used


def test_gets_beyond_the_host_memory_are_misses_and_hold_nothing(in_process, shared_daemon, host):
    client = in_process(shared_daemon)
    size = 48 * MIB
    keys = [in_process_key(number, "beyond") for number in range(24)]
    content = payload(size, "beyond")
    assert client.put(keys[0], content)
    used = host_memory_used(host)
    found = client.call(client.connector.batched_get([keys[0]] * 24))
    hits = [memory for memory in found if memory is not None]
    assert 0 < len(hits) < 24
    for memory in hits:
        assert taken(memory) == content
    assert host_memory_used(host) == used
    assert client.get(keys[0]) == content


def test_a_client_leaves_no_descriptor_and_no_thread_behind(shared_daemon, host):
    def make_and_close() -> None:
        # An event descriptor lives as long as its client: these are gone when they are closed.
        one, other = InProcess(shared_daemon, host, NATIVE), MultiProcess(shared_daemon, NATIVE)
        assert one.put(in_process_key(1, "left"), payload(KIB, "left"))
        assert one.get(in_process_key(1, "left")) == payload(KIB, "left")
        assert other.store([mp_key(1, "left")], [payload(KIB, "left")])
        assert other.load([mp_key(1, "left")], [KIB]) == [payload(KIB, "left")]
        one.close()
        other.close()

    # The first one starts what the process keeps.
    make_and_close()
    before = _kept()
    for _ in range(8):
        make_and_close()
    wait_until(lambda: _is_at_most(_kept(), before), GIVEN_BACK_WITHIN, "no more is kept")


def _kept() -> tuple[int, int, int]:
    """Number of descriptors, threads and mappings of this process."""
    gc.collect()
    mappings = Path("/proc/self/maps").read_text().count("kvlease-contract")
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), mappings


def _is_at_most(now: tuple[int, ...], before: tuple[int, ...]) -> bool:
    return all(count <= most for count, most in zip(now, before, strict=True))
