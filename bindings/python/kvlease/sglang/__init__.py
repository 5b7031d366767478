"""What SGLang loads: a storage backend for its HiCache.

    --hicache-storage-backend dynamic
    --hicache-storage-backend-extra-config '{"backend_name": "kvlease",
      "module_path": "kvlease.sglang", "class_name": "KvleaseHiCache", "interface_v1": 1,
      "url": "kvlease://127.0.0.1:9200"}'

It needs SGLang, which is imported when the class is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvlease.sglang.hicache import KvleaseHiCache

__all__ = ["KvleaseHiCache"]


def __getattr__(name: str) -> Any:
    if name == "KvleaseHiCache":
        from kvlease.sglang.hicache import KvleaseHiCache

        return KvleaseHiCache
    raise AttributeError(f"the module has no such name, module=`{__name__}` name=`{name}`")
