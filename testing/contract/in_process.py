"""The stock in-process client, built and driven as LMCache's engine does it.

Its event loop runs in a thread of its own and calls come from another, as in LMCache. Two
defects of the client are steered around, and nothing else; neither is the daemon's:

* `batched_async_contains` and `batched_get_non_blocking` occupy one of four executor workers
  while they wait for jobs of that same executor. Four of them at once never end. The suite runs
  at most `NESTED_CALLS_MAX` of them at a time.
* `close()` waits for the loop that it has to run on, so on that loop it never ends. The suite
  runs it on another loop, within `CLOSED_WITHIN`.
"""

import asyncio
import threading

import torch
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.memory_management import MemoryFormat, MemoryObj
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.connector import CreateConnector
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

from daemon import Daemon

NESTED_CALLS_MAX = 3
CLOSED_WITHIN = 20.0
# No call of a healthy client takes this long, in seconds: whatever does is stuck.
ANSWERED_WITHIN = 30.0
# Host memory that the client copies objects into.
HOST_MEMORY_GIB = 0.75


class InProcess:
    """One client with its event loop."""

    def __init__(self, daemon: Daemon, host: LocalCPUBackend, **options: object) -> None:
        """`options` are LMCache's `sagemaker_hyperpod_*` settings, without that prefix."""
        settings = {f"sagemaker_hyperpod_{name}": value for name, value in options.items()}
        settings["sagemaker_hyperpod_shared_memory_name"] = daemon.segment
        config = _config(remote_url=daemon.url, extra_config=settings)
        self.host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.connector = CreateConnector(daemon.url, self._loop, host, config, host.metadata)
        self.stock = self.connector.getWrappedConnector()

    def call(self, coroutine, within: float = ANSWERED_WITHIN):
        """Runs a coroutine on the client's loop and returns its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(within)

    def put(self, key, content: bytes, dtype: torch.dtype = torch.uint8) -> bool:
        """Stores bytes; whether the client counts it as a success."""
        return self.put_all([key], [content], dtype) == 1

    def put_all(self, keys, contents, dtype: torch.dtype = torch.uint8) -> int:
        """Stores a batch; how many of it the client counts as successes."""
        objects = [self.memory(content, dtype) for content in contents]
        before = self.stock.stats["put_success"]
        self.call(self.connector.batched_put(keys, objects))
        return self.stock.stats["put_success"] - before

    def get(self, key) -> bytes | None:
        """The bytes of an object; None on a miss."""
        return taken(self.call(self.connector.get(key)))

    def get_all(self, keys) -> list[bytes | None]:
        """The bytes of each object; None for each miss."""
        return [taken(found) for found in self.call(self.connector.batched_get(keys))]

    def exists(self, key) -> bool:
        """Whether the daemon has the object."""
        return self.call(self.connector.exists(key))

    def memory(self, content: bytes, dtype: torch.dtype = torch.uint8) -> MemoryObj:
        """Host memory of LMCache that holds these bytes."""
        shape = torch.Size([len(content) // dtype.itemsize])
        memory = self.host.allocate(shape, dtype, MemoryFormat.KV_2LTD)
        assert memory is not None, "LMCache's host memory is exhausted"
        memory.byte_array.cast("B")[:] = content
        return memory

    def close(self) -> None:
        """Closes the client and ends its loop; a second call does nothing."""
        if self._loop.is_closed():
            return
        closer = threading.Thread(target=lambda: asyncio.run(self.connector.close()), daemon=True)
        closer.start()
        closer.join(CLOSED_WITHIN)
        assert not closer.is_alive(), "the in-process client did not close"
        self.call(_end_other_tasks(), CLOSED_WITHIN)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSED_WITHIN)
        self._loop.close()


def host_memory() -> LocalCPUBackend:
    """LMCache's own allocator of host memory, for any number of clients of this process."""
    metadata = LMCacheMetadata(
        model_name="org/model",
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.bfloat16,
        kv_shape=(4, 2, 256, 8, 64),
    )
    return LocalCPUBackend(_config(max_local_cpu_size=HOST_MEMORY_GIB), metadata)


def taken(memory: MemoryObj | None) -> bytes | None:
    """The bytes of a result of the client, whose host memory is given back."""
    if memory is None:
        return None
    content = bytes(memory.byte_array)
    memory.ref_count_down()
    return content


async def _end_other_tasks() -> None:
    """Cancels what the client left on its loop, so that the loop can be closed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _config(**settings: object) -> LMCacheEngineConfig:
    return LMCacheEngineConfig.from_defaults(chunk_size=256, local_cpu=False, **settings)
