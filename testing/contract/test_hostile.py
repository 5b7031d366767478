"""Answers that violate the protocol: a client takes them for a miss, and continues.

Only the native clients are tested. What the stock ones make of such answers is their affair.
"""

import json
import time

import pytest

from daemon import wait_until
from fake_daemon import Answer, json_reply, reply
from in_process import host_memory_used
from samples import KIB, MIB, NATIVE, in_process_key, mp_key, payload

pytestmark = pytest.mark.only(NATIVE)

SIZE = 8 * KIB
# The clients' own limit, which no right answer reaches, and the one where an answer that never
# comes is to cost a test little. In milliseconds.
TIMEOUT_MS = 60_000
SHORT_TIMEOUT_MS = 300
# With retries and all, no call takes longer than this, in seconds.
ENDED_WITHIN = 10.0
RECOVERS_WITHIN = 60.0

U64_MAX = 2**64 - 1


def _lease(*extents: tuple[object, object], **fields: object) -> Answer:
    offsets = [{"offset": offset, "len": length} for offset, length in extents]
    return Answer(json_reply({"id": "a-lease", "offsets": offsets, **fields}))


def _body(text: str) -> Answer:
    return Answer(reply(200, text.encode(), "application/json"))


# What a request for a lease is answered with.
LEASES = {
    "junk": _body("{not json"),
    "no document": _body(""),
    "not utf-8": Answer(reply(200, b'{"id":"\xff\xfe"}', "application/json")),
    "a list": _body("[]"),
    "a number": _body("7"),
    "null": _body("null"),
    "deeply nested": _body("[" * 100_000),
    "without an id": _body('{"offsets":[{"offset":0,"len":4}]}'),
    "an id that is a number": _body('{"id":7,"offsets":[{"offset":0,"len":4}]}'),
    "without offsets": _body('{"id":"a-lease"}'),
    "offsets that are none": _lease(),
    "offsets that are a number": _body('{"id":"a-lease","offsets":7}'),
    "offsets of words": _lease(("0", "4")),
    "fractions": _lease((0.5, 4.5)),
    "a negative offset": _lease((-4096, SIZE)),
    "a negative length": _lease((0, SIZE), (SIZE, -28)),
    "an offset beyond the segment": _lease((1 << 40, SIZE)),
    "a length beyond the segment": _lease((0, 1 << 40)),
    "the last byte beyond the segment": _lease((64 * MIB - SIZE + 1, SIZE)),
    "an end beyond 64 bits": _lease((U64_MAX - 10, SIZE)),
    "a sum beyond 64 bits": _lease((0, U64_MAX), (0, U64_MAX), (0, U64_MAX)),
    "a number beyond 64 bits": _lease((10**30, 10**30)),
    "a million extents": _body(
        json.dumps({"id": "a", "offsets": [{"offset": 0, "len": 1}] * 1_000_000})
    ),
    "an object without a header": _lease((0, 3)),
    "another status": Answer(json_reply({"id": "a", "offsets": []}, 201)),
    "an error": Answer(reply(500, b"oops")),
    "a redirect": Answer(
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    ),
}

# What any request is answered with.
REPLIES = {
    "no http": Answer(b"\x00\x01\x02 hello\r\n\r\n", ends=True),
    "a status that is none": Answer(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", ends=True),
    "nothing": Answer(b"", ends=True),
    "half a head": Answer(b"HTTP/1.1 200 OK\r\nContent-Le", ends=True),
    "half a body": Answer(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"id":',
        ends=True,
    ),
    "two lengths": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}", ends=True
    ),
    "a negative length": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ends=True),
    "a vast length": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Content-Length: 18446744073709551615\r\n\r\n",
        repeat=b" " * 65536,
    ),
    "a broken chunk": Answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ends=True
    ),
    "headers without end": Answer(
        b"HTTP/1.1 200 OK\r\n", repeat=b"X-Filler: " + b"y" * 4096 + b"\r\n"
    ),
    "one header without end": Answer(b"HTTP/1.1 200 OK\r\nX-Filler: ", repeat=b"y" * 65536),
    "a body without end": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", repeat=b"[" * 65536
    ),
    "chunks without end": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        repeat=b"1000\r\n" + b" " * 4096 + b"\r\n",
    ),
    "interim replies without end": Answer(b"", repeat=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "silence": Answer(b"", after=ENDED_WITHIN),
}


@pytest.fixture
def one(in_process, fake_daemon):
    """An in-process client, with one object that it stored."""
    client = in_process(fake_daemon, timeout_ms=TIMEOUT_MS)
    assert client.put(in_process_key(1), payload(SIZE, "good"))
    return client


@pytest.fixture
def hasty_one(one, in_process, fake_daemon):
    """An in-process client that gives up soon; the object is there."""
    return in_process(fake_daemon, timeout_ms=SHORT_TIMEOUT_MS)


@pytest.fixture
def other(multi_process, fake_daemon):
    """An MP client, with one object that it stored."""
    client = multi_process(fake_daemon, timeout_ms=TIMEOUT_MS, lease_wait_timeout_ms=TIMEOUT_MS)
    assert client.store([mp_key(1)], [payload(SIZE, "good")])
    return client


