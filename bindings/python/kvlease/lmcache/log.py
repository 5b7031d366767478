"""Where the lines of the native half go: beside LMCache's own.

They come from the logger `kvlease`. Most programs show nothing below a warning of it; LMCache has a
handler for each logger of its own, which shows what is good to know as well.
"""

from __future__ import annotations

import logging
import sys

# The package's logger, which the native half writes to.
LOGGER = "kvlease"


def show_beside_lmcache() -> None:
    """Has LMCache, if it is loaded, show the package's lines, unless another handler does."""
    lmcache = sys.modules.get("lmcache.logging")
    if lmcache is not None and not logging.getLogger(LOGGER).hasHandlers():
        lmcache.init_logger(LOGGER)
