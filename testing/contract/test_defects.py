"""Defects of the stock in-process connector that the native one does not have.

Each test shows both. Where the stock connector never ends, that is to say that it has not ended
within `NEVER`; its loop is left to itself then.
"""

import concurrent.futures
from types import SimpleNamespace

import pytest
import torch
from lmcache.v1.memory_management import MemoryFormat
from lmcache.v1.protocol import init_remote_metadata_info

from in_process import InProcess, host_memory, host_memory_used, taken, together
from samples import KIB, MIB, NATIVE, STOCK, in_process_key, payload, wire_key

# A call of the stock connector that takes this long, in seconds, is taken for one that never ends.
NEVER = 2.0
# The fewest lookups at once at which the stock connector waits for itself, and a good many more.
LOOKUPS_STUCK = 4
LOOKUPS = 16
PREFIX = 64
# The round trips, one after the other, that a lookup of the whole prefix may cost.
ROUND_TRIPS_MAX = 6
# KV groups of a model whose layers are not all alike: planes, layers, hidden size, type.
GROUPS = ((2, 3, 32, torch.bfloat16), (1, 2, 20, torch.float32), (2, 1, 8, torch.uint8))


@pytest.fixture
def daemon(shared_daemon_of):
    return shared_daemon_of("mixed")


@pytest.fixture
def stock(in_process_of, daemon):
    return in_process_of(STOCK, daemon)


@pytest.fixture
def native(in_process_of, daemon):
    return in_process_of(NATIVE, daemon)


@pytest.fixture
def abandoned(daemon, host):
    """A stock client that the test never closes."""
    return InProcess(daemon, host, STOCK)


@pytest.mark.parametrize("call", ("batched_async_contains", "batched_get_non_blocking"))
def test_many_asynchronous_lookups_at_once_do_not_deadlock(abandoned, native, call):
    keys = [in_process_key(number, "deadlock") for number in range(4)]
    contents = [payload(KIB, "deadlock", number) for number in range(4)]
    assert native.put_all(keys, contents) == len(keys)

    def lookups(client, count):
        lookup = getattr(client.connector, call)
        return client.submit(together(lookup(f"{call} {n}", keys) for n in range(count)))

    with pytest.raises(concurrent.futures.TimeoutError):
        lookups(abandoned, LOOKUPS_STUCK).result(NEVER)
    for found in lookups(native, LOOKUPS).result(30):
        if call == "batched_async_contains":
            assert found == len(keys)
        else:
            assert [taken(memory) for memory in found] == contents


def test_close_returns_on_its_own_loop(abandoned, native):
    key = in_process_key(1, "own loop")
    assert native.put(key, payload(KIB, "own loop"))
    assert abandoned.exists(key)
    with pytest.raises(concurrent.futures.TimeoutError):
        abandoned.call(abandoned.connector.close(), NEVER)
    native.call(native.connector.close())
    # A second close, and a call after it, do not hang either.
    native.call(native.connector.close())
    assert native.get(key) is None


def test_several_kv_groups_are_stored_and_read_back(daemon):
    host = host_memory(0.05, [_group(*group) for group in GROUPS])
    shapes, dtypes = host.metadata.get_shapes(), host.metadata.get_dtypes()
    clients = [InProcess(daemon, host, kind) for kind in (STOCK, NATIVE)]
    stock, native = clients
    try:
        for number, client in enumerate(clients):
            key = in_process_key(number, "groups")
            memory = host.allocate(shapes, dtypes, MemoryFormat.KV_2LTD)
            content = payload(memory.get_size(), "groups", number)
            memory.byte_array.cast("B")[:] = content
            stored = client.put_objects([key], [memory])
            assert stored == (1 if client is native else 0)
        assert stock.get(key) is None
        # Length and format, then type and four dimensions for each group.
        assert len(daemon.stored(wire_key(key))) == 4 * (2 + 5 * len(GROUPS)) + len(content)
        found = native.call(native.connector.get(key))
        assert (found.get_shapes(), found.get_dtypes()) == (shapes, dtypes)
        assert taken(found) == content
        assert host_memory_used(host)[1] == 0
    finally:
        for client in clients:
            client.close()
        # LMCache keeps the header's length in a global variable.
        init_remote_metadata_info(1)


