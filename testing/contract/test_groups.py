"""Groups: what the daemon and the native connector know of the keys that engines make."""

from pathlib import Path

import pytest
import torch
from engine_keys import HEADER, keys_of_engines
from lmcache.utils import CacheEngineKey

from in_process import InProcess
from samples import KIB, NATIVE, STOCK, payload

KEYS = Path(__file__).resolve().parents[2] / "crates/kvlease-types/tests/keys_of_engines.txt"
RANKS = 4
CHUNKS = 8


def _keys(rank: int) -> list[CacheEngineKey]:
    return [
        CacheEngineKey("org/model", RANKS, rank, number, torch.bfloat16) for number in range(CHUNKS)
    ]


def _store(client: InProcess) -> None:
    """Stores all chunks of all ranks, but the last three of rank 2 and the last of rank 0."""
    counts = {0: CHUNKS - 1, 2: CHUNKS - 3}
    for rank in range(RANKS):
        keys = _keys(rank)[: counts.get(rank, CHUNKS)]
        contents = [payload(4 * KIB, "groups", number) for number in range(len(keys))]
        assert client.put_all(keys, contents, torch.bfloat16) == len(keys)


def test_the_parser_is_tested_with_the_keys_that_engines_make():
    lines = [f"{group}\t{key}" for group, key in keys_of_engines()]
    assert KEYS.read_text() == HEADER + "\n".join(lines) + "\n"


@pytest.mark.parametrize("way", ({}, {"index": "none"}, {"socket": "none"}))
def test_a_look_up_by_groups_counts_what_all_ranks_have(make_daemon, in_process_of, way):
    daemon = make_daemon("64MiB")
    _store(in_process_of(STOCK, daemon))
    single = in_process_of(NATIVE, daemon, **way)
    grouped = in_process_of(NATIVE, daemon, groups=True, **way)
    for rank in range(RANKS):
        keys = _keys(rank)
        assert grouped.inner.batched_contains(keys) == CHUNKS - 3
        assert grouped.call(grouped.connector.batched_async_contains("look-up", keys)) == CHUNKS - 3
        assert grouped.exists(keys[CHUNKS - 4])
        assert not grouped.exists(keys[CHUNKS - 3])
        assert not grouped.connector.exists_sync(keys[CHUNKS - 3])
        # What is there of a chunk can be read all the same.
        assert single.exists(keys[CHUNKS - 4]) and grouped.get(keys[0]) is not None
    assert single.inner.batched_contains(_keys(0)) == CHUNKS - 1
    assert single.inner.batched_contains(_keys(1)) == CHUNKS


def test_keys_without_ranks_are_looked_up_as_ever(make_daemon, in_process_of):
    client = in_process_of(NATIVE, make_daemon("64MiB"), groups=True)
    keys = [CacheEngineKey("org/model", 1, 0, number, torch.bfloat16) for number in range(3)]
    assert client.put_all(keys[:2], [payload(KIB, "alone")] * 2, torch.bfloat16) == 2
    assert client.inner.batched_contains(keys) == 2
    assert client.exists(keys[0]) and not client.exists(keys[2])
