#!/usr/bin/env bash
# Subject: LMCache 0.5.6, prefix look-up (`batched_async_contains`) of its in-process HyperPod connector.
# Guess: a look-up of a prefix is one request, or one for each chunk, side by side; the protocol has
#   HEAD for it; and the load that follows uses the leases of its look-up.
# Behaviour: each chunk costs a lease and its release, one after the other: twice as many round trips
#   as chunks, before the first byte. The load asks for the same leases anew.
# Seen:
# | found of 64 chunks: 64
# | requests: 128 (64 leases, 64 releases)
# | under way at once, at most: 1
# | then a load of one of them: 2 more requests
# Why it matters: these round trips are on the way to the first token of every request. A daemon cannot
#   answer them together, however fast it is; a client can.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio

from lmcache_connector import connected, key

CHUNKS = 64


async def main() -> None:
    async with connected() as (daemon, connector):
        keys = [key(number) for number in range(CHUNKS)]
        for chunk in keys:
            daemon.store(chunk, b"kv")
        found = await connector.batched_async_contains("request", keys)
        print(f"found of {CHUNKS} chunks:", found)
        releases = sum(request.endswith("/release") for request in daemon.requests)
        leases = len(daemon.requests) - releases
        print(f"requests: {len(daemon.requests)} ({leases} leases, {releases} releases)")
        print("under way at once, at most:", daemon.most_at_once)
        daemon.requests.clear()
        await connector.get(keys[0])
        print(f"then a load of one of them: {len(daemon.requests)} more requests")


asyncio.run(main())
PYTHON
