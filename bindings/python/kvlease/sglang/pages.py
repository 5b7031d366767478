"""Pages of a host pool: where their bytes are, and the names of their objects.

A page is one object. Most pools tell the regions of memory that a page has: K and V apart, or one
for each layer. What they tell is used where it is. A pool that cannot tell gives and takes copies
of its pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from kvlease._kvlease import Memory
from kvlease.namespace import prefix_of
from kvlease.sglang.namespace import fields_of, shared_of

# What a pool raises that cannot do what it is asked for.
UNFIT = (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)


class Regions(NamedTuple):
    """Regions of the objects of a batch, as many for each."""

    addresses: list[int]
    lengths: list[int]


class Pages:
    """Pages of one host pool."""

    def __init__(
        self, config: Any, pool: Any, name: str, *, by_regions: bool, namespace: str
    ) -> None:
        """Finds out how the pool's pages can be used.

        Args:
            config: SGLang's `HiCacheStorageConfig`.
            pool: The host pool.
            name: The name that SGLang has for it.
            by_regions: Whether to use the memory of the pages, rather than copies.
            namespace: The operator's own part of the names.
        """
        self.pool = pool
        # A pool without memory is an anchor for others, which have the bytes.
        has_bytes = getattr(pool, "kv_buffer", pool) is not None
        self.is_logical = not has_bytes and not getattr(pool, "size_per_token", 1)
        # Slots that SGLang names for a page.
        self.slots = getattr(pool, "logical_page_size", None) or pool.page_size or 1
        # One page is several objects if engines of other parallelism are to find the parts of it.
        self.split = 1
        if by_regions and name == "kv" and getattr(config, "should_split_heads", False):
            self.split = config.tp_lcm_size // config.tp_size
        self.memory: Memory | None = None
        lengths: Sequence[int] = ()
        if by_regions and not self.is_logical:
            lengths = self._probe()
        self._config, self._name, self._namespace = config, name, namespace
        # Copies have an order of their own.
        self.flat_prefix = self._prefix("flat", ())
        if self.memory is None:
            self.split = 1
            self.prefixes = [self.flat_prefix]
        else:
            self.prefixes = [self._prefix("regions", lengths, part) for part in range(self.split)]

    def names(self, keys: Sequence[str]) -> list[str]:
        """The names of the objects of these pages, `split` for each."""
        return [prefix + key for key in keys for prefix in self.prefixes]

    def flat_names(self, keys: Sequence[str]) -> list[str]:
        """The names of copies of these pages, as tensors have them."""
        return [self.flat_prefix + key for key in keys]

    def pages_of(self, objects: Sequence[bool]) -> list[bool]:
        """Which pages are whole, from which objects are."""
        starts = range(0, len(objects), self.split)
        return [all(objects[start : start + self.split]) for start in starts]

    def fits(self, keys: Sequence[str], indices: Any) -> bool:
        """Whether there are as many slots as the pages of these keys have."""
        return indices is not None and len(indices) == len(keys) * self.slots

    def regions(self, indices: torch.Tensor) -> Regions:
        """The regions of the objects of the pages at these slots."""
        if self.split > 1:
            addresses, lengths = self.pool.get_split_heads_page_buffer_meta(indices, self.split)
        else:
            addresses, lengths = self.pool.get_page_buffer_meta(indices)
        return Regions(addresses, lengths)

    def copies(self, indices: torch.Tensor) -> list[Any]:
        """Copies of the pages at these slots, to be stored."""
        return [bytes_of(self.pool.get_data_page(index, flat=True)) for index in self._at(indices)]

    def blanks(self, keys: Sequence[str]) -> list[Any]:
        """A tensor for each page, to be read into."""
        return [self.pool.get_dummy_flat_data_page() for _ in keys]

    def fill(self, indices: torch.Tensor, pages: Sequence[Any]) -> None:
        """Copies pages that were read, and are not None, to these slots."""
        for index, page in zip(self._at(indices), pages, strict=True):
            if page is not None:
                self.pool.set_from_flat_data_page(index, page)

    def _prefix(self, form: str, lengths: Sequence[int], part: int | None = None) -> str:
        others: dict[str, Any] = {"form": form, "namespace": self._namespace}
        if part is not None and self.split > 1:
            others["tp_rank"] = self._config.tp_rank * self.split + part
            others["tp_size"] = self._config.tp_lcm_size
        fields = fields_of(self._config, self.pool, self._name, lengths, **others)
        return prefix_of(fields, shared_of(fields))

    def _at(self, indices: torch.Tensor) -> list[int]:
        return list(indices[:: self.slots].tolist())

    def _probe(self) -> Sequence[int]:
        """The lengths of a page's regions; sets the memory that they are in, if they are told."""
        try:
            regions = self.regions(torch.arange(self.slots, dtype=torch.int64))
            tensors = _tensors(self.pool)
            blocks = {_start(tensor): tensor for tensor in tensors}
            used = [_block_of(blocks, *region) for region in zip(*regions, strict=True)]
            if not used:
                return ()
            self.memory = Memory([_storage(blocks[start]) for start in dict.fromkeys(used)])
        except UNFIT:
            return ()
        return regions.lengths[: len(regions.lengths) // self.split]


def bytes_of(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor, as an array that shares its memory if it is contiguous."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()


def _tensors(pool: Any) -> list[torch.Tensor]:
    """The tensors in memory that a pool has."""
    pool = getattr(pool, "host_pool", pool)
    return [tensor for value in vars(pool).values() for tensor in _within(value)]


def _within(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.device.type == "cpu" and value.untyped_storage().nbytes() > 0:
            yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _within(part)


def _start(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _block_of(blocks: dict[int, torch.Tensor], address: int, length: int) -> int:
    for start, tensor in blocks.items():
        if start <= address and address + length <= start + tensor.untyped_storage().nbytes():
            return start
    raise ValueError(f"the region is in no tensor of the pool, address=`{address:#x}`")


def _storage(tensor: torch.Tensor) -> Any:
    """All memory that the tensor is a view of, as an array, which keeps it."""
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()
