#!/usr/bin/env bash
# Subject: keys of LMCache 0.5.6's in-process HyperPod connector, sent by aiohttp 3.14.5 and yarl 1.25.1.
# Guess: the connector percent-encodes a key with no character exempt, and is sent like that; a
#   chunk's hash in a key is hexadecimal digits; the `@`s of a key part its fields.
# Behaviour: aiohttp spells the path anew: characters that need no escape, `@` among them, arrive bare,
#   and `/` and `%` stay escaped, so that a `%2F` of the key itself arrives as `%252F`. A hash is a signed
#   number and may begin with a minus. A model's name may have an `@` (a revision): such a key cannot
#   be read back, not by LMCache either.
# Seen:
# | encoded by the connector: org%2Fmodel%401%400%40-2a%40bfloat16
# | on the wire: org%2Fmodel@1@0@-2a@bfloat16
# | a model named a%2Fb, on the wire: a%252Fb@1@0@7@bfloat16
# | org/model@main, read back by LMCache: ValueError
# Why it matters: a daemon that splits or routes after decoding, that decodes twice, or that compares
#   paths as they are spelled, makes two objects of one or one of two.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio

from lmcache_connector import CacheEngineKey, connected, key


async def main() -> None:
    async with connected() as (daemon, connector):

        async def on_the_wire(chunk: CacheEngineKey) -> str:
            await connector.exists(chunk)
            return daemon.requests[-1].split("/")[-2]

        chunk = key(-42)
        print("encoded by the connector:", connector._key_to_string(chunk))
        print("on the wire:", await on_the_wire(chunk))
        print("a model named a%2Fb, on the wire:", await on_the_wire(key(7, "a%2Fb")))
        try:
            seen = CacheEngineKey.from_string(key(7, "org/model@main").to_string()).model_name
        except ValueError as error:
            seen = type(error).__name__
        print("org/model@main, read back by LMCache:", seen)


asyncio.run(main())
PYTHON
