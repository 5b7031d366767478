"""The MP clients, built and driven as LMCache's MP server does it: LMCache's own L2 adapter, and
kvlease's client in LMCache's `native_plugin` adapter.

Each is built from the JSON that `--l2-adapter` takes, through LMCache's own parser and factory.
Calls are submitted, their completion is announced on an event descriptor, and the result is
then popped: the server's way.

The two differ in what becomes of the leases that a lookup takes. The stock adapter keeps them
until the server unlocks the keys. LMCache does not tell a native plugin of that: kvlease's client
keeps them for the load that follows, and for a bounded time if none does.
"""

import argparse
import asyncio
import json
import os
import select
import time

import torch
from lmcache.v1.distributed.l2_adapters import create_l2_adapter
from lmcache.v1.distributed.l2_adapters.config import parse_args_to_l2_adapters_config
from lmcache.v1.memory_management import (
    MemoryFormat,
    MemoryObj,
    MemoryObjMetadata,
    TensorMemoryObj,
)
from lmcache.v1.platform import consume_fd

from daemon import Daemon
from samples import NATIVE, STOCK

# No call of a healthy client takes this long, in seconds: whatever does is stuck.
ANSWERED_WITHIN = 60.0


class MultiProcess:
    """One client below the adapter that LMCache makes of it."""

    def __init__(self, daemon: Daemon, kind: str = STOCK, **options: object) -> None:
        """`options` are further fields of the adapter's JSON, or settings of the native client."""
        arguments = argparse.Namespace(l2_adapter=[adapter_json(daemon, kind, **options)])
        (config,) = parse_args_to_l2_adapters_config(arguments).adapters
        self.kind = kind
        self.adapter = create_l2_adapter(config)
        # The client below the adapter.
        self.client = self.adapter._client
        self._closed = False

    def store(self, keys, contents) -> bool:
        """Stores a batch; whether all of it is stored."""
        (stored,) = self.store_many([(keys, contents)])
        return stored

    def store_many(self, batches) -> list[bool]:
        """Submits all batches at once; for each, whether all of it is stored."""
        return self.store_objects(
            [(keys, [memory(content) for content in contents]) for keys, contents in batches]
        )

    def store_objects(self, batches) -> list[bool]:
        """The same with objects of LMCache instead of bytes."""
        tasks = [self.adapter.submit_store_task(keys, objects) for keys, objects in batches]
        done: dict = {}

        def pop(task):
            done.update(self.adapter.pop_completed_store_tasks())
            return done.pop(task, None)

        descriptor = self.adapter.get_store_event_fd()
        return [result.is_successful() for result in _results(descriptor, tasks, pop)]

    def lookup(self, keys) -> list[bool]:
        """Which keys are there; each hit retains a lease until `unlock` or `close`."""
        (found,) = self.lookup_many([keys])
        return found

    def lookup_many(self, batches) -> list[list[bool]]:
        """Submits all batches at once; for each, which of its keys are there."""
        tasks = [self.adapter.submit_lookup_and_lock_task(keys, {}) for keys in batches]
        descriptor = self.adapter.get_lookup_and_lock_event_fd()
        bitmaps = _results(descriptor, tasks, self.adapter.query_lookup_and_lock_result)
        return [_bits(bitmap, keys) for bitmap, keys in zip(bitmaps, batches, strict=True)]

    def load(self, keys, sizes) -> list[bytes | None]:
        """The bytes of each object; None for each that could not be loaded."""
        (loaded,) = self.load_many([(keys, sizes)])
        return loaded

    def load_many(self, batches) -> list[list[bytes | None]]:
        """Submits all batches at once; for each, the bytes of its objects."""
        buffers = [[memory(bytes(size)) for size in sizes] for _, sizes in batches]
        tasks = [
            self.adapter.submit_load_task(keys, into)
            for (keys, _), into in zip(batches, buffers, strict=True)
        ]
        descriptor = self.adapter.get_load_event_fd()
        bitmaps = _results(descriptor, tasks, self.adapter.query_load_result)
        return [
            [
                bytes(buffer.byte_array) if hit else None
                for hit, buffer in zip(_bits(bitmap, keys), into, strict=True)
            ]
            for bitmap, (keys, _), into in zip(bitmaps, batches, buffers, strict=True)
        ]

    def unlock(self, keys) -> None:
        """Releases one retained lease of the stock client for each key, in the background."""
        self.adapter.submit_unlock(keys)

    def delete(self, keys) -> None:
        """Removes objects, where client and daemon can."""
        self.adapter.delete(keys)

    def call(self, coroutine):
        """Runs a coroutine of the stock client on its loop."""
        loop = self.adapter._loop
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(ANSWERED_WITHIN)

    def transport(self) -> dict:
        """The stock client's report on its circuit breaker and its mapping."""
        return self.adapter.report_status()["backend"]

    def assert_attached(self) -> None:
        """Fails if the client believes that its mapping of the segment is out of date."""
        if self.kind == STOCK:
            assert self.transport()["shared_memory_current"], self.transport()

    def assert_untroubled(self) -> None:
        """Fails if the client believes that connections fail or that its mapping is out of date."""
        if self.kind == STOCK:
            transport = self.transport()
            assert not transport["circuit_open"], transport
            assert transport["consecutive_http_failures"] == 0, transport
            self.assert_attached()

    def close(self) -> None:
        """Closes the client; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self.kind == NATIVE:
            # The adapter looks whether it shall end only twice a second, or when woken.
            self.adapter._stop.set()
            os.eventfd_write(self.client.event_fd(), 1)
        self.adapter.close()


def adapter_json(daemon: Daemon, kind: str = STOCK, **options: object) -> str:
    """The value of LMCache's `--l2-adapter` for this daemon."""
    where = f"127.0.0.1:{daemon.port}"
    if kind == STOCK:
        fields = {"type": "sagemaker-hyperpod", "url": f"sagemaker-hyperpod://{where}"}
        return json.dumps({**fields, "shared_memory_name": daemon.segment, **options})
    settings = {"url": f"kvlease://{where}", "shared_memory_name": daemon.segment, **options}
    plugin = {"module_path": "kvlease.lmcache", "class_name": "NativeClient"}
    return json.dumps({"type": "native_plugin", **plugin, "adapter_params": settings})


def memory(content: bytes) -> MemoryObj:
    """Host memory that holds these bytes, in the form that LMCache hands to adapters."""
    tensor = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    metadata = MemoryObjMetadata(
        shape=torch.Size([len(content)]),
        dtype=torch.uint8,
        address=tensor.data_ptr(),
        phy_size=len(content),
        fmt=MemoryFormat.KV_2LTD,
        ref_count=1,
    )
    return TensorMemoryObj(tensor, metadata, parent_allocator=None)


def _results(descriptor: int, tasks: list, pop) -> list:
    """Pops the result of every task, in order, as the descriptor announces them."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + ANSWERED_WITHIN
    results: dict = {}
    while len(results) < len(tasks):
        left = deadline - time.monotonic()
        assert left > 0, f"{len(tasks) - len(results)} of {len(tasks)} calls are stuck"
        if poller.poll(left * 1000):
            consume_fd(descriptor)
        for task in tasks:
            if task not in results and (result := pop(task)) is not None:
                results[task] = result
    return [results[task] for task in tasks]


def _bits(bitmap, keys) -> list[bool]:
    return [bool(bitmap.test(index)) for index in range(len(keys))]
