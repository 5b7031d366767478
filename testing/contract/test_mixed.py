"""Each kind of client reads the objects of the other, and both store the same bytes."""

import pytest
import torch
from lmcache.v1.memory_management import MemoryFormat

from samples import (
    DTYPES,
    KIB,
    KINDS,
    MODELS,
    MODELS_WITH_AT,
    NATIVE,
    SALTS,
    SIZES,
    STOCK,
    in_process_key,
    mp_key,
    payload,
    wire_key,
)

# Every form of LMCache that its host memory can hold, with a shape that is usual for it.
FORMS = (
    (MemoryFormat.KV_2LTD, (2, 4, 16, 32)),
    (MemoryFormat.KV_T2D, (16, 2, 32)),
    (MemoryFormat.KV_2TD, (2, 16, 32)),
    (MemoryFormat.KV_MLA_FMT, (1, 4, 16, 32)),
    (MemoryFormat.EC_TD, (16, 32)),
    (MemoryFormat.HS_TD, (7, 33)),
    (MemoryFormat.BINARY_BUFFER, (1000,)),
)
RANKS_AND_GROUPS = ((0, 0), (1, 0), (0xDEADBEEF, 3), (7, 0x1F))


@pytest.fixture
def daemon(shared_daemon_of):
    return shared_daemon_of("mixed")


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind} writes")
def writer(request):
    return request.param


@pytest.fixture
def reader(writer):
    return NATIVE if writer == STOCK else STOCK


@pytest.fixture
def one_writes(in_process_of, daemon, writer):
    """An in-process client whose objects one of the other kind reads."""
    return in_process_of(writer, daemon)


@pytest.fixture
def other_reads(in_process_of, daemon, reader):
    return in_process_of(reader, daemon)


@pytest.mark.parametrize("size", SIZES)
def test_any_size_in_process(one_writes, other_reads, writer, size):
    key = in_process_key(size, f"{writer} sizes")
    content = payload(size, writer, "sizes")
    assert one_writes.put(key, content)
    assert other_reads.get(key) == content


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_type_in_process(one_writes, other_reads, writer, dtype):
    key = in_process_key(1, f"{writer} types", dtype)
    content = payload(64 * KIB, writer, "types", dtype)
    assert one_writes.put(key, content, dtype)
    found = other_reads.call(other_reads.connector.get(key))
    assert found is not None
    assert found.get_dtype() == dtype
    assert bytes(found.byte_array) == content
    found.ref_count_down()


@pytest.mark.parametrize("form, shape", FORMS, ids=str)
def test_any_format_and_shape_in_process(one_writes, other_reads, writer, form, shape):
    key = in_process_key(1, f"{writer} {form.name}", torch.bfloat16)
    shape = torch.Size(shape)
    content = payload(shape.numel() * _item_size(form), writer, form)
    memory = one_writes.memory(content, torch.bfloat16, form, shape)
    assert one_writes.put_objects([key], [memory]) == 1
    found = other_reads.call(other_reads.connector.get(key))
    assert found is not None
    assert found.get_memory_format() == form
    assert bytes(found.byte_array) == content
    if form != MemoryFormat.BINARY_BUFFER:
        assert found.get_shape() == shape
        assert found.get_dtype() == torch.bfloat16
    found.ref_count_down()


def test_any_model_name_and_tag_in_process(one_writes, other_reads, writer):
    models = (*MODELS, *MODELS_WITH_AT)
    keys = [in_process_key(7, model, user=f"{writer} a/b%c") for model in models]
    contents = [payload(2000, writer, model) for model in models]
    assert one_writes.put_all(keys, contents) == len(keys)
    assert all(other_reads.exists(key) for key in keys)
    assert other_reads.get_all(keys) == contents