def test_a_prefix_lookup_costs_a_few_round_trips_however_long_the_prefix(
    in_process_of, fake_daemon
):
    keys = [in_process_key(number, "prefix") for number in range(PREFIX)]
    stock, native = (in_process_of(kind, fake_daemon) for kind in (STOCK, NATIVE))
    assert native.put_all(keys, [payload(100, number) for number in range(PREFIX)]) == PREFIX
    round_trips = {}
    for client in (stock, native):
        fake_daemon.rounds.clear()
        fake_daemon.in_rounds = True
        found = client.call(client.connector.batched_async_contains("prefix", keys))
        fake_daemon.in_rounds = False
        assert found == PREFIX
        round_trips[client.kind] = len(fake_daemon.rounds)
    # A lease and a release for each, one after the other.
    assert round_trips[STOCK] == 2 * PREFIX
    assert round_trips[NATIVE] <= ROUND_TRIPS_MAX


def test_objects_are_read_without_shared_memory(in_process_of, daemon):
    stock, native = (
        in_process_of(kind, daemon, shared_memory_name=None, socket="none")
        for kind in (STOCK, NATIVE)
    )
    sizes = (KIB, 100 * KIB, MIB, 3 * MIB)
    keys = [in_process_key(size, "no segment") for size in sizes]
    contents = [payload(size, "no segment") for size in sizes]
    assert native.put_all(keys, contents) == len(keys)
    assert stock.get_all(keys) == [None] * len(keys)
    assert native.get_all(keys) == contents
    assert [native.get(key) for key in keys] == contents


def test_a_wrong_segment_name_is_no_obstacle(in_process_of, daemon, host):
    wrong = "kvlease-contract-no-such-segment"
    with pytest.raises(FileNotFoundError):
        InProcess(daemon, host, STOCK, shared_memory_name=wrong)
    native = in_process_of(NATIVE, daemon, shared_memory_name=wrong, socket="none")
    key = in_process_key(1, "wrong segment")
    assert native.put(key, payload(MIB, "wrong segment"))
    assert native.get(key) == payload(MIB, "wrong segment")


def test_ping_says_whether_the_daemon_answers(in_process_of, make_daemon):
    daemon = make_daemon("64MiB")
    stock, native = (in_process_of(kind, daemon) for kind in (STOCK, NATIVE))
    assert not stock.connector.support_ping()
    with pytest.raises(NotImplementedError):
        stock.call(stock.connector.ping())
    assert native.connector.support_ping()
    assert native.call(native.connector.ping()) == 0
    daemon.end()
    assert native.call(native.connector.ping()) != 0
    daemon.start()
    assert native.call(native.connector.ping()) == 0


def test_list_names_every_object_and_only_those_of_the_bucket(in_process_of, daemon):
    stock, native = (in_process_of(kind, daemon, bucket="listed") for kind in (STOCK, NATIVE))
    keys = [in_process_key(number, "list me @100%/é") for number in range(1500)]
    assert native.put_all(keys, [payload(64, number) for number in range(1500)]) == len(keys)
    assert stock.call(stock.connector.list()) == []
    listed = native.call(native.connector.list())
    assert sorted(listed) == sorted(wire_key(key) for key in keys)


def test_remove_removes_and_says_whether_there_was_anything(stock, native):
    key, absent = in_process_key(1, "remove"), in_process_key(2, "remove")
    assert native.put(key, payload(KIB, "remove"))
    assert stock.connector.remove_sync(key)
    assert native.exists(key)
    assert native.connector.remove_sync(key)
    assert not native.exists(key)
    assert not native.connector.remove_sync(key)
    assert stock.connector.remove_sync(absent)
    assert not native.connector.remove_sync(absent)


def test_a_prefetch_returns_no_object_behind_a_gap(stock, native, host):
    keys = [in_process_key(number, "gap") for number in range(6)]
    contents = [payload(8 * KIB, "gap", number) for number in range(6)]
    present = [0, 1, 3, 4]
    stored = native.put_all([keys[n] for n in present], [contents[n] for n in present])
    assert stored == len(present)
    before = host_memory_used(host)
    prefetch = {
        client: client.call(client.connector.batched_get_non_blocking("gap", keys))
        for client in (stock, native)
    }
    # LMCache takes the n-th result for the n-th key: two of the stock client's are of other keys.
    assert [taken(memory) for memory in prefetch[stock]] == [contents[n] for n in present]
    assert [taken(memory) for memory in prefetch[native]] == contents[:2]
    assert host_memory_used(host) == before


def _group(planes: int, layers: int, hidden: int, dtype: torch.dtype) -> SimpleNamespace:
    """The attributes of a KV group that LMCache's metadata reads."""
    return SimpleNamespace(
        dtype=dtype,
        shape_desc=SimpleNamespace(kv_size=planes),
        num_layers=layers,
        hidden_dim_size=hidden,
    )
