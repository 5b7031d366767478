"""vLLM's pool of KV blocks without an engine, and the events that it makes."""

from types import SimpleNamespace

import stand_ins
from dynamo_indexer import BLOCK_SIZE

stand_ins.install(bare=["vllm.v1.core"], empty=["vllm.v1.core.kv_cache_metrics"])

from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core import kv_cache_utils
from vllm.v1.core.block_pool import BlockPool

__all__ = ["BlockPool", "pool", "request"]

_hash = get_hash_fn_by_name("sha256")
kv_cache_utils.init_none_hash(_hash)


def pool(blocks: int) -> BlockPool:
    # One is a placeholder in every pool.
    return BlockPool(blocks + 1, True, BLOCK_SIZE, enable_kv_cache_events=True)


def request(
    tokens: list[int], cache_salt: str | None = None, adapter: object = None
) -> SimpleNamespace:
    """A request with the block hashes that vLLM gives it."""
    made = SimpleNamespace(
        all_token_ids=tokens,
        block_hashes=[],
        cache_salt=cache_salt,
        lora_request=adapter,
        mm_features=[],
        prompt_embeds=None,
        session_id=None,
    )
    for start in range(0, len(tokens), BLOCK_SIZE):
        end = start + BLOCK_SIZE
        extra, _ = kv_cache_utils.generate_block_hash_extra_keys(made, start, end, 0)
        parent = made.block_hashes[-1] if made.block_hashes else None
        made.block_hashes.append(
            kv_cache_utils.hash_block_tokens(_hash, parent, tokens[start:end], extra)
        )
    return made
