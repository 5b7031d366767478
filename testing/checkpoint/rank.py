"""One rank of a training job, with the unmodified amzn-sagemaker-checkpointing as its checkpoints.

usage: rank.py NAMESPACE save STEP... | load STEP|latest | break STEP

The environment names the process group (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) and, with
`http_proxy`, the daemon: the package's address cannot be configured.
"""

import os
import signal
import sys
from typing import Any

import torch
import torch.distributed as dist
from amzn_sagemaker_checkpointing.checkpointing.filesystem import (
    SageMakerTieredStorageReader,
    SageMakerTieredStorageWriter,
)
from amzn_sagemaker_checkpointing.config.sagemaker_checkpoint_config import (
    SageMakerCheckpointConfig,
)
from torch.distributed.checkpoint import async_save, load

# 8 MiB a tensor.
SIDE = 1448


def state(rank: int, step: int) -> dict[str, Any]:
    """The state of a rank after a step: tensors that all ranks have, and one of its own."""
    shared = torch.Generator().manual_seed(step)
    own = torch.Generator().manual_seed(1000 * step + rank)
    return {
        "model": {f"layer{n}": torch.rand(SIDE, SIDE, generator=shared) for n in range(2)},
        f"own{rank}": {"tensor": torch.rand(SIDE, SIDE, generator=own)},
        "step": step,
    }


def save(config: SageMakerCheckpointConfig, rank: int, step: int) -> None:
    """Saves the state after a step, as a training loop does it."""
    writer = SageMakerTieredStorageWriter(checkpoint_config=config, step=step)
    async_save(state_dict=state(rank, step), storage_writer=writer).result()
    dist.barrier()


def restore(config: SageMakerCheckpointConfig, rank: int, step: int | None) -> int:
    """Loads this step, or the newest one, and compares every byte. Returns the step."""
    found = state(rank, 0)
    for tensor in (*found["model"].values(), found[f"own{rank}"]["tensor"]):
        tensor.fill_(-1.0)
    found["step"] = -1
    load(found, storage_reader=SageMakerTieredStorageReader(checkpoint_config=config, step=step))
    wanted = state(rank, found["step"])
    for name, tensor in wanted["model"].items():
        assert torch.equal(found["model"][name], tensor), f"rank {rank}: {name} differs"
    own = f"own{rank}"
    assert torch.equal(found[own]["tensor"], wanted[own]["tensor"]), f"rank {rank}: {own} differs"
    return found["step"]


def main() -> None:
    namespace, what, *steps = sys.argv[1:]
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    config = SageMakerCheckpointConfig(namespace=namespace, world_size=world)
    if what == "save":
        for step in steps:
            save(config, rank, int(step))
    elif what == "load":
        step = None if steps[0] == "latest" else int(steps[0])
        print(f"rank {rank} loaded step {restore(config, rank, step)}", flush=True)
    elif what == "break":
        # The node of the last rank is lost before its shard is stored.
        if rank == world - 1:
            SageMakerTieredStorageWriter.write_data = lambda *_: os.kill(
                os.getpid(), signal.SIGKILL
            )
        save(config, rank, int(steps[0]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
