"""Mooncake Store with a master of its own, which has nothing."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mooncake
from mooncake.store import MooncakeDistributedStore

LOOPBACK = "127.0.0.1"


@contextmanager
def store_of(memory: int) -> Iterator[MooncakeDistributedStore]:
    """A client that gives the store this many bytes, until the end of the block."""
    program = Path(mooncake.__file__).with_name("mooncake_master")
    port = _free_port()
    master = subprocess.Popen(
        [program, f"--port={port}", f"--metrics_port={_free_port()}"], stdout=subprocess.DEVNULL
    )
    try:
        yield _joined(port, memory)
    finally:
        master.kill()


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def _joined(port: int, memory: int) -> MooncakeDistributedStore:
    store = MooncakeDistributedStore()
    deadline = time.monotonic() + 30
    while store.setup(LOOPBACK, "P2PHANDSHAKE", memory, 16 << 20, "tcp", "", f"{LOOPBACK}:{port}"):
        if time.monotonic() > deadline:
            raise SystemExit(
                f"the master does not answer: see mooncake_master --help, port=`{port}`"
            )
        time.sleep(0.2)
    return store
