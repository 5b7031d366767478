"""The storage backend: pages go from SGLang's host memory to the daemon, and come back.

    HiCache -> host pool <-> KvleaseHiCache <-> daemon

SGLang has threads of its own for look-ups, reads and writes, which wait here for their results.
Nothing here raises into them: a failed look-up or read is a miss, a failed write is one that did
not happen. Native threads copy the regions of each page into the arena and out of it, with the
checksum in the same pass.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from sglang.srt.mem_cache.hicache_storage import HiCacheStorage

from kvlease.engine import Warnings, connect, open_lane
from kvlease.sglang.measures import Measures
from kvlease.sglang.pages import Pages, bytes_of
from kvlease.sglang.prefixes import BLOCK_GROUPS, lengths_of, policy_of
from kvlease.sglang.transfers import Transfers

logger = logging.getLogger(__name__)

# The namespace of the keys in the daemon, unless the configuration has another.
BUCKET = "sglang"
# The name of the pool of the model's own pages.
KV = "kv"
# Names of SGLang's `extra_config` that are SGLang's, or this class's own.
KNOWN = frozenset(
    {
        "backend_name",
        "module_path",
        "class_name",
        "interface_v1",
        "allocator",
        "tp_lcm_size",
        "prefetch_threshold",
        "prefetch_timeout_base",
        "prefetch_timeout_per_ki_token",
        "hicache_storage_pass_prefix_keys",
        "url",
        "bucket",
        "namespace",
    }
)


class KvleaseHiCache(HiCacheStorage):
    """A daemon on the same node as the storage of SGLang's HiCache."""

    def __init__(self, storage_config: Any = None, *others: Any, **_: Any) -> None:
        """Connects to the daemon, if there is one.

        Args:
            storage_config: SGLang's `HiCacheStorageConfig`. Its `extra_config` has `url`, and may
                have `bucket`, `namespace` and settings of the connector.
            others: An empty dictionary in this release, the host pool in others: not used, as it
                is registered by a call.

        Raises:
            ValueError: If a setting cannot be used.
        """
        configuration = dict(getattr(storage_config, "extra_config", None) or {})
        url = configuration.get("url")
        if not isinstance(url, str):
            raise ValueError(
                "the configuration has no `url`: add where the daemon listens to "
                "--hicache-storage-backend-extra-config, as kvlease://127.0.0.1:9200, "
                f"url=`{url}`"
            )
        self._config = storage_config
        self._namespace = str(configuration.get("namespace", ""))
        bucket = str(configuration.get("bucket", BUCKET))
        self._by_regions = bool(configuration.get("interface_v1", 0))
        if not self._by_regions:
            logger.warning(
                "SGLang copies each page once more on its way, since `interface_v1` is not set: "
                'add "interface_v1": 1 to --hicache-storage-backend-extra-config'
            )
        self._pages: dict[str, Pages] = {}
        self._warnings = Warnings(logger)
        self._measures = Measures(bool(getattr(storage_config, "enable_storage_metrics", False)))
        self._connector = connect(url, bucket, configuration, logger, KNOWN)
        self._transfers = Transfers(self._connector, self._measures, self._warnings)
        open_lane(self._connector, self._warnings)

    # What SGLang registers.

    def register_mem_pool_host(self, mem_pool_host: Any) -> None:
        """Takes the host pool of the model's own pages."""
        self.mem_pool_host = mem_pool_host
        self._register(KV, mem_pool_host, self._by_regions)

    def register_mem_host_pool_v2(self, host_pool: Any, host_pool_name: Any) -> None:
        """Takes a further pool, or the first one again."""
        if not hasattr(self, "registered_pools"):
            self.registered_pools: dict[Any, Any] = {}
        self.registered_pools[host_pool_name] = host_pool
        name = _text(host_pool_name)
        if name != KV:
            self._register(name, host_pool, True)

    # The interface with pages in host memory.

    def batch_exists(self, keys: Sequence[str], extra_info: Any = None) -> int:
        """Counts the pages before the first that is missing."""
        pages = self._pages.get(KV)
        if pages is None or pages.is_logical:
            return 0
        return self._count(pages, keys)

    def batch_set_v1(
        self, keys: Sequence[str], host_indices: torch.Tensor, extra_info: Any = None
    ) -> list[bool]:
        """Stores pages; True for those that are stored, by this call or before."""
        return self._transfers.write(self._pages.get(KV), keys, host_indices)

    def batch_get_v1(
        self, keys: Sequence[str], host_indices: torch.Tensor, extra_info: Any = None
    ) -> list[bool]:
        """Reads pages into host memory; False for those that are not there or cannot be read."""
        return self._transfers.read(self._pages.get(KV), keys, host_indices)

    # The interface for models with several pools.

    def batch_exists_v2(
        self, keys: Sequence[str], pool_transfers: Any = None, extra_info: Any = None
    ) -> Any:
        """Finds the lengths of prefixes that all pools can serve."""
        pages = self._pages.get(KV)
        if pages is None:
            count = 0
        elif pages.is_logical:
            # The other pools have all the bytes, and decide.
            count = len(keys) if pool_transfers else 0
        else:
            count = self._count(pages, keys)
        hits: dict[Any, int] = {_pool_name(KV): count} if count else {}
        restorable = list(range(1, count + 1))
        wanted = [
            transfer for transfer in pool_transfers or () if policy_of(transfer) != BLOCK_GROUPS
        ]
        found = (
            self._transfers.find([self._of(transfer) for transfer in wanted], keys[:count])
            if count
            else []
        )
        for transfer, exists in zip(wanted, found, strict=False):
            lengths = lengths_of(transfer, exists)
            if lengths:
                hits[transfer.name] = lengths[-1]
            served = set(lengths)
            restorable = [length for length in restorable if length in served]
        return _result(restorable[-1] if restorable else 0, hits, restorable)

    def batch_set_v2(self, transfers: Any, extra_info: Any = None) -> dict[Any, list[bool]]:
        """Stores pages of several pools."""
        return {
            transfer.name: self._transfers.write(
                self._of(transfer), transfer.keys or (), transfer.host_indices
            )
            for transfer in transfers
        }

    def batch_get_v2(self, transfers: Any, extra_info: Any = None) -> dict[Any, list[bool]]:
        """Reads pages of several pools."""
        return {
            transfer.name: self._transfers.read(
                self._of(transfer), transfer.keys or (), transfer.host_indices
            )
            for transfer in transfers
        }

    # The interface with tensors: what SGLang uses without `interface_v1`.

    def exists(self, key: str) -> bool:
        """Whether there is a page, stored by this interface or by the other."""
        pages = self._pages.get(KV)
        if pages is None or pages.is_logical:
            return False
        flat = [] if pages.memory is None else pages.flat_names([key])
        return self._count(pages, [key]) == 1 or self._transfers.leading(flat) == 1

    def set(
        self, key: str, value: Any = None, target_location: Any = None, target_sizes: Any = None
    ) -> bool:
        """Stores a page."""
        return self.batch_set([key], [target_location if value is None else value])

    def batch_set(
        self,
        keys: Sequence[str],
        values: Any = None,
        target_locations: Any = None,
        target_sizes: Any = None,
    ) -> bool:
        """Stores pages. Whether all of them are stored."""
        pages = self._pages.get(KV)
        if pages is None or pages.is_logical:
            return pages is not None
        try:
            data = [bytes_of(value) for value in values or target_locations]
        except Exception as error:
            self._warnings.say("write", error)
            return False
        return all(self._transfers.store(pages.flat_names(keys), data))

    def get(
        self, key: str, target_location: Any = None, target_sizes: Any = None
    ) -> torch.Tensor | None:
        """Reads a page into the tensor, or into a new one of bytes; None if that fails."""
        return self.batch_get([key], [target_location])[0]

    def batch_get(
        self, keys: Sequence[str], target_locations: Any = None, target_sizes: Any = None
    ) -> list[torch.Tensor | None]:
        """Reads pages into the tensors."""
        pages = self._pages.get(KV)
        tensors = list(target_locations or [None] * len(keys))
        if pages is None or pages.is_logical:
            return [None] * len(keys) if pages is None else tensors
        try:
            return self._transfers.load(pages.flat_names(keys), tensors)
        except Exception as error:
            self._warnings.say("read", error)
            return [None] * len(keys)

    # What SGLang asks now and then.

    def clear(self) -> bool:
        """Removes the pages of this engine's namespaces. Whether that succeeded."""
        prefixes = {
            prefix
            for pages in list(self._pages.values())
            for prefix in (*pages.prefixes, pages.flat_prefix)
        }
        return self._transfers.remove(sorted(prefixes))

    def get_stats(self) -> Any:
        """Numbers since the last call, as SGLang's metrics take them."""
        return self._measures.take()

    def close(self) -> None:
        """Ends what runs, in a bounded time."""
        self._transfers.close()

    # How it is done.

    def _register(self, name: str, pool: Any, by_regions: bool) -> None:
        namespace = self._namespace
        try:
            pages = Pages(self._config, pool, name, by_regions=by_regions, namespace=namespace)
        except Exception:
            # The engine goes on without.
            logger.exception("kvlease: the pages of a pool cannot be stored, pool=`%s`", name)
            return
        self._pages[name] = pages
        kind = "as copies" if pages.memory is None else "in place"
        logger.info("kvlease: pool %s, pages %s, names begin with %s", name, kind, pages.prefixes)

    def _of(self, transfer: Any) -> Pages | None:
        return self._pages.get(_text(transfer.name))

    def _count(self, pages: Pages, keys: Sequence[str]) -> int:
        return self._transfers.leading(pages.names(keys)) // pages.split


def _text(name: Any) -> str:
    return str(getattr(name, "value", name))


def _pool_name(name: str) -> Any:
    """The name as SGLang has it."""
    from sglang.srt.mem_cache import hicache_storage

    names = getattr(hicache_storage, "PoolName", str)
    return names(name)


def _result(count: int, hits: dict[Any, int], restorable: list[int]) -> Any:
    """What SGLang takes; releases before 0.5.2x have no lengths in it."""
    from sglang.srt.mem_cache import hicache_storage

    try:
        return hicache_storage.PoolTransferResult(count, hits, restorable)
    except TypeError:
        return hicache_storage.PoolTransferResult(count, hits)
