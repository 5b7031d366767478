#!/usr/bin/env python3
"""Measures kvlease next to other stores on this machine, in one run, in turns.

    usage: run.py [--rounds N] [--size SIZE ...] [--only NAME ...]

See README.md. Run by command and not in CI: the first run makes an environment for each store in
target/rivals, from PyPI, crates.io and Debian. The daemon is target/release/kvlease, or what
KVLEASE_BIN names. Exit status 1: a store was not available, and the table says why.
"""

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The daemon's process and the way to install the package are the contract suite's.
sys.path.insert(0, str(HERE.parent / "contract"))

from kvlease_store import Kvlease  # noqa: E402
from memory_copy import MemoryCopy  # noqa: E402
from mooncake_store import MooncakeLocal, MooncakeTcp  # noqa: E402
from plasma_store import Plasma  # noqa: E402
from redis_bare_store import RedisBare  # noqa: E402
from redis_store import RedisFromPython, RedisFromRust  # noqa: E402
from rival import Rival, Site, Unavailable  # noqa: E402
from rounds import Contest, Player  # noqa: E402
from table import print_table, size_of  # noqa: E402
from worker import KIB, MIB  # noqa: E402

CACHE = HERE.parent.parent / "target" / "rivals"
RIVALS: tuple[type[Rival], ...] = (
    MemoryCopy,
    Kvlease,
    RedisFromRust,
    RedisFromPython,
    RedisBare,
    MooncakeTcp,
    MooncakeLocal,
    Plasma,
)
# What the others are compared with: without one of them there is nothing to print.
YARDSTICKS = (MemoryCopy.name, Kvlease.name)
SIZES = (16 * MIB, 256 * KIB)
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"by default {ROUNDS}")
    parser.add_argument(
        "--size", type=size_of, nargs="+", default=SIZES, help="such as 256KiB 16MiB"
    )
    names = [kind.name for kind in RIVALS if kind.name not in YARDSTICKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these stores")
    options = parser.parse_args()
    chosen = [kind for kind in RIVALS if kind.name in (*YARDSTICKS, *options.only)]
    with tempfile.TemporaryDirectory() as folder:
        contest = _start(chosen, Path(folder))
        try:
            for size in options.size:
                print_table(contest.measure(size, options.rounds), contest.absent)
            _print_notes(contest)
        finally:
            contest.end()
    if contest.absent:
        raise SystemExit(f"error: not available, stores=`{', '.join(contest.absent)}`")


def _start(kinds: list[type[Rival]], folder: Path) -> Contest:
    """Prepares each store before any is started: an installation would disturb the others."""
    contest = Contest(YARDSTICKS)
    prepared: list[tuple[Rival, Site]] = []
    for kind in kinds:
        site = Site(CACHE / kind.__name__, folder / kind.__name__)
        try:
            _say(f"{kind.name}: preparing")
            prepared.append((kind.prepare(site), site))
        except Unavailable as reason:
            contest.leave(kind.name, str(reason))
    for rival, site in prepared:
        try:
            _say(f"{rival.name}: starting")
            contest.join(Player(rival, site))
        except Unavailable as reason:
            contest.leave(rival.name, str(reason))
    return contest


def _print_notes(contest: Contest) -> None:
    for player in contest.players:
        print(f"{player.rival.name}: {player.rival.describe(player.greeting)}")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
