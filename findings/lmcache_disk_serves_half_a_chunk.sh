#!/usr/bin/env bash
# Subject: LMCache 0.5.6, in-process mode, its own disk tier (`local_disk`), one directory for two engines.
# Guess: two engines of one model that have one `local_disk` share a cache, since their keys and so the names
#   of their files are the same. At worst each stores what the other has, with equal bytes.
# Behaviour: which chunks there are, each engine knows from its own stores alone, and a file is written in its
#   place, without a length or a checksum. A write of the one that fails halfway, as on a full disk, cuts the
#   file of the other, which goes on to report the chunk and reads what is there: the rest of the memory
#   keeps what it held before, and the read is a success. The one whose write failed never stores that
#   chunk again. Where one evicts, the other reports the chunk until a load has raised a KeyError.
# Seen:
# | A stores a chunk: A has it: True, B has it: False
# | B stores it: A reads AAAAAAAA...AAAAAAAA
# | B evicts it: A has it: True, A reads KeyError; then A has it: False
# | A stores it once more, and B fails halfway: A has it: True, A reads AAAAAAAA...xxxxxxxx
# | B has room again and stores it: B has it: False; A reads AAAAAAAA...xxxxxxxx
# Why it matters: data parallel engines of one node start from one configuration, which names one directory.
#   They compute with KV of which the end is another prompt's, until the file is evicted, and nothing is logged
#   where it is read.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 sortedcontainers==2.4.0 $(<"$here/lmcache_connector.txt")
python - "$work" <<'PYTHON' 2>"$work/log" | check
import asyncio
import os
import resource
import sys
import threading
import time
from types import SimpleNamespace

import stand_ins

stand_ins.install(
    bare=[
        "lmcache",
        "lmcache.v1.cache_controller",
        "lmcache.v1.storage_backend",
        "lmcache.v1.storage_backend.job_executor",
    ],
    empty=[
        "requests",
        "torch",
        "lmcache.observability",
        "lmcache.v1.cache_controller.message",
        "lmcache.v1.config",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
        "lmcache.v1.storage_backend.batched_message_sender",
        "lmcache.v1.storage_backend.local_cpu_backend",
    ],
)

import torch

torch.Size = tuple

from lmcache.utils import CacheEngineKey
from lmcache.v1.storage_backend.local_disk_backend import LocalDiskBackend

LENGTH = 1 << 16
SHOWN = 8
TIMEOUT_S = 30
KEY, ANOTHER = (CacheEngineKey("org/model", 1, 0, number, torch.bfloat16) for number in (1, 2))


class Chunk:
    """A chunk in LMCache's host memory."""

    tensor = object()

    def __init__(self, content: bytes) -> None:
        self.byte_array = bytearray(content)
        self.metadata = SimpleNamespace(
            shape=(len(content),), dtype=torch.uint8, fmt=None, cached_positions=None
        )

    def get_physical_size(self) -> int:
        return len(self.byte_array)

    def ref_count_up(self) -> None:
        pass

    ref_count_down = ref_count_up


class HostMemory:
    """Memory that held the KV of another prompt before."""

    def allocate(self, shape: tuple[int], *_: object) -> Chunk:
        return Chunk(b"x" * shape[0])


class Engine:
    def __init__(self, folder: str, loop: asyncio.AbstractEventLoop, room: int) -> None:
        config = SimpleNamespace(
            cache_policy="LRU",
            extra_config=None,
            get_extra_config_value=lambda name, default=None: default,
            lmcache_instance_id="engine",
            local_cpu=True,
            local_disk=folder,
            local_disk_path_sharding="by_gpu",
            max_local_disk_size=room / 2**30,
        )
        self.disk = LocalDiskBackend(config, loop, HostMemory(), "cpu")
        self.failures = 0
        self._write = self.disk.write_file
        self.disk.write_file = self.write

    def write(self, *arguments: object) -> None:
        try:
            self._write(*arguments)
        except OSError:
            self.failures += 1
            raise

    def store(self, key: CacheEngineKey) -> None:
        """Returns when the store has ended, well or not, or was not begun."""
        under_way, failures = self.disk.exists_in_put_tasks(key), self.failures
        self.disk.submit_put_task(key, Chunk(b"A" * LENGTH))
        deadline = time.monotonic() + TIMEOUT_S
        while self.disk.exists_in_put_tasks(key) and not under_way:
            if self.failures > failures or time.monotonic() > deadline:
                break
            time.sleep(0.01)

    def has(self) -> bool:
        return self.disk.contains(KEY)

    def read(self) -> str:
        try:
            content = self.disk.get_blocking(KEY).byte_array.decode()
        except Exception as error:
            return type(error).__name__
        return f"{content[:SHOWN]}...{content[-SHOWN:]}"


loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
folder = f"{sys.argv[1]}/chunks"
one, other = Engine(folder, loop, 8 * LENGTH), Engine(folder, loop, LENGTH)

one.store(KEY)
print(f"A stores a chunk: A has it: {one.has()}, B has it: {other.has()}")
other.store(KEY)
print("B stores it: A reads", one.read())
other.store(ANOTHER)
print(f"B evicts it: A has it: {one.has()}, A reads {one.read()}; then A has it: {one.has()}")
one.store(KEY)
# As on a disk that becomes full.
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (LENGTH // 2, unlimited[1]))
other.store(KEY)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
outcome = f"A has it: {one.has()}, A reads {one.read()}"
print(f"A stores it once more, and B fails halfway: {outcome}")
other.store(KEY)
print(f"B has room again and stores it: B has it: {other.has()}; A reads {one.read()}", flush=True)
# The loop's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
