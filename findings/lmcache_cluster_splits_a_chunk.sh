#!/usr/bin/env bash
# Subject: LMCache 0.5.6, its in-process connector for `redis-cluster://`; slots as redis-py 8.1.0 has them.
# Guess: a chunk is in one slot, so the loss of one of three masters costs a third of the chunks, and a
#   chunk that is reported can be read.
# Behaviour: a chunk is two values, KEYmetadata and KEYkv_bytes. The endings are equally long, and CRC16 is
#   linear, so the slots of the two differ by the same bits for every chunk, and these are the highest
#   eight of fourteen: one value mirrors the other. Of three masters, the first and the last have one half
#   each of two thirds of the chunks. The loss of either costs both halves, and `exists`, which asks for
#   the first value, is true for half of what cannot be read.
# Seen:
# | values of a chunk: 2
# | the slots of the two differ by: 0x3fc9
# | 3000 chunks, master 1 of 3 lost: 2069 cannot be read, exists is true for 1042 of them
# | 3000 chunks, master 2 of 3 lost: 938 cannot be read, exists is true for 7 of them
# | 3000 chunks, master 3 of 3 lost: 2068 cannot be read, exists is true for 1026 of them
# Why it matters: a prefix is as long as its first lost chunk, and an engine that was promised tokens
#   waits for a load that fails. A chunk of several values needs one name that decides, or a tag.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 redis==8.1.0 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio
import hashlib

from lmcache_redis import HostMemory, RedisClusterConnector, chunk, key
from redis.crc import key_slot
from redis.exceptions import ClusterDownError

CHUNKS = 3000
SLOTS = 16384
MASTERS = 3


class Cluster:
    """Masters with a third of the slots each, one of which can be lost."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.lost: int | None = None

    async def set(self, name: str, value: bytes) -> None:
        self.values[name] = value

    async def exists(self, name: str) -> int:
        if self.has_lost(name):
            raise ClusterDownError("the slot is not served")
        return int(name in self.values)

    def has_lost(self, name: str) -> bool:
        return key_slot(name.encode()) * MASTERS // SLOTS == self.lost


def chunk_hash(number: int) -> int:
    """A number of 64 bits, as LMCache's hashes are."""
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8], "big")


async def main() -> None:
    loop = asyncio.get_running_loop()
    connector = RedisClusterConnector([("127.0.0.1", 1)], "", "", loop, HostMemory())
    cluster = connector.cluster = Cluster()
    names, differences = {}, set()
    for number in range(CHUNKS):
        before = set(cluster.values)
        await connector.put(key(chunk_hash(number)), chunk(b"kv"))
        names[number] = set(cluster.values) - before
        one, other = (key_slot(name.encode()) for name in names[number])
        differences.add(f"{one ^ other:#06x}")
    print("values of a chunk:", *{len(own) for own in names.values()})
    print("the slots of the two differ by:", *differences)
    for cluster.lost in range(MASTERS):
        lost = reported = 0
        for number, own in names.items():
            if not any(cluster.has_lost(name) for name in own):
                continue
            lost += 1
            try:
                reported += await connector.exists(key(chunk_hash(number)))
            except ClusterDownError:
                pass
        print(
            f"{CHUNKS} chunks, master {cluster.lost + 1} of {MASTERS} lost: {lost} cannot be read,",
            f"exists is true for {reported} of them",
        )


asyncio.run(main())
PYTHON
