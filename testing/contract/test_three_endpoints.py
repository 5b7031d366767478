"""Clients of a daemon that has only the three endpoints of the stock clients.

`fake_daemon.py` is that daemon. The stock clients run as well: they show that it is a fair one.
"""

import pytest

from daemon import wait_until
from fake_daemon import Answer, reply
from in_process import NESTED_CALLS_MAX, taken, together
from samples import DTYPES, KIB, MIB, NATIVE, in_process_key, mp_key, payload, wire_key

# Around the places where the fake daemon cuts objects, and where clients change their ways.
SIZES = (2, 6, 28, 4 * KIB - 2, 4 * KIB + 2, 300 * KIB, MIB + 2, 8 * MIB)
RELEASED_WITHIN = 60.0


def test_any_size_in_process(in_process, fake_daemon):
    client = in_process(fake_daemon)
    keys = [in_process_key(size) for size in SIZES]
    contents = [payload(size, "fake") for size in SIZES]
    assert client.put_all(keys, contents) == len(keys)
    assert [client.get(key) for key in keys] == contents
    assert client.get_all(keys) == contents
    _assert_released(fake_daemon)


def test_any_type_in_process(in_process, fake_daemon):
    client = in_process(fake_daemon)
    for dtype in DTYPES:
        key = in_process_key(1, dtype=dtype)
        content = payload(64 * KIB, "fake", dtype)
        assert client.put(key, content, dtype)
        found = client.call(client.connector.get(key))
        assert found.get_dtype() == dtype
        assert taken(found) == content


def test_lookups_and_prefetches_in_process(in_process, fake_daemon):
    client = in_process(fake_daemon)
    keys = [in_process_key(number) for number in range(8)]
    contents = [payload(8 * KIB, number) for number in range(8)]
    assert client.put_all(keys[:5], contents[:5]) == 5
    assert client.put(keys[0], contents[1])
    assert [client.exists(key) for key in keys] == [True] * 5 + [False] * 3
    assert client.connector.exists_sync(keys[0])
    assert not client.connector.exists_sync(keys[7])
    connector = client.connector
    lookups = [connector.batched_async_contains(f"{n}", keys) for n in range(NESTED_CALLS_MAX)]
    assert client.call(together(lookups)) == [5] * NESTED_CALLS_MAX
    fetched = client.call(connector.batched_get_non_blocking("fetch", keys))
    assert [taken(memory) for memory in fetched] == contents[:5]
    assert client.get_all(keys) == contents[:5] + [None] * 3
    _assert_released(fake_daemon)


def test_any_size_in_mp(multi_process, fake_daemon):
    client = multi_process(fake_daemon)
    keys = [mp_key(size) for size in (1, *SIZES)]
    contents = [payload(size, "fake") for size in (1, *SIZES)]
    sizes = [len(content) for content in contents]
    assert client.store(keys, contents)
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * len(keys)
    assert client.load(keys, sizes) == contents
    client.unlock(keys)
    # Without a lookup before.
    assert client.load(keys, sizes) == contents
    _assert_released(fake_daemon)


def test_absent_objects_and_wrong_sizes_in_mp(multi_process, fake_daemon):
    client = multi_process(fake_daemon)
    keys = [mp_key(number, salt="tenant") for number in range(6)]
    contents = [payload(5 * KIB, number) for number in range(6)]
    assert client.store(keys[::2], contents[::2])
    assert client.lookup(keys) == [True, False] * 3
    expected = [contents[number] if number % 2 == 0 else None for number in range(6)]
    assert client.load(keys, [5 * KIB] * 6) == expected
    assert client.load(keys, [5 * KIB + 1] * 6) == [None] * 6
    client.unlock(keys[::2])
    client.assert_untroubled()
    _assert_released(fake_daemon)


def test_many_operations_at_once(in_process, multi_process, fake_daemon):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    contents = [payload(20 * KIB + 2 * number, number) for number in range(100)]
    keys = [in_process_key(number) for number in range(100)]
    one.call(
        together(
            one.connector.put(key, one.memory(content))
            for key, content in zip(keys, contents, strict=True)
        )
    )
    found = one.call(together(one.connector.get(key) for key in keys))
    assert [taken(memory) for memory in found] == contents
    batches = [([mp_key(number)], [contents[number]]) for number in range(100)]
    assert other.store_many(batches) == [True] * 100
    loads = [(keys, [len(content)]) for keys, (content,) in batches]
    assert other.load_many(loads) == [[content] for content in contents]
    _assert_released(fake_daemon)


