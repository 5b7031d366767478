"""Metrics of the tier among vLLM's own, beside those that vLLM has of every tier."""

from __future__ import annotations

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.metrics import (
    OffloadingConnectorStats,
)
from vllm.v1.kv_offload.base import OffloadingCounterMetadata, OffloadingMetricMetadata

_DOCUMENTATION = {
    "vllm:kv_offload_kvlease_lookups_in_place": (
        "Look-ups that the daemon's published index answered, without a call."
    ),
    "vllm:kv_offload_kvlease_lookups_asked": "Look-ups that the daemon was asked for.",
    "vllm:kv_offload_kvlease_load_failures": "Chunks that were found and could not be loaded.",
    "vllm:kv_offload_kvlease_store_failures": "Chunks that could not be stored.",
    "vllm:kv_offload_kvlease_corrupt": "Chunks whose bytes did not match their checksum.",
}


class Counts:
    """Numbers since the last report."""

    def __init__(self) -> None:
        self._corrupt = 0
        self._reset()

    def take(self, native: dict[str, int]) -> OffloadingConnectorStats | None:
        """The numbers as vLLM takes them, from zero again; None if there are none.

        `native` has the connector's own counters, which only grow.
        """
        values = (
            self.lookups_in_place,
            self.lookups_asked,
            self.load_failures,
            self.store_failures,
            native["damaged"] - self._corrupt,
        )
        self._reset()
        self._corrupt = native["damaged"]
        if not any(values):
            return None
        stats = OffloadingConnectorStats()
        for name, value in zip(_DOCUMENTATION, values, strict=True):
            if value:
                stats.increase_counter(name, value)
        return stats

    def _reset(self) -> None:
        self.lookups_in_place = 0
        self.lookups_asked = 0
        self.load_failures = 0
        self.store_failures = 0


def definitions() -> dict[str, OffloadingMetricMetadata]:
    """What vLLM is told of the metrics before there are any."""
    return {
        name: OffloadingCounterMetadata(documentation=documentation)
        for name, documentation in _DOCUMENTATION.items()
    }
