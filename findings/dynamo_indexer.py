"""Dynamo's stand-alone indexer of KV events, and vLLM's publisher without an engine for it to listen to.

What the indexer knows of a worker is asked over HTTP, with the tokens of a prompt, as a router asks it.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import stand_ins

stand_ins.install(
    bare=["vllm", "vllm.distributed", "vllm.v1"],
    empty=stand_ins.VLLM_KV_CACHE,
)

import zmq
from vllm.distributed.kv_events import (
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    KVCacheEvent,
    KVEventBatch,
    ZmqEventPublisher,
)

__all__ = ["BLOCK_SIZE", "PROMPT", "AllBlocksCleared", "Engine", "indexer", "removed", "stored"]

BLOCK_SIZE = 4
# Four blocks, whose hashes are 1 to 4.
PROMPT = list(range(100, 100 + 4 * BLOCK_SIZE))
LOOPBACK = "127.0.0.1"
MODEL = "model"
WORKER = 1
# Events are not acknowledged, so this is how long the indexer may take for one.
SETTLING_TIME_S = 0.7
START_TIMEOUT_S = 60


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def stored(first: int, last: int, medium: str | None = "GPU", **more: object) -> BlockStored:
    """The event of blocks `first` to `last` of the prompt, in vLLM's class."""
    fields = {
        "block_hashes": list(range(first, last + 1)),
        "parent_block_hash": first - 1 or None,
        "token_ids": PROMPT[(first - 1) * BLOCK_SIZE : last * BLOCK_SIZE],
        "block_size": BLOCK_SIZE,
        "lora_id": None,
        "medium": medium,
        "lora_name": None,
    }
    return BlockStored(**(fields | more))


def removed(block: int, medium: str | None = "GPU", **more: object) -> BlockRemoved:
    return BlockRemoved(block_hashes=[block], medium=medium, **more)


def publisher_at(port: int) -> ZmqEventPublisher:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return ZmqEventPublisher(0, endpoint=f"tcp://*:{port}")
        except zmq.ZMQError:
            # ZeroMQ closes the socket of the engine before in a thread of its own.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Engine:
    """What vLLM tells of its blocks, on a port that outlives it."""

    def __init__(self, port: int) -> None:
        self.publisher = publisher_at(port)
        self.connections = self.publisher._pub.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def wait_for_subscriber(self) -> None:
        if not self.connections.poll(START_TIMEOUT_S * 1000):
            raise SystemExit(f"no subscriber came, timeout=`{START_TIMEOUT_S} s`")
        time.sleep(SETTLING_TIME_S)

    def announce(self, *events: KVCacheEvent) -> None:
        for event in events:
            self.publisher.publish(KVEventBatch(ts=time.time(), events=[event]))
        time.sleep(SETTLING_TIME_S)

    def end(self) -> None:
        self.publisher._pub.disable_monitor()
        self.publisher.shutdown()


class Indexer:
    def __init__(self, port: int, log: object) -> None:
        self.port = port
        self.log = log

    def call(self, path: str, body: object | None = None) -> dict:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:
            return json.loads(answer.read() or "{}")

    def listen(self, port: int) -> None:
        """Registers an engine at this port as the worker."""
        worker = {"instance_id": WORKER, "model_name": MODEL, "block_size": BLOCK_SIZE}
        self.call("/register", worker | {"endpoint": f"tcp://{LOOPBACK}:{port}"})

    def found(self, tokens: list[int] | None = None, cache_salt: str | None = None) -> int:
        """Blocks at the prompt's front that the worker has, on whatever medium."""
        query = {"token_ids": tokens or PROMPT, "model_name": MODEL, "cache_salt": cache_salt}
        answer = self.call("/query", query)
        worker = answer["instances"].get(str(WORKER), {"disk": 0})
        # The count of each medium includes those of the media before it.
        return worker["disk"] // BLOCK_SIZE

    def warnings(self) -> int:
        self.log.seek(0)
        return sum(b"WARN" in line for line in self.log)


@contextmanager
def indexer() -> Iterator[Indexer]:
    port = free_port()
    program = [sys.executable, "-m", "dynamo.indexer", f"--block-size={BLOCK_SIZE}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*program, f"--port={port}"], stdout=log, stderr=log)
        try:
            started = Indexer(port, log)
            deadline = time.monotonic() + START_TIMEOUT_S
            while True:
                try:
                    started.call("/health")
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        raise SystemExit(log.read().decode()) from None
                    time.sleep(0.1)
            yield started
        finally:
            process.kill()
            process.wait()
