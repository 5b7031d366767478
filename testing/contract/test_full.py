"""A daemon without space refuses, and the clients continue to work."""

import pytest

from daemon import LEASES_LIVE, SHORT_TIMES, wait_until
from samples import KIB, MIB, STOCK, in_process_key, mp_key, payload

CAPACITY = "64MiB"
OBJECT = 4 * MIB
# More objects than the capacity holds.
OBJECTS_MAX = 20
# Enough to open the MP client's breaker if they counted as connection failures.
REFUSALS = 10
SPACE_BACK_WITHIN = 60.0


@pytest.fixture
def full(make_daemon, multi_process_of):
    """A daemon whose space is held by the leases of an MP client; with the keys it holds."""
    daemon = make_daemon(CAPACITY, SHORT_TIMES)
    # The stock client: it keeps its leases until it is asked to unlock.
    holder = multi_process_of(STOCK, daemon)
    held = []
    for number in range(OBJECTS_MAX):
        key = mp_key(number, "held")
        if not holder.store([key], [payload(OBJECT, "held", number)]):
            break
        assert holder.lookup([key]) == [True]
        held.append(key)
    assert 0 < len(held) < OBJECTS_MAX, "leases should have filled the daemon"
    return daemon, holder, held


# The two sizes differ in whether the refusal comes while the client still sends.
@pytest.mark.parametrize("size", (OBJECT, 16 * MIB))
def test_a_refused_store_leaves_the_mp_breaker_closed(full, multi_process, size):
    daemon, _, held = full
    client = multi_process(daemon)
    for number in range(REFUSALS):
        assert not client.store([mp_key(number, "refused")], [payload(size, "refused")])
        client.assert_untroubled()
        assert client.lookup([mp_key(number, "refused")]) == [False]
    contents = [payload(OBJECT, "held", number) for number in range(len(held))]
    assert client.load(held, [OBJECT] * len(held)) == contents


def test_refused_stores_in_parallel_leave_the_mp_breaker_closed(full, multi_process):
    daemon, _, held = full
    client = multi_process(daemon)
    batches = [([mp_key(n, "refused")], [payload(OBJECT, "refused")]) for n in range(32)]
    assert client.store_many(batches) == [False] * 32
    client.assert_untroubled()
    assert client.load(held[:1], [OBJECT]) == [payload(OBJECT, "held", 0)]


def test_released_space_takes_stores_again(full, multi_process):
    daemon, holder, held = full
    client = multi_process(daemon)
    assert not client.store([mp_key(1, "later")], [payload(OBJECT, "later")])
    holder.unlock(held)
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, SPACE_BACK_WITHIN, "the leases are back")
    wait_until(
        lambda: client.store([mp_key(1, "later")], [payload(OBJECT, "later")]),
        SPACE_BACK_WITHIN,
        "a store finds space again",
    )
    assert client.load([mp_key(1, "later")], [OBJECT]) == [payload(OBJECT, "later")]


def test_a_refused_put_leaves_the_in_process_client_usable(full, in_process):
    daemon, holder, held = full
    client = in_process(daemon)
    for number in range(REFUSALS):
        assert not client.put(in_process_key(number, "refused"), payload(OBJECT, "refused"))
        assert client.get(in_process_key(number, "refused")) is None
    assert client.counts["put_failure"] == REFUSALS
    holder.unlock(held)
    small = payload(64 * KIB, "small")
    wait_until(
        lambda: client.put(in_process_key(1, "small"), small),
        SPACE_BACK_WITHIN,
        "a put finds space again",
    )
    assert client.get(in_process_key(1, "small")) == small


def test_an_object_beyond_the_capacity_is_refused_and_the_breaker_stays_closed(
    make_daemon, multi_process
):
    client = multi_process(make_daemon(CAPACITY, SHORT_TIMES))
    for number in range(REFUSALS):
        assert not client.store([mp_key(number, "vast")], [payload(80 * MIB, "vast")])
        client.assert_untroubled()
    assert client.store([mp_key(1, "fits")], [payload(MIB, "fits")])
    assert client.load([mp_key(1, "fits")], [MIB]) == [payload(MIB, "fits")]
