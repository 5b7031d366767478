"""The yardstick: libc's memcpy into shared memory and out of it, by one thread."""

import ctypes
import mmap
import tempfile
from collections.abc import Mapping

import installs
from rival import Command, Rival, Site, worker
from rounds import TURN_BYTES

SHM = "/dev/shm"


class MemoryCopy(Rival):
    name = "memcpy"

    @classmethod
    def prepare(cls, site: Site) -> "MemoryCopy":
        return cls()

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        return worker(installs.interpreter(), "memory_copy"), None


class Client:
    """Slots of shared memory in the place of a store: an object's number selects its slot."""

    greeting = "libc's, one thread"

    def __init__(self, source: memoryview, target: memoryview) -> None:
        # The file has no name, and goes with the process.
        with tempfile.TemporaryFile(dir=SHM) as file:
            file.truncate(TURN_BYTES)
            self._memory = memoryview(mmap.mmap(file.fileno(), TURN_BYTES))
        self._address = _address(self._memory)

    def put(self, key: str, source: memoryview) -> None:
        ctypes.memmove(self._slot(key, len(source)), _address(source), len(source))

    def get(self, key: str, target: memoryview) -> memoryview:
        ctypes.memmove(_address(target), self._slot(key, len(target)), len(target))
        return target

    def remove(self, keys: list[str]) -> None:
        pass

    def _slot(self, key: str, size: int) -> int:
        # As many as a round stores, and no more: the slots are used again, as a store's memory is.
        return self._address + int(key.rpartition("-")[2]) % (TURN_BYTES // size) * size


def _address(buffer: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


connect = Client
