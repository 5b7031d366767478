"""What vLLM loads: a secondary tier for its `TieringOffloadingSpec`.

    "secondary_tiers": [
      {"type": "KvleaseTier", "module_path": "kvlease.vllm", "url": "kvlease://127.0.0.1:9200"}
    ]

It needs vLLM, which is imported when the tier is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvlease.vllm.tier import KvleaseTier

__all__ = ["KvleaseTier"]


def __getattr__(name: str) -> Any:
    if name == "KvleaseTier":
        from kvlease.vllm.tier import KvleaseTier

        return KvleaseTier
    raise AttributeError(f"the module has no such name, module=`{__name__}` name=`{name}`")
