#!/usr/bin/env bash
# Subject: LMCache 0.5.6, its in-process connector for `redis-sentinel://`, with redis-py 8.1.0.
# Guess: `put` stores the chunk on the master that the sentinels name, and fails or waits where no
#   sentinel listens; `exists` asks a replica.
# Behaviour: the connector makes its clients with `redis.asyncio` and calls them without `await`. `put`
#   returns and sends nothing, and `exists` is true for every chunk: a coroutine is always true. The
#   sentinels need not even run.
# Seen:
# | put, with no sentinel on the port: no error
# | connections that were opened: 0
# | exists of the chunk that was put: True
# | exists_sync of a chunk that nobody put: True
# Why it matters: an engine is told that the whole prompt is cached, and gets none of it: each look-up
#   promises tokens that have to be computed after all. Only a warning of Python itself says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 redis==8.1.0 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio
import socket

import lmcache_redis
from lmcache_redis import HostMemory, chunk, key

# A port on which nobody takes a connection, and which counts those that are tried.
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
port = listener.getsockname()[1]


async def main() -> None:
    connector = lmcache_redis.RedisSentinelConnector(
        [("127.0.0.1", port)], "", "", asyncio.get_running_loop(), HostMemory()
    )
    await connector.put(key(1), chunk(b"kv"))
    print("put, with no sentinel on the port: no error")
    await asyncio.sleep(0.2)
    tried = 0
    try:
        listener.accept()
        tried = 1
    except BlockingIOError:
        pass
    print("connections that were opened:", tried)
    print("exists of the chunk that was put:", await connector.exists(key(1)))
    print("exists_sync of a chunk that nobody put:", connector.exists_sync(key(2)))


asyncio.run(main())
PYTHON
