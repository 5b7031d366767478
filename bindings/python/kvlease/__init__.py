"""The KV cache of your LLM engine, kept when the engine goes.

`Connector` stores, finds and reads objects and waits for each result; `kvlease.asyncio` has it for
asyncio, and `Queue` is for other event loops. `kvlease.lmcache` has what LMCache loads,
`kvlease.vllm` and `kvlease.sglang` what these engines load.
"""

import atexit

from kvlease._kvlease import (
    VERSION as __version__,
)
from kvlease._kvlease import (
    BusyError,
    ClosedError,
    Connector,
    ConnectorSettings,
    KvleaseError,
    Memory,
    OpenObject,
    Queue,
    RefusedError,
    Reservation,
    UnavailableError,
    UnreadableError,
    View,
    close_all,
)

__all__ = [
    "BusyError",
    "ClosedError",
    "Connector",
    "ConnectorSettings",
    "KvleaseError",
    "Memory",
    "OpenObject",
    "Queue",
    "RefusedError",
    "Reservation",
    "UnavailableError",
    "UnreadableError",
    "View",
    "__version__",
]

# Operations may still be copying into memory that goes away with the interpreter.
atexit.register(close_all)
