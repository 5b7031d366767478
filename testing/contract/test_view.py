"""Views: objects read in place, in memory that stays as long as a buffer of it exists."""

import gc
import mmap

import numpy
import pytest
from kvlease import ClosedError, KvleaseError, UnreadableError

from daemon import LEASES_LIVE, UNSCRUBBED, wait_until
from fake_daemon import CUTS
from samples import KIB, MIB, payload

RELEASED_WITHIN = 60.0


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("64MiB")


@pytest.mark.parametrize("size", (1, 4 * KIB + 1, 3 * MIB))
def test_a_view_shows_the_object_where_it_is_and_releases_its_lease(daemon, connector_to, size):
    connector = connector_to(daemon)
    content = payload(size, "view")
    assert connector.put("k", content)
    with connector.view("k") as view:
        assert daemon.metric(LEASES_LIVE) == 1
        assert (view.key, len(view), view.is_live, view.verify()) == ("k", size, True, True)
        assert bytes(memoryview(view)) == content == b"".join(view.parts)
        assert numpy.frombuffer(view, numpy.uint8).tobytes() == content
    _assert_released(daemon)
    assert connector.view("absent") is None
    assert connector.stats()["leases_released"] == 1


def test_an_object_in_several_parts_is_viewed_by_its_parts(fake_daemon, connector_to):
    connector = connector_to(fake_daemon)
    content = payload(64 * KIB, "parts")
    assert connector.put("k", content)
    with connector.view("k") as view:
        assert len(view.parts) == len(CUTS) + 1
        assert b"".join(view.parts) == content
        assert all(part.readonly for part in view.parts)
        with pytest.raises(BufferError, match="parts=`4`"):
            memoryview(view)
        # This daemon sends no checksum.
        assert view.verify() is False
    wait_until(lambda: fake_daemon.live() == 0, RELEASED_WITHIN, "the lease is back")


def test_nobody_writes_through_a_view(daemon, connector_to):
    connector = connector_to(daemon)
    content = payload(KIB, "read-only")
    connector.put("k", content)
    with connector.view("k") as view:
        for buffer in (memoryview(view), *view.parts):
            assert buffer.readonly
            with pytest.raises(TypeError):
                buffer[0] = 1
        # A call that wants to write is refused by the buffer protocol.
        with pytest.raises(BufferError):
            connector.get_into("k", view)
    assert connector.get("k") == content


def test_what_was_made_of_a_view_keeps_lease_and_memory_until_it_is_gone(daemon, connector_to):
    connector = connector_to(daemon)
    content = payload(MIB, "kept")
    connector.put("k", content)
    makers = (memoryview, lambda view: view.parts[0], lambda view: numpy.frombuffer(view, "u1"))
    for make in makers:
        view = connector.view("k")
        whole = make(view)
        part = memoryview(whole)[10:20]
        view.close()
        view.close()
        del view, whole
        gc.collect()
        # Nothing else is done meanwhile that would let the lease go.
        assert connector.exists("k")
        assert daemon.metric(LEASES_LIVE) == 1
        assert bytes(part) == content[10:20]
        del part
        gc.collect()
        _assert_released(daemon)
    # An unclosed view ends with its last reference.
    view = connector.view("k")
    assert daemon.metric(LEASES_LIVE) == 1
    del view
    gc.collect()
    _assert_released(daemon)


def test_buffers_outlive_their_connector(daemon, connector_to):
    connector = connector_to(daemon)
    content = payload(MIB, "outlives")
    connector.put("k", content)
    buffer = memoryview(connector.view("k"))
    connector.close()
    del connector
    gc.collect()
    assert bytes(buffer) == content


def test_a_closed_view_is_an_error(daemon, connector_to):
    connector = connector_to(daemon)
    connector.put("k", payload(KIB, "closed"))
    view = connector.view("k")
    with view:
        pass
    for use in (
        lambda: view.parts,
        lambda: view.is_live,
        lambda: view.verify(),
        lambda: view.__enter__(),
    ):
        with pytest.raises(ClosedError, match="key=`k`"):
            use()
    with pytest.raises(BufferError, match="close"):
        memoryview(view)
    assert (view.key, len(view)) == ("k", KIB)


def test_only_verify_finds_out_that_bytes_were_changed_and_has_them_removed(
    make_daemon, connector_to
):
    daemon = make_daemon("64MiB", UNSCRUBBED)
    connector = connector_to(daemon)
    content = payload(MIB, "changed")
    connector.put("k", content)
    with connector.view("k") as view:
        (extent,) = daemon.lease("k", ttl_s=1)["offsets"]
        with open(daemon.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[extent["offset"] + 7] ^= 1
        assert view.is_live
        assert memoryview(view)[7] == content[7] ^ 1
        with pytest.raises(UnreadableError, match="key=`k`"):
            view.verify()
    is_stored_again = lambda: connector.put("k", content) and connector.get("k") == content  # noqa: E731
    wait_until(is_stored_again, RELEASED_WITHIN, "the object is removed and stored again")
    assert connector.stats()["damaged"] == 1


def test_a_view_whose_lease_has_ended_says_so_and_stays_readable(daemon, connector_to):
    # Over the fast lane the lease of a view is renewed.
    connector = connector_to(daemon, lease_ttl_s=3, socket="none")
    connector.put("k", payload(KIB, "ended"))
    with connector.view("k") as view:
        buffer = memoryview(view)
        wait_until(lambda: not view.is_live, RELEASED_WITHIN, "the lease ends")
        with pytest.raises(UnreadableError):
            view.verify()
        # Whatever they are by now.
        assert len(bytes(buffer)) == KIB


def test_there_is_no_view_without_shared_memory_and_the_lane(daemon, connector_to):
    connector = connector_to(daemon, shared_memory_name=None, socket="none")
    connector.put("k", b"some bytes")
    with pytest.raises(KvleaseError, match="shared_memory_name"):
        connector.view("k")
    assert connector.view("absent") is None


def _assert_released(daemon) -> None:
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the lease is released")
