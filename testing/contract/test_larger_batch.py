"""Batches that are larger than the arena, from a tier on disk, through the native clients."""

import tempfile
from pathlib import Path

import pytest

from daemon import wait_until
from in_process import taken
from samples import MIB, NATIVE, in_process_key, mp_key, payload

# A tmpfs is no disk: the tier is where the project is built.
BUILT = Path(__file__).resolve().parents[2] / "target"
OBJECTS = 24
ARENA = "16MiB"
TIER = """[tier.nvme]
path = "{path}"
capacity = "128MiB"
write_through = "all"
rate_min = "none"
"""
COPIED_WITHIN = 60.0

CONTENTS = [payload(MIB, "larger batch", number) for number in range(OBJECTS)]

pytestmark = pytest.mark.only(NATIVE)


@pytest.fixture
def daemon(make_daemon):
    BUILT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tier-", dir=BUILT) as path:
        yield make_daemon(ARENA, TIER.format(path=path))


def copied(daemon, count: int) -> None:
    """Waits for the copies: an object that leaves the arena before its own is lost."""
    wait_until(
        lambda: daemon.metric("kvlease_tier_objects") == count, COPIED_WITHIN, "it is in the tier"
    )


def test_the_in_process_client_reads_all_of_a_batch(daemon, in_process):
    client = in_process(daemon)
    keys = [in_process_key(number, "larger batch") for number in range(OBJECTS)]
    for number, key in enumerate(keys):
        assert client.put(key, CONTENTS[number])
        copied(daemon, number + 1)
    assert client.call(client.connector.batched_async_contains("lookup", keys)) == OBJECTS
    assert client.get_all(keys) == CONTENTS
    prefix = client.call(client.connector.batched_get_non_blocking("lookup", keys))
    assert [taken(memory) for memory in prefix] == CONTENTS


def test_the_mp_client_finds_and_loads_all_of_a_batch(daemon, multi_process):
    client = multi_process(daemon)
    keys = [mp_key(number, "larger batch") for number in range(OBJECTS)]
    for number, key in enumerate(keys):
        assert client.store([key], [CONTENTS[number]])
        copied(daemon, number + 1)
    assert client.lookup(keys) == [True] * OBJECTS
    assert client.load(keys, [MIB] * OBJECTS) == CONTENTS
