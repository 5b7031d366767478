"""Corrupt bytes in the segment: the native clients never return them, and have the object removed,
so that it can be stored again.

The stock clients do, which each test shows first: in-process clients map the segment writable, so
this is more than a thought.
"""

import mmap

import pytest

from daemon import wait_until
from in_process import host_memory_used
from samples import KIB, MIB, NATIVE, STOCK, in_process_key, mp_key, payload, wire_key

SIZES = (8 * KIB, 3 * MIB)
IN_PROCESS_HEADER = 28
# Where the byte is, as a fraction of the payload.
PLACES = (0.0, 0.5, 1.0)
# A corrupt object is removed in the background.
STORED_AGAIN_WITHIN = 60.0


@pytest.fixture
def daemon(shared_daemon_of):
    return shared_daemon_of("mixed")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_a_changed_byte_is_a_miss_in_process(daemon, in_process_of, host, size, place):
    stock, native = in_process_of(STOCK, daemon), in_process_of(NATIVE, daemon)
    key, untouched = (in_process_key(n, f"changed {size} {place}") for n in range(2))
    content, other = payload(size, "changed"), payload(size, "untouched")
    assert native.put_all([key, untouched], [content, other]) == 2
    assert native.get(key) == content
    used = host_memory_used(host)
    at = int(place * (size - 1))
    _flip(daemon, key, IN_PROCESS_HEADER + at)
    wrong = stock.get(key)
    assert wrong is not None and wrong[at] == content[at] ^ 1
    assert native.get(key) is None
    assert native.get_all([key, untouched, key]) == [None, other, None]
    prefetched = native.call(native.connector.batched_get_non_blocking("", [key, untouched]))
    assert prefetched == []
    _assert_mended_in_process(native, key, content)
    assert host_memory_used(host) == used


def test_a_changed_header_is_a_miss_in_process(daemon, in_process_of, host):
    native = in_process_of(NATIVE, daemon)
    used = host_memory_used(host)
    for bit in range(8 * IN_PROCESS_HEADER):
        key, content = in_process_key(bit, "header"), payload(KIB, "header")
        assert native.put(key, content)
        _flip(daemon, key, bit // 8, 1 << bit % 8)
        assert native.get(key) is None
        _assert_mended_in_process(native, key, content)
    assert host_memory_used(host) == used


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_a_changed_byte_is_a_miss_in_mp(daemon, multi_process_of, size, place):
    stock, native = multi_process_of(STOCK, daemon), multi_process_of(NATIVE, daemon)
    key, untouched = (mp_key(n, f"changed {size} {place}") for n in range(2))
    content, other = payload(size, "changed"), payload(size, "untouched")
    assert native.store([key, untouched], [content, other])
    # The lookup's lease is the one that the load uses.
    assert native.lookup([key, untouched]) == [True, True]
    at = int(place * (size - 1))
    _flip(daemon, key, at)
    (wrong,) = stock.load([key], [size])
    assert wrong is not None and wrong[at] == content[at] ^ 1
    assert native.load([key, untouched], [size] * 2) == [None, other]
    assert native.load([key, untouched], [size] * 2) == [None, other]
    _assert_mended_in_mp(native, key, content)


def test_a_changed_byte_is_a_miss_over_http(daemon, in_process_of, multi_process_of):
    one = in_process_of(NATIVE, daemon, shared_memory_name=None, socket="none")
    other = multi_process_of(NATIVE, daemon, shared_memory_name=None, socket="none")
    keys = in_process_key(1, "http"), mp_key(1, "http")
    assert one.put(keys[0], payload(3 * MIB, "http"))
    assert other.store([keys[1]], [payload(3 * MIB, "http")])
    for key in keys:
        _flip(daemon, key, MIB)
    assert one.get(keys[0]) is None
    assert other.load([keys[1]], [3 * MIB]) == [None]
    _assert_mended_in_process(one, keys[0], payload(3 * MIB, "http"))
    _assert_mended_in_mp(other, keys[1], payload(3 * MIB, "http"))


def test_a_changed_header_is_a_miss_over_http(daemon, in_process_of):
    native = in_process_of(NATIVE, daemon, shared_memory_name=None, socket="none")
    for size in SIZES:
        key, content = in_process_key(size, "http header"), payload(size, "http header")
        assert native.put(key, content)
        _flip(daemon, key, 0)
        assert native.get(key) is None
        _assert_mended_in_process(native, key, content)


def _assert_mended_in_process(client, key, content: bytes) -> None:
    def is_stored_again() -> bool:
        # A put of a key that has an object succeeds, and changes nothing.
        return client.put(key, content) and client.get(key) == content

    wait_until(is_stored_again, STORED_AGAIN_WITHIN, "the object is removed and stored again")


def _assert_mended_in_mp(client, key, content: bytes) -> None:
    def is_stored_again() -> bool:
        return client.store([key], [content]) and client.load([key], [len(content)]) == [content]

    wait_until(is_stored_again, STORED_AGAIN_WITHIN, "the object is removed and stored again")


def _flip(daemon, key, at: int, bits: int = 1) -> None:
    """Changes a byte of an object in the daemon's segment."""
    lease = daemon.lease(wire_key(key))
    for extent in lease["offsets"]:
        if at < extent["len"]:
            break
        at -= extent["len"]
    else:
        raise AssertionError("the object is shorter")
    with open(daemon.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[extent["offset"] + at] ^= bits
    daemon.release(lease)
