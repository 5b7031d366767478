#!/usr/bin/env python3
"""Measures kvlease's tier on disk next to other stores on the same device, in one run, in turns.

    usage: disk.py [--rounds N] [--size SIZE ...] [--only NAME ...] [--directory DIR]

See README.md. Run by command and not in CI: the first run builds the stores in target/rivals, from
crates.io and PyPI. LMCache is that of the contract suite's environment, target/contract-environment
or the one that KVLEASE_CONTRACT_ENVIRONMENT names. Exit status 1: a store was not available, and
the table says why.
"""

import argparse
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "contract"))

from machine import processors  # noqa: E402

import installs  # noqa: E402
from daemon import die_with_parent  # noqa: E402
from rival import Command, Unavailable  # noqa: E402
from table import size_of  # noqa: E402
from worker import MIB  # noqa: E402

ROOT = HERE.parent.parent
CACHE = ROOT / "target" / "rivals" / "disk"
ENVIRONMENT = "KVLEASE_CONTRACT_ENVIRONMENT"
TURN_BYTES = 256 * MIB
# As in disk-stores.
CAPACITY = 3 << 30
# Stores that write one file again and again. It is filled before the rounds: the file system and
# many a device take longer for blocks that are written for the first time.
FILLED = ("device", "kvlease", "foyer", "foyer-uring")
FILL_SIZE = 16 * MIB
# Numbers of the objects that fill it, which no round has.
FILL_FIRST = 1 << 30
SIZES = (1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB)
ROUNDS = 7
WARM_UP_ROUNDS = 1
ANSWER_WITHIN = 300.0
# LMCache's version, and what its source needs to be unpacked: the wheel has no extension.
LMCACHE = "lmcache==0.5.6"
UNPACKING = (
    "setuptools==80.9.0",
    "setuptools_scm==8.3.1",
    "packaging==25.0",
    "wheel==0.45.1",
    "ninja",
)
EXTENSION = "lmcache_rust_raw_block_io"


@dataclass
class Turn:
    """Seconds of a turn, and processor seconds of the store's process meanwhile."""

    seconds: float
    cpu: float


@dataclass
class Store:
    """A store in its process."""

    name: str
    command: Command
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    greeting: str = ""
    unread: bytes = b""

    def start(self, directory: Path) -> None:
        directory.mkdir()
        with open(directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*map(str, self.command), str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.variables},
                preexec_fn=die_with_parent,
            )
        self.greeting = self._answer()

    def play(self, what: str, size: int, first: int) -> Turn:
        assert self.process is not None and self.process.stdin is not None
        order = f"{what} {size} {first} {TURN_BYTES // size}\n"
        try:
            self.process.stdin.write(order.encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Unavailable("its process ended") from error
        seconds, cpu = map(float, self._answer().split())
        return Turn(seconds, cpu)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answer(self) -> str:
        assert self.process is not None and self.process.stdout is not None
        output = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            if not select.select([output], [], [], ANSWER_WITHIN)[0]:
                raise Unavailable(f"no answer within {ANSWER_WITHIN} s")
            read = os.read(output, 1 << 16)
            if not read:
                raise Unavailable("its process ended")
            self.unread += read
        line, self.unread = self.unread.split(b"\n", 1)
        outcome, _, rest = line.decode().partition(" ")
        if outcome != "ok":
            raise Unavailable(rest)
        return rest


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"by default {ROUNDS}")
    parser.add_argument("--size", type=size_of, nargs="+", default=SIZES, help="such as 1MiB 16MiB")
    parser.add_argument("--only", nargs="+", help="these stores besides the device and kvlease")
    parser.add_argument("--directory", type=Path, default=CACHE, help="where the files lie")
    options = parser.parse_args()
    absent: dict[str, str] = {}
    CACHE.mkdir(parents=True, exist_ok=True)
    stores = [
        store
        for store in _stores(absent)
        if options.only is None or store.name in ("device", "kvlease", *options.only)
    ]
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        try:
            for store in list(stores):
                try:
                    store.start(Path(folder) / store.name)
                except Unavailable as reason:
                    absent[store.name] = str(reason)
                    stores.remove(store)
            print(f"{processors()}; medians of {options.rounds} rounds, [ratio in")
            print("the rounds: median, lowest to highest], CPU of the store's process in ms/GB")
            _fill(stores, absent)
            for size in options.size:
                _measure(stores, size, options.rounds, absent)
        finally:
            for store in stores:
                store.end()
    for store in stores:
        print(f"{store.name}: {store.greeting}")
    for name, reason in absent.items():
        print(f"NOT AVAILABLE: {name}: {reason}")
    if absent:
        raise SystemExit(1)


