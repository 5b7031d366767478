#!/usr/bin/env bash
# Subject: LMCache 0.5.6, the look-ups of its controller (`lookup`, and what P2P sharing asks it).
# Guess: the controller knows which engine has which chunk, so a look-up of a prompt tells for each engine how
#   much of the prompt's beginning it has, and sharing between engines takes the one that has most.
# Behaviour: for each chunk the controller names one engine, the first that ever registered among those that
#   have it. Of two engines with the whole prompt one is named. An engine is said to have as many tokens as
#   the end of the last chunk for which it was named, even if it has none of the chunks before. For sharing
#   the first engine with the first chunk is taken, however short its part is. And `lookup` cuts the prompt
#   into chunks of 256 tokens: engines with another `chunk_size` are never found.
# Seen:
# | red and blue have 4 chunks: red 1024 tokens; to share: red, 4 chunks
# | red has the first, blue all 4: red 256 tokens, blue 1024 tokens; to share: red, 1 chunk
# | red has the first, blue the others: red 256 tokens, blue 1024 tokens; to share: red, 1 chunk
# | red has the prompt in chunks of 512: nobody; to share: red, 2 chunks
# Why it matters: a router that follows the controller sends everything to the engine that started first, and
#   now and then to one that has to compute the prompt from its first token. One engine with the beginning
#   of a common system prompt keeps all others from sharing the whole of it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio

import stand_ins

stand_ins.install(
    bare=["lmcache", "lmcache.v1", "lmcache.v1.cache_controller"],
    empty=[
        "torch",
        "transformers",
        "lmcache.observability",
        "lmcache.v1.cache_controller.observability",
        "lmcache.v1.config",
        "lmcache.v1.metadata",
    ],
)

from lmcache.v1.cache_controller.controllers.kv_controller import KVController
from lmcache.v1.cache_controller.message import (
    BatchedKVOperationMsg,
    BatchedP2PLookupMsg,
    KVOpEvent,
    LookupMsg,
    OpType,
)
from lmcache.v1.cache_controller.utils import RegistryTree
from lmcache.v1.token_database import ChunkedTokenDatabase

PROMPT = list(range(1024))
RANK = 0


def chunks(size: int = 256) -> list[int]:
    """The prompt's chunks, as an engine with this chunk_size hashes them."""
    database = ChunkedTokenDatabase()
    database.chunk_size = size
    return [chunk for _, _, chunk in database.process_tokens(PROMPT, make_key=False)]


async def look_up(what: str, red: list[int], blue: list[int], hashes: list[int]) -> None:
    registry = RegistryTree()
    for engine, own in (("red", red), ("blue", blue)):
        registry.register_worker(engine, RANK, "127.0.0.1", 0, f"{engine}:1", None, 0.0)
        operations = [KVOpEvent(OpType.ADMIT, chunk, number) for number, chunk in enumerate(own)]
        message = BatchedKVOperationMsg(engine, RANK, "LocalCPUBackend", operations)
        registry.handle_batched_kv_operations(message)
    controller = KVController(registry)
    answer = await controller.lookup(LookupMsg("event", PROMPT))
    found = [f"{engine} {tokens} tokens" for engine, (_, tokens) in answer.layout_info.items()]
    # The engine that asks is a third one.
    answer = await controller.batched_p2p_lookup(BatchedP2PLookupMsg(hashes, "green", RANK))
    engine, _, count, _ = answer.layout_info[0]
    shared = f"{engine}, {count} chunk{'s' * (count > 1)}" if engine else "nobody"
    print(f"{what}: {', '.join(found) or 'nobody'}; to share: {shared}", flush=True)


async def main() -> None:
    whole = chunks()
    for what, red, blue in (
        ("red and blue have 4 chunks", whole, whole),
        ("red has the first, blue all 4", whole[:1], whole),
        ("red has the first, blue the others", whole[:1], whole[1:]),
    ):
        await look_up(what, red, blue, whole)
    large = chunks(512)
    await look_up("red has the prompt in chunks of 512", large, [], large)


asyncio.run(main())
PYTHON
