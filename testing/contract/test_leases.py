"""The guarantees of a lease while it is live, and after it has ended."""

import time
from functools import partial

import pytest

from daemon import LEASES_EXPIRED_UNRELEASED, LEASES_LIVE, SHORT_TIMES, wait_until
from samples import MIB, NATIVE, STOCK, in_process_key, mp_key, payload, wire_key

CAPACITY_MIB = 64
CAPACITY = f"{CAPACITY_MIB}MiB"
# How often the whole capacity is pushed through beside a leased object.
TURNOVERS = 3
RELEASED_WITHIN = 60.0
# How long space may stay unusable after the lease on it expired, in seconds: the reaper's turn,
# the quarantine, and the test's own steps.
SPACE_BACK_WITHIN = 60.0
SHORT_TTL = 1.0


@pytest.mark.only(STOCK)
def test_retained_leases_hold_objects_while_others_push_past(multi_process, make_daemon):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon)
    keys = [mp_key(number, "held") for number in range(4)]
    contents = [payload(4 * MIB, "held", number) for number in range(4)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * 4
    assert daemon.metric(LEASES_LIVE) == 4
    _push(client, "first")
    assert client.load(keys, [4 * MIB] * 4) == contents
    _push(client, "second")
    assert client.load(keys, [4 * MIB] * 4) == contents
    assert daemon.metric(LEASES_LIVE) == 4
    client.unlock(keys)
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases are back")


@pytest.mark.only(NATIVE)
def test_the_native_client_holds_what_a_lookup_found_for_the_load_that_follows(
    multi_process, make_daemon
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    # Longer than the stores between take on a machine that is held up.
    client = multi_process(daemon, lease_ttl_ms=200_000, lease_retention_ms=90_000)
    keys = [mp_key(number, "held") for number in range(4)]
    contents = [payload(4 * MIB, "held", number) for number in range(4)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * 4
    assert daemon.metric(LEASES_LIVE) == 4
    _push(client, "others", turnovers=1)
    assert client.load(keys, [4 * MIB] * 4) == contents
    # No call unlocks: LMCache has none for a native plugin.
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases are back")


@pytest.mark.only(NATIVE)
def test_the_native_client_gives_leases_back_that_no_load_follows(multi_process, make_daemon):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon, lease_retention_ms=1000)
    key = mp_key(1, "shared")
    content = payload(MIB, "shared")
    assert client.store([key], [content])
    for _ in range(5):
        assert client.lookup([key]) == [True]
    assert 1 <= daemon.metric(LEASES_LIVE) <= 5
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases are back")
    assert client.load([key], [len(content)]) == [content]


@pytest.mark.only(STOCK)
def test_an_in_process_lease_holds_its_object_while_others_push_past(
    in_process, multi_process, make_daemon
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = in_process(daemon)
    key = in_process_key(1, "held")
    content = payload(4 * MIB, "held")
    assert client.put(key, content)
    lease = client.call(client.inner._acquire_lease(key))
    _push(multi_process(daemon), "others")
    found = client.inner._read_from_shared_memory(key, lease)
    assert found is not None and bytes(found.byte_array) == content
    found.ref_count_down()
    assert client.call(client.inner._release_lease(key, lease.lease_id))
    assert daemon.metric(LEASES_LIVE) == 0


def test_both_clients_accept_a_reply_with_more_fields_than_they_know(
    in_process, multi_process, make_daemon
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    one, other = in_process(daemon), multi_process(daemon)
    content = payload(5000, "fields")
    assert other.store([mp_key(1, "fields")], [content])
    fields = daemon.lease(wire_key(mp_key(1, "fields")), ttl_s=1.0)
    assert {"id", "offsets", "generation", "checksum", "epoch", "ttl_s"} <= set(fields)
    assert other.load([mp_key(1, "fields")], [len(content)]) == [content]
    assert one.put(in_process_key(1, "fields"), content)
    assert one.get(in_process_key(1, "fields")) == content


@pytest.mark.only(STOCK)
def test_one_key_may_be_leased_many_times(multi_process, make_daemon):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon)
    key = mp_key(1, "shared")
    content = payload(MIB, "shared")
    assert client.store([key], [content])
    for _ in range(5):
        assert client.lookup([key]) == [True]
    assert daemon.metric(LEASES_LIVE) == 5
    client.unlock([key] * 4)
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 1, RELEASED_WITHIN, "four leases are back")
    _push(client, "others")
    assert client.load([key], [len(content)]) == [content]


@pytest.mark.only(STOCK)
def test_mp_refuses_to_copy_through_an_expired_lease(multi_process, make_daemon):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon, lease_ttl_ms=int(SHORT_TTL * 1000))
    key = mp_key(1, "expiring")
    content = payload(MIB, "expiring")
    assert client.store([key], [content])
    into = bytearray(len(content))

    def lease_that_is_copied():
        lease = client.call(client.client.acquire_lease(wire_key(key)))
        assert lease is not None
        return lease if client.client.copy_from_lease(lease, memoryview(into)) else None

    # A machine that is held up lets it end before the copy.
    lease = next(filter(None, (lease_that_is_copied() for _ in range(20))))
    assert into == content
    _expire(daemon, 1)
    assert not client.client.copy_from_lease(lease, memoryview(into))


def test_mp_reads_right_bytes_or_misses_after_its_leases_expired(multi_process, make_daemon):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon, lease_ttl_ms=int(SHORT_TTL * 1000))
    keys = [mp_key(number, "expired") for number in range(4)]
    contents = [payload(4 * MIB, "expired", number) for number in range(4)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * 4
    time.sleep(SHORT_TTL)
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases have ended")
    assert client.load(keys, [4 * MIB] * 4) == contents
    _push(client, "others")
    for loaded, content in zip(client.load(keys, [4 * MIB] * 4), contents, strict=True):
        assert loaded in (None, content)


def test_in_process_reads_right_bytes_or_misses_while_others_push_past(
    in_process, multi_process, make_daemon
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = in_process(daemon, lease_ttl_s=SHORT_TTL)
    pusher = multi_process(daemon)
    keys = [in_process_key(number, "expired") for number in range(6)]
    contents = [payload(2 * MIB, "expired", number) for number in range(6)]
    assert client.put_all(keys, contents) == len(keys)
    # The lease that is left behind expires; every read takes a new one, as the clients do.
    daemon.lease(wire_key(keys[0]), ttl_s=SHORT_TTL)
    _expire(daemon, 1)
    for turn in range(TURNOVERS):
        _push(pusher, f"turn {turn}")
        for found, content in zip(client.get_all(keys), contents, strict=True):
            assert found in (None, content)
        client.put_all(keys, contents)


def test_a_client_that_never_releases_is_counted_and_its_space_comes_back(
    multi_process, multi_process_of, make_daemon
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    hoarder = multi_process_of(STOCK, daemon, lease_ttl_ms=int(SHORT_TTL * 1000))
    hoarded = [mp_key(number, "hoarded") for number in range(CAPACITY_MIB // 8)]
    for number, key in enumerate(hoarded):
        assert hoarder.store([key], [payload(4 * MIB, "hoarded", number)])
        assert hoarder.lookup([key]) == [True]
    _expire(daemon, len(hoarded))
    # More than is left beside the hoarded half: the expired leases must have let go of it.
    client = multi_process(daemon)
    wanted = [
        (mp_key(number, "wanted"), payload(4 * MIB, "wanted", number)) for number in range(12)
    ]
    for key, content in wanted:
        store = partial(client.store, [key], [content])
        wait_until(store, SPACE_BACK_WITHIN, "a store finds space again")
        # Kept by a lease, so that the next one cannot take this one's place.
        assert client.lookup([key]) == [True]
        assert client.load([key], [len(content)]) == [content]


def _expire(daemon, leases: int) -> None:
    """Waits until this many leases have expired at the daemon and, first, at the client."""
    time.sleep(SHORT_TTL)
    wait_until(
        lambda: daemon.metric(LEASES_EXPIRED_UNRELEASED) >= leases,
        RELEASED_WITHIN,
        "the daemon counts the leases that expired unreleased",
    )


def _push(client, name: str, turnovers: int = TURNOVERS) -> None:
    """Stores more than the capacity; every store must find space beside what is leased."""
    for number in range(turnovers * CAPACITY_MIB // 4):
        assert client.store([mp_key(number, f"push {name}")], [payload(4 * MIB, name, number)])
