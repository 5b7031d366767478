"""Objects that others write and read where they are in the arena, by the places of them."""

import mmap

import pytest
from kvlease import ClosedError, Queue, Reservation, UnreadableError, View

from daemon import LEASES_LIVE, UNSCRUBBED, wait_until
from samples import KIB, payload

ENDED_WITHIN = 60.0
LENGTH = 64 * KIB


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("64MiB", UNSCRUBBED)


@pytest.fixture
def arena(daemon):
    """The arena's file, as another process maps it."""
    with open(daemon.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        yield mapped


def test_what_another_mapping_has_written_into_its_place_is_committed_and_viewed(
    daemon, connector_to, arena
):
    connector, queue = _opened(connector_to(daemon))
    keys = [f"k{number}" for number in range(3)]
    spaces = _result(queue, queue.submit_reserve(keys, [LENGTH] * 3))
    for key, space in zip(keys, spaces, strict=True):
        [(offset, length)] = space.extents
        assert (space.key, length) == (key, LENGTH)
        assert 0 < space.remaining_s <= 30
        arena[offset : offset + length] = payload(LENGTH, key)
    # It is not there before it is committed, and has one writer.
    assert connector.batched_exists(keys) == [False] * 3
    assert _result(queue, queue.submit_reserve(keys[:1], [LENGTH])) == [None]
    assert _result(queue, queue.submit_commit(spaces)) == [True] * 3
    assert connector.batched_get(keys) == [payload(LENGTH, key) for key in keys]
    *views, absent = _result(queue, queue.submit_view([*keys, "absent"]))
    assert absent is None
    for key, view, space_file in zip(keys, views, [view.arena for view in views], strict=True):
        assert isinstance(view, View) and view.is_live and view.remaining_s > 0
        [(offset, length)] = view.extents
        assert arena[offset : offset + length] == payload(LENGTH, key)
        status = daemon.path.stat()
        assert space_file == (status.st_dev, status.st_ino)
    del view, views
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, ENDED_WITHIN, "the leases have ended")


def test_a_reservation_that_is_closed_or_gone_gives_its_space_back(daemon, connector_to):
    _, queue = _opened(connector_to(daemon))
    [space] = _result(queue, queue.submit_reserve(["k"], [LENGTH]))
    assert _result(queue, queue.submit_reserve(["k"], [LENGTH])) == [None]
    space.close()
    with pytest.raises(ClosedError, match="key=`k`"):
        _ = space.extents
    with pytest.raises(ClosedError, match="key=`k`"):
        queue.submit_commit([space])
    _wait_for_space(queue)
    # The reservation that was waited for is gone as well, without a close.
    _wait_for_space(queue)


def test_an_object_whose_bytes_have_changed_has_no_view(daemon, connector_to, arena):
    connector, queue = _opened(connector_to(daemon))
    keys = ["whole", "changed"]
    for key in keys:
        assert connector.put(key, payload(LENGTH, key))
    [(offset, _)] = _result(queue, queue.submit_view(["changed"]))[0].extents
    arena[offset] = arena[offset] ^ 1
    whole, changed = _result(queue, queue.submit_view(keys))
    assert isinstance(whole, View) and isinstance(changed, UnreadableError)


def _opened(connector):
    """The connector and a queue of it, when it knows of the fast lane."""
    connector.ping()
    return connector, Queue(connector)


def _wait_for_space(queue):
    def reserved():
        [space] = _result(queue, queue.submit_reserve(["k"], [LENGTH]))
        return isinstance(space, Reservation)

    wait_until(reserved, ENDED_WITHIN, "the space is there again")


def _result(queue, number):
    """The result of the only operation under way."""
    [(ended, result)] = queue.drain(ENDED_WITHIN)
    assert ended == number
    return result
