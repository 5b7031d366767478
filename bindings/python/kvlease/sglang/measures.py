"""Numbers for SGLang's metrics of its storage."""

from __future__ import annotations

import threading
from typing import Any

GIB = 1 << 30


class Measures:
    """Pages and rates of the batches since the last report. Threads of SGLang add to them."""

    def __init__(self, is_enabled: bool) -> None:
        self._is_enabled = is_enabled
        self._lock = threading.Lock()
        self._written: list[tuple[int, float]] = []
        self._read: list[tuple[int, float]] = []

    def written(self, pages: int, length: int, seconds: float) -> None:
        """A batch was written."""
        self._add(self._written, pages, length, seconds)

    def read(self, pages: int, length: int, seconds: float) -> None:
        """A batch was read."""
        self._add(self._read, pages, length, seconds)

    def take(self) -> Any:
        """The numbers as SGLang takes them, from nothing again; None if it asked for none."""
        if not self._is_enabled:
            return None
        try:
            from sglang.srt.observability.metrics_collector import StorageMetrics
        except ImportError:
            return None
        with self._lock:
            (written, self._written), (read, self._read) = (self._written, []), (self._read, [])
        return StorageMetrics(
            prefetch_pgs=[pages for pages, _ in read],
            backup_pgs=[pages for pages, _ in written],
            prefetch_bandwidth=[rate for _, rate in read],
            backup_bandwidth=[rate for _, rate in written],
        )

    def _add(
        self, batches: list[tuple[int, float]], pages: int, length: int, seconds: float
    ) -> None:
        if self._is_enabled and pages:
            with self._lock:
                batches.append((pages, length / GIB / max(seconds, 1e-9)))
