"""Plasma, the shared-memory store that came with Apache Arrow until pyarrow 11."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import installs
from rival import CAPACITY, Command, Rival, Site, worker

REQUIREMENTS = ("pyarrow==11.0.0", "numpy==1.26.4")
# The newest Python that this pyarrow has wheels for.
PYTHON = "3.11"
READY_WITHIN = 30.0
ID_LEN = 20


class Plasma(Rival):
    name = "Plasma"
    aims = {"put": 1.5, "get": 1.3}
    has_views = True

    def __init__(self, python: Path) -> None:
        self._python = python

    @classmethod
    def prepare(cls, site: Site) -> "Plasma":
        return cls(installs.environment(site.cache / "environment", REQUIREMENTS, PYTHON))

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        socket = site.folder / "socket"
        server = self._python.with_name("plasma_store")
        runs = site.spawn([server, "-m", str(CAPACITY), "-s", socket])
        site.wait_until(socket.exists, runs, READY_WITHIN)
        return worker(self._python, "plasma_store", socket), None


class Client:
    def __init__(self, source: memoryview, target: memoryview, socket: str) -> None:
        import pyarrow
        from pyarrow import plasma

        self.greeting = f"pyarrow {pyarrow.__version__}"
        self._id = plasma.ObjectID
        self._client = plasma.connect(socket)

    def put(self, key: str, source: memoryview) -> None:
        identifier = self._identifier(key)
        memoryview(self._client.create(identifier, len(source))).cast("B")[:] = source
        self._client.seal(identifier)

    def get(self, key: str, target: memoryview) -> memoryview:
        with self.view(key) as seen:
            target[:] = seen
        return target

    @contextmanager
    def view(self, key: str) -> Iterator[memoryview]:
        (found,) = self._client.get_buffers([self._identifier(key)], timeout_ms=0)
        if found is None:
            raise KeyError(key)
        with memoryview(found) as signed, signed.cast("B") as seen:
            yield seen

    def remove(self, keys: list[str]) -> None:
        self._client.delete([self._identifier(key) for key in keys])

    def _identifier(self, key: str) -> Any:
        return self._id(key.encode().ljust(ID_LEN))


connect = Client
