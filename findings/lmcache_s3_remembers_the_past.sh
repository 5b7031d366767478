#!/usr/bin/env bash
# Subject: LMCache 0.5.6, its in-process connector for S3 (`s3://`, on awscrt 0.38.1), two engines with one
#   bucket.
# Guess: a look-up asks the bucket: what one engine stores, another finds, and what a lifecycle rule has removed
#   is a miss. While the bucket is away everything is a miss, and when it is back all goes on.
# Behaviour: an engine asks for a chunk once in its life. What was not there then it never finds, whoever stores it
#   since; what was there it reports for ever, even after loads that failed. And three operations that could not
#   connect, such as one batch of three chunks, end it: once the client's retries are over, some ten seconds,
#   the connector goes on without the bucket until the engine ends. Look-ups and loads are misses then,
#   and puts return as if they had stored.
# Seen:
# | blue asks for a chunk: 0; red stores it: red finds 1, blue finds 0, blue's load: None, requests since: 0
# | red stores another one: blue finds 1, blue's load: loaded
# | both are removed from the bucket: blue finds 1, blue's load: None; then blue finds 1
# | the bucket is away, red loads three chunks: None, None, None
# | the bucket is back: red finds 0, red's load: None, requests: 0
# | red stores a chunk: no error, requests: 0
# Why it matters: a bucket is the tier that nodes share, and in it an engine finds what it stored itself and what
#   was there before it asked first. After an outage of a quarter of a minute each engine has to be restarted,
#   and nothing but one line of its log says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 awscrt==0.38.1 $(<"$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
import asyncio
import ctypes
import os
import threading
from http.server import ThreadingHTTPServer

import stand_ins
from lmcache_memory import HostMemory
from s3_endpoint import Endpoint

stand_ins.install(
    bare=["lmcache", "lmcache.v1.storage_backend", "lmcache.v1.storage_backend.job_executor"],
    empty=[
        "requests",
        "torch",
        "lmcache.integration",
        "lmcache.observability",
        "lmcache.v1.config",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
        "lmcache.v1.protocol",
        "lmcache.v1.storage_backend.local_cpu_backend",
    ],
)

import torch
from lmcache.utils import CacheEngineKey
from lmcache.v1.storage_backend.connector import base_connector
from lmcache.v1.storage_backend.connector.s3_connector import S3Connector

LENGTH = 4096
base_connector.get_size_bytes = lambda *_: LENGTH
LOOPBACK = "127.0.0.1"
stored = {}
requests = []


class Bucket(Endpoint):
    # One connection for each request, so that none is left when the bucket goes away.
    protocol_version = "HTTP/1.0"

    def do_HEAD(self) -> None:
        requests.append(self.path)
        content = stored.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        requests.append(self.path)
        self.answer_content(stored.get(self.path))

    def do_PUT(self) -> None:
        requests.append(self.path)
        stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)


def key(number: int) -> CacheEngineKey:
    return CacheEngineKey("org/model", 1, 0, number, torch.bfloat16)


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


def start(port: int = 0) -> Server:
    server = Server((LOOPBACK, port), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Chunk:
    """A chunk in LMCache's host memory."""

    def __init__(self, content: bytes) -> None:
        self.byte_array = bytearray(content)
        self._memory = (ctypes.c_char * len(content)).from_buffer(self.byte_array)
        self.data_ptr = ctypes.addressof(self._memory)

    def get_size(self) -> int:
        return LENGTH

    get_physical_size = get_size

    def ref_count_down(self) -> None:
        pass


class Memory(HostMemory):
    def allocate(self, *_: object) -> Chunk:
        return Chunk(b"x" * LENGTH)


class Engine:
    def __init__(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        url = f"s3://{LOOPBACK}:{port}"
        self.tier = S3Connector(
            url, loop, Memory(), 1, False, "us-east-1", False, True, "a", "s"
        )

    async def found(self, number: int) -> int:
        return await self.tier.batched_async_contains("id", [key(number)])

    async def load(self, *numbers: int) -> str:
        keys = [key(number) for number in numbers]
        chunks = await self.tier.batched_get(keys)
        return ", ".join("loaded" if chunk else "None" for chunk in chunks)

    async def store(self, number: int) -> None:
        await self.tier.put(key(number), Chunk(b"A" * LENGTH))


async def main() -> None:
    bucket = start()
    port = bucket.server_port
    red, blue = Engine(port), Engine(port)

    asked = await blue.found(1)
    await red.store(1)
    requests.clear()
    found = f"red finds {await red.found(1)}, blue finds {await blue.found(1)}"
    load = f"blue's load: {await blue.load(1)}, requests since: {len(requests)}"
    print(f"blue asks for a chunk: {asked}; red stores it: {found}, {load}")

    await red.store(2)
    found = f"blue finds {await blue.found(2)}, blue's load: {await blue.load(2)}"
    print(f"red stores another one: {found}")
    stored.clear()
    found = f"blue finds {await blue.found(2)}, blue's load: {await blue.load(2)}"
    print(f"both are removed from the bucket: {found}; then blue finds {await blue.found(2)}")

    for number in (3, 4, 5):
        await red.store(number)
    bucket.shutdown()
    bucket.server_close()
    print("the bucket is away, red loads three chunks:", await red.load(3, 4, 5))
    start(port)
    requests.clear()
    found = f"red finds {await red.found(3)}, red's load: {await red.load(3)}"
    print(f"the bucket is back: {found}, requests: {len(requests)}")
    await red.store(6)
    print(f"red stores a chunk: no error, requests: {len(requests)}", flush=True)
    # The client's threads outlive the interpreter otherwise.
    os._exit(0)


asyncio.run(main())
PYTHON
