"""Puts of the stock clients into the daemon, compared with a sink that discards the bytes.

    usage: run.py --put-ceiling [--rounds N]

What an aiohttp client reaches is limited by the client. The sink shows that limit; the ratio
shows what the daemon adds. Daemon and sink are measured in turns within one run, in changing
order, so that both see the same machine; medians are printed. Not a test: it judges nothing.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from multiprocessing import shared_memory
from pathlib import Path

os.environ["LMCACHE_TRACK_USAGE"] = "false"
os.environ.setdefault("LMCACHE_LOG_LEVEL", "CRITICAL")

from daemon import Daemon, die_with_parent, free_port, wait_until
from in_process import InProcess, host_memory
from multi_process import MultiProcess, memory
from samples import MIB, in_process_key, mp_key, payload

SIZES = (4 * MIB, 16 * MIB)
# Bytes that one measurement puts. Two thirds of the host memory of the in-process client.
VOLUME = 512 * MIB
CAPACITY = "2GiB"
ROUNDS = 7
WARM_UP_ROUNDS = 1

# testing/soak/src/bin/kvlease-sink.rs
ROOT = Path(__file__).resolve().parents[2]
SINK = ROOT / "target" / "release" / "kvlease-sink"
BUILD_SINK = ["cargo", "build", "--release", "--package", "kvlease-soak", "--bin", "kvlease-sink"]


class Sink:
    """The sink's process, and a segment for clients to attach to: they insist on one."""

    def __init__(self) -> None:
        self.port = free_port()
        self._shared = shared_memory.SharedMemory(create=True, size=4096)
        self.segment = self._shared.name
        command = [SINK, f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(command, preexec_fn=die_with_parent)
        wait_until(self._is_ready, 10.0, "the sink listens")

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait()
        self._shared.close()
        self._shared.unlink()

    def _is_ready(self) -> bool:
        with open("/proc/net/tcp") as table:
            return any(f":{self.port:04X} 00000000:0000 0A" in line for line in table)


class InProcessPutter:
    """Puts through the in-process client, all objects of a measurement at once."""

    name = "in-process"

    def __init__(self, target, host) -> None:
        self._client = InProcess(target, host)

    def put(self, number: int, size: int) -> float:
        objects = [self._client.memory(content) for content in _contents(size)]
        keys = [in_process_key(number * 1000 + index, "ceiling") for index in range(len(objects))]
        started = time.perf_counter()
        before = self._client.stock.stats["put_success"]
        self._client.call(self._client.connector.batched_put(keys, objects))
        elapsed = time.perf_counter() - started
        assert self._client.stock.stats["put_success"] - before == len(keys), "a put failed"
        return elapsed

    def close(self) -> None:
        self._client.close()


class MultiProcessPutter:
    """Puts through the MP client, all objects of a measurement as one batch."""

    name = "MP"

    def __init__(self, target, _host) -> None:
        self._client = MultiProcess(target)
        self._objects = {size: [memory(content) for content in _contents(size)] for size in SIZES}

    def put(self, number: int, size: int) -> float:
        objects = self._objects[size]
        keys = [mp_key(number * 1000 + index, "ceiling") for index in range(len(objects))]
        started = time.perf_counter()
        (stored,) = self._client.store_objects([(keys, objects)])
        elapsed = time.perf_counter() - started
        assert stored, "a put failed"
        return elapsed

    def close(self) -> None:
        self._client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    subprocess.run(BUILD_SINK, cwd=ROOT, check=True)
    sink = Sink()
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder), CAPACITY)
        try:
            _compare(daemon.start(), sink, rounds)
        finally:
            daemon.destroy()
            sink.destroy()


def _compare(daemon: Daemon, sink: Sink, rounds: int) -> None:
    host = host_memory()
    print(f"{VOLUME // MIB} MiB per measurement, {rounds} pairs, medians in GB/s")
    print(f"{'client':<12} {'object':>8} {'daemon':>8} {'sink':>8} {'ratio':>7}")
    for kind in (InProcessPutter, MultiProcessPutter):
        putters = [kind(daemon, host), kind(sink, host)]
        for size in SIZES:
            pairs = _measure(putters, size, rounds)
            daemon_rate, sink_rate = map(statistics.median, zip(*pairs, strict=True))
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            row = f"{daemon_rate:>8.2f} {sink_rate:>8.2f} {ratio:>7.3f}"
            print(f"{kind.name:<12} {size // MIB:>4} MiB {row}", flush=True)
        for putter in putters:
            putter.close()


def _measure(putters, size: int, rounds: int) -> list[tuple[float, float]]:
    """GB/s of daemon and sink, pair by pair."""
    pairs = []
    for number in range(WARM_UP_ROUNDS + rounds):
        order = (0, 1) if number % 2 else (1, 0)
        rates = {}
        for which in order:
            # Every key is put once: a second put would be refused as existing.
            elapsed = putters[which].put(size // MIB * 100 + number, size)
            rates[which] = VOLUME / elapsed / 1e9
        pairs.append((rates[0], rates[1]))
    return pairs[WARM_UP_ROUNDS:]


def _contents(size: int) -> list[bytes]:
    content = payload(size, "ceiling")
    return [content] * (VOLUME // size)


if __name__ == "__main__":
    main()
