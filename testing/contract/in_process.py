"""The in-process clients, LMCache's own and kvlease's, built and driven as LMCache's engine does.

The event loop runs in a thread of its own and calls come from another, as in LMCache. Two defects
of the stock client are steered around, and nothing else; neither is the daemon's:

* `batched_async_contains` and `batched_get_non_blocking` occupy one of four executor workers
  while they wait for jobs of that same executor. Four of them at once never end. Tests of both
  clients run at most `NESTED_CALLS_MAX` of them at a time.
* `close()` waits for the loop that it has to run on, so on that loop it never ends. The suite
  runs the stock client's on another loop, within `CLOSED_WITHIN`; the native client's is called
  where LMCache calls it.

`test_defects.py` shows both.
"""

import asyncio
import threading
from types import SimpleNamespace

import torch
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.memory_management import MemoryFormat, MemoryObj
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.connector import CreateConnector
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

from daemon import Daemon
from samples import NATIVE, STOCK

NESTED_CALLS_MAX = 3
CLOSED_WITHIN = 60.0
# No call of a healthy client takes this long, in seconds: whatever does is stuck.
ANSWERED_WITHIN = 60.0
# Host memory that the client copies objects into.
HOST_MEMORY_GIB = 0.75

SCHEMES = {STOCK: "sagemaker-hyperpod", NATIVE: "kvlease"}
# Settings that only the native client has.
OWN = ("groups", "index", "socket", "tls_ca_file", "token_file")
# How LMCache is configured for a connector that is not its own.
PLUGIN = {
    "remote_storage_plugin.kvlease.module_path": "kvlease.lmcache",
    "remote_storage_plugin.kvlease.class_name": "SageMakerHyperPodConnectorAdapter",
}


class InProcess:
    """One client with its event loop."""

    def __init__(
        self, daemon: Daemon, host: LocalCPUBackend, kind: str = STOCK, **options: object
    ) -> None:
        """`options` are LMCache's settings without their prefix, and those of `OWN`."""
        options = {"shared_memory_name": daemon.segment, **options}
        settings = {
            f"{'kvlease' if name in OWN else 'sagemaker_hyperpod'}_{name}": value
            for name, value in options.items()
        }
        url = f"{SCHEMES[kind]}://127.0.0.1:{daemon.port}"
        plugins = {"remote_storage_plugins": ["kvlease"]} if kind == NATIVE else {}
        extra = {**PLUGIN, **settings} if kind == NATIVE else settings
        config = _config(remote_url=url, extra_config=extra, **plugins)
        self.kind = kind
        self.host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.connector = CreateConnector(url, self._loop, host, config, host.metadata)
        # The client below LMCache's own wrapper.
        self.inner = self.connector.getWrappedConnector()

    @property
    def counts(self) -> dict[str, int]:
        """The client's own counters: `put_success`, `put_failure`, `lease_acquired`, …"""
        return self.inner.stats

    def call(self, coroutine, within: float = ANSWERED_WITHIN):
        """Runs a coroutine on the client's loop and returns its result."""
        return self.submit(coroutine).result(within)

    def submit(self, coroutine):
        """Starts a coroutine on the client's loop; its future can be waited for and cancelled."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def put(self, key, content: bytes, dtype: torch.dtype = torch.uint8) -> bool:
        """Stores bytes; whether the client counts it as a success."""
        return self.put_all([key], [content], dtype) == 1

    def put_all(self, keys, contents, dtype: torch.dtype = torch.uint8) -> int:
        """Stores a batch; returns the number of successes by the client's count."""
        return self.put_objects(keys, [self.memory(content, dtype) for content in contents])

    def put_objects(self, keys, objects: list[MemoryObj]) -> int:
        """The same with objects of LMCache instead of bytes."""
        before = self.counts["put_success"]
        self.call(self.connector.batched_put(keys, objects))
        return self.counts["put_success"] - before

    def get(self, key) -> bytes | None:
        """The bytes of an object; None on a miss."""
        return taken(self.call(self.connector.get(key)))

    def get_all(self, keys) -> list[bytes | None]:
        """The bytes of each object; None for each miss."""
        return [taken(found) for found in self.call(self.connector.batched_get(keys))]

    def exists(self, key) -> bool:
        """Whether the daemon has the object."""
        return self.call(self.connector.exists(key))

    def memory(
        self,
        content: bytes,
        dtype: torch.dtype = torch.uint8,
        form: MemoryFormat = MemoryFormat.KV_2LTD,
        shape: torch.Size | None = None,
    ) -> MemoryObj:
        """Host memory of LMCache that holds these bytes, in one dimension by default."""
        if shape is None:
            shape = torch.Size([len(content) // dtype.itemsize])
        memory = self.host.allocate(shape, dtype, form)
        assert memory is not None, "LMCache's host memory is exhausted"
        memoryview(memory.byte_array).cast("B")[:] = content
        return memory

    def close(self) -> None:
        """Closes the client and ends its loop; a second call does nothing."""
        if self._loop.is_closed():
            return
        if self.kind == STOCK:
            closer = threading.Thread(
                target=lambda: asyncio.run(self.connector.close()), daemon=True
            )
            closer.start()
            closer.join(CLOSED_WITHIN)
            assert not closer.is_alive(), "the in-process client did not close"
        else:
            self.call(self.connector.close(), CLOSED_WITHIN)
        self.call(_end_other_tasks(), CLOSED_WITHIN)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSED_WITHIN)
        self._loop.close()


def host_memory(size_gib: float = HOST_MEMORY_GIB, groups: list | None = None) -> LocalCPUBackend:
    """LMCache's own allocator of host memory, for any number of clients of this process.

    `groups` are the KV groups of a model whose layers are not all alike.
    """
    metadata = LMCacheMetadata(
        model_name="org/model",
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.bfloat16,
        kv_shape=(4, 2, 256, 8, 64),
    )
    if groups:
        manager = SimpleNamespace(kernel_groups=groups, num_kernel_groups=len(groups))
        metadata.kv_layer_groups_manager = manager
    return LocalCPUBackend(_config(max_local_cpu_size=size_gib), metadata)


def host_memory_used(host: LocalCPUBackend) -> tuple[int, int]:
    """Allocated part of the host memory: bytes, and objects."""
    allocator = host.get_memory_allocator().pin_allocator
    return allocator.total_allocated_size, allocator.num_active_allocations


def taken(memory: MemoryObj | None) -> bytes | None:
    """The bytes of a result of the client, whose host memory is given back."""
    if memory is None:
        return None
    content = bytes(memory.byte_array)
    memory.ref_count_down()
    return content


async def together(coroutines) -> list:
    """Runs coroutines at once; their results in order."""
    return await asyncio.gather(*coroutines)


async def _end_other_tasks() -> None:
    """Cancels what the client left on its loop, so that the loop can be closed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _config(**settings: object) -> LMCacheEngineConfig:
    return LMCacheEngineConfig.from_defaults(chunk_size=256, local_cpu=False, **settings)
