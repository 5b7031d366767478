"""Every call of the unmodified client, and every status that it tells apart, against a daemon.

usage: calls.py      (`http_proxy` names the daemon, as for rank.py)
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

from amzn_sagemaker_checkpointing.storage.clients.inmemory.exceptions import (
    InMemoryClientError,
    InMemoryConnectionError,
    InMemoryResourceNotFoundError,
    InMemoryServerError,
)
from amzn_sagemaker_checkpointing.storage.clients.inmemory.inmemory_client import (
    InMemoryCheckpointClient,
)

# Larger than the part of the arena that checkpoints may have.
TOO_LARGE = 96 << 20
# The client waits 60 s for an answer, and its job goes to S3 then.
REFUSED_WITHIN = 30.0


def client(rank: int = 0, **options: int) -> InMemoryCheckpointClient:
    """A client of a job of two ranks."""
    return InMemoryCheckpointClient("calls", rank=str(rank), world_size="2", **options)


def fails(error: type[Exception] | tuple[type[Exception], ...], call: Callable[[], object]) -> str:
    """The error of this kind that the call raises."""
    try:
        call()
    except error as raised:
        return type(raised).__name__
    raise AssertionError(f"no {error}")


def namespaces(one: InMemoryCheckpointClient) -> None:
    """Made, described, taken as it is, removed."""
    assert one.get_namespace_config() == {}
    fails(InMemoryResourceNotFoundError, one.delete_namespace)
    fails(InMemoryResourceNotFoundError, lambda: one.put_checkpoint(1, b"x"))
    wanted = {"num_ranks": 3, "steps_to_retain_per_rank": 3}
    assert one.get_or_create_namespace() == wanted
    assert one.get_or_create_namespace() == wanted
    assert client(steps_retained=7).get_or_create_namespace() == wanted
    other = {"num_ranks": 9, "steps_retained": 1}
    endpoint = one.NAMESPACE_PATH.format(namespace="calls")
    fails(InMemoryClientError, lambda: one._make_request("POST", endpoint, params=other))


def shards(one: InMemoryCheckpointClient, folder: Path) -> None:
    """Stored from bytes, a stream and a file; read with their checksum; rewritten; removed."""
    file = folder / "shard"
    file.write_bytes(b"file" * 100_000)
    one.put_checkpoint(10, bytes(range(256)) * 40_000)
    one.put_checkpoint(10, io.BytesIO(b"stream" * 1000), rank=1)
    one.put_checkpoint(10, str(file), metadata_index=0)
    assert one.get_checkpoint(10) == bytes(range(256)) * 40_000
    assert one.get_checkpoint(10, rank=1) == b"stream" * 1000
    assert one.get_checkpoint(10, metadata_index=0) == file.read_bytes()
    assert one.get_checkpoint(11) is None
    assert one.get_latest_checkpoints() == [10]
    one.put_checkpoint(10, b"")
    assert one.get_checkpoint(10) == b""
    one.delete_checkpoint(10, rank=1)
    fails(InMemoryResourceNotFoundError, lambda: one.delete_checkpoint(10, rank=1))


def retention(one: InMemoryCheckpointClient) -> None:
    """Steps leave as a whole, and the newest whole ones are listed, newest first."""
    for step in (20, 30, 40, 50):
        for rank in range(3):
            one.put_checkpoint(step, f"{step} {rank}".encode(), rank=rank)
    assert one.get_latest_checkpoints(limit=3) == [50, 40, 30]
    assert one.get_latest_checkpoints(limit=1) == [50]
    assert [one.get_checkpoint(20, rank=rank) for rank in range(3)] == [None] * 3
    one.put_checkpoint(60, b"alone")
    assert one.get_latest_checkpoints() == [50, 40], "a step without all shards is not listed"


def without_room(one: InMemoryCheckpointClient) -> str:
    """A shard that cannot fit is refused at once, whole bodies are not sent for that."""
    started = time.monotonic()
    error = fails(
        (InMemoryServerError, InMemoryConnectionError),
        lambda: one.put_checkpoint(70, bytes(TOO_LARGE)),
    )
    took = time.monotonic() - started
    assert took < REFUSED_WITHIN, f"took {took} s"
    # The next request of the same client works: the connection that ended is made anew.
    assert one.get_latest_checkpoints() == [50, 40]
    fails(InMemoryServerError, lambda: client().put_checkpoint(70, bytes(TOO_LARGE)))
    return error


def main() -> None:
    import tempfile

    one = client()
    namespaces(one)
    with tempfile.TemporaryDirectory() as folder:
        shards(one, Path(folder))
    retention(one)
    error = without_room(one)
    one.delete_namespace()
    assert one.get_namespace_config() == {}
    assert one.get_latest_checkpoints() == []
    one.get_or_create_namespace()
    one.reset_cluster()
    assert one.get_namespace_config() == {}
    one.close()
    print(f"every call and status of the client; a shard without room is {error}")


if __name__ == "__main__":
    main()
