"""Redis over a Unix socket: with its Rust client, and with its Python client and hiredis."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import installs
from rival import HERE, Command, Rival, Site, worker

REQUIREMENTS = ("redis==8.1.0", "hiredis==3.5.0")
READY_WITHIN = 30.0
# Nothing but memory: no snapshots, no log, no port.
SETTINGS = ("--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no")


# Of glibc, for the clients: memory that was freed is used again. Else each large object is in fresh
# pages, and most of the time goes into those.
REUSE_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


class Redis(Rival):
    """Each client's server."""

    @staticmethod
    def install_server() -> None:
        """Installs it unless it is there."""
        if shutil.which("redis-server") is None:
            installs.debian(["redis-server"])

    def serve(self, site: Site) -> Path:
        """Starts a server; returns its socket."""
        socket = site.folder / "socket"
        runs = site.spawn(["redis-server", *SETTINGS, "--unixsocket", socket])
        site.wait_until(socket.exists, runs, READY_WITHIN)
        return socket


class RedisFromRust(Redis):
    name = "Redis, Rust client"
    aims = {"put": 10.0, "get": 12.0}

    def __init__(self, client: Path) -> None:
        self._client = client

    @classmethod
    def prepare(cls, site: Site) -> "RedisFromRust":
        cls.install_server()
        build: Command = [
            "cargo",
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--target-dir",
            site.cache,
        ]
        installs.call(build, cwd=HERE / "redis-client")
        return cls(site.cache / "release" / "redis-client")

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        return [self._client, self.serve(site)], {**os.environ, **REUSE_MEMORY}


class RedisFromPython(Redis):
    name = "Redis, redis-py with hiredis"

    def __init__(self, python: Path) -> None:
        self._python = python

    @classmethod
    def prepare(cls, site: Site) -> "RedisFromPython":
        cls.install_server()
        return cls(installs.environment(site.cache / "environment", REQUIREMENTS))

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        client = worker(self._python, "redis_store", self.serve(site))
        return client, {**os.environ, **REUSE_MEMORY}


class Client:
    def __init__(self, source: memoryview, target: memoryview, socket: str) -> None:
        import hiredis
        import redis

        self.greeting = f"redis-py {redis.__version__} with hiredis {hiredis.__version__}"
        self._redis = redis.Redis(unix_socket_path=socket)

    def put(self, key: str, source: memoryview) -> None:
        self._redis.set(key, source)

    def get(self, key: str, target: memoryview) -> bytes:
        # It has no way to read into a buffer that is there.
        found: bytes | None = self._redis.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def remove(self, keys: list[str]) -> None:
        self._redis.delete(*keys)


connect = Client
