#!/usr/bin/env python3
"""Three nodes on one machine, over a real cluster of Redis and over a real S3 server:
what one node stores is read on the others, and the loss of the store leaves each node its own.

    usage: run.py [--store valkey | s3]

See README.md. `cargo xtask stores` gets the servers. The daemon is built here, unless KVLEASE_BIN
names one.
"""

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The processes of daemons and stores are the contract suite's.
sys.path.insert(0, str(HERE.parent / "contract"))

from daemon import named_or_built, wait_until  # noqa: E402
from node import BUCKET, KNOWN_WITHIN, NAMES, OBJECTS, LocalReads, Node, WrongSource  # noqa: E402
from node import key as key_of  # noqa: E402
from stores import RedisCluster, S3Server  # noqa: E402

STORES = {"valkey": RedisCluster, "s3": S3Server}
# The objects that are read from memory while the store is lost, and those that come after it.
IN_MEMORY = (OBJECTS - 2, OBJECTS - 1)
NEW, LATER = OBJECTS, OBJECTS + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", choices=STORES, help="this store alone")
    named = parser.parse_args().store
    subprocess.run(["cargo", "xtask", "stores"], cwd=ROOT, check=True)
    binary = named_or_built()
    for name in [named] if named else STORES:
        try:
            _show(binary, name)
        except (WrongSource, AssertionError) as error:
            raise SystemExit(f"error: {error}") from error


def _show(binary: Path, name: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = STORES[name](folder / "store")
        stack.callback(store.destroy)
        _say(f"three nodes over {store.url}")
        nodes = [Node(letter, binary, folder, store) for letter in NAMES]
        for node in nodes:
            stack.callback(node.daemon.destroy)
            node.daemon.start()
        _read_everywhere(*nodes, store)
        if isinstance(store, RedisCluster):
            _lose_a_master(*nodes, store)
        else:
            _lose_the_store(*nodes, store)
    _say(f"every object came from where it should: {name}\n")


def _read_everywhere(a: Node, b: Node, c: Node, store) -> None:
    _say(f"a stores {OBJECTS} objects, more than its memory holds")
    for number in range(OBJECTS):
        a.put(number)
    a.expect([OBJECTS - 1], "memory")
    a.expect([0], "nvme")
    _say("b reads what it has never stored, and then has it itself")
    b.wait_until_known(OBJECTS - 1)
    for number in range(OBJECTS):
        b.expect([number], store.tier)
        wait_until(b.is_quiet, KNOWN_WITHIN, "b has written to its disk")
    b.expect(IN_MEMORY, "memory")
    b.expect([0], "nvme")
    _say("c reads one object, twice")
    c.wait_until_known(0)
    c.expect([0], store.tier)
    c.expect([0], "memory")


def _lose_a_master(a: Node, b: Node, c: Node, cluster: RedisCluster) -> None:
    lost = cluster.master_of(_name(1))
    gone = [n for n in range(1, OBJECTS) if cluster.master_of(_name(n)) is lost]
    there = [n for n in range(1, OBJECTS) if n not in gone]
    _say(f"one of three masters is lost, with {len(gone)} of the objects")
    with LocalReads(b, IN_MEMORY):
        lost.kill()
        b.expect([1], "nvme")
        for number in there:
            c.expect([number], cluster.tier)
        c.expect(gone, "nowhere")
        _stores_and_reads(a, NEW)
    _say("the master is back, and has lost what it had")
    lost.restart()
    _shares_again(a, c, gone[0], cluster)


def _lose_the_store(a: Node, b: Node, c: Node, store: S3Server) -> None:
    _say("the store is lost")
    with LocalReads(b, IN_MEMORY):
        store.kill()
        b.expect([1], "nvme")
        c.expect([1, 2, 3, 4], "nowhere")
        c.expect([0], "memory")
        _stores_and_reads(a, NEW)
    _say("the store is back, with all that it had")
    store.restart()
    _shares_again(a, c, 1, store)
    c.expect([2, 3, 4], store.tier)


def _stores_and_reads(a: Node, number: int) -> None:
    a.put(number)
    a.expect([number], "memory")


def _shares_again(a: Node, c: Node, known: int, store) -> None:
    """A node tries a store that failed with one of its calls, from time to time."""
    numbers = count(LATER)

    def shares() -> bool:
        if not a.uses_store():
            a.put(next(numbers))
        c.read(known)
        return a.uses_store() and c.uses_store()

    wait_until(shares, KNOWN_WITHIN, "both use the store again")
    number = next(numbers)
    a.put(number)
    c.wait_until_known(number)
    c.expect([number], store.tier)


def _name(number: int) -> str:
    return f"kvlease/v1/{BUCKET}/{key_of(number)}"


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main()
