"""What vLLM loads: a secondary tier for its `TieringOffloadingSpec`.

    "secondary_tiers": [
      {"type": "KvleaseTier", "module_path": "kvlease.vllm", "url": "kvlease://127.0.0.1:9200"}
    ]

And, as a preview, a spec that makes the arena the engine's own CPU tier.

    "spec_name": "KvleaseHostSpec", "spec_module_path": "kvlease.vllm",
    "url": "kvlease://127.0.0.1:9200"

They need vLLM, which is imported when one of them is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvlease.vllm.host.spec import KvleaseHostSpec
    from kvlease.vllm.tier import KvleaseTier

__all__ = ["KvleaseHostSpec", "KvleaseTier"]


def __getattr__(name: str) -> Any:
    if name == "KvleaseTier":
        from kvlease.vllm.tier import KvleaseTier

        return KvleaseTier
    if name == "KvleaseHostSpec":
        from kvlease.vllm.host.spec import KvleaseHostSpec

        return KvleaseHostSpec
    raise AttributeError(f"the module has no such name, module=`{__name__}` name=`{name}`")
