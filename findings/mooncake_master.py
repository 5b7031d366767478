"""Mooncake Store with a master of its own, which has nothing."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mooncake
from mooncake.store import MooncakeDistributedStore

LOOPBACK = "127.0.0.1"


@contextmanager
def master() -> Iterator[int]:
    """A master, until the end of the block; its port."""
    program = Path(mooncake.__file__).with_name("mooncake_master")
    port = _free_port()
    process = subprocess.Popen(
        [program, f"--port={port}", f"--metrics_port={_free_port()}"], stdout=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.kill()


@contextmanager
def store_of(memory: int) -> Iterator[MooncakeDistributedStore]:
    """A client that gives the store this many bytes, until the end of the block."""
    with master() as port:
        yield joined(port, memory)


def joined(port: int, memory: int) -> MooncakeDistributedStore:
    """A client of the master at this port, which gives the store this many bytes."""
    store = MooncakeDistributedStore()
    deadline = time.monotonic() + 30
    while store.setup(LOOPBACK, "P2PHANDSHAKE", memory, 16 << 20, "tcp", "", f"{LOOPBACK}:{port}"):
        if time.monotonic() > deadline:
            raise SystemExit(
                f"the master does not answer: see mooncake_master --help, port=`{port}`"
            )
        time.sleep(0.2)
    return store


@contextmanager
def node(port: int, memory: int) -> Iterator[subprocess.Popen]:
    """A process of its own that gives the store this many bytes, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(port), str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if process.stdout.readline() != b"joined\n":
            raise SystemExit("a node of the store has ended: the log has its reason")
        yield process
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


if __name__ == "__main__":
    kept = joined(int(sys.argv[1]), int(sys.argv[2]))
    print("joined", flush=True)
    # Until it is killed, or the script that started it ends.
    sys.stdin.read()
