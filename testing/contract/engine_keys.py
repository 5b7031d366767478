"""Keys as LMCache's own classes and kvlease's own backends make them, with their groups.

    usage: engine_keys.py > crates/kvlease-types/tests/keys_of_engines.txt

The file is what the parser of groups is tested with, and `test_groups.py` compares it with the
classes. A key with the group `-` is a group of its own.
"""

from collections.abc import Iterator
from hashlib import sha256

import torch
from kvlease.namespace import prefix_of
from lmcache.utils import CacheEngineKey
from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.l2_adapters.native_connector_l2_adapter import _object_key_to_string

MODEL = "meta-llama/Llama-3.1-70B"
HEADER = """\
# Keys that engines make, and their groups: a group, a tab, a key. The group `-` is that of keys
# without one. Made by testing/contract/engine_keys.py.
"""


def keys_of_engines() -> Iterator[tuple[str, str]]:
    """Groups and keys."""
    for chunk in (0x1F, -0x1F, (1 << 64) - 1, sha256(b"chunk").digest()):
        name = f"engine {chunk.hex()[:8] if isinstance(chunk, bytes) else f'{chunk:x}'}"
        for world in (2, 4, 16):
            yield from ((f"{name} of {world}", key) for key in _engine(world, chunk))
    tags = {"lmcache.tag.tenant": "a", "lmcache.tag.share": "x%y", "other": "not in the key"}
    yield from (("engine with tags", key) for key in _engine(2, 7, tags))
    yield from (("engine with bytes", key) for key in _engine(2, 7, dtype=torch.uint8))
    yield from (("engine with fp8", key) for key in _engine(2, 7, dtype=torch.float8_e4m3fn))
    for title, extra in (("layers", None), ("layers with tags", tags)):
        for rank in range(2):
            key = CacheEngineKey(MODEL, 2, rank, 9, torch.bfloat16, extra)
            yield from ((title, layer.to_string()) for layer in key.split_layers(12))
    one = CacheEngineKey(MODEL, 1, 0, 9, torch.bfloat16)
    yield from (("layers of one rank", layer.to_string()) for layer in one.split_layers(3))
    yield "-", one.to_string()
    for world in (1, 8):
        for salt in ("", "tenant-a", "half"):
            for key in _server(world, salt):
                yield f"server of {world} for {salt or 'all'}", key
    for engine, tokens in (("vllm", b"one"), ("vllm", b"two")):
        prefix = prefix_of({"engine": engine, "model": MODEL, "row_len": 4096})
        for group in range(3):
            key = sha256(tokens).digest() + group.to_bytes(4, "big")
            yield f"{engine} {tokens.decode()}", prefix + key.hex()
    shared = {"engine": "sglang", "model": MODEL, "tp_size": 4}
    for tokens in (b"one", b"two"):
        for rank in range(4):
            for pool in ("kv", "swa"):
                prefix = prefix_of({**shared, "tp_rank": rank, "pool": pool}, shared)
                yield f"sglang {tokens.decode()}", prefix + sha256(tokens).hexdigest()


def _engine(
    world: int,
    chunk: int | bytes,
    tags: dict[str, str] | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> list[str]:
    return [
        CacheEngineKey(MODEL, world, rank, chunk, dtype, tags).to_string() for rank in range(world)
    ]


def _server(world: int, salt: str) -> list[str]:
    chunk = sha256(b"chunk").digest()
    # As a look-up has them, and as two nodes of half the ranks would.
    nodes = (world, world // 2 or 1)
    ranks = dict.fromkeys(
        ObjectKey.ComputeKVRank(world, rank, local, rank % local)
        for local in nodes
        for rank in range(world)
    )
    groups = (0, 1, 0x1A)
    keys = [ObjectKey(chunk, MODEL, rank, group, salt) for rank in ranks for group in groups]
    return [_object_key_to_string(key) for key in keys]


if __name__ == "__main__":
    print(HEADER + "\n".join(f"{group}\t{key}" for group, key in keys_of_engines()))
