"""The MP clients' calls, one by one, as LMCache's MP server makes them."""

import pytest

from daemon import LEASES_LIVE, wait_until
from samples import KIB, mp_key, payload

OPERATIONS = 200
# Unlocking happens in the client's background, in seconds.
RELEASED_WITHIN = 60.0


@pytest.fixture
def client(multi_process, shared_daemon):
    return multi_process(shared_daemon)


def test_what_is_stored_is_found_and_loaded(client):
    key = mp_key(1, "basic")
    content = payload(300 * KIB, "mp", 1)
    assert client.store([key], [content])
    assert client.lookup([key]) == [True]
    assert client.load([key], [len(content)]) == [content]


def test_a_batch_is_stored_and_loaded_in_order(client):
    keys = [mp_key(number, "batch") for number in range(64)]
    contents = [payload(20 * KIB + number, "batch", number) for number in range(64)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * len(keys)
    assert client.load(keys, [len(content) for content in contents]) == contents


def test_a_lookup_and_a_load_leave_out_what_is_absent(client):
    keys = [mp_key(number, "gaps") for number in range(6)]
    contents = [payload(5 * KIB, "gaps", number) for number in range(6)]
    assert client.store(keys[::2], contents[::2])
    assert client.lookup(keys) == [True, False] * 3
    expected = [contents[number] if number % 2 == 0 else None for number in range(6)]
    assert client.load(keys, [5 * KIB] * 6) == expected


def test_a_load_without_a_lookup_takes_its_own_lease_and_returns_it(client, shared_daemon):
    key = mp_key(1, "unlooked")
    content = payload(64 * KIB, "unlooked")
    assert client.store([key], [content])
    before = shared_daemon.metric(LEASES_LIVE)
    assert client.load([key], [len(content)]) == [content]
    wait_until(
        lambda: shared_daemon.metric(LEASES_LIVE) == before, RELEASED_WITHIN, "the lease is back"
    )


def test_a_second_store_succeeds_and_the_first_bytes_stay(client):
    key = mp_key(1, "again")
    first, second = payload(64 * KIB, "first"), payload(64 * KIB, "second")
    assert client.store([key], [first])
    assert client.store([key], [second])
    assert client.load([key], [len(first)]) == [first]


def test_an_absent_key_is_a_miss_at_once(multi_process, shared_daemon):
    # A daemon that held the request for the client's wait would run into the call's bound.
    client = multi_process(shared_daemon, lease_wait_timeout_ms=120_000)
    keys = [mp_key(number, "absent") for number in range(32)]
    assert client.lookup(keys) == [False] * len(keys)
    assert client.load(keys, [KIB] * len(keys)) == [None] * len(keys)
    client.assert_untroubled()


def test_an_object_loads_only_into_a_buffer_of_its_exact_size(client):
    key = mp_key(1, "exact")
    content = payload(10_001, "exact")
    assert client.store([key], [content])
    for size in (10_000, 10_002, 12 * KIB):
        assert client.load([key], [size]) == [None]
    assert client.load([key], [len(content)]) == [content]


def test_200_operations_at_once_all_succeed(client):
    numbers = range(OPERATIONS)
    keys = [mp_key(number, "many") for number in numbers]
    contents = [payload(48 * KIB + number, "many", number) for number in numbers]
    stored = client.store_many([([keys[n]], [contents[n]]) for n in numbers])
    assert stored == [True] * OPERATIONS
    assert client.lookup_many([[key] for key in keys]) == [[True]] * OPERATIONS
    loaded = client.load_many([([keys[n]], [len(contents[n])]) for n in numbers])
    assert loaded == [[content] for content in contents]
    client.assert_untroubled()


def test_a_closed_client_has_released_its_leases_and_refuses_quietly(client, shared_daemon):
    keys = [mp_key(number, "close") for number in range(8)]
    contents = [payload(KIB, "close", number) for number in range(8)]
    assert client.store(keys, contents)
    before = shared_daemon.metric(LEASES_LIVE)
    assert client.lookup(keys) == [True] * len(keys)
    # Those of tests before this one may have ended meanwhile.
    assert shared_daemon.metric(LEASES_LIVE) >= len(keys)
    client.close()
    # Over the fast lane the client does not wait for the answer.
    wait_until(
        lambda: shared_daemon.metric(LEASES_LIVE) <= before, RELEASED_WITHIN, "the leases are back"
    )
    assert not client.adapter.report_status()["is_healthy"]
