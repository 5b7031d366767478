"""Everything that decides what the bytes of a page of SGLang mean.

A key of SGLang is the hash of a page's tokens and of all before them. SGLang leaves the rest to the
backend, and no backend of its own has the data type and the layout in its keys, although pages of
all layouts have one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

# Classes of host pools whose pages are the same on all ranks of tensor parallelism, if those of the
# model are: rank 0 writes them for all. Pages of any other pool belong to their rank.
REPLICATED = frozenset(
    {
        "MLATokenToKVPoolHost",
        "DSAIndexerPoolHost",
        "DeepSeekV4PagedHostPool",
        "DeepSeekV4StateHostPool",
    }
)

# Ways of parallelism beside that of tensors.
PARALLEL = ("pp", "attn_cp", "dcp")


def fields_of(
    config: Any, pool: Any, pool_name: str, lengths: Sequence[int], **others: Any
) -> dict[str, Any]:
    """The fields of the namespace of one host pool.

    Args:
        config: SGLang's `HiCacheStorageConfig`, of any release.
        pool: The host pool.
        pool_name: The name that SGLang has for it.
        lengths: The lengths of the regions of one page.
        others: What else decides, `tp_rank` and `tp_size` among it if they are not those of SGLang.
    """
    dtypes = _dtypes(pool)
    fields = {
        "engine": "sglang",
        "model": getattr(config, "model_name", None) or "",
        "pool": pool_name,
        "layout": getattr(pool, "layout", None),
        "dtypes": dtypes,
        # Both formats of 8 bits are stored as bytes.
        "kv_cache_dtype": _kv_cache_dtype() if str(torch.uint8) in dtypes.values() else None,
        "format": getattr(pool, "storage_format_tag", None),
        "page_size": getattr(pool, "page_size", None),
        "layers": [getattr(pool, name, None) for name in ("layer_num", "start_layer", "end_layer")],
        "lengths": list(lengths),
        "tp_rank": getattr(config, "tp_rank", 0),
        "tp_size": getattr(config, "tp_size", 1),
        **{kind: _of_size(config, kind) for kind in PARALLEL},
        "logical_page_size": getattr(config, "logical_page_size", None),
        **others,
    }
    if is_replicated(config, pool):
        fields["tp_rank"] = fields["tp_size"] = None
    return fields


def shared_of(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that the pages of all ranks and pools of one engine have in common.

    A page of one rank is useless without those of the others for the same tokens.
    """
    sizes = {kind: fields[kind] and fields[kind][1] for kind in PARALLEL}
    names = ("engine", "model", "namespace", "tp_size")
    return {**{name: fields[name] for name in names}, **sizes, "kv_cache_dtype": _kv_cache_dtype()}


def is_replicated(config: Any, pool: Any) -> bool:
    """Whether all ranks of tensor parallelism have the same pages in this pool."""
    # A pool may be in a wrapper that shares its slots out.
    kinds = type(getattr(pool, "host_pool", pool)).__mro__
    is_of_kind = not REPLICATED.isdisjoint(kind.__name__ for kind in kinds)
    return is_of_kind and bool(getattr(config, "is_mla_model", False))


def _of_size(config: Any, kind: str) -> list[int] | None:
    size = getattr(config, f"{kind}_size", 1) or 1
    return [getattr(config, f"{kind}_rank", 0) or 0, size] if size > 1 else None


def _dtypes(pool: Any) -> dict[str, str]:
    pool = getattr(pool, "host_pool", pool)
    values = vars(pool).items()
    return {name: str(value) for name, value in values if isinstance(value, torch.dtype)}


def _kv_cache_dtype() -> str | None:
    """The engine's setting, which releases before 0.5.20 or so keep elsewhere."""
    try:
        from sglang.srt.runtime_context import get_model

        return str(get_model().kv_cache_dtype)
    except Exception:
        return None
