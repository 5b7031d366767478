#!/usr/bin/env python3
"""Copies between a CUDA device and the arena, next to copies with a stop in other memory.

    usage: run.py [--device cpu] [--sizes 256KiB,4MiB] [--rounds 30]

See README.md. Run by command, on a machine with a CUDA device, with a Python that has kvlease
installed. The daemon is built here, unless KVLEASE_BIN names one. Without a device it measures
nothing and ends with status 3.
"""

import argparse
import ctypes
import mmap
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The daemon's process is the contract suite's.
sys.path.insert(0, str(HERE.parent / "contract"))

from devices import Cuda, NoDevice, Rehearsal, address_of  # noqa: E402
from kvlease import Connector, ConnectorSettings, Queue, Reservation, View  # noqa: E402

from daemon import Daemon, named_or_built  # noqa: E402

# The status of a run that measured nothing.
NO_DEVICE = 3
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
SIZES = "256KiB,1MiB,4MiB,16MiB,64MiB"
ROUNDS = 30
CAPACITY = "1GiB"
BUCKET = "gpu"
ENDED_WITHIN = 30.0
# A run fails if a reservation or a lease has less than this left when the copies are done.
LEFT_S = 1.0

Pieces = list[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal, for no figures"
    )
    parser.add_argument("--sizes", type=_sizes, default=_sizes(SIZES), help=f"default: {SIZES}")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, help=f"default: {ROUNDS}")
    options = parser.parse_args()
    try:
        device = Cuda() if options.device == "cuda" else Rehearsal()
    except NoDevice as reason:
        print(f"not run: {reason}. Nothing was measured.", file=sys.stderr)
        raise SystemExit(NO_DEVICE) from None
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(named_or_built(), Path(folder), CAPACITY)
        try:
            _measure(device, daemon.start(), options.sizes, options.rounds)
        finally:
            daemon.destroy()


def _measure(device: Any, daemon: Daemon, sizes: list[int], rounds: int) -> None:
    print(f"device: {device.name}")
    print(f"processor: {_processor()}, {os.cpu_count()} of them")
    print(f"medians of {rounds} alternating rounds, each copy waited for\n")
    settings = ConnectorSettings(
        f"kvlease://127.0.0.1:{daemon.port}", bucket=BUCKET, shared_memory_name=daemon.segment
    )
    with Connector(settings) as connector, open(daemon.path, "r+b") as file:
        connector.ping()
        # As the workers of an engine map it: by its name, for reading and writing.
        arena = mmap.mmap(file.fileno(), 0)
        base = address_of(arena)
        started = time.perf_counter()
        device.register(base, len(arena))
        registered_ms = 1e3 * (time.perf_counter() - started)
        try:
            print("| size | copy | in place | by pinned memory | to pinned memory alone | ratios |")
            print("|---|---|---|---|---|---|")
            for size in sizes:
                _measure_size(device, Queue(connector), base, size, rounds)
        finally:
            device.unregister(base)
    if device.IS_REHEARSAL:
        print("\na rehearsal: these are copies within the processor's memory, and no device's")
    else:
        print(f"\nthe arena of {CAPACITY} was registered in {registered_ms:.0f} ms")


def _measure_size(device: Any, queue: Queue, base: int, size: int, rounds: int) -> None:
    content = os.urandom(size)
    source, target = device.allocate(size), device.allocate(size)
    staging, pinned = device.pinned(size), device.pinned(size)
    device.to_device(source, _of(content))
    key = f"{size}"
    [space] = _result(queue, queue.submit_reserve([key], [size]))
    assert isinstance(space, Reservation), space
    into = _places(base, space.extents)

    def store_by_staging() -> None:
        device.to_host([(staging, size)], source)
        _copy(into, [(staging, size)])

    stores = (
        lambda: device.to_host(into, source),
        store_by_staging,
        lambda: device.to_host([(pinned, size)], source),
    )
    _say(size, "device to host", _medians(stores, rounds))
    # The last copy into the reservation is the device's own.
    stores[0]()
    _ensure_time(space)
    assert _result(queue, queue.submit_commit([space])) == [True]
    # The view's bytes were compared with their checksum, and so with what was committed.
    [view] = _result(queue, queue.submit_view([key]))
    assert isinstance(view, View), view
    out_of = _places(base, view.extents)

    def load_by_staging() -> None:
        _copy([(staging, size)], out_of)
        device.to_device(target, [(staging, size)])

    loads = (
        load_by_staging,
        lambda: device.to_device(target, [(pinned, size)]),
        # The last one, so that the device ends with what came from the view.
        lambda: device.to_device(target, out_of),
    )
    by_staging, by_pinned, in_place = _medians(loads, rounds)
    _say(size, "host to device", [in_place, by_staging, by_pinned])
    _ensure_time(view)
    assert view.is_live
    device.to_host([(pinned, size)], target)
    if ctypes.string_at(pinned, size) != content:
        raise SystemExit(f"error: the bytes came back changed, size=`{size}`")
    view.close()


def _medians(copies: tuple[Callable[[], None], ...], rounds: int) -> list[float]:
    """The median of each copy, in seconds; all of them take turns."""
    times: list[list[float]] = [[] for _ in copies]
    # The first round maps pages, and is not counted.
    for number in range(rounds + 1):
        for copy, taken in zip(copies, times, strict=True):
            started = time.perf_counter()
            copy()
            if number:
                taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def _say(size: int, name: str, medians: list[float]) -> None:
    in_place, by_staging, pinned = medians
    rates = " | ".join(f"{size / median / 1e9:.2f} GB/s" for median in medians)
    ratios = f"{by_staging / in_place:.2f} of by pinned, {pinned / in_place:.2f} of pinned alone"
    print(f"| {_shown(size)} | {name} | {rates} | {ratios} |", flush=True)


def _ensure_time(place: Reservation | View) -> None:
    if place.remaining_s < LEFT_S:
        raise SystemExit(f"error: the copies took too long: give fewer --rounds, place=`{place}`")


def _places(base: int, extents: list[tuple[int, int]]) -> Pieces:
    return [(base + offset, length) for offset, length in extents]


def _of(content: bytes) -> Pieces:
    address = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value
    assert address is not None
    return [(address, len(content))]


def _copy(targets: Pieces, sources: Pieces) -> None:
    """Copies between memory of the host, one of both in one piece."""
    pieces = max(targets, sources, key=len)
    is_gathered = pieces is sources
    other = (targets if is_gathered else sources)[0][0]
    for address, length in pieces:
        target, source = (other, address) if is_gathered else (address, other)
        ctypes.memmove(target, source, length)
        other += length


def _result(queue: Queue, number: int) -> list[Any]:
    """The result of the only operation under way."""
    finished = queue.drain(ENDED_WITHIN)
    if [ended for ended, _ in finished] != [number]:
        raise SystemExit(f"error: the daemon did not answer, within=`{ENDED_WITHIN}`")
    result = finished[0][1]
    assert isinstance(result, list), result
    return result


def _sizes(text: str) -> list[int]:
    return [_size(part) for part in text.split(",")]


def _size(text: str) -> int:
    number, unit = text[:-3], text[-3:]
    if unit not in UNITS or not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"a size is a number and KiB or MiB, size=`{text}`")
    return int(number) * UNITS[unit]


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"rounds are a number from 1 on, rounds=`{text}`")
    return int(text)


def _shown(size: int) -> str:
    unit = "MiB" if size % UNITS["MiB"] == 0 else "KiB"
    return f"{size // UNITS[unit]} {unit}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


if __name__ == "__main__":
    main()
