"""The daemon is killed or stopped under attached clients, and restarts on the same segment.

What was stored is there again, for clients that were attached all the time as for new ones. Until
then, and once space is short, a read yields the right bytes or a miss, never other bytes.
"""

import signal

import pytest

from daemon import SHORT_TIMES, wait_until
from samples import MIB, STOCK, in_process_key, mp_key, payload

CAPACITY = "64MiB"
OBJECTS = 6
SIZE = 2 * MIB + 2
# More than the capacity holds.
PUSHED = 40
# More than the capacity holds beside the leased objects: if this many were stored, space that an
# unleased object had was given to others.
PUSHED_MIN = 30
# The MP client's breaker probes every 5 seconds; space that was leased comes back after TTL and
# grace. In seconds.
SERVES_AGAIN_WITHIN = 60.0
# A lease of this many seconds has ended soon after a restart.
SHORT_TTL = 1.0
ENDINGS = (signal.SIGKILL, signal.SIGTERM)


@pytest.fixture(params=ENDINGS, ids=lambda how: how.name)
def ending(request):
    return request.param


def test_the_segment_keeps_its_inode_over_a_restart(make_daemon, ending):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    before = daemon.inode()
    daemon.restart(ending)
    assert daemon.inode() == before


def test_a_stopped_daemon_reports_success(make_daemon):
    assert make_daemon(CAPACITY, SHORT_TIMES).end(signal.SIGTERM) == 0


def test_in_process_never_reads_a_stale_byte(make_daemon, in_process, ending):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = in_process(daemon, lease_ttl_s=SHORT_TTL)
    keys = [in_process_key(number, "restart") for number in range(OBJECTS)]
    first = [payload(SIZE, "first", number) for number in range(OBJECTS)]
    assert client.put_all(keys, first) == OBJECTS
    assert client.get_all(keys) == first
    daemon.restart(ending)
    _assert_right_or_missing(client.get_all(keys), first)
    # What the daemon has is asked with a client that has no dead connections.
    assert in_process(daemon).get_all(keys) == first, "objects outlive the daemon"
    wait_until(lambda: client.get_all(keys) == first, SERVES_AGAIN_WITHIN, "it reads again")
    new = in_process_key(OBJECTS, "restart")
    wait_until(lambda: client.put(new, first[0]), SERVES_AGAIN_WITHIN, "puts succeed again")
    others = [in_process_key(number, "others") for number in range(PUSHED)]
    for number, key in enumerate(others):
        client.put(key, payload(SIZE, "others", number))
    _assert_right_or_missing(client.get_all(keys), first)


def test_mp_never_reads_a_stale_byte(make_daemon, multi_process, ending):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon, lease_ttl_ms=int(SHORT_TTL * 1000))
    keys = [mp_key(number, "restart") for number in range(OBJECTS)]
    sizes = [SIZE] * OBJECTS
    first = [payload(SIZE, "first", number) for number in range(OBJECTS)]
    assert client.store(keys, first)
    assert client.load(keys, sizes) == first
    daemon.restart(ending)
    _assert_right_or_missing(client.load(keys, sizes), first)
    # What the daemon has is asked with a client whose breaker has not seen the restart.
    assert multi_process(daemon).load(keys, sizes) == first, "objects outlive the daemon"
    wait_until(lambda: client.load(keys, sizes) == first, SERVES_AGAIN_WITHIN, "it loads again")
    new = [mp_key(OBJECTS, "restart")]
    wait_until(lambda: client.store(new, first[:1]), SERVES_AGAIN_WITHIN, "stores succeed again")
    _push(client)
    _assert_right_or_missing(client.load(keys, sizes), first)
    client.assert_attached()


def test_mp_leases_from_before_the_restart_never_show_other_bytes(
    make_daemon, multi_process, ending
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = multi_process(daemon)
    keys = [mp_key(number, "leased") for number in range(OBJECTS)]
    contents = [payload(SIZE, "leased", number) for number in range(OBJECTS)]
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * OBJECTS
    daemon.restart(ending)
    # The client still trusts its leases, whatever the daemon knows of them.
    assert _push(multi_process(daemon)) >= PUSHED_MIN
    _assert_right_or_missing(client.load(keys, [SIZE] * OBJECTS), contents)
    client.unlock(keys)


@pytest.mark.only(STOCK)
def test_an_in_process_lease_from_before_the_restart_never_shows_other_bytes(
    make_daemon, in_process, multi_process, ending
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    client = in_process(daemon)
    key = in_process_key(1, "leased")
    content = payload(SIZE, "leased")
    assert client.put(key, content)
    lease = client.call(client.inner._acquire_lease(key))
    daemon.restart(ending)
    assert _push(multi_process(daemon)) >= PUSHED_MIN
    found = client.inner._read_from_shared_memory(key, lease)
    assert found is not None and bytes(found.byte_array) == content
    found.ref_count_down()
    assert client.call(client.inner._release_lease(key, lease.lease_id))


def test_clients_that_call_while_the_daemon_is_down_recover(
    make_daemon, in_process, multi_process, ending
):
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    one, other = in_process(daemon), multi_process(daemon)
    assert one.put(in_process_key(1, "up"), payload(SIZE, "up"))
    assert other.store([mp_key(1, "up")], [payload(SIZE, "up")])
    daemon.end(ending)
    assert one.get(in_process_key(1, "up")) is None
    assert not one.put(in_process_key(2, "down"), payload(SIZE, "down"))
    for _ in range(4):
        assert other.lookup([mp_key(1, "up")]) == [False]
    assert one.kind != STOCK or other.transport()["circuit_open"]
    daemon.start()
    wait_until(
        lambda: one.put(in_process_key(3, "again"), payload(SIZE, "again")),
        SERVES_AGAIN_WITHIN,
        "the in-process client puts again",
    )
    assert one.get(in_process_key(3, "again")) == payload(SIZE, "again")
    wait_until(
        lambda: other.store([mp_key(3, "again")], [payload(SIZE, "again")]),
        SERVES_AGAIN_WITHIN,
        "the MP client stores again",
    )
    assert other.load([mp_key(3, "again")], [SIZE]) == [payload(SIZE, "again")]
    other.assert_untroubled()


def _assert_right_or_missing(read, contents):
    for found, content in zip(read, contents, strict=True):
        assert found in (None, content), "a read returned other bytes"


def _push(client) -> int:
    """Stores more than the capacity; returns how many of the objects were stored."""
    keys = [mp_key(number, "push") for number in range(PUSHED)]
    return sum(
        client.store([key], [payload(SIZE, "push", number)]) for number, key in enumerate(keys)
    )
