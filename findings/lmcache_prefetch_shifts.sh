#!/usr/bin/env bash
# Subject: LMCache 0.5.6, `batched_get_non_blocking` of its in-process HyperPod connector.
# Guess: the n-th result belongs to the n-th key, with None for what is absent, as `batched_get` has
#   it; or the results end at the first that is absent, as a prefix does.
# Behaviour: an absent chunk is left out, and the chunks behind it move up. Nothing in a result says
#   which key it belongs to.
# Seen:
# | stored: chunks 0, 1, 3
# | batched_get of 0, 1, 2, 3: zero, one, None, three
# | batched_get_non_blocking of 0, 1, 2, 3: zero, one, three
# Why it matters: the caller pairs results with keys by their position, so that chunk 3's KV is put
#   where chunk 2's belongs. A store that evicts single chunks, and not ends of prefixes, makes such gaps.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio

from lmcache_connector import connected, key

CONTENTS = {0: b"zero", 1: b"one", 3: b"three"}


def shown(results: list) -> str:
    return ", ".join(str(result and result.byte_array.decode()) for result in results)


async def main() -> None:
    async with connected() as (daemon, connector):
        for number, content in CONTENTS.items():
            daemon.store(key(number), content)
        print("stored: chunks", ", ".join(map(str, CONTENTS)))
        keys = [key(number) for number in range(4)]
        print("batched_get of 0, 1, 2, 3:", shown(await connector.batched_get(keys)))
        found = await connector.batched_get_non_blocking("request", keys)
        print("batched_get_non_blocking of 0, 1, 2, 3:", shown(found))


asyncio.run(main())
PYTHON
