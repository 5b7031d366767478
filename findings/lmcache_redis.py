"""LMCache's in-process connectors for Redis, without an engine and without torch."""

from types import SimpleNamespace

import stand_ins
from lmcache_memory import HostMemory

stand_ins.install(
    bare=["lmcache", "lmcache.v1.storage_backend", "lmcache.v1.storage_backend.job_executor"],
    empty=[
        "requests",
        "torch",
        "lmcache.observability",
        "lmcache.v1.config",
        "lmcache.v1.gpu_connector",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
        "lmcache.v1.protocol",
        "lmcache.v1.storage_backend.connector.instrumented_connector",
        "lmcache.v1.storage_backend.local_cpu_backend",
        "lmcache.v1.storage_backend.native_clients",
    ],
)

import torch

torch.Size = tuple

from lmcache.utils import CacheEngineKey
from lmcache.v1.storage_backend.connector import redis_connector
from lmcache.v1.storage_backend.connector.redis_connector import (
    RedisClusterConnector,
    RedisSentinelConnector,
)

__all__ = ["HostMemory", "RedisClusterConnector", "RedisSentinelConnector", "chunk", "key"]

# The header of a chunk, whose form no finding is about.
redis_connector.RemoteMetadata = lambda *_: SimpleNamespace(serialize=lambda: b"header")


def key(chunk_hash: int) -> CacheEngineKey:
    return CacheEngineKey("org/model", 1, 0, chunk_hash, torch.bfloat16)


def chunk(content: bytes) -> SimpleNamespace:
    """A chunk in host memory."""
    return SimpleNamespace(
        byte_array=content,
        get_shapes=lambda: [],
        get_dtypes=lambda: [],
        get_memory_format=lambda: None,
    )
