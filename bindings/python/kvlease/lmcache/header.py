"""The header in front of every object's payload: its length, format, and per KV group the element
type and shape.

LMCache's own `RemoteMetadata` writes and reads it, so the bytes are those of every other connector
of LMCache. What is read is input: it must describe exactly as many bytes as it says.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache

import torch
from lmcache.v1.memory_management import MemoryFormat, MemoryObj
from lmcache.v1.protocol import RemoteMetadata, get_remote_metadata_bytes

# Headers of this many different kinds are kept: the objects of a model have very few.
KINDS_MAX = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """What memory an object's payload needs, as `LocalCPUBackend.allocate` takes it."""

    length: int
    shapes: torch.Size | list[torch.Size]
    dtypes: torch.dtype | list[torch.dtype]
    format: MemoryFormat


class MalformedHeader(ValueError):
    """The first bytes of an object are no header, or not this model's."""


def header_len() -> int:
    """The length of every header in bytes, which follows from the model's number of KV groups."""
    return int(get_remote_metadata_bytes())


def header_of(memory: MemoryObj, payload_len: int) -> bytes:
    """The header of an object.

    Raises:
        ValueError: If the object has another number of KV groups than the model, or a shape of
            more than four dimensions.
    """
    groups = _groups(header_len())
    # The lists are there only if LMCache allocated the memory for several groups.
    shapes = [memory.get_shape()] if groups == 1 else memory.get_shapes()
    dtypes = [memory.get_dtype()] if groups == 1 else memory.get_dtypes()
    fmt = memory.get_memory_format()
    return _written(payload_len, tuple(shapes), tuple(dtypes), fmt, groups)


@lru_cache(KINDS_MAX)
def layout_of(header: bytes) -> Layout:
    """The layout that a header describes.

    Raises:
        MalformedHeader: If it describes none, or another number of bytes than it says.
    """
    try:
        read = RemoteMetadata.deserialize(header)
    except (KeyError, ValueError, struct.error) as error:
        raise MalformedHeader(f"it is no header of LMCache, header=`{header.hex()}`") from error
    shapes = [_without_padding(shape) for shape in read.shapes]
    described = [_size(*group, read.fmt) for group in zip(shapes, read.dtypes, strict=True)]
    if read.length <= 0 or min(described) < 0 or sum(described) != read.length:
        raise MalformedHeader(
            "it describes another number of bytes than it says, "
            f"described=`{described}` said=`{read.length}`"
        )
    if len(shapes) == 1:
        return Layout(read.length, shapes[0], read.dtypes[0], read.fmt)
    return Layout(read.length, shapes, read.dtypes, read.fmt)


@lru_cache(KINDS_MAX)
def _written(
    length: int,
    shapes: tuple[torch.Size, ...],
    dtypes: tuple[torch.dtype, ...],
    fmt: MemoryFormat,
    groups: int,
) -> bytes:
    if len(shapes) != groups:
        raise ValueError(
            "the object has another number of KV groups than the model, "
            f"object=`{len(shapes)}` model=`{groups}`"
        )
    if any(len(shape) > 4 for shape in shapes):
        raise ValueError(f"the header has room for four dimensions, shapes=`{list(shapes)}`")
    return bytes(RemoteMetadata(length, list(shapes), list(dtypes), fmt).serialize())


def _groups(length: int) -> int:
    # Two numbers for the object and five for each group, four bytes each.
    return (length // 4 - 2) // 5


def _without_padding(shape: torch.Size) -> torch.Size:
    """The dimensions before the first zero behind the first: shorter shapes are padded so."""
    dimensions = list(shape)
    for index in range(1, len(dimensions)):
        if dimensions[index] == 0:
            return torch.Size(dimensions[:index])
    return shape


def _size(shape: torch.Size, dtype: torch.dtype | None, fmt: MemoryFormat) -> int:
    if min(shape) < 0:
        return -1
    if dtype is not None:
        return math.prod(shape) * dtype.itemsize
    # Plain bytes have no element type.
    return shape[0] if fmt == MemoryFormat.BINARY_BUFFER else -1