@pytest.fixture
def hasty_other(other, multi_process, fake_daemon):
    """An MP client that gives up soon; the object is there."""
    limits = {"timeout_ms": SHORT_TIMEOUT_MS, "lease_wait_timeout_ms": SHORT_TIMEOUT_MS}
    return multi_process(fake_daemon, **limits)


@pytest.mark.parametrize("name", LEASES)
def test_a_malformed_lease_is_a_miss(one, other, fake_daemon, host, name):
    used = host_memory_used(host)
    fake_daemon.answer = lambda request: LEASES[name] if request.wants == "lease" else None
    assert one.get(in_process_key(1)) is None
    assert one.get_all([in_process_key(1)] * 3) == [None] * 3
    # A lookup believes what a reply that can be understood says, a load looks at the bytes.
    assert other.lookup([mp_key(1)]) in ([True], [False])
    assert other.load([mp_key(1)] * 2, [SIZE] * 2) == [None] * 2
    _assert_recovers(one, other, fake_daemon)
    assert host_memory_used(host) == used


def test_a_header_of_zeros_is_a_miss_in_process(one, fake_daemon, host):
    used = host_memory_used(host)
    fake_daemon.answer = lambda request: (
        _lease((32 * MIB, SIZE)) if request.wants == "lease" else None
    )
    assert one.get(in_process_key(1)) is None
    assert host_memory_used(host) == used


def test_whatever_a_lease_is_called_its_release_is_a_release(one, other, fake_daemon):
    name = "../../v1/kv/lmcache/victim?x=1#y %2F\r\nX-Injected: yes"
    released = []

    def answer(request):
        if request.wants == "lease":
            right = json.loads(fake_daemon.right_answer(request).partition(b"\r\n\r\n")[2])
            return Answer(json_reply({**right, "id": name}))
        if request.wants == "release":
            released.append(request.names)
        return None

    fake_daemon.answer = answer
    # Ours may as well refuse a name with control characters; then it is a miss.
    assert one.get(in_process_key(1)) in (None, payload(SIZE, "good"))
    assert other.load([mp_key(1)], [SIZE]) in ([None], [payload(SIZE, "good")])
    _assert_recovers(one, other, fake_daemon)
    assert all(names == ["v1", "leases", name, "release"] for names in released)
    assert fake_daemon.counts.other == []


def test_an_unexpected_content_type_and_unknown_fields_change_nothing(one, other, fake_daemon):
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        fake_daemon.answer = _as_type(fake_daemon, content_type)
        assert one.get(in_process_key(1)) == payload(SIZE, "good")
        assert other.load([mp_key(1)], [SIZE]) == [payload(SIZE, "good")]
    fake_daemon.answer = _as_type(fake_daemon, "text/html")
    assert one.get(in_process_key(1)) in (None, payload(SIZE, "good"))
    assert other.load([mp_key(1)], [SIZE]) in ([None], [payload(SIZE, "good")])


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_no_http_is_a_miss_within_a_bounded_time(
    hasty_one, hasty_other, fake_daemon, host, name
):
    one, other = hasty_one, hasty_other
    used = host_memory_used(host)
    fake_daemon.answer = lambda request: REPLIES[name]
    begin = time.monotonic()
    assert one.get(in_process_key(1)) is None
    assert not one.exists(in_process_key(1))
    assert not one.put(in_process_key(2), payload(SIZE, "new"))
    assert one.call(one.connector.batched_async_contains("", [in_process_key(1)] * 4)) == 0
    assert one.call(one.connector.list()) == []
    assert other.load([mp_key(1)], [SIZE]) == [None]
    assert other.lookup([mp_key(1)]) == [False]
    assert not other.store([mp_key(2)], [payload(SIZE, "new")])
    assert time.monotonic() - begin < 8 * ENDED_WITHIN
    _assert_recovers(one, other, fake_daemon)
    assert host_memory_used(host) == used


def test_releases_that_fail_disturb_nothing(one, other, fake_daemon):
    fake_daemon.answer = lambda request: Answer(reply(500)) if request.wants == "release" else None
    for _ in range(20):
        assert one.get(in_process_key(1)) == payload(SIZE, "good")
        assert other.load([mp_key(1)], [SIZE]) == [payload(SIZE, "good")]


def test_connections_that_break_between_two_calls_are_made_anew(one, other, fake_daemon):
    for _ in range(10):
        fake_daemon.drop_connections()
        assert one.get(in_process_key(1)) == payload(SIZE, "good")
        assert other.load([mp_key(1)], [SIZE]) == [payload(SIZE, "good")]


def _as_type(fake_daemon, content_type: str):
    """Answers leases rightly, but under this content type."""

    def answer(request):
        if request.wants != "lease":
            return None
        right = fake_daemon.right_answer(request)
        return Answer(right.replace(b"application/json", content_type.encode()))

    return answer


def _assert_recovers(one, other, fake_daemon) -> None:
    """Once the daemon answers rightly, so do the clients; a circuit breaker may take its time."""
    fake_daemon.answer = lambda request: None
    fake_daemon.drop_connections()
    good = payload(SIZE, "good")
    wait_until(lambda: one.get(in_process_key(1)) == good, RECOVERS_WITHIN, "reads succeed again")
    wait_until(
        lambda: other.load([mp_key(1)], [SIZE]) == [good], RECOVERS_WITHIN, "loads succeed again"
    )
