"""One store's client, in a process and an environment of its own: executes commands, and times each
call.

    usage: worker.py MODULE [ARGUMENT ...]

`MODULE.connect(source, target, *ARGUMENTS)` makes the client. Orders come a line each on standard
input, answers go a line each to standard output; redis-client speaks the same:

    put SIZE FIRST COUNT        ok SECONDS ...    (one number for each of COUNT calls)
    get SIZE FIRST COUNT        ok SECONDS ...
    view SIZE FIRST COUNT       ok SECONDS ...
    verify SIZE FIRST COUNT     ok
    remove SIZE FIRST COUNT     ok

FIRST is the number of the first object; objects are numbered by the one who gives the orders. The
first line is `ok GREETING`. What fails is answered by `error MESSAGE`.
"""

import importlib
import mmap
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

Readable: TypeAlias = bytes | memoryview

KIB = 1 << 10
MIB = 1 << 20
# What is stored comes out of one pool, and what is read goes into another. Each is several times
# as large as a cache of the processor, and its buffers take turns.
POOL_BYTES = 192 * MIB
SEED = 1


class Client(Protocol):
    """The client that a store's module has to provide."""

    greeting: str

    def put(self, key: str, source: memoryview) -> None:
        """Stores a new object."""

    def get(self, key: str, target: memoryview) -> Readable:
        """Reads an object; returns the buffer that has it: `target`, or one that was made."""

    def view(self, key: str) -> AbstractContextManager[Readable]:
        """Gives access to an object in place, in the store's memory."""

    def remove(self, keys: list[str]) -> None:
        """Removes objects that no client reads."""


def main() -> None:
    # Libraries print to standard output what is none of our answers.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        try:
            source, target = _pool(random.Random(SEED).randbytes), _pool(bytes)
            module = importlib.import_module(sys.argv[1])
            client: Client = module.connect(source, target, *sys.argv[2:])
            orders = Orders(client, source, target)
            answers.write(f"ok {client.greeting}\n")
            for line in sys.stdin:
                answers.write(f"ok {orders.follow(line)}\n")
        except Exception as error:
            answers.write(f"error {type(error).__name__}: {' '.join(str(error).split())}\n")
            raise


class Orders:
    """Executes commands, and remembers which buffers come next."""

    def __init__(self, client: Client, source: memoryview, target: memoryview) -> None:
        self._client = client
        self._source = source
        self._target = target
        self._targets_used = 0

    def follow(self, line: str) -> str:
        """Executes the command of the line; returns the answer."""
        what, *numbers = line.split()
        size, first, count = map(int, numbers)
        if what == "remove":
            self._client.remove([_key(number) for number in range(first, first + count)])
            return ""
        does = {"put": self._put, "get": self._get, "view": self._view, "verify": self._verify}
        return " ".join(f"{seconds:.9f}" for seconds in does[what](size, first, count))

    def _put(self, size: int, first: int, count: int) -> Iterator[float]:
        for number in range(first, first + count):
            key, source = _key(number), _buffer(self._source, size, number)
            started = time.perf_counter()
            self._client.put(key, source)
            yield time.perf_counter() - started

    def _get(self, size: int, first: int, count: int) -> Iterator[float]:
        for number in range(first, first + count):
            key, target = _key(number), self._next_target(size)
            started = time.perf_counter()
            copy = self._client.get(key, target)
            yield time.perf_counter() - started
            # To free what a client made is not part of the call.
            del copy

    def _view(self, size: int, first: int, count: int) -> Iterator[float]:
        for number in range(first, first + count):
            key = _key(number)
            started = time.perf_counter()
            with self._client.view(key) as seen:
                memoryview(seen)
            yield time.perf_counter() - started

    def _verify(self, size: int, first: int, count: int) -> Iterator[float]:
        for number in range(first, first + count):
            key, source = _key(number), _buffer(self._source, size, number)
            _compare(key, "a copy", self._client.get(key, self._next_target(size)), source)
            if hasattr(self._client, "view"):
                with self._client.view(key) as seen:
                    _compare(key, "a view", seen, source)
        return iter(())

    def _next_target(self, size: int) -> memoryview:
        self._targets_used += 1
        return _buffer(self._target, size, self._targets_used)


def _pool(content: Callable[[int], bytes]) -> memoryview:
    """Private memory of whole pages, all of them touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = memoryview(mmap.mmap(-1, POOL_BYTES, flags=flags))
    for start in range(0, POOL_BYTES, MIB):
        memory[start : start + MIB] = content(MIB)
    return memory


def _buffer(pool: memoryview, size: int, number: int) -> memoryview:
    start = number % (POOL_BYTES // size) * size
    return pool[start : start + size]


def _compare(key: str, what: str, found: Readable, stored: memoryview) -> None:
    if bytes(found) != bytes(stored):
        raise ValueError(f"{what} is not what was stored, key=`{key}`")


def _key(number: int) -> str:
    return f"object-{number}"


if __name__ == "__main__":
    main()
