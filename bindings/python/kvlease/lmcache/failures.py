"""Failures: said once in a while, and otherwise misses.

A daemon that is down fails every call of an engine that goes on very well without it: one line of a
kind now and then tells as much as one for each.
"""

from __future__ import annotations

import time

from lmcache.logging import init_logger

logger = init_logger(__name__)

# Seconds between two warnings of one kind, at least.
WARNING_INTERVAL_S = 10.0


class Failures:
    """What failed, by operation."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def say(self, operation: str, error: object) -> None:
        """Warns that an operation failed, unless that was said just before."""
        now = time.monotonic()
        if now - self._said_at.get(operation, -WARNING_INTERVAL_S) >= WARNING_INTERVAL_S:
            self._said_at[operation] = now
            logger.warning("kvlease: %s failed: %s", operation, error)
