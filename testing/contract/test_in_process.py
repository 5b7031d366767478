"""The in-process client's calls, one by one, as LMCache's engine makes them."""

import asyncio

import pytest

from in_process import NESTED_CALLS_MAX, taken
from samples import KIB, in_process_key, payload

OPERATIONS = 200


@pytest.fixture
def client(in_process, shared_daemon):
    return in_process(shared_daemon)


def test_what_is_put_exists_and_is_read_back(client):
    key = in_process_key(1, "basic")
    content = payload(300 * KIB, "in-process", 1)
    assert client.put(key, content)
    assert client.exists(key)
    assert client.connector.exists_sync(key)
    assert client.get(key) == content


def test_a_batch_is_put_and_read_back_in_order(client):
    keys = [in_process_key(number, "batch") for number in range(16)]
    contents = [payload(20 * KIB + 2 * number, "batch", number) for number in range(16)]
    assert client.put_all(keys, contents) == len(keys)
    assert client.get_all(keys) == contents


def test_a_batch_read_leaves_out_what_is_absent(client):
    keys = [in_process_key(number, "gaps") for number in range(6)]
    contents = [payload(5 * KIB, "gaps", number) for number in range(6)]
    assert client.put_all(keys[::2], contents[::2]) == 3
    expected = [contents[number] if number % 2 == 0 else None for number in range(6)]
    assert client.get_all(keys) == expected


def test_a_second_put_succeeds_and_the_first_bytes_stay(client):
    key = in_process_key(1, "again")
    first, second = payload(64 * KIB, "first"), payload(64 * KIB, "second")
    assert client.put(key, first)
    assert client.put(key, second)
    assert client.get(key) == first
    assert client.stock.stats["put_failure"] == 0


def test_an_absent_key_is_a_miss_at_once(in_process, shared_daemon):
    # A daemon that held the request for the client's time-out would run into the call's bound.
    client = in_process(shared_daemon, timeout_ms=120_000)
    key = in_process_key(404, "absent")
    assert not client.exists(key)
    assert client.get(key) is None
    assert client.get_all([key] * 8) == [None] * 8
    assert client.stock.stats["lease_acquired"] == 0


def test_a_prefix_lookup_counts_up_to_the_first_miss(client):
    keys = [in_process_key(number, "prefix") for number in range(8)]
    contents = [payload(8 * KIB, "prefix", number) for number in range(8)]
    present = keys[:5] + keys[6:]
    assert client.put_all(present, contents[:5] + contents[6:]) == len(present)
    lookups = [
        client.connector.batched_async_contains(f"lookup-{number}", keys)
        for number in range(NESTED_CALLS_MAX)
    ]
    assert client.call(_all(lookups)) == [5] * NESTED_CALLS_MAX


def test_a_prefetch_returns_what_is_there(client):
    keys = [in_process_key(number, "prefetch") for number in range(4)]
    contents = [payload(8 * KIB, "prefetch", number) for number in range(4)]
    assert client.put_all(keys, contents) == len(keys)
    wanted = [*keys, in_process_key(404, "prefetch")]
    fetches = [
        client.connector.batched_get_non_blocking(f"fetch-{number}", wanted)
        for number in range(NESTED_CALLS_MAX)
    ]
    for found in client.call(_all(fetches)):
        assert [taken(memory) for memory in found] == contents


def test_every_lease_is_released(client):
    keys = [in_process_key(number, "released") for number in range(10)]
    client.put_all(keys, [payload(KIB, "released", number) for number in range(10)])
    assert all(client.exists(key) for key in keys)
    assert None not in client.get_all(keys)
    stats = client.stock.stats
    assert stats["lease_acquired"] == stats["lease_released"] == 2 * len(keys)
    assert stats["lease_release_failed"] == 0


def test_200_operations_at_once_all_succeed(client):
    keys = [in_process_key(number, "many") for number in range(OPERATIONS)]
    contents = [payload(48 * KIB + 2 * number, "many", number) for number in range(OPERATIONS)]
    puts = [
        client.connector.put(key, client.memory(content))
        for key, content in zip(keys, contents, strict=True)
    ]
    client.call(_all(puts))
    assert client.stock.stats["put_success"] == OPERATIONS
    assert all(client.call(_all([client.connector.exists(key) for key in keys])))
    found = client.call(_all([client.connector.get(key) for key in keys]))
    assert [taken(memory) for memory in found] == contents


def test_200_puts_gets_and_lookups_mix(client):
    old = [in_process_key(number, "old") for number in range(OPERATIONS // 4)]
    new = [in_process_key(number, "new") for number in range(OPERATIONS // 4)]
    contents = [payload(32 * KIB, "mix", number) for number in range(OPERATIONS // 4)]
    assert client.put_all(old, contents) == len(old)
    mixed = []
    for old_key, new_key, content in zip(old, new, contents, strict=True):
        mixed.append(client.connector.get(old_key))
        mixed.append(client.connector.put(new_key, client.memory(content)))
        mixed.append(client.connector.exists(old_key))
        mixed.append(client.connector.get(in_process_key(404, "mix")))
    results = client.call(_all(mixed))
    assert [taken(memory) for memory in results[0::4]] == contents
    assert all(results[2::4])
    assert results[3::4] == [None] * len(old)
    assert client.get_all(new) == contents


def test_a_closed_client_has_let_go_of_segment_and_connections(client):
    assert client.put(in_process_key(1, "close"), payload(KIB, "close"))
    client.close()
    assert client.stock.shared_memory_obj is None
    assert client.stock.http_session is None


async def _all(coroutines):
    return await asyncio.gather(*coroutines)
