"""vLLM's tiering on a CPU: a worker that copies pages between vLLM's cache and the CPU tier.

vLLM refuses its offloading on a CPU, since nothing is gained there. All but the worker is vLLM's
own.
"""

from typing import Any

import torch
from vllm.v1.kv_offload.base import (
    CanonicalKVCaches,
    GPULoadStoreSpec,
    LoadStoreSpec,
    OffloadingWorker,
    TransferResult,
)
from vllm.v1.kv_offload.cpu.shared_offload_region import SharedOffloadRegion
from vllm.v1.kv_offload.tiering.spec import TieringOffloadingSpec


class CopyingSpec(TieringOffloadingSpec):
    """The spec of vLLM with a worker for a CPU."""

    def get_worker(self, kv_caches: CanonicalKVCaches) -> OffloadingWorker:
        region = SharedOffloadRegion(
            engine_id=self._engine_id,
            num_chunks=self.num_chunks,
            rank=0,
            kv_bytes_per_chunk=self.kv_bytes_per_chunk,
            cpu_page_size=self.cpu_page_size_per_worker,
        )
        return CopyingWorker(kv_caches, region)


class CopyingWorker(OffloadingWorker):
    """Copies at once, on the thread that asks. One block to a chunk, one group."""

    def __init__(self, kv_caches: CanonicalKVCaches, region: SharedOffloadRegion) -> None:
        self._region = region
        self._finished: list[TransferResult] = []
        self._pages = [
            (
                cache.tensor.view(torch.int8).view(-1, cache.page_size_bytes),
                region.create_next_worker_view(cache.page_size_bytes),
            )
            for cache in kv_caches.tensors
        ]

    def submit_store(
        self, job_id: int, src_spec: GPULoadStoreSpec, dst_spec: LoadStoreSpec
    ) -> bool:
        blocks, chunks = src_spec.block_ids.tolist(), dst_spec.chunk_ids.tolist()
        for cache, tier in self._pages:
            tier[chunks] = cache[blocks]
        return self._end(job_id)

    def submit_load(
        self, job_id: int, src_spec: LoadStoreSpec, dst_spec: GPULoadStoreSpec, **_: Any
    ) -> bool:
        chunks, blocks = src_spec.chunk_ids.tolist(), dst_spec.block_ids.tolist()
        for cache, tier in self._pages:
            cache[blocks] = tier[chunks]
        return self._end(job_id)

    def get_finished(self) -> list[TransferResult]:
        finished, self._finished = self._finished, []
        return finished

    def wait(self, job_ids: set[int]) -> None:
        """Everything is done when it was submitted."""

    def shutdown(self) -> None:
        self._pages.clear()
        self._region.cleanup()

    def _end(self, job_id: int) -> bool:
        self._finished.append(TransferResult(job_id, success=True))
        return True
