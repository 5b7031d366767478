#!/usr/bin/env bash
# Subject: LMCache 0.5.6, `remove_sync` and `list` of its in-process HyperPod connector.
# Guess: `remove_sync` removes the object and returns whether it did; `list` lists; a connector that
#   cannot do it raises, as this one does for `ping`.
# Behaviour: `remove_sync` returns True and `list` an empty list, without a request. Objects that were
#   "removed" are found by the next look-up, and a store that is full of objects is "empty".
# Seen:
# | remove_sync of a stored chunk: True
# | list: []
# | requests so far: 0
# | exists of the removed chunk: True
# Why it matters: clearing a cache through the engine, after a change of weights, leaves the old KV in
#   place, and reports success.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio

from lmcache_connector import connected, key


async def main() -> None:
    async with connected() as (daemon, connector):
        daemon.store(key(1), b"kv")
        print("remove_sync of a stored chunk:", connector.remove_sync(key(1)))
        print("list:", await connector.list())
        print("requests so far:", len(daemon.requests))
        print("exists of the removed chunk:", await connector.exists(key(1)))


asyncio.run(main())
PYTHON
