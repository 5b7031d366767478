"""Names of chunks in the daemon.

A key of vLLM is the hash of a chunk's tokens and the number of its group. It does not say which
model, which data type, which parallelism or which layout the bytes have. Two engines that differ in
one of these must not read each other's chunks, so each has a namespace of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

# Characters of a model's name in the keys of its chunks, for people who list them.
MODEL_LEN_MAX = 48
# Hexadecimal digits of the namespace's digest.
DIGEST_LEN = 16


def fields_of(config: Any, row_len: int) -> dict[str, Any]:
    """Everything that decides what the bytes of a chunk mean, from vLLM's `OffloadingConfig`."""
    parallel = config.parallel
    replicated = bool(getattr(config, "replicated_layout", False))
    # vLLM says of some layouts that a row has the same bytes under every parallelism.
    is_agnostic = bool(getattr(parallel, "is_parallelism_agnostic", False)) or replicated
    sizes = ("tp_size", "pp_size", "pcp_size", "dcp_size")
    return {
        "engine": "vllm",
        "model": config.model.name,
        "dtype": str(config.model.dtype),
        "tokens_per_hash": config.cache.tokens_per_hash,
        "blocks_per_chunk": config.cache.blocks_per_chunk,
        "groups": [
            {"tokens_per_block": group.tokens_per_block, "layer_names": list(group.layer_names)}
            for group in config.groups
        ],
        "parallel": None if is_agnostic else {size: getattr(parallel, size, 1) for size in sizes},
        "replicated_layout": replicated,
        "canonical_layout": bool(getattr(config, "canonical_layout", False)),
        "kv_cache_layout": getattr(config, "kv_cache_layout", None),
        "row_len": row_len,
    }


def prefix_of(fields: dict[str, Any]) -> str:
    """What the names of all chunks of a namespace begin with."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LEN]
    model = re.sub(r"[^A-Za-z0-9._-]", "_", str(fields["model"]).rsplit("/", 1)[-1])
    return f"vllm@{model[:MODEL_LEN_MAX]}@{digest}@"
