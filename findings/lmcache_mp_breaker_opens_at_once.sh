#!/usr/bin/env bash
# Subject: LMCache 0.5.6, the HyperPod client of its multi-process server, its circuit breaker.
# Guess: the breaker opens after three failures in a row, so that it takes a daemon that is down for
#   three requests, one after the other; and once the daemon is back, the next request finds it.
# Behaviour: the look-ups of one prefix go out together and are counted one by one, so that a single
#   look-up of three chunks during a restart opens it. From then on everything is a miss for five
#   seconds, without a request, whether the daemon is back or not.
# Seen:
# | three chunks, looked up once while the daemon restarts: 0 found
# | the breaker: open
# | the daemon is back, within the next second: 0 found, 0 requests
# | found again after about 5 seconds: yes
# Why it matters: a restart of 50 ms costs five seconds of prefills. Statuses do not count: a daemon that
#   is not ready yet had better answer 404 or 503 than refuse connections.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio
import json
import os
import socket
import time

import stand_ins

stand_ins.install(
    bare=["lmcache", "lmcache.v1.distributed", "lmcache.v1.distributed.l2_adapters"],
    empty=["torch"],
)

from aiohttp import web
from lmcache.v1.distributed.l2_adapters.sagemaker_hyperpod_client import SageMakerHyperPodClient

LOOPBACK = "127.0.0.1"
SEGMENT = f"findings-{os.getpid()}"


async def main() -> None:
    requests: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.raw_path)
        lease = {"id": "lease", "offsets": [{"offset": 0, "len": 4}]}
        return web.Response(text=json.dumps(lease), content_type="application/json")

    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    client = SageMakerHyperPodClient(
        f"sagemaker-hyperpod://{LOOPBACK}:{port}", shared_memory_name=SEGMENT
    )

    async def found(chunks: int) -> int:
        leases = await asyncio.gather(*(client.acquire_lease(f"chunk {n}") for n in range(chunks)))
        return sum(lease is not None for lease in leases)

    print("three chunks, looked up once while the daemon restarts:", await found(3), "found")
    print("the breaker:", "open" if client.report_status()["circuit_open"] else "closed")
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    back = time.monotonic()
    seen = 0
    while time.monotonic() < back + 1:
        seen += await found(3)
        await asyncio.sleep(0.05)
    print(f"the daemon is back, within the next second: {seen} found, {len(requests)} requests")
    while not await found(1) and time.monotonic() < back + 30:
        await asyncio.sleep(0.05)
    took = time.monotonic() - back
    print("found again after about 5 seconds:", "yes" if 4 < took < 10 else f"after {took:.1f}")
    await client.close()
    await runner.cleanup()


with open(f"/dev/shm/{SEGMENT}", "xb") as segment:
    segment.write(bytes(4096))
try:
    asyncio.run(main())
finally:
    os.unlink(f"/dev/shm/{SEGMENT}")
PYTHON
