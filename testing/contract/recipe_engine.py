"""An engine's process as far as LMCache is concerned, with host memory in place of a GPU's.

    usage: recipe_engine.py store | retrieve [--without-close]

It takes its configuration where LMCache takes it, from LMCACHE_CONFIG_FILE or LMCACHE_* variables.
`store` returns when the remote backend has every token. `retrieve`, in another process with nothing
in it, prints how many tokens came back, and whether their KV is what was stored. With
`--without-close` the process ends without closing the engine.
"""

import json
import os
import sys
import time

import torch
from lmcache.v1.cache_engine import LMCacheEngine, LMCacheEngineBuilder
from lmcache.v1.config import load_engine_config_with_overrides
from lmcache.v1.gpu_connector import GPUConnectorInterface
from lmcache.v1.metadata import LMCacheMetadata

INSTANCE = "recipe"
# Two whole runs of 256 tokens and the rest of a third.
TOKENS = list(range(600))
SEED = 0
LAYERS, HEADS, HEAD_SIZE = 2, 2, 16
# LMCache's own default is more memory than a test should take.
HOST_MEMORY_GIB = 0.25
STORED_WITHIN = 60.0
POLL = 0.02


class HostMemory(GPUConnectorInterface):
    """The KV of one prompt in host memory: keys and values, layer, token, element."""

    def __init__(self, kv: torch.Tensor) -> None:
        self.kv = kv

    def get_shape(self, num_tokens: int) -> torch.Size:
        return torch.Size([2, LAYERS, num_tokens, HEADS * HEAD_SIZE])

    def from_gpu(self, memory_obj, start: int, end: int, **kwargs) -> None:
        memory_obj.tensor.copy_(self.kv[:, :, start:end])

    def to_gpu(self, memory_obj, start: int, end: int, **kwargs) -> None:
        self.kv[:, :, start:end].copy_(memory_obj.tensor)

    def batched_from_gpu(self, memory_objs, starts, ends, **kwargs) -> None:
        for memory, start, end in zip(memory_objs, starts, ends, strict=True):
            self.from_gpu(memory, start, end)

    def batched_to_gpu(self, memory_objs=None, starts=None, ends=None, **kwargs) -> None:
        for memory, start, end in zip(memory_objs, starts, ends, strict=True):
            self.to_gpu(memory, start, end)


def main() -> None:
    what, *end = sys.argv[1:]
    torch.manual_seed(SEED)
    kv = torch.randn(2, LAYERS, len(TOKENS), HEADS * HEAD_SIZE).to(torch.bfloat16)
    memory = HostMemory(kv.clone() if what == "store" else torch.zeros_like(kv))
    engine = _engine(memory)
    if what == "store":
        engine.store(torch.tensor(TOKENS))
        _wait_until_stored(engine)
        tokens = len(TOKENS)
    else:
        tokens = int(engine.retrieve(torch.tensor(TOKENS)).sum())
    print(json.dumps({"tokens": tokens, "same": torch.equal(memory.kv, kv)}), flush=True)
    if end == ["--without-close"]:
        os._exit(0)
    LMCacheEngineBuilder.destroy(INSTANCE)


def _engine(memory: HostMemory) -> LMCacheEngine:
    config = load_engine_config_with_overrides(overrides={"max_local_cpu_size": HOST_MEMORY_GIB})
    metadata = LMCacheMetadata(
        model_name="org/model",
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.bfloat16,
        kv_shape=(LAYERS, 2, config.chunk_size, HEADS, HEAD_SIZE),
    )
    engine = LMCacheEngineBuilder.get_or_create(
        INSTANCE, config, metadata, memory, lambda tensor, _: tensor, lambda thing, _: thing
    )
    engine.post_init()
    return engine


def _wait_until_stored(engine: LMCacheEngine) -> None:
    assert engine.storage_manager is not None, "LMCache made no storage"
    names = engine.storage_manager.storage_backends
    remote = [name for name in names if name.startswith("RemoteBackend")]
    assert len(remote) == 1, f"one remote backend was expected, backends=`{list(names)}`"
    deadline = time.monotonic() + STORED_WITHIN
    while engine.lookup(torch.tensor(TOKENS), search_range=remote) < len(TOKENS):
        assert time.monotonic() < deadline, "the remote backend did not get every token"
        time.sleep(POLL)


if __name__ == "__main__":
    main()
