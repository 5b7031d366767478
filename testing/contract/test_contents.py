"""Sizes, types and keys: every byte comes back, under the name of its put."""

import pytest

from samples import (
    DTYPES,
    MIB,
    MODELS,
    MODELS_WITH_AT,
    SALTS,
    SIZES,
    in_process_key,
    mp_key,
    payload,
    wire_key,
)

# Length, format, type and four dimensions: what the in-process client puts before the bytes.
IN_PROCESS_HEADER = 28


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back_in_process(in_process, shared_daemon, size):
    client = in_process(shared_daemon)
    key = in_process_key(size, "sizes")
    content = payload(size, "sizes")
    assert client.put(key, content)
    assert client.get(key) == content


@pytest.mark.parametrize("size", (1, *SIZES))
def test_any_size_comes_back_in_mp(multi_process, shared_daemon, size):
    client = multi_process(shared_daemon)
    key = mp_key(size, "sizes")
    content = payload(size, "sizes")
    assert client.store([key], [content])
    assert client.lookup([key]) == [True]
    assert client.load([key], [size]) == [content]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_type_keeps_its_bits_shape_and_type(in_process, shared_daemon, dtype):
    client = in_process(shared_daemon)
    key = in_process_key(1, "types", dtype)
    # Random bytes hold every kind of NaN, infinity and denormal of every type.
    content = payload(MIB, "types", dtype)
    assert client.put(key, content, dtype)
    found = client.call(client.connector.get(key))
    assert found is not None
    assert found.get_dtype() == dtype
    assert list(found.get_shape()) == [MIB // dtype.itemsize]
    assert bytes(found.byte_array) == content
    found.ref_count_down()


@pytest.mark.parametrize("tags", ({}, {"user": "a b/c%d"}, {"user": "x", "ünit": "2"}), ids=str)
def test_any_model_name_and_tag_is_a_key_of_its_own_in_process(in_process, shared_daemon, tags):
    client = in_process(shared_daemon)
    models = (*MODELS, *MODELS_WITH_AT)
    keys = [in_process_key(7, model, **tags) for model in models]
    contents = [payload(2000, model, *tags) for model in models]
    assert client.get_all(keys) == [None] * len(keys)
    assert client.put_all(keys, contents) == len(keys)
    assert client.get_all(keys) == contents
    assert all(client.exists(key) for key in keys)


@pytest.mark.parametrize("salt", ("", *SALTS), ids=ascii)
def test_any_model_name_and_salt_is_a_key_of_its_own_in_mp(multi_process, shared_daemon, salt):
    client = multi_process(shared_daemon)
    keys = [mp_key(7, model, salt) for model in MODELS]
    contents = [payload(2000, model, salt) for model in MODELS]
    assert client.lookup(keys) == [False] * len(keys)
    assert client.store(keys, contents)
    assert client.lookup(keys) == [True] * len(keys)
    assert client.load(keys, [2000] * len(keys)) == contents


@pytest.mark.parametrize("bucket", ("tenant-a", "b" * 200))
def test_buckets_keep_their_keys_apart_in_process(in_process, shared_daemon, bucket):
    here, there = in_process(shared_daemon, bucket=bucket), in_process(shared_daemon)
    key = in_process_key(8, f"bucket {bucket}")
    content = payload(5000, bucket)
    assert here.put(key, content)
    assert there.get(key) is None
    assert here.get(key) == content


@pytest.mark.parametrize("bucket", ("tenant-b", "a/b %2F ü"))
def test_buckets_keep_their_keys_apart_in_mp(multi_process, shared_daemon, bucket):
    here, there = multi_process(shared_daemon, bucket=bucket), multi_process(shared_daemon)
    key = mp_key(8, f"bucket {bucket}")
    content = payload(5000, bucket)
    assert here.store([key], [content])
    assert there.lookup([key]) == [False]
    assert here.load([key], [len(content)]) == [content]


def test_the_two_clients_never_read_each_others_objects(in_process, multi_process, shared_daemon):
    one, other = in_process(shared_daemon), multi_process(shared_daemon)
    content = payload(9000, "apart")
    assert one.put(in_process_key(1, "apart"), content)
    assert other.lookup([mp_key(1, "apart")]) == [False]
    assert other.store([mp_key(1, "apart")], [content])
    assert one.get(in_process_key(1, "apart")) == content


def test_the_daemon_keeps_the_exact_length_of_what_it_was_sent(in_process, shared_daemon):
    client = in_process(shared_daemon)
    key = in_process_key(1, "length")
    assert client.put(key, payload(10_001, "length"))
    lease = shared_daemon.lease(wire_key(key))
    assert sum(extent["len"] for extent in lease["offsets"]) == IN_PROCESS_HEADER + 10_001
    shared_daemon.release(lease)
