"""Stock clients against native ones, side by side in one run, on the same daemon.

    usage: run.py --side-by-side [--quick] [--rounds N]

Both are what LMCache itself makes of a configuration: the in-process connector through
`CreateConnector`, the MP client through `--l2-adapter`. They take turns in short rounds, in
changing order, so that both see the same machine. A row shows the median time of one operation
(wall time of a round by its operations), and the median of the ratios of the pairs. CPU is user
and system time of one operation, in the client's process and in the daemon. Not a test: it judges
nothing.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ["LMCACHE_TRACK_USAGE"] = "false"
os.environ.setdefault("LMCACHE_LOG_LEVEL", "CRITICAL")

from daemon import Daemon
from in_process import NESTED_CALLS_MAX, host_memory
from samples import KIB, KINDS, MIB
from side_by_side_clients import CALLERS_MAX, LOOKUP_KEYS, InProcessSide, MultiProcessSide
from side_by_side_rounds import Cost, compare, memory_copy

CAPACITY = "2GiB"
CALLERS = (1, 4, CALLERS_MAX)
ROUNDS = 9
QUICK_ROUNDS = 3

NO_STOCK = "*"
NOTES = (
    f"{NO_STOCK} native alone: {NESTED_CALLS_MAX + 1} look-ups at once in the stock in-process "
    "client wait for each other for good.",
    "load follows the look-up that LMCache makes before it, which is not timed; "
    f"a look-up asks for {LOOKUP_KEYS} keys, all there.",
)


@dataclass(frozen=True)
class Row:
    """One line of the table: an operation, with a number of concurrent callers."""

    operation: str
    size: int
    # Operations of one measurement, at least one for each caller.
    count: int
    # How many times as fast native is meant to be.
    aim: float | None = None
    callers: tuple[int, ...] = CALLERS


# The sizes of a look-up are those of the objects that it asks for.
IN_PROCESS_ROWS = (
    Row("get", 256 * KIB, 96, 5.0),
    Row("get", 16 * MIB, 16, 2.5),
    Row("put", 256 * KIB, 96),
    Row("put", 16 * MIB, 16, 2.0),
    Row("exists", 256 * KIB, 96),
    Row("lookup", 256 * KIB, 3, 8.0, (1, NESTED_CALLS_MAX, 4, 16)),
)
MULTI_PROCESS_ROWS = (
    Row("store", 16 * MIB, 16),
    Row("load", 256 * KIB, 96),
    Row("load", 16 * MIB, 16, 1.5),
    Row("lookup", 256 * KIB, 8, 5.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    parser.add_argument("--rounds", type=int, help=f"pairs of a row, by default {ROUNDS}")
    options = parser.parse_args()
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder), CAPACITY)
        try:
            _print_table(daemon.start(), rounds)
        finally:
            daemon.destroy()


def _print_table(daemon: Daemon, rounds: int) -> None:
    print(f"{rounds} pairs a row; medians; one operation each, CPU as client+daemon")
    print(
        f"{'':<10} {'':<7} {'':>7} {'':>7} {'stock':>9} {'native':>9} {'times':>6} {'':>4}"
        f"  {'stock CPU':>15}  {'native CPU':>15}"
    )
    print(
        f"{'mode':<10} {'what':<7} {'size':>7} {'callers':>7} {'ms':>9} {'ms':>9} "
        f"{'faster':>6} {'aim':>4}  {'ms':>15}  {'ms':>15}"
    )
    host = host_memory()
    for name, kind, rows in (
        ("in-process", InProcessSide, IN_PROCESS_ROWS),
        ("MP", MultiProcessSide, MULTI_PROCESS_ROWS),
    ):
        sides = [kind(daemon, host, client) for client in KINDS]
        for row in rows:
            for callers in row.callers:
                _print_row(name, row, callers, sides, daemon, rounds)
        for side in sides:
            side.close()
    _print_yardstick(daemon, rounds)


def _print_yardstick(daemon: Daemon, rounds: int) -> None:
    for size in (256 * KIB, 16 * MIB):
        seconds = memory_copy(daemon.path, size, rounds)
        rate = f"{size / seconds / 1e9:.1f} GB/s"
        print(f"{'memcpy':<10} {'':<7} {_size(size):>7} {1:>7} {_ms(seconds):>9}  {rate}")
    print(*NOTES, sep="\n")


def _print_row(name, row: Row, callers: int, sides, daemon: Daemon, rounds: int) -> None:
    deadlocks = name == "in-process" and row.operation == "lookup" and callers > NESTED_CALLS_MAX
    taking_part = sides[1:] if deadlocks else sides
    count = max(row.count, callers)
    found = compare(taking_part, row.operation, row.size, count, callers, daemon, rounds)
    stock = None if deadlocks else found.costs[0]
    native = found.costs[-1]
    times = NO_STOCK if stock is None else f"{found.times_faster:.2f}"
    aim = "" if row.aim is None else f"{row.aim:g}"
    print(
        f"{name:<10} {row.operation:<7} {_size(row.size):>7} {callers:>7} "
        f"{_wall(stock):>9} {_wall(native):>9} {times:>6} {aim:>4}  "
        f"{_cpu(stock):>15}  {_cpu(native):>15}",
        flush=True,
    )


def _wall(cost: Cost | None) -> str:
    return "" if cost is None else _ms(cost.wall)


def _cpu(cost: Cost | None) -> str:
    return "" if cost is None else f"{_ms(cost.client_cpu)}+{_ms(cost.daemon_cpu)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


if __name__ == "__main__":
    main()
