"""The end of the interpreter while other threads still run event loops.

A thread that left the interpreter's lock when that ends is ended on its way back, wherever it is:
inside of a tensor that is being freed, that aborts the process. So once all connectors are closed,
the loops that use them get some turns, in which coroutines learn of it and free what they hold.
"""

import asyncio
import atexit
import os
import threading
import weakref
from contextlib import suppress

from kvlease._kvlease import close_all

# As many as coroutines wait for each other, with some to spare.
TURNS = 32

# How long a loop may take for that, in seconds. One that hangs is left to itself.
SETTLED_WITHIN_S = 1.0

# The loops, with the process that runs them.
_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()


def settle_at_exit(loop: asyncio.AbstractEventLoop) -> None:
    """Has a loop settle before the interpreter ends."""
    _loops[loop] = os.getpid()


def _settle(loop: asyncio.AbstractEventLoop) -> None:
    settled = threading.Event()

    def turn(left: int) -> None:
        if left > 0:
            loop.call_soon(turn, left - 1)
        else:
            settled.set()

    # It may be closed by now.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(turn, TURNS)
        settled.wait(SETTLED_WITHIN_S)


@atexit.register
def _end() -> None:
    close_all()
    for loop, process in list(_loops.items()):
        if process == os.getpid() and loop.is_running():
            _settle(loop)