def _fill(stores: list[Store], absent: dict[str, str]) -> None:
    filled = [store for store in stores if store.name in FILLED]
    turns: dict[str, list[Turn]] = {store.name: [] for store in filled}
    count = TURN_BYTES // FILL_SIZE
    for first in range(FILL_FIRST, FILL_FIRST + CAPACITY // FILL_SIZE, count):
        for store in [store for store in filled if store.name not in absent]:
            try:
                turns[store.name].append(store.play("put", FILL_SIZE, first))
            except Unavailable as reason:
                absent[store.name] = f"its first fill failed: {reason}"
    _print_head("first fill, 16 MiB")
    for store in [store for store in filled if store.name not in absent]:
        _print_row(f"put, {store.name}", turns[store.name], turns["kvlease"])


def _measure(stores: list[Store], size: int, rounds: int, absent: dict[str, str]) -> None:
    turns: dict[str, dict[str, list[Turn]]] = {
        store.name: {"put": [], "get": []} for store in stores
    }
    for number in range(WARM_UP_ROUNDS + rounds):
        # Each round begins with another store.
        start = number % len(stores)
        order = stores[start:] + stores[:start]
        for what in ("put", "get"):
            for store in [store for store in order if store.name not in absent]:
                try:
                    turn = store.play(what, size, number * (TURN_BYTES // size))
                except Unavailable as reason:
                    absent[store.name] = f"{what} of {size // MIB} MiB failed: {reason}"
                    continue
                if number >= WARM_UP_ROUNDS:
                    turns[store.name][what].append(turn)
    _print_head(f"{size // MIB} MiB")
    for what in ("put", "get"):
        for store in [store for store in stores if store.name not in absent]:
            _print_row(f"{what}, {store.name}", turns[store.name][what], turns["kvlease"][what])


def _print_head(title: str) -> None:
    columns = f"{'GB/s':>6} {'kvlease is faster':>24} {'CPU':>6} {'of its CPU':>11}"
    print(f"\n{title:<20} {columns}")


def _print_row(name: str, own: list[Turn], ours: list[Turn]) -> None:
    ratios = [other.seconds / mine.seconds for other, mine in zip(own, ours, strict=True)]
    parts = [mine.cpu / max(other.cpu, 1e-9) for other, mine in zip(own, ours, strict=True)]
    rate = TURN_BYTES / statistics.median(turn.seconds for turn in own) / 1e9
    cpu = statistics.median(turn.cpu for turn in own) / TURN_BYTES * 1e12
    faster = f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
    part = statistics.median(parts)
    print(f"{name:<20} {rate:>6.2f} {faster:>24} {cpu:>6.0f} {part:>11.2f}", flush=True)


def _stores(absent: dict[str, str]) -> list[Store]:
    """The stores whose programs are there, or could be made."""
    build: Command = ["cargo", "build", "--release", "--quiet", "--target-dir", CACHE / "target"]
    installs.call([*build, "--manifest-path", HERE / "disk-stores" / "Cargo.toml"])
    program = CACHE / "target" / "release" / "disk-stores"
    stores = [
        Store(name, [program, name]) for name in ("device", "kvlease", "foyer", "foyer-uring")
    ]
    try:
        python = _python()
        variables = {"PYTHONPATH": str(_raw_block(python)), "LMCACHE_LOG_LEVEL": "ERROR"}
    except Unavailable as reason:
        absent["LMCache"] = str(reason)
        return stores
    for name in ("raw_block", "fs", "fs_native"):
        command: Command = [python, HERE / "disk_lmcache.py", name]
        stores.append(Store(name, command, variables=variables))
    return stores


def _python() -> Path:
    environment = Path(os.environ.get(ENVIRONMENT, ROOT / "target" / "contract-environment"))
    python = environment / "bin" / "python"
    if not python.exists():
        raise Unavailable(
            "LMCache's environment is that of the contract suite: run testing/contract/run.py, or "
            f"set {ENVIRONMENT}, path=`{environment}`"
        )
    return python


def _raw_block(python: Path) -> Path:
    """Builds the extension of `raw_block`, which no wheel has, from LMCache's own source."""
    made = CACHE / "raw_block"
    library = made / f"{EXTENSION}.so"
    if library.exists():
        return made
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder) / "tools"
        installs.call([*pip, "install", "--target", tools, *UNPACKING])
        # Only its metadata is made, which needs its version and no compiler.
        variables = {**os.environ, "PYTHONPATH": str(tools), "NO_NATIVE_EXT": "1"}
        variables["SETUPTOOLS_SCM_PRETEND_VERSION"] = LMCACHE.partition("==")[2]
        download = [
            "download",
            LMCACHE,
            "--no-binary",
            "lmcache",
            "--no-deps",
            "--no-build-isolation",
        ]
        installs.call([*pip, *download, "--dest", folder], variables)
        (source,) = Path(folder).glob("lmcache-*.tar.gz")
        shutil.unpack_archive(source, folder, filter="data")
        (manifest,) = Path(folder).glob("lmcache-*/rust/raw_block/Cargo.toml")
        build: Command = ["cargo", "build", "--release", "--quiet", "--manifest-path", manifest]
        installs.call(
            [*build, "--target-dir", Path(folder) / "target"],
            {**os.environ, "PYO3_PYTHON": str(python)},
        )
        made.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / "target" / "release" / f"lib{EXTENSION}.so", library)
    return made


if __name__ == "__main__":
    main()
