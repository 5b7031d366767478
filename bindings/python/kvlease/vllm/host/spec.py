"""The spec that vLLM loads: the arena as its CPU tier. A preview until it was measured on a GPU."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.platforms import current_platform
from vllm.v1.kv_offload.base import (
    CanonicalKVCaches,
    OffloadingManager,
    OffloadingSpec,
    OffloadingWorker,
)
from vllm.v1.kv_offload.cpu.gpu_worker import CPUOffloadingWorker
from vllm.v1.kv_offload.cpu.shared_offload_region import SharedOffloadRegion

from kvlease.engine import settings_of
from kvlease.vllm.host.arena import Arena
from kvlease.vllm.host.manager import HostManager
from kvlease.vllm.host.worker import CopyingWorker, HostWorker
from kvlease.vllm.metrics import definitions
from kvlease.vllm.namespace import fields_of
from kvlease.vllm.tier import BUCKET

if TYPE_CHECKING:
    from vllm.v1.kv_offload.base import OffloadingMetricMetadata
    from vllm.v1.kv_offload.config import OffloadingConfig

logger = logging.getLogger(__name__)

# Keys of the configuration that are this spec's, or vLLM's own.
OTHERS = (
    "url",
    "bucket",
    "spec_name",
    "spec_module_path",
    "block_size",
    "blocks_per_chunk",
    "cpu_bytes_to_use",
    "offload_prompt_only",
    "self_describing_kv_events",
    "canonical_layout",
    # Since vLLM 0.33.
    "sync_load_budget_bytes",
)


class KvleaseHostSpec(OffloadingSpec):
    """vLLM's `OffloadingSpec` with the arena of a daemon on the same node as the CPU tier."""

    @classmethod
    def build_metric_definitions(
        cls, extra_config: dict[str, Any]
    ) -> dict[str, OffloadingMetricMetadata]:
        """The metrics that the manager has."""
        return definitions()

    def __init__(self, config: OffloadingConfig) -> None:
        """Reads the configuration; connects to nothing yet.

        Raises:
            ValueError: If a setting is missing or cannot be used.
        """
        super().__init__(config)
        extra = dict(self.extra_config)
        if "url" not in extra:
            raise ValueError("the tier needs the daemon: set url, such as kvlease://127.0.0.1:9200")
        if config.canonical_layout:
            raise ValueError("the tier has the layout of the workers: leave canonical_layout out")
        bucket = extra.get("bucket", BUCKET)
        self._settings = settings_of(extra["url"], bucket, extra, logger, OTHERS)
        name = self._settings.shared_memory_name
        if name is None:
            raise ValueError("the arena is the tier: set shared_memory_name to the daemon's")
        self._path = Path(self._settings.shared_memory_dir) / name
        # The rows of vLLM's own CPU tier, so that chunks are the same below either.
        self._page_len = config.worker_kv_bytes_per_block * self.blocks_per_chunk
        unit = SharedOffloadRegion.BLOCK_SIZE_ALIGNMENT
        self._row_len = -(-self._page_len * config.parallel.world_size // unit) * unit
        self._manager: HostManager | None = None
        self._worker: HostWorker | None = None

    def get_manager(self) -> OffloadingManager:
        """The scheduler's half."""
        if self._manager is None:
            fields = fields_of(self.config, self._row_len)
            self._manager = HostManager(self._settings, self._path, fields, self._row_len)
        return self._manager

    def get_worker(self, kv_caches: CanonicalKVCaches) -> OffloadingWorker:
        """The half of one worker."""
        if self._worker is None:
            rank = self.config.parallel.rank
            map_arena = functools.partial(Arena, self._path, rank, self._page_len, self._row_len)
            worker_on = functools.partial(self._worker_on, kv_caches)
            self._worker = HostWorker(map_arena, worker_on)
        return self._worker

    def _worker_on(self, kv_caches: CanonicalKVCaches, arena: Arena) -> OffloadingWorker:
        if current_platform.is_cuda_alike() or current_platform.is_xpu():
            return CPUOffloadingWorker(
                kv_caches=kv_caches,
                blocks_per_chunk=self.blocks_per_chunk,
                num_cpu_chunks=arena.num_chunks,
                mmap_region=arena,
            )
        return CopyingWorker(kv_caches, self.blocks_per_chunk, arena)
