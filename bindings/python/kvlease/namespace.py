"""Names of an engine's objects in the daemon.

A key of an engine is the hash of some tokens. It does not say which model, which data type, which
parallelism or which layout the bytes have. Two engines that differ in one of these must not read
each other's objects, so each has a namespace of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

# Characters of a model's name in the keys of its objects, for people who list them.
MODEL_LEN_MAX = 48
# Hexadecimal digits of the namespace's digest.
DIGEST_LEN = 16


def prefix_of(fields: dict[str, Any], shared: dict[str, Any] | None = None) -> str:
    """What the names of all objects of a namespace begin with: the engine, the model, a digest.

    `fields` is everything that decides what the bytes mean, `engine` and `model` among it. `shared`
    is what the namespaces have in common whose objects are useless one without the other: its
    digest comes first, and tells the daemon so.
    """
    digest = _digest(fields) if shared is None else f"{_digest(shared)}-{_digest(fields)}"
    model = re.sub(r"[^A-Za-z0-9._-]", "_", str(fields["model"]).rsplit("/", 1)[-1])
    return f"{fields['engine']}@{model[:MODEL_LEN_MAX]}@{digest}@"


def _digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LEN]
