"""The in-process clients' calls, one by one, as LMCache's engine makes them."""

from pathlib import Path

import pytest

from daemon import LEASES_LIVE, wait_until
from in_process import NESTED_CALLS_MAX, taken, together
from samples import KIB, MIB, STOCK, in_process_key, payload

OPERATIONS = 200
# The native client releases in the background, in seconds.
RELEASED_WITHIN = 60.0


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
    assert client.counts["put_failure"] == 0


def test_an_absent_key_is_a_miss_at_once(in_process, shared_daemon):
    # A daemon that held the request for the client's time-out would run into the call's bound.
    client = in_process(shared_daemon, timeout_ms=120_000)
    key = in_process_key(404, "absent")
    assert not client.exists(key)
    assert client.get(key) is None
    assert client.get_all([key] * 8) == [None] * 8
    assert client.counts["lease_acquired"] == 0


def test_a_prefix_lookup_counts_up_to_the_first_miss(client):
    keys = [in_process_key(number, "prefix") for number in range(8)]
    contents = [payload(8 * KIB, "prefix", number) for number in range(8)]
    present = keys[:5] + keys[6:]
    assert client.put_all(present, contents[:5] + contents[6:]) == len(present)
    lookups = [
        client.connector.batched_async_contains(f"lookup-{number}", keys)
        for number in range(NESTED_CALLS_MAX)
    ]
    assert client.call(together(lookups)) == [5] * NESTED_CALLS_MAX


def test_a_prefetch_returns_what_is_there(client):
    keys = [in_process_key(number, "prefetch") for number in range(4)]
    contents = [payload(8 * KIB, "prefetch", number) for number in range(4)]
    assert client.put_all(keys, contents) == len(keys)
    wanted = [*keys, in_process_key(404, "prefetch")]
    fetches = [
        client.connector.batched_get_non_blocking(f"fetch-{number}", wanted)
        for number in range(NESTED_CALLS_MAX)
    ]
    for found in client.call(together(fetches)):
        assert [taken(memory) for memory in found] == contents


def test_every_lease_is_released(client, shared_daemon):
    keys = [in_process_key(number, "given back") for number in range(10)]
    client.put_all(keys, [payload(KIB, "given back", number) for number in range(10)])
    before = shared_daemon.metric(LEASES_LIVE)
    assert all(client.exists(key) for key in keys)
    assert client.call(client.connector.batched_async_contains("released", keys)) == len(keys)
    assert None not in client.get_all(keys)
    wait_until(
        # Those of tests before this one may end meanwhile.
        lambda: shared_daemon.metric(LEASES_LIVE) <= before,
        RELEASED_WITHIN,
        "the leases are back",
    )


@pytest.mark.only(STOCK)
def test_every_release_of_the_stock_client_is_confirmed(client):
    keys = [in_process_key(number, "released") for number in range(10)]
    client.put_all(keys, [payload(KIB, "released", number) for number in range(10)])
    assert all(client.exists(key) for key in keys)
    assert None not in client.get_all(keys)
    stats = client.counts
    assert stats["lease_acquired"] == stats["lease_released"] == 2 * len(keys)
    assert stats["lease_release_failed"] == 0


def test_200_operations_at_once_all_succeed(client):
    keys = [in_process_key(number, "many") for number in range(OPERATIONS)]
    contents = [payload(48 * KIB + 2 * number, "many", number) for number in range(OPERATIONS)]
    puts = [
        client.connector.put(key, client.memory(content))
        for key, content in zip(keys, contents, strict=True)
    ]
    client.call(together(puts))
    assert client.counts["put_success"] == OPERATIONS
    assert all(client.call(together(client.connector.exists(key) for key in keys)))
    found = client.call(together(client.connector.get(key) for key in keys))
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
    results = client.call(together(mixed))
    assert [taken(memory) for memory in results[0::4]] == contents
    assert all(results[2::4])
    assert results[3::4] == [None] * len(old)
    assert client.get_all(new) == contents


def test_a_closed_client_has_released_segment_and_connections(in_process, make_daemon):
    daemon = make_daemon("64MiB")
    client = in_process(daemon)
    key = in_process_key(1, "close")
    assert client.put(key, payload(MIB, "close"))
    assert client.get(key) == payload(MIB, "close")
    assert _mappings_of(daemon) > 0
    assert _connections_to(daemon) > 0
    client.close()
    wait_until(lambda: _mappings_of(daemon) == 0, RELEASED_WITHIN, "the segment is unmapped")
    wait_until(lambda: _connections_to(daemon) == 0, RELEASED_WITHIN, "the connections are closed")


def _mappings_of(daemon) -> int:
    """Number of mappings of the daemon's segment in this process."""
    return Path("/proc/self/maps").read_text().count(daemon.segment)


def _connections_to(daemon) -> int:
    """Number of established connections to the daemon's port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{daemon.port:04X}") and row[3] == "01" for row in rows)
