"""KV events over ZeroMQ, read with libzmq: hashes in LMCache's own keys, and a killed daemon."""

import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from daemon import Daemon, free_port, wait_until
from kv_router import Router
from samples import in_process_key, mp_key, wire_key

SOON = 60.0
QUIET_MS = 300


class BlockStored(msgspec.Struct, tag=True):
    """The fields of docs/events.md; any other one of the daemon's is ignored."""

    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    ownership: str | None = None


class BlockRemoved(msgspec.Struct, tag=True):
    """The fields of docs/events.md."""

    block_hashes: list[int | bytes]
    medium: str | None
    ownership: str | None = None


class AllBlocksCleared(msgspec.Struct, tag=True):
    """With what kvlease adds."""

    epoch: str
    reason: str


class Batch(msgspec.Struct, array_like=True):
    """One message."""

    ts: float
    events: list[BlockStored | BlockRemoved | AllBlocksCleared]
    data_parallel_rank: int | None = None


@pytest.fixture
def published(make_daemon) -> Iterator[tuple[Daemon, Router]]:
    publish, replay = free_port(), free_port()
    config = f"""
        [events]
        endpoint = "127.0.0.1:{publish}"
        replay_endpoint = "127.0.0.1:{replay}"
    """
    daemon = make_daemon("64MiB", config)
    router = Router(publish, replay, msgspec.msgpack.Decoder(Batch).decode)
    yield daemon, router
    router.close()


def _request(daemon: Daemon, method: str, key: str) -> None:
    url = f"http://127.0.0.1:{daemon.port}/v1/kv/lmcache/{urllib.parse.quote(key, safe='')}"
    data = b"some bytes" if method == "PUT" else None
    request = urllib.request.Request(url, method=method, data=data)
    urllib.request.urlopen(request, timeout=60).close()


def test_the_hashes_of_lmcaches_keys_come_and_go_and_survive_a_killed_daemon(published):
    daemon, router = published
    in_process, server = in_process_key(1), mp_key(2)
    names = {in_process.chunk_hash: in_process.to_string(), server.chunk_hash: wire_key(server)}

    def announced(expected: set[int | bytes]) -> bool:
        router.read(QUIET_MS)
        return router.blocks == expected

    for name in names.values():
        _request(daemon, "PUT", name)
    wait_until(lambda: announced(set(names)), SOON, "both blocks are announced")
    assert {type(block) for block in router.blocks} == {int, bytes}
    daemon.restart(signal.SIGKILL)
    # The number that the router wants next is of the daemon that was killed.
    router.ask(router.last + 1)
    wait_until(lambda: announced(set(names)), SOON, "both blocks are announced again")
    cleared = [event for event in router.events if isinstance(event, AllBlocksCleared)]
    assert len({event.epoch for event in cleared}) == 2
    _request(daemon, "DELETE", names.pop(in_process.chunk_hash))
    wait_until(lambda: announced(set(names)), SOON, "one block has left")
