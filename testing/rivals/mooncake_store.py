"""Mooncake Store: its master, and its memory either in a process of its own, which is reached over
TCP, or in the client's (its local mode)."""

import ctypes
import ctypes.util
import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import installs
from daemon import free_port
from rival import CAPACITY, Command, Rival, Site, program, worker

# The wheel without CUDA: the same store, and no driver to ask for.
PACKAGE = "mooncake-transfer-engine-non-cuda"
REQUIREMENTS = (f"{PACKAGE}==0.3.13.post1",)
# It is linked with these, even if there is no RDMA. Library and Debian package.
LIBRARIES = {"ibverbs": "libibverbs1", "mlx5": "ibverbs-providers", "numa": "libnuma1"}
LOOPBACK = "127.0.0.1"
READY_WITHIN = 30.0
# Of the client, for calls without the caller's buffer: verification makes none.
LOCAL_BUFFER = 64 << 20
NOTHING = 0


class Mooncake(Rival):
    """Both modes; `own_segment` tells them apart."""

    own_segment: bool

    def __init__(self, python: Path) -> None:
        self._python = python

    @classmethod
    def prepare(cls, site: Site) -> "Mooncake":
        found = {name: ctypes.util.find_library(name) for name in LIBRARIES}
        installs.debian([package for name, package in LIBRARIES.items() if found[name] is None])
        # Both modes share an environment.
        return cls(installs.environment(site.cache.with_name("Mooncake"), REQUIREMENTS))

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        master = f"{LOOPBACK}:{free_port()}"
        runs = site.spawn([*self._master(), *_master_flags(master)])
        site.wait_until(lambda: _accepts(master), runs, READY_WITHIN)
        # Copies inside one process are plain ones, rather than through its own socket.
        variables = {**os.environ, "MC_STORE_MEMCPY": "1"}
        if not self.own_segment:
            ready = site.folder / "segment-ready"
            segment = program(self._python, "mooncake_store", master, ready)
            runs = site.spawn(segment, variables)
            site.wait_until(ready.exists, runs, READY_WITHIN)
        size = CAPACITY if self.own_segment else NOTHING
        return worker(self._python, "mooncake_store", master, str(size)), variables

    def _master(self) -> Command:
        where = "import mooncake, pathlib; print(pathlib.Path(mooncake.__file__).parent)"
        return [Path(installs.call([self._python, "-c", where]).strip(), "mooncake_master")]


class MooncakeTcp(Mooncake):
    name = "Mooncake, TCP"
    aims = {"put": 6.0, "get": 6.0}
    own_segment = False


class MooncakeLocal(Mooncake):
    name = "Mooncake, local mode"
    aims = {"put": 1.3, "get": 1.4}
    own_segment = True


class Client:
    def __init__(self, source: memoryview, target: memoryview, master: str, segment: str) -> None:
        self.greeting = f"{PACKAGE} {version(PACKAGE)}"
        self._store = _join(master, int(segment))
        for pool in (source, target):
            _check(self._store.register_buffer(_address(pool), len(pool)), "register_buffer")

    def put(self, key: str, source: memoryview) -> None:
        _check(self._store.put_from(key, _address(source), len(source)), "put_from")

    def get(self, key: str, target: memoryview) -> memoryview:
        read = self._store.get_into(key, _address(target), len(target))
        if read != len(target):
            raise KeyError(f"get_into returned {read}, key=`{key}`")
        return target

    def remove(self, keys: list[str]) -> None:
        for key in keys:
            # A get leaves a lease for some seconds, which only this ignores.
            _check(self._store.remove(key, force=True), "remove")


def serve_segment(master: str, ready: str) -> None:
    """Registers memory with the store until the process ends."""
    store = _join(master, CAPACITY)
    Path(ready).touch()
    signal.pause()
    del store


def _join(master: str, segment: int) -> Any:
    from mooncake.store import MooncakeDistributedStore

    store = MooncakeDistributedStore()
    own = f"{LOOPBACK}:{free_port()}"
    _check(store.setup(own, "P2PHANDSHAKE", segment, LOCAL_BUFFER, "tcp", "", master), "setup")
    return store


def _master_flags(address: str) -> list[str]:
    port = address.rpartition(":")[2]
    rpc = [f"--rpc_address={LOOPBACK}", f"--rpc_port={port}"]
    return [*rpc, f"--metrics_host={LOOPBACK}", f"--metrics_port={free_port()}"]


def _accepts(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _check(status: int, call: str) -> None:
    if status != 0:
        raise RuntimeError(f"{call} failed, status=`{status}`")


def _address(buffer: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


connect = Client

if __name__ == "__main__":
    serve_segment(*sys.argv[1:])
