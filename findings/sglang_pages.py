"""SGLang's keys of pages, and the events that it makes of them, without an engine.

The hash is SGLang's own, from the file that it compiles at its first use: `sglang_hash` of lib.sh
has done so.
"""

from array import array
from types import SimpleNamespace

import stand_ins

stand_ins.install(
    bare=["sglang", "sglang.srt", "sglang.srt.mem_cache"],
    empty=[
        "torch",
        "sglang.kernels",
        "sglang.srt.environ",
        "sglang.srt.mem_cache.base_prefix_cache",
        "sglang.srt.mem_cache.cache_init_params",
        "sglang.srt.runtime_context",
        "sglang.srt.utils",
    ],
)

import hicache_hash_cpp
from sglang.srt.disaggregation.kv_events import BlockRemoved, BlockStored, KVEventBatch
from sglang.srt.mem_cache.cpp_utils import native_hash
from sglang.srt.mem_cache.events import KVCacheEventRecorder, KvEventLoraNames
from sglang.srt.mem_cache.radix_cache import RadixKey
from sglang.srt.mem_cache.utils import compute_node_hash_values

__all__ = ["BlockRemoved", "BlockStored", "KVEventBatch", "events", "keys", "node"]

PAGE_SIZE = 4
# Four pages.
PROMPT = list(range(100, 100 + 4 * PAGE_SIZE))
ADAPTER_ID = "0123456789abcdef" * 2

native_hash._load_native_hash_module = lambda: hicache_hash_cpp
_names = KvEventLoraNames()
_names.register(SimpleNamespace(lora_id=ADAPTER_ID, extra_key=ADAPTER_ID), "adapter")


def node(speculative: bool = False, **namespace: str) -> SimpleNamespace:
    """The prompt as a node of SGLang's tree."""
    root = SimpleNamespace(
        parent=None, key=RadixKey(array("q")), hash_value=[], event_hash_value=None
    )
    key, _ = RadixKey(array("q", PROMPT), **namespace).maybe_to_bigram_view(speculative)
    own = key.page_aligned(PAGE_SIZE)
    return SimpleNamespace(parent=root, key=own, hash_value=None, event_hash_value=None)


def keys(of: SimpleNamespace) -> list[str]:
    """What a storage backend is asked for, page by page."""
    return compute_node_hash_values(of, PAGE_SIZE)


def events(of: SimpleNamespace, removed: bool = False) -> list[BlockStored | BlockRemoved]:
    recorder = KVCacheEventRecorder(enabled=True, page_size=PAGE_SIZE, lora_names=_names)
    if removed:
        recorder.record_remove(of)
    else:
        recorder.record_store(of)
    return recorder.take()
