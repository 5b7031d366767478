"""Everything that decides what the bytes of a chunk of vLLM mean.

A key of vLLM is the hash of a chunk's tokens and the number of its group, and says nothing of it.
"""

from __future__ import annotations

from typing import Any

from kvlease.namespace import prefix_of

__all__ = ["fields_of", "prefix_of"]


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