def test_negative_hashes_in_process(one_writes, other_reads, writer):
    keys = [in_process_key(number, f"{writer} hashes") for number in (-1, -(2**63), 2**63 - 1, 0)]
    contents = [payload(2000, writer, "hash", key.chunk_hash) for key in keys]
    assert one_writes.put_all(keys, contents) == len(keys)
    assert other_reads.get_all(keys) == contents


@pytest.mark.parametrize("size", (1, *SIZES))
def test_any_size_in_mp(multi_process_of, daemon, writer, reader, size):
    key = mp_key(size, f"{writer} sizes")
    content = payload(size, writer, "mp sizes")
    assert multi_process_of(writer, daemon).store([key], [content])
    client = multi_process_of(reader, daemon)
    assert client.lookup([key]) == [True]
    assert client.load([key], [size]) == [content]
    client.unlock([key])


@pytest.mark.parametrize("salt", ("", *SALTS), ids=ascii)
def test_any_model_name_rank_group_and_salt_in_mp(multi_process_of, daemon, writer, reader, salt):
    keys = [
        mp_key(7, f"{writer}{model}", salt, rank, group)
        for model in MODELS
        for rank, group in RANKS_AND_GROUPS
    ]
    contents = [payload(2000, writer, salt, wire_key(key)) for key in keys]
    client = multi_process_of(reader, daemon)
    assert client.lookup(keys) == [False] * len(keys)
    assert multi_process_of(writer, daemon).store(keys, contents)
    assert client.lookup(keys) == [True] * len(keys)
    assert client.load(keys, [2000] * len(keys)) == contents
    client.unlock(keys)


@pytest.mark.parametrize("bucket", ("tenant-a", "b" * 200))
def test_any_bucket(in_process_of, multi_process_of, daemon, writer, reader, bucket):
    one, other = (in_process_of(kind, daemon, bucket=bucket) for kind in (writer, reader))
    key = in_process_key(8, f"{writer} bucket")
    assert one.put(key, payload(5000, bucket, writer))
    assert other.get(key) == payload(5000, bucket, writer)
    one, other = (multi_process_of(kind, daemon, bucket=bucket) for kind in (writer, reader))
    key = mp_key(8, f"{writer} bucket")
    assert one.store([key], [payload(5000, bucket, writer)])
    assert other.load([key], [5000]) == [payload(5000, bucket, writer)]


@pytest.mark.parametrize("form, shape", FORMS, ids=str)
def test_the_stored_bytes_are_the_same(in_process_of, daemon, form, shape):
    shape = torch.Size(shape)
    content = payload(shape.numel() * _item_size(form), "same", form)
    stored = []
    for kind in KINDS:
        client = in_process_of(kind, daemon)
        key = in_process_key(2, f"{kind} same {form.name}", torch.bfloat16)
        memory = client.memory(content, torch.bfloat16, form, shape)
        assert client.put_objects([key], [memory]) == 1
        stored.append(daemon.stored(wire_key(key)))
    assert stored[0] == stored[1]
    assert stored[1].endswith(content)


def test_both_write_one_key_at_once_and_one_of_them_wins(in_process_of, daemon):
    clients = [in_process_of(kind, daemon) for kind in KINDS]
    keys = [in_process_key(number, "both") for number in range(32)]
    contents = [[payload(64 * KIB, kind, number) for number in range(32)] for kind in KINDS]
    puts = [
        client.submit(
            client.connector.batched_put(keys, [client.memory(content) for content in own])
        )
        for client, own in zip(clients, contents, strict=True)
    ]
    for put in puts:
        put.result(30)
    for client in clients:
        assert client.counts["put_failure"] == 0
    read = [client.get_all(keys) for client in clients]
    assert read[0] == read[1]
    for found, stock, native in zip(read[0], *contents, strict=True):
        assert found in (stock, native)


def _item_size(form: MemoryFormat) -> int:
    # A byte buffer has no element type.
    return 1 if form == MemoryFormat.BINARY_BUFFER else torch.bfloat16.itemsize
