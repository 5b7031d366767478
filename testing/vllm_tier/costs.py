"""Costs of the tier, next to vLLM's own file tier on tmpfs and to memcpy, in one run, in turns.

usage: costs.py [ROUNDS]          (`run.py --costs` does so, in the environment that it makes)

A round stores 1,000 chunks of 256 KiB with new keys, looks all of them up as the scheduler does,
and loads them. The times of a round are those from a job's submission to its result. Figures are
medians of the rounds, and medians of the rounds' ratios, with the lowest and the highest.
"""

import ctypes
import mmap
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from checks import BUCKET, CONFIG, STEP, key_of
from machine import processors
from vllm.v1.kv_offload.base import LookupResult, OffloadingKVEventsConfig, ReqContext
from vllm.v1.kv_offload.cpu.shared_offload_region import SharedOffloadRegion
from vllm.v1.kv_offload.tiering.base import TransferJob
from vllm.v1.kv_offload.tiering.factory import SecondaryTierFactory
from vllm.v1.kv_offload.tiering.manager import CPUPrimaryTierOffloadingManager

from daemon import BINARY_VARIABLE, Daemon

CHUNKS = 1000
ROW_LEN = 256 << 10
ROUNDS = 7
# Room for the chunks of two rounds: a full arena, as in use, in which old chunks make room. Before
# that every page is new to the client, which takes longer; those rounds are left out.
CAPACITY = "640MiB"
WARM_UP_ROUNDS = 3
ENDS_WITHIN = 60.0
# Between two looks for a job's result; a scheduler looks once a step, which takes longer.
POLL_S = 0.0002
MEMORY = "/dev/shm"


class Contender:
    """A tier of vLLM, made by its factory, over the rows of the CPU tier."""

    def __init__(self, settings: dict[str, Any], view: memoryview, spec: Any) -> None:
        self.tier = SecondaryTierFactory.create_secondary_tier(settings, view, spec)
        self._jobs = 0

    def store(self, keys: list[bytes], context: ReqContext) -> float:
        return self._run(self.tier.submit_store, keys, context, is_promotion=False)

    def load(self, keys: list[bytes], context: ReqContext) -> float:
        return self._run(self.tier.submit_load, keys, context, is_promotion=True)

    def find(self, keys: list[bytes], context: ReqContext) -> tuple[float, float]:
        """Seconds until all keys are found, and those that the scheduler's thread worked."""
        self.tier.on_new_request(context)
        began, worked, answers = time.perf_counter(), 0.0, [LookupResult.RETRY]
        while LookupResult.RETRY in answers:
            step = time.perf_counter()
            answers = [self.tier.lookup(key, context) for key in keys]
            self.tier.on_schedule_end(STEP)
            worked += time.perf_counter() - step
            list(self.tier.get_finished_jobs())
            if time.perf_counter() - began > ENDS_WITHIN:
                raise SystemExit("error: the look-ups had no answer")
        if set(answers) != {LookupResult.HIT}:
            raise SystemExit(f"error: {answers.count(LookupResult.MISS)} chunks were not found")
        took = time.perf_counter() - began
        self.tier.on_request_finished(context)
        return took, worked

    def _run(
        self, submit: Any, keys: list[bytes], context: ReqContext, *, is_promotion: bool
    ) -> float:
        self._jobs += 1
        chunks = np.arange(len(keys), dtype=np.int32)
        job = TransferJob(self._jobs, keys, chunks, is_promotion, context)
        began = time.perf_counter()
        submit(job)
        while not (results := list(self.tier.get_finished_jobs())):
            if time.perf_counter() - began > ENDS_WITHIN:
                raise SystemExit("error: a job did not end")
            time.sleep(POLL_S)
        took = time.perf_counter() - began
        if not all(result.success for result in results):
            raise SystemExit("error: a job failed")
        return took


def copy(rows: memoryview, other: mmap.mmap) -> float:
    """Seconds that libc's memcpy takes for all chunks, on one thread."""
    source = ctypes.addressof(ctypes.c_char.from_buffer(rows))
    target = ctypes.addressof(ctypes.c_char.from_buffer(other))
    began = time.perf_counter()
    for at in range(0, CHUNKS * ROW_LEN, ROW_LEN):
        ctypes.memmove(target + at, source + at, ROW_LEN)
    return time.perf_counter() - began


