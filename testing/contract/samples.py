"""Kinds of clients, and their payloads and keys, repeatable from one seed."""

import hashlib
import os
import secrets

import numpy
import torch
from lmcache.utils import CacheEngineKey
from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.l2_adapters.sagemaker_hyperpod_l2_adapter import _wire_key

# Printed in the report's header; set the variable to replay a run.
SEED_VARIABLE = "KVLEASE_CONTRACT_SEED"
SEED = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))

# The clients: LMCache's own, and kvlease's in their place.
STOCK = "stock"
NATIVE = "native"
KINDS = (STOCK, NATIVE)

KIB = 1024
MIB = 1024 * KIB

# From below a page to far above any pipe or socket buffer, with odd sizes around the borders of
# the clients' 64 KiB pieces and of the daemon's 4 KiB extents.
SIZES = (1 * KIB, 4 * KIB - 2, 4 * KIB + 2, 64 * KIB, 64 * KIB + 2, 1 * MIB, 16 * MIB, 64 * MIB)

DTYPES = (
    torch.half,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.uint8,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)

# Each stands for a way in which a daemon could split, decode or normalise a path wrongly. The
# last two differ from the first only in how often they have been percent-encoded.
MODELS = (
    "org/model",
    "/leading and trailing/",
    "100% sure",
    "question?mark=1&more",
    "fragment#part",
    "plus+and space",
    "semi;colon,comma:and'quote\"",
    "back\\slash",
    "..",
    "naïve-模型-🦀",
    "new\nline and tab\t",
    "org%2Fmodel",
    "org%252Fmodel",
)
# Only the in-process client's keys may hold an `@` in the model's name.
MODELS_WITH_AT = ("user@example", "@", "model@1@0@7@half")
# The salts that the MP client's keys may hold: no `@`, `/`, `\` or NUL.
SALTS = ("tenant-a", "100% of ?#+& = space", "пользователь-🦀", "%2F", "s" * 128)


def payload(size: int, *name: object) -> bytes:
    """`size` bytes that no other name yields; the same in every process of one seed."""
    text = "\n".join(map(str, (SEED, size, *name)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return numpy.random.default_rng(int.from_bytes(digest, "big")).bytes(size)


def in_process_key(number: int, model: str = "org/model", dtype=torch.uint8, **tags: str):
    """A key of the in-process client."""
    requests = {f"lmcache.tag.{name}": value for name, value in tags.items()}
    return CacheEngineKey(model, 1, 0, number, dtype, requests)


def wire_key(key) -> str:
    """The name under which the daemon has the object of either client's key."""
    return key.to_string() if isinstance(key, CacheEngineKey) else _wire_key(key)


def mp_key(
    number: int, model: str = "org/model", salt: str = "", rank: int = 0, group: int = 0
) -> ObjectKey:
    """A key of the MP client."""
    return ObjectKey(number.to_bytes(16, "big"), model, rank, group, cache_salt=salt)
