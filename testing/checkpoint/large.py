"""One step of many bytes, saved or loaded with the unmodified client, shard by shard.

usage: large.py save|load SHARDS SHARD_LEN      (`http_proxy` names the daemon, as for rank.py)
"""

import random
import sys
import time

from amzn_sagemaker_checkpointing.storage.clients.inmemory.inmemory_client import (
    InMemoryCheckpointClient,
)

STEP = 10
# Shards differ, and so do the blocks of one: a piece in a wrong place is seen.
BLOCK = 16 << 20


def shard(rank: int, length: int) -> bytes:
    """The bytes of a rank's shard."""
    block = random.Random(rank).randbytes(BLOCK)
    blocks = range(-(-length // BLOCK))
    return b"".join(n.to_bytes(8) + block[8:] for n in blocks)[:length]


def save(client: InMemoryCheckpointClient, shards: int, length: int) -> float:
    """Saves the step, its last shard last. Returns the seconds of the client's calls."""
    took = 0.0
    client.get_or_create_namespace()
    for rank in range(shards):
        data = shard(rank, length)
        started = time.monotonic()
        client.put_checkpoint(STEP, data, rank=rank)
        took += time.monotonic() - started
        whole = [STEP] if rank + 1 == shards else []
        assert client.get_latest_checkpoints() == whole, "a step is listed once it is whole"
    return took


def load(client: InMemoryCheckpointClient, shards: int, length: int) -> float:
    """Loads the step and compares every byte. Returns the seconds of the client's calls."""
    took = 0.0
    assert client.get_latest_checkpoints() == [STEP]
    for rank in range(shards):
        started = time.monotonic()
        data = client.get_checkpoint(STEP, rank=rank)
        took += time.monotonic() - started
        assert data == shard(rank, length), f"the shard of rank {rank} differs"
    return took


def main() -> None:
    what, shards, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # A namespace has a rank more than its job, for the metadata.
    client = InMemoryCheckpointClient("large", rank="0", world_size=str(shards - 1))
    took = (save if what == "save" else load)(client, shards, length)
    client.close()
    rate = shards * length / took / 1e6
    print(f"{what}: {shards} shards of {length >> 20} MiB in {took:.1f} s, {rate:.0f} MB/s")


if __name__ == "__main__":
    main()
