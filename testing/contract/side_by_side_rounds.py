"""Rounds of measurements in which two clients take turns, and what they cost."""

import ctypes
import mmap
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy

from daemon import SHM, Daemon

WARM_UP_ROUNDS = 1
# For what a client does after its calls have returned, which is not the other client's cost.
SETTLED_AFTER = 0.03

# linux/posix-timers.h: the clock of a process's CPU time is made of its id and this.
CPUCLOCK_SCHED = 2

# Bytes that the yardstick copies in one measurement: more than a cache of the processor holds.
COPY_VOLUME = 128 << 20


@dataclass(frozen=True)
class Cost:
    """Seconds that one operation takes."""

    wall: float
    client_cpu: float
    daemon_cpu: float


@dataclass(frozen=True)
class Comparison:
    """The medians of each side, and of the ratios of the pairs; 1 for a single side."""

    costs: list[Cost]
    times_faster: float


def compare(
    sides, operation: str, size: int, count: int, callers: int, daemon: Daemon, rounds: int
) -> Comparison:
    """Makes the sides take turns at `count` operations, `callers` at once, for `rounds` rounds."""
    seen: list[list[Cost]] = []
    for number in range(WARM_UP_ROUNDS + rounds):
        costs: dict[int, Cost] = {}
        order = range(len(sides)) if number % 2 else reversed(range(len(sides)))
        for which in order:
            costs[which] = _measure(sides[which], operation, size, count, callers, daemon)
        seen.append([costs[which] for which in range(len(sides))])
    seen = seen[WARM_UP_ROUNDS:]
    return Comparison(
        [_median(costs) for costs in zip(*seen, strict=True)],
        statistics.median(costs[0].wall / costs[-1].wall for costs in seen),
    )


def memory_copy(segment: Path, size: int, rounds: int) -> float:
    """Seconds of one thread for a copy of `size` bytes out of shared memory: the yardstick."""
    with open(segment, "rb") as file:
        mapped = mmap.mmap(file.fileno(), COPY_VOLUME, prot=mmap.PROT_READ)
    source = numpy.frombuffer(mapped, dtype=numpy.uint8)
    target = numpy.zeros(COPY_VOLUME, dtype=numpy.uint8)
    pairs = [
        (target.ctypes.data + start, source.ctypes.data + start)
        for start in range(0, COPY_VOLUME, size)
    ]
    times = []
    for _ in range(WARM_UP_ROUNDS + rounds):
        started = time.perf_counter()
        for to, origin in pairs:
            ctypes.memmove(to, origin, size)
        times.append((time.perf_counter() - started) / len(pairs))
    return statistics.median(times[WARM_UP_ROUNDS:])


def _measure(side, operation: str, size: int, count: int, callers: int, daemon: Daemon) -> Cost:
    run = side.prepare(operation, size, count, callers)
    clock = cpu_clock(process_id(daemon))
    client, served = time.process_time(), time.clock_gettime(clock)
    wall = run()
    time.sleep(SETTLED_AFTER)
    cost = Cost(
        wall / count,
        (time.process_time() - client) / count,
        (time.clock_gettime(clock) - served) / count,
    )
    side.tidy(operation)
    return cost


def _median(costs) -> Cost:
    columns = zip(*((cost.wall, cost.client_cpu, cost.daemon_cpu) for cost in costs), strict=True)
    return Cost(*map(statistics.median, columns))


def cpu_clock(process: int) -> int:
    """The clock of the CPU time of all threads of a process."""
    return (~process << 3) | CPUCLOCK_SCHED


def process_id(daemon: Daemon) -> int:
    """The process of the daemon that runs."""
    # docs/shared-memory.md: the running daemon writes it there.
    return int((SHM / f".kvlease.{daemon.segment}" / "lock").read_text())
