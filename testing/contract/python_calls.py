"""Calls of the Python package: how long one takes, and what it leaves to the daemon.

    usage: run.py --python-calls [--rounds N]

Single calls of `kvlease.Connector`, one after the other, by one thread: with the published index,
which is the default, and without it. Both take turns in short rounds, in changing order, next to
`memcpy` out of shared memory. Medians of the rounds are printed, and of the ratios within them.
Then the daemon's CPU for a million reads of 4 KiB, and the rate of several processes that read the
same objects. Not a test: it judges nothing.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kvlease

from daemon import Daemon
from side_by_side_rounds import WARM_UP_ROUNDS, cpu_clock, memory_copy, process_id

KIB = 1 << 10
CAPACITY = "1GiB"
ROUNDS = 9

# Objects of each size: of the large ones more than a cache of the processor holds.
OBJECTS = {KIB: 1024, 4 * KIB: 1024, 256 * KIB: 512}
PREFIX_KEYS = 1000

# Calls of a round, and bytes that a round of puts stores.
CALLS = 4096
PUT_CALLS = 256

MILLION = 1_000_000
CPU_CALLS = 50_000
CPU_SIZE = 4 * KIB

PROCESSES = 4
HOT_OBJECTS = 64
PROCESS_SECONDS = 2.0


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    # Bytes that one call copies, if memcpy of as many is worth comparing with; 0 else.
    size: int
    calls: int
    aim: str
    # Makes the calls of a round with a connector; what it does before and after is not timed.
    run: Callable[["Side"], float]


class Side:
    """A connector, and the objects that it reads."""

    def __init__(self, daemon: Daemon, index: bool) -> None:
        settings = kvlease.ConnectorSettings(
            f"http://127.0.0.1:{daemon.port}", shared_memory_name=daemon.segment, index=index
        )
        self.connector = kvlease.Connector(settings)
        self.name = "index" if index else "asked"

    def exists(self) -> float:
        return _timed(self.connector.exists, _keys(KIB, CALLS))

    def prefix(self) -> float:
        keys = _keys(KIB, PREFIX_KEYS)
        return _timed(self.connector.lookup_prefix, [keys] * (CALLS // PREFIX_KEYS))


def _keys(size: int, count: int) -> list[str]:
    objects = OBJECTS[size]
    return [f"org/model@1@0@{size:x}{number % objects:08x}" for number in range(count)]


def _timed(call: Callable, arguments: list) -> float:
    started = time.perf_counter()
    for argument in arguments:
        call(argument)
    return (time.perf_counter() - started) / len(arguments)


def _get(size: int, calls: int) -> Callable[[Side], float]:
    return lambda side: _timed(side.connector.get, _keys(size, calls))


def _get_into(size: int, calls: int) -> Callable[[Side], float]:
    # More buffers than a cache of the processor holds, as an engine has them.
    buffers = [bytearray(size) for _ in range(OBJECTS[size])]

    def run(side: Side) -> float:
        keys, get_into = _keys(size, calls), side.connector.get_into
        pairs = [(key, buffers[number % len(buffers)]) for number, key in enumerate(keys)]
        started = time.perf_counter()
        for key, buffer in pairs:
            get_into(key, buffer)
        return (time.perf_counter() - started) / calls

    return run


def _put(size: int, call: str = "put") -> Callable[[Side], float]:
    """Puts, or posts and the flush behind them."""
    data = [os.urandom(size) for _ in range(PUT_CALLS)]
    # The same keys in every round: a daemon gets no larger on the way.
    keys = [f"org/model@1@0@{call}{size:x}{number:08x}" for number in range(PUT_CALLS)]

    def run(side: Side) -> float:
        side.connector.batched_remove(keys)
        store = getattr(side.connector, call)
        started = time.perf_counter()
        for key, bytes_ in zip(keys, data, strict=True):
            store(key, bytes_)
        # Of puts there is nothing to flush.
        assert side.connector.flush_posts() == []
        return (time.perf_counter() - started) / PUT_CALLS

    return run


def _rows() -> list[Row]:
    large = 256 * KIB
    large_calls = OBJECTS[large]
    return [
        Row("exists", 0, CALLS, "1.5", Side.exists),
        Row("prefix of 1,000", 0, CALLS // PREFIX_KEYS, "100", Side.prefix),
        Row("get 1 KiB", 0, CALLS, "4", _get(KIB, CALLS)),
        Row("get_into 1 KiB", 0, CALLS, "", _get_into(KIB, CALLS)),
        Row("get 256 KiB", large, large_calls, "", _get(large, large_calls)),
        Row("get_into 256 KiB", large, large_calls, "", _get_into(large, large_calls)),
        Row("put 1 KiB", 0, PUT_CALLS, "", _put(KIB)),
        Row("put 256 KiB", large, PUT_CALLS, "", _put(large)),
        Row("post 1 KiB", 0, PUT_CALLS, "", _put(KIB, "post")),
        Row("post 256 KiB", large, PUT_CALLS, "", _put(large, "post")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="run.py --python-calls")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder), CAPACITY)
        try:
            daemon.start()
            measure(daemon, rounds)
        finally:
            daemon.destroy()


def measure(daemon: Daemon, rounds: int) -> None:
    sides = [Side(daemon, index=True), Side(daemon, index=False)]
    for size, count in OBJECTS.items():
        data = os.urandom(size)
        for key in _keys(size, count):
            sides[0].connector.put(key, data)
    head = f"{'call':<18} {'index, us':>10} {'aim':>5} {'of memcpy':>10}"
    print(f"{head} {'asked, us':>10} {'times':>6}")
    for row in _rows():
        _measure_row(row, sides, daemon, rounds)
    hits = sides[0].connector.stats()["index_hits"]
    assert hits > 0 and sides[1].connector.stats()["index_hits"] == 0, "the index is as asked for"
    _measure_cpu(sides, daemon)
    _measure_processes(daemon)


def _measure_row(row: Row, sides: list[Side], daemon: Daemon, rounds: int) -> None:
    seen: list[tuple[float, float, float]] = []
    for number in range(WARM_UP_ROUNDS + rounds):
        order = sides if number % 2 else sides[::-1]
        times = {side.name: row.run(side) for side in order}
        copy = memory_copy(daemon.path, row.size, 1) if row.size else 0.0
        seen.append((times["index"], times["asked"], copy))
    seen = seen[WARM_UP_ROUNDS:]
    index, asked = (statistics.median(times[which] for times in seen) for which in (0, 1))
    ratio = statistics.median(copy / time_ for time_, _, copy in seen) if row.size else None
    faster = statistics.median(asked / index for index, asked, _ in seen)
    print(
        f"{row.name:<18} {index * 1e6:>10.2f} {row.aim:>5} "
        f"{'' if ratio is None else f'{ratio:.2f}':>10} {asked * 1e6:>10.2f} {faster:>6.1f}",
        flush=True,
    )


def _measure_cpu(sides: list[Side], daemon: Daemon) -> None:
    clock = cpu_clock(process_id(daemon))
    used = {}
    for side in sides:
        keys, get = _keys(CPU_SIZE, CPU_CALLS), side.connector.get
        # What the daemon does by itself meanwhile counts: it is little.
        before = time.clock_gettime(clock)
        for key in keys:
            get(key)
        time.sleep(1.0)
        used[side.name] = (time.clock_gettime(clock) - before) * MILLION / CPU_CALLS
    index, asked = used["index"], used["asked"]
    print(
        f"daemon's CPU for {MILLION:,} gets of 4 KiB: {index:.3f} s by the index, "
        f"{asked:.1f} s asked: {index / asked * 100:.2f} %, aim below 1 %"
    )


def _measure_processes(daemon: Daemon) -> None:
    one, many = (_rate(daemon, processes) for processes in (1, PROCESSES))
    print(
        f"gets of 4 KiB a second by 1 process {one:,.0f}, by {PROCESSES} {many:,.0f}: "
        f"{many / one:.2f} times, on {os.cpu_count()} processors"
    )


def _rate(daemon: Daemon, processes: int) -> float:
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(processes), context.SimpleQueue()
    arguments = daemon.port, daemon.segment, barrier, counts
    workers = [context.Process(target=_read_hot, args=arguments) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts.get() for _ in workers) / PROCESS_SECONDS


def _read_hot(port: int, segment: str, barrier, counts) -> None:
    """Reads the same objects as others do, all at the same time, and says how many."""
    settings = kvlease.ConnectorSettings(f"http://127.0.0.1:{port}", shared_memory_name=segment)
    with kvlease.Connector(settings) as connector:
        keys = _keys(CPU_SIZE, HOT_OBJECTS)
        for key in keys:
            connector.get(key)
        barrier.wait()
        count, end = 0, time.monotonic() + PROCESS_SECONDS
        while time.monotonic() < end:
            for key in keys:
                connector.get(key)
            count += len(keys)
        counts.put(count)


if __name__ == "__main__":
    main()
