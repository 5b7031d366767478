"""An adapter of LMCache to a disk, in a process of its own, which follows the orders of disk.py.

    usage: disk_lmcache.py ADAPTER DIRECTORY

ADAPTER is `raw_block`, `fs` or `fs_native`. Orders and answers are those of disk-stores.
"""

import ctypes
import mmap
import os
import random
import select
import sys
import time
from pathlib import Path
from typing import Any

MIB = 1 << 20
# As in disk-stores.
UNDER_WAY = 64 * MIB
CAPACITY = 3 << 30
TURN = 256 * MIB
ALIGNMENT = 4096
DEPTH = 16
ANSWER_WITHIN = 60.0
# Tasks that each adapter gets at a time; `None` for one for each object.
TASKS: dict[str, int | None] = {"raw_block": 4, "fs": None, "fs_native": None}


class Adapter:
    def __init__(self, kind: str, directory: Path, size: int) -> None:
        import torch
        from lmcache.v1.distributed.internal_api import L1MemoryDesc
        from lmcache.v1.distributed.l2_adapters import create_l2_adapter
        from lmcache.v1.distributed.l2_adapters.config import get_l2_adapter_config_class

        self._kind = kind
        # Of huge pages where the kernel has them, which is to the adapter's favour.
        self._memory = mmap.mmap(-1, TURN)
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        draw = random.Random(1)
        for at in range(0, TURN, MIB):
            self._memory[at : at + MIB] = draw.randbytes(MIB)
        self._tensor = torch.frombuffer(self._memory, dtype=torch.uint8)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        config = get_l2_adapter_config_class(kind).from_dict(_settings(kind, directory, size))
        described = L1MemoryDesc(address, TURN, ALIGNMENT, TURN)
        self._adapter = create_l2_adapter(config, described)

    def close(self) -> None:
        self._adapter.close()

    def run(self, what: str, size: int, first: int, count: int) -> None:
        """Stores or loads objects, as many at a time as the other stores do."""
        tasks = TASKS[self._kind]
        at_a_time = max(UNDER_WAY // size, 2)
        batch = 1 if tasks is None else max(at_a_time // tasks, 1)
        numbers = list(range(count))
        waiting = [numbers[at : at + batch] for at in range(0, count, batch)]
        waiting.reverse()
        under_way: dict[int, int] = {}
        most = max(at_a_time // batch, 1)
        while waiting or under_way:
            while waiting and len(under_way) < most:
                chosen = waiting.pop()
                keys = [_key(first + number) for number in chosen]
                objects = [self._object(number, size) for number in chosen]
                under_way[self._submit(what, keys, objects)] = len(chosen)
            self._collect(what, under_way)

    def _submit(self, what: str, keys: list[Any], objects: list[Any]) -> int:
        submit = (
            self._adapter.submit_store_task if what == "put" else self._adapter.submit_load_task
        )
        return submit(keys, objects)

    def _collect(self, what: str, under_way: dict[int, int]) -> None:
        of = self._adapter
        event = of.get_store_event_fd() if what == "put" else of.get_load_event_fd()
        if not select.select([event], [], [], ANSWER_WITHIN)[0]:
            raise TimeoutError("the adapter gave no answer")
        os.read(event, 8)
        if what == "put":
            for task, result in of.pop_completed_store_tasks().items():
                if not result.is_successful():
                    raise OSError("an object was not stored")
                del under_way[task]
            return
        for task, count in list(under_way.items()):
            loaded = of.query_load_result(task)
            if loaded is not None:
                if not all(loaded.test(number) for number in range(count)):
                    raise OSError("an object was not loaded")
                del under_way[task]

    def _object(self, number: int, size: int) -> Any:
        import torch
        from lmcache.v1.memory_management import MemoryObjMetadata, TensorMemoryObj

        at = number * size % TURN
        metadata = MemoryObjMetadata(torch.Size([size]), torch.uint8, at, size, 1)
        return TensorMemoryObj(self._tensor[at : at + size], metadata, None)


def _settings(kind: str, directory: Path, size: int) -> dict[str, Any]:
    """The settings that its documentation names as the fastest."""
    if kind == "raw_block":
        device = directory / f"device-{size}"
        with open(device, "wb") as made:
            os.posix_fallocate(made.fileno(), 0, CAPACITY)
            # Blocks that are written for the first time are slower than later ones.
            for _ in range(0, CAPACITY, TURN):
                made.write(bytes(TURN))
            made.flush()
            os.fsync(made.fileno())
        return {
            "type": kind,
            "device_path": str(device),
            "slot_bytes": size + ALIGNMENT,
            "meta_total_bytes": 16 * MIB,
            "io_engine": "io_uring",
            "iouring_queue_depth": DEPTH,
        }
    folder = directory / f"files-{size}"
    folder.mkdir()
    return {"type": kind, "base_path": str(folder), "use_odirect": True}


def _key(number: int) -> Any:
    from lmcache.v1.distributed.api import ObjectKey

    return ObjectKey(number.to_bytes(32, "big"), "model", 0)


def main() -> None:
    kind, directory = sys.argv[1], Path(sys.argv[2])
    # Libraries print to standard output what is none of our answers.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        try:
            from lmcache import __version__

            answers.write(f"ok LMCache {__version__}\n")
            adapter, adapter_size = None, 0
            for line in sys.stdin:
                what, *numbers = line.split()
                size, first, count = map(int, numbers)
                if size != adapter_size:
                    # Its slots are of one size.
                    if adapter is not None:
                        adapter.close()
                    adapter, adapter_size = Adapter(kind, directory, size), size
                assert adapter is not None
                began, cpu = time.perf_counter(), time.process_time()
                adapter.run(what, size, first, count)
                took, used = time.perf_counter() - began, time.process_time() - cpu
                answers.write(f"ok {took:.6f} {used:.6f}\n")
        except Exception as error:
            answers.write(f"error {type(error).__name__}: {' '.join(str(error).split())}\n")
            raise


if __name__ == "__main__":
    main()
