"""LMCache's in-process HyperPod connector, without an engine, against a daemon of a few lines.

The daemon has the three endpoints, keeps objects one behind the other in its segment, and notes
each request as it stood on the wire.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import stand_ins
from lmcache_memory import HostMemory

stand_ins.install(
    bare=[
        "lmcache",
        "lmcache.v1.distributed",
        "lmcache.v1.distributed.l2_adapters",
        "lmcache.v1.storage_backend",
    ],
    empty=[
        "requests",
        "torch",
        "lmcache.observability",
        "lmcache.v1.config",
        "lmcache.v1.gpu_connector",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
        "lmcache.v1.storage_backend.connector.instrumented_connector",
        "lmcache.v1.storage_backend.local_cpu_backend",
    ],
)

import torch

torch.Size = tuple

from aiohttp import web
from lmcache.utils import CacheEngineKey
from lmcache.v1.storage_backend.connector.sagemaker_hyperpod_connector import (
    SageMakerHyperPodConnector,
)

LOOPBACK = "127.0.0.1"
# Length, format, type and four dimensions: LMCache's header of an object.
HEADER = struct.Struct("7i")
FORMAT, TYPE = 1, 2


def key(chunk_hash: int, model: str = "org/model") -> CacheEngineKey:
    return CacheEngineKey(model, 1, 0, chunk_hash, torch.bfloat16)


class Daemon:
    def __init__(self) -> None:
        self.requests: list[str] = []
        self.most_at_once = self._at_once = 0
        self.segment = f"findings-{os.getpid()}"
        self._objects: dict[str, tuple[int, int]] = {}
        self._file = open(f"/dev/shm/{self.segment}", "xb", buffering=0)
        self._file.truncate(1 << 20)

    def store(self, chunk: CacheEngineKey, content: bytes) -> None:
        whole = HEADER.pack(len(content), FORMAT, TYPE, len(content), 0, 0, 0) + content
        self._objects[chunk.to_string()] = (self._file.tell(), len(whole))
        self._file.write(whole)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.raw_path.partition('?')[0]}")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        # Long enough for all that was sent with it to arrive.
        await asyncio.sleep(0.002)
        self._at_once -= 1
        parts = request.path.split("/")
        if parts[-1] == "release":
            return web.Response()
        name = "/".join(parts[4:-1])
        if name not in self._objects:
            return web.Response(status=404)
        offset, length = self._objects[name]
        body = {"id": "lease", "offsets": [{"offset": offset, "len": length}]}
        return web.Response(text=json.dumps(body), content_type="application/json")

    def end(self) -> None:
        os.unlink(f"/dev/shm/{self.segment}")


class Memory(HostMemory):
    def allocate(self, shape: tuple[int, ...], *_: object) -> SimpleNamespace:
        content = bytearray(shape[0])
        return SimpleNamespace(
            byte_array=content, get_size=lambda: len(content), get_shape=lambda: shape
        )


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Daemon, Any]]:
    daemon = Daemon()
    try:
        application = web.Application()
        application.router.add_route("*", "/{anything:.*}", daemon.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0).start()
        url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
        loop = asyncio.get_running_loop()
        connector = SageMakerHyperPodConnector(
            url, loop, Memory(), "bucket", daemon.segment, 100, 256, 128, 5000
        )
        try:
            yield daemon, connector
        finally:
            # Not by the connector's own close, which does not return on its own loop.
            await connector.http_session.close()
            await runner.cleanup()
    finally:
        daemon.end()