@pytest.mark.only(NATIVE)
def test_what_the_daemon_cannot_do_is_said_and_breaks_nothing(
    in_process, multi_process, fake_daemon
):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    key, mp = in_process_key(1), mp_key(1)
    assert one.put(key, payload(KIB, "one"))
    assert other.store([mp], [payload(KIB, "other")])
    assert one.call(one.connector.list()) == []
    assert not one.connector.remove_sync(key)
    other.delete([mp])
    # Any answer shows that the daemon is there.
    assert one.call(one.connector.ping()) == 0
    assert one.get(key) == payload(KIB, "one")
    assert other.load([mp], [KIB]) == [payload(KIB, "other")]


@pytest.mark.only(NATIVE)
def test_nothing_beyond_the_three_endpoints_is_needed_to_store_find_and_read(
    in_process, multi_process, fake_daemon
):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    keys = [in_process_key(number) for number in range(4)]
    assert one.put_all(keys, [payload(KIB, number) for number in range(4)]) == 4
    assert one.exists(keys[0]) and not one.exists(in_process_key(9))
    assert one.call(one.connector.batched_async_contains("", keys)) == 4
    assert None not in one.get_all(keys)
    assert other.store([mp_key(1)], [payload(KIB, 1)])
    assert other.lookup([mp_key(1), mp_key(2)]) == [True, False]
    assert other.load([mp_key(1)], [KIB]) == [payload(KIB, 1)]
    assert fake_daemon.counts.other == []


@pytest.mark.only(NATIVE)
def test_no_shared_memory_and_no_http_reads_is_a_miss(in_process, multi_process, fake_daemon):
    one = in_process(fake_daemon, shared_memory_name=None)
    other = multi_process(fake_daemon, shared_memory_name=None)
    assert one.put(in_process_key(1), payload(KIB, 1))
    assert one.get(in_process_key(1)) is None
    assert other.store([mp_key(1)], [payload(KIB, 1)])
    assert other.load([mp_key(1)], [KIB]) == [None]


@pytest.mark.only(NATIVE)
def test_releases_are_counted_by_what_the_daemon_says_to_them(in_process, fake_daemon):
    client = in_process(fake_daemon)
    key = in_process_key(1, "releases")
    assert client.put(key, payload(KIB, "releases"))

    def refuse_releases(request):
        return Answer(reply(503)) if request.wants == "release" else None

    def counted(acquired: int, released: int, failed: int) -> bool:
        counts = client.counts
        names = ("lease_acquired", "lease_released", "lease_release_failed")
        return [counts[name] for name in names] == [acquired, released, failed]

    for number in (1, 2):
        assert client.get(key) is not None
        wait_until(lambda: counted(number, number, 0), RELEASED_WITHIN, "it counts")  # noqa: B023
    fake_daemon.answer = refuse_releases
    assert client.get(key) is not None
    wait_until(lambda: counted(3, 2, 1), RELEASED_WITHIN, "the failure is counted")


def test_the_keys_on_the_wire_are_those_of_the_stock_clients(
    in_process, multi_process, fake_daemon
):
    one, other = in_process(fake_daemon), multi_process(fake_daemon)
    models = ("org/model", "100% sure", "naïve-模型-🦀", "org%2Fmodel", "..")
    keys = [in_process_key(-number, model, a="b c") for number, model in enumerate(models)]
    assert one.put_all(keys, [payload(100, model) for model in models]) == len(keys)
    mp_keys = [mp_key(3, model, "salt & pepper", 5, 17) for model in models]
    assert other.store(mp_keys, [payload(100, model) for model in models])
    expected = {("lmcache", wire_key(key)) for key in (*keys, *mp_keys)}
    assert set(fake_daemon.objects) == expected


def _assert_released(fake_daemon) -> None:
    """Every lease is released, not left to expire."""
    wait_until(lambda: fake_daemon.live() == 0, RELEASED_WITHIN, "the leases are back")
    assert fake_daemon.counts.expired == 0
    assert fake_daemon.counts.leases == fake_daemon.counts.released