def measure(daemon: Daemon, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round, by what was done."""
    region = SharedOffloadRegion(
        engine_id=uuid.uuid4().hex,
        num_chunks=CHUNKS,
        rank=None,
        kv_bytes_per_chunk=ROW_LEN,
        cpu_page_size=ROW_LEN,
    )
    primary = CPUPrimaryTierOffloadingManager(num_chunks=CHUNKS, mmap_region=region)
    config = replace(CONFIG, worker_kv_bytes_per_block=ROW_LEN)
    events = OffloadingKVEventsConfig(False, False)
    spec = SimpleNamespace(config=config, kv_events_config=events, blocks_per_chunk=1)
    view = primary.get_kv_memoryview()
    rows = view.cast("B")
    draw = random.Random(1)
    for at in range(0, CHUNKS * ROW_LEN, ROW_LEN):
        rows[at : at + ROW_LEN] = draw.randbytes(ROW_LEN)
    other = mmap.mmap(-1, CHUNKS * ROW_LEN)
    other.write(bytes(CHUNKS * ROW_LEN))
    kvlease = {
        "type": "KvleaseTier",
        "module_path": "kvlease.vllm",
        "url": f"kvlease://127.0.0.1:{daemon.port}",
        "shared_memory_name": daemon.segment,
        "bucket": BUCKET,
    }
    contenders = {
        "kvlease": Contender(kvlease, view, spec),
        "fs": Contender({"type": "fs", "root_dir": str(folder)}, view, spec),
    }
    times: dict[str, list[float]] = {}
    for number in range(WARM_UP_ROUNDS + rounds):
        keys = [key_of(number * CHUNKS + chunk) for chunk in range(CHUNKS)]
        of_round = {"copy": copy(rows, other)}
        order = list(contenders.items())
        for name, contender in order if number % 2 else reversed(order):
            context = ReqContext(req_id=f"{name}-{number}")
            of_round[f"store {name}"] = contender.store(keys, context)
            found, worked = contender.find(keys, context)
            of_round[f"find {name}"], of_round[f"scheduler {name}"] = found, worked
            of_round[f"load {name}"] = contender.load(keys, context)
        if number >= WARM_UP_ROUNDS:
            for what, took in of_round.items():
                times.setdefault(what, []).append(took)
    return times


def show(times: dict[str, list[float]], rounds: int) -> None:
    print(f"{processors()}; medians of {rounds} rounds")
    for name in ("kvlease", "fs"):
        found, worked = (_median(times[f"{what} {name}"]) for what in ("find", "scheduler"))
        print(
            f"look-up of {CHUNKS} chunks, {name}: {found * 1e3:.2f} ms, "
            f"{worked * 1e3:.2f} ms of them on the scheduler's thread"
        )
    for what in ("store", "load"):
        print(f"{what} of {CHUNKS} chunks of {ROW_LEN >> 10} KiB, kvlease: ", end="")
        ours = times[f"{what} kvlease"]
        print(f"{CHUNKS * ROW_LEN / _median(ours) / 1e9:.2f} GB/s; ", end="")
        of_copy = _ratio(times["copy"], ours)
        print(f"rate / memcpy's {of_copy}, / fs's {_ratio(times[f'{what} fs'], ours)}")


def _ratio(others: list[float], ours: list[float]) -> str:
    ratios = [other / mine for other, mine in zip(others, ours, strict=True)]
    return f"{_median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"


def _median(figures: list[float]) -> float:
    return statistics.median(figures)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        daemon = Daemon(Path(os.environ[BINARY_VARIABLE]), Path(folder), CAPACITY)
        try:
            times = measure(daemon.start(), Path(folder, "files"), rounds)
        finally:
            daemon.destroy()
    show(times, rounds)


if __name__ == "__main__":
    main()
    # vLLM's threads and the mapped rows end with the process.
    sys.stdout.flush()
    os._exit(0)
