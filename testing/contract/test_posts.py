"""Posted puts of the Python package, and reads into new `bytes` objects."""

import logging
import signal

import pytest
from kvlease import ClosedError, KvleaseError

from samples import KIB, MIB, NATIVE, payload

pytestmark = pytest.mark.only(NATIVE)

COUNT = 40
SIZE = 20 * KIB


@pytest.fixture
def daemon(make_daemon):
    return make_daemon("64MiB")


@pytest.fixture
def on_lane(connector_to):
    """Makes connectors that use the fast lane from their first call on."""
    return lambda daemon, **options: connector_to(daemon, socket=str(daemon.socket), **options)


def test_what_is_posted_is_there_after_a_flush_and_its_buffer_is_free_at_once(daemon, on_lane):
    writer, reader = on_lane(daemon), on_lane(daemon)
    contents = [payload(SIZE, "posted", number) for number in range(COUNT)]
    buffer = bytearray(SIZE)
    for number, content in enumerate(contents):
        buffer[:] = content
        writer.post(f"k{number}", buffer)
    assert writer.flush_posts() == []
    assert [reader.get(f"k{number}") for number in range(COUNT)] == contents
    writer.post("k0", b"another")
    writer.post("large", payload(3 * MIB, "posted"))
    assert writer.flush_posts() == []
    assert reader.get("k0") == contents[0]
    assert reader.get("large") == payload(3 * MIB, "posted")
    stats = writer.stats()
    assert (stats["puts_stored"], stats["puts_existed"]) == (COUNT + 1, 1)
    assert daemon.metric("kvlease_lane_requests_total", kind="store") >= COUNT - 2


def test_no_error_of_a_posted_put_is_lost(daemon, on_lane, caplog):
    writer = on_lane(daemon)
    for number in range(COUNT):
        writer.post(f"k{number}", payload(SIZE, number))
    assert writer.flush_posts() == []
    daemon.end(signal.SIGKILL)
    keys = [f"lost {number}" for number in range(COUNT)]
    for key in keys:
        writer.post(key, bytes(SIZE))
    failed = writer.flush_posts()
    assert [key for key, _ in failed] == keys
    assert all(isinstance(error, KvleaseError) for _, error in failed)
    assert writer.flush_posts() == []
    assert writer.stats()["puts_failed"] == COUNT
    for key in keys[:3]:
        writer.post(key, bytes(SIZE))
    with caplog.at_level(logging.WARNING, "kvlease"):
        writer.close()
    said = [record.getMessage() for record in caplog.records]
    assert any("call flush_posts before close" in text and "puts=`3`" in text for text in said)
    assert writer.flush_posts() == []
    with pytest.raises(ClosedError):
        writer.post("k", b"closed")


@pytest.mark.parametrize("index", ("auto", "none"))
def test_new_bytes_have_the_object_whatever_its_length(daemon, on_lane, index):
    connector = on_lane(daemon, index=index)
    sizes = (0, 1, KIB, 256 * KIB, 3 * MIB)
    contents = [payload(size, "new bytes", size) for size in sizes]
    for size, content in zip(sizes, contents, strict=True):
        connector.put(f"of {size}", content)
    keys = [f"of {size}" for size in sizes]
    for key, content in zip(keys, contents, strict=True):
        read = connector.get(key)
        assert type(read) is bytes
        assert (read, hash(read)) == (content, hash(content))
    assert connector.batched_get([*keys, "absent"]) == [*contents, None]
    assert connector.get("absent") is None
    # An object that has another length by now.
    assert connector.remove("of 1024") and connector.put("of 1024", b"shorter")
    assert connector.get("of 1024") == b"shorter"
