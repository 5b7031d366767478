"""What is stored through the daemon of one node is read on another one: the two daemons share
nothing but a real store, which `stores.py` starts.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import torch

from daemon import Daemon, wait_until
from in_process import InProcess
from mp_server import MpServer, Worker
from multi_process import MultiProcess
from samples import KIB, KINDS, MIB, NATIVE, STOCK, in_process_key, mp_key, payload, wire_key
from stores import RedisServer, S3Server

BINARY = Path(os.environ["KVLEASE_BIN"])
CAPACITY = "256MiB"
# Values of Redis of more than 4 MiB are in pieces, as are transfers of S3.
SIZES = (1 * KIB, 64 * KIB + 2, 1 * MIB, 9 * MIB + 2)
# A node reads every 5 s which names the others have published.
KNOWN_WITHIN = 60.0
WRITTEN_WITHIN = 60.0
PROMPT = 7


class Nodes:
    """Two daemons that share a store."""

    def __init__(self, store, folder) -> None:
        config = f'[tier.remote]\nurl = "{store.url}"\nrate_min = "none"\n'
        self.tier = store.tier
        self.daemons = [
            Daemon(BINARY, folder, CAPACITY, config, store.environment) for _ in range(2)
        ]

    def wait_until_known(self, daemon: Daemon, names: list[str]) -> None:
        """Waits until a daemon reports objects that it does not have itself."""
        wait_until(
            lambda: all(_is_reported(daemon, name) for name in names),
            KNOWN_WITHIN,
            "the other node knows what was stored",
        )

    def loaded(self, daemon: Daemon) -> float:
        """The number of objects that a daemon loaded from the store."""
        return daemon.metric("kvlease_tier_hits_total", tier=self.tier)


@pytest.fixture(scope="module", params=(RedisServer, S3Server), ids=lambda store: store.tier)
def nodes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.tier)
    store = request.param(folder / "store")
    nodes = Nodes(store, folder)
    try:
        for daemon in nodes.daemons:
            daemon.start()
        yield nodes
    finally:
        for daemon in nodes.daemons:
            daemon.destroy()
        store.destroy()


@pytest.fixture(scope="module")
def stored(nodes, host):
    """Objects that clients of every kind stored through one daemon: keys and contents, by kind.

    All of them are stored before one is read, so that there is one wait for the other node.
    """
    here, there = nodes.daemons
    inside, outside = {}, {}
    for kind in KINDS:
        keys = [in_process_key(size, f"nodes {kind}") for size in SIZES]
        inside[kind] = keys, [payload(size, kind, "nodes") for size in SIZES]
        client = InProcess(here, host, kind)
        assert client.put_all(*inside[kind]) == len(keys)
        client.close()
        keys = [mp_key(size, f"nodes {kind}") for size in SIZES]
        outside[kind] = keys, [payload(size, kind, "mp nodes") for size in SIZES]
        client = MultiProcess(here, kind)
        assert client.store(*outside[kind])
        client.close()
    names = [wire_key(key) for keys, _ in (*inside.values(), *outside.values()) for key in keys]
    nodes.wait_until_known(there, names)
    return inside, outside


def test_a_client_in_the_engine_reads_what_the_other_node_stored(nodes, stored, in_process, kind):
    here, there = nodes.daemons
    keys, contents = stored[0][kind]
    before = nodes.loaded(there)
    client = in_process(there)
    assert all(client.exists(key) for key in keys)
    assert client.get_all(keys) == contents
    assert nodes.loaded(there) == before + len(keys)
    # The second time they are in the memory of the node.
    assert client.get_all(keys) == contents
    assert nodes.loaded(there) == before + len(keys)
    assert nodes.loaded(here) == 0


def test_an_mp_client_reads_what_the_other_node_stored(nodes, stored, multi_process, kind):
    here, there = nodes.daemons
    keys, contents = stored[1][kind]
    before = nodes.loaded(there)
    client = multi_process(there)
    assert client.lookup(keys) == [True] * len(keys)
    assert client.load(keys, list(SIZES)) == contents
    client.unlock(keys)
    assert nodes.loaded(there) == before + len(keys)
    assert nodes.loaded(here) == 0


def test_lmcaches_server_reads_what_the_other_nodes_server_stored(nodes, tmp_path):
    here, there = nodes.daemons
    # A start takes seconds: one kind for each store.
    kind = STOCK if nodes.tier == S3Server.tier else NATIVE
    servers = [MpServer(daemon, kind, tmp_path) for daemon in nodes.daemons]
    workers = []
    try:
        workers += [Worker(server.wait()) for server in servers]
        writer, reader = workers
        torch.manual_seed(PROMPT)
        for layer in writer.pages:
            layer.copy_(torch.randn(layer.shape))
        request = writer.request(PROMPT, f"writes {kind}")
        objects = here.metric("kvlease_objects")
        writer.store(request)
        # The server stores behind the worker's back.
        wait_until(
            lambda: here.metric("kvlease_objects") == objects + request.total_chunks,
            WRITTEN_WITHIN,
            "the daemon has every run of tokens",
        )
        nodes.wait_until_known(there, _names(here, "test-model"))
        before = nodes.loaded(there)
        request = reader.request(PROMPT, f"reads {kind}")
        for layer in reader.pages:
            layer.zero_()
        assert reader.hits(request) == request.total_chunks
        reader.retrieve(request)
        assert reader.content(request) == writer.content(request)
        assert nodes.loaded(there) == before + request.total_chunks
        assert nodes.loaded(here) == 0
    finally:
        for process in (*workers, *servers):
            process.close()


def _is_reported(daemon: Daemon, name: str) -> bool:
    url = f"http://127.0.0.1:{daemon.port}/v1/kv/lmcache/{urllib.parse.quote(name, safe='')}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60).close()
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
        return False
    return True


def _names(daemon: Daemon, prefix: str) -> list[str]:
    page = json.loads(daemon.fetch(f"/v1/kv/lmcache?prefix={prefix}&limit=1000"))
    return [found["key"] for found in page["objects"]]
