"""Ranks of an engine: SGLang's own device pool, host pool, factory and controller, on a CPU."""

import threading
from array import array
from queue import Queue
from typing import Any

import torch
from sglang.srt.managers.cache_controller import HiCacheController
from sglang.srt.mem_cache.allocator import PagedTokenToKVPoolAllocator
from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool, MLATokenToKVPool
from sglang.srt.mem_cache.pool_host import base
from sglang.srt.mem_cache.pool_host.mha import get_mha_host_pool_cls
from sglang.srt.mem_cache.pool_host.mla import MLATokenToKVPoolHost
from sglang.srt.runtime_context import get_parallel

from daemon import Daemon

# The pool wants 10 GiB left beside it, which machines of tests do not have.
base.HICACHE_HOST_MEMORY_RESERVE_BYTES = 0

PAGE = 4
PAGES = 640
LAYERS = 3
HEADS = 4
HEAD_DIM = 16
MODEL = "org/model-7b"
WITHIN_S = 60.0

MHA_LAYOUTS = ("layer_first", "page_first", "page_first_direct", "page_head")
MLA_LAYOUTS = ("layer_first", "page_first", "page_first_direct")


def device_pool(kind: str, dtype: torch.dtype = torch.float16, heads: int = HEADS) -> Any:
    """A device pool, in the memory of the CPU."""
    common = {
        "size": PAGE,
        "page_size": PAGE,
        "dtype": dtype,
        "layer_num": LAYERS,
        "device": "cpu",
        "enable_memory_saver": False,
    }
    if kind == "mla":
        return MLATokenToKVPool(kv_lora_rank=24, qk_rope_head_dim=8, **common)
    return MHATokenToKVPool(head_num=heads, head_dim=HEAD_DIM, **common)


def host_pool(device: Any, layout: str, pages: int = PAGES) -> Any:
    """The host pool of a device pool, as SGLang makes it, but for pinned memory."""
    common = {
        "host_to_device_ratio": 0,
        "host_size": 0,
        "page_size": PAGE,
        "layout": layout,
        "pin_memory": False,
        "host_token_capacity": pages * PAGE,
    }
    info = device.get_device_pool_infos()[0].buffer_info
    layers = {
        "device_capacity_tokens": device.size,
        "start_layer": device.start_layer,
        "end_layer": device.end_layer,
    }
    if isinstance(device, MHATokenToKVPool):
        return get_mha_host_pool_cls(info)(info, **layers, **common)
    return MLATokenToKVPoolHost(
        info,
        target_layer_num=device.layer_num,
        override_kv_cache_dim=device.kv_cache_dim,
        **layers,
        **common,
    )


def content_of(host: Any, index: int) -> bytes:
    """The bytes of the page at this slot, in the order of the pool's own copies."""
    return bytes(host.get_data_page(index, flat=True).contiguous().view(torch.uint8).numpy())


def fill(host: Any, index: int, seed: int) -> bytes:
    """Fills the page at this slot with bytes that no other seed has; returns them."""
    like = host.get_dummy_flat_data_page()
    generator = torch.Generator().manual_seed(seed)
    page = torch.randint(
        0, 256, (like.numel() * like.element_size(),), dtype=torch.uint8, generator=generator
    )
    host.set_from_flat_data_page(index, page.view(like.dtype))
    return content_of(host, index)


class Rank:
    """One rank of an engine over a daemon, with the threads of SGLang's controller."""

    def __init__(
        self,
        daemon: Daemon,
        layout: str,
        kind: str = "mha",
        dtype: torch.dtype = torch.float16,
        heads: int = HEADS,
        tp: tuple[int, int] = (0, 1),
        pp: tuple[int, int] = (0, 1),
        model: str = MODEL,
        **configuration: Any,
    ) -> None:
        self.device = device_pool(kind, dtype, heads)
        self.host = host_pool(self.device, layout)
        allocator = PagedTokenToKVPoolAllocator(PAGE, PAGE, dtype, "cpu", self.device, False)
        self.configuration = {
            "backend_name": "kvlease",
            "module_path": "kvlease.sglang",
            "class_name": "KvleaseHiCache",
            "interface_v1": 1,
            "url": f"kvlease://127.0.0.1:{daemon.port}",
            "shared_memory_name": daemon.segment,
            **configuration,
        }
        ranks = {"tp_rank": tp[0], "tp_size": tp[1], "pp_rank": pp[0], "pp_size": pp[1]}
        with get_parallel().override(**ranks, attn_dcp_size=1, attn_dcp_rank=0):
            self.controller = HiCacheController(
                allocator,
                self.host,
                PAGE,
                None,
                threading.Event(),
                storage_backend="dynamic",
                prefetch_threshold=1,
                model_name=model,
                storage_backend_extra_config=self.configuration,
            )
        self.backend = self.controller.storage_backend

    def close(self) -> None:
        self.controller.detach_storage_backend()

    def alloc(self, pages: int) -> torch.Tensor:
        """Slots of the host pool."""
        indices = self.host.alloc(pages * PAGE)
        assert indices is not None
        return indices

    def write(self, tokens: list[int], seed: int = 0) -> tuple[list[bytes], int]:
        """Fills pages for these tokens, and backs them up as the controller does.

        Returns the content of the pages, and how many were stored.
        """
        keys = self.keys(tokens)
        indices = self.alloc(len(keys))
        pages = [fill(self.host, at, seed + n) for n, at in enumerate(starts(indices))]
        self.controller.write_storage(indices, tokens, hash_value=keys)
        operation = _next(self.controller.ack_backup_queue)
        self.host.free(indices)
        return pages, operation.completed_tokens // PAGE

    def read(self, tokens: list[int], pages: int | None = None) -> list[bytes]:
        """Prefetches the pages of these tokens as the controller and its scheduler do.

        `pages` is how many the look-up has to find, unless it is all. Returns what came.
        """
        operation = self.controller.prefetch("request", array("q", tokens))
        found = _next(self.controller.prefetch_hit_queue)
        assert found is operation
        wanted = len(tokens) // PAGE if pages is None else pages
        assert operation.storage_hit_count == wanted * PAGE, operation.storage_hit_count
        if not wanted:
            return []
        return self.transfer(operation, wanted)

    def transfer(self, operation: Any, pages: int) -> list[bytes]:
        """Reads the pages that a look-up has found."""
        indices = self.alloc(pages)
        # What was there before must not be taken for what was read.
        for at in starts(indices):
            fill(self.host, at, 10**6)
        operation.host_indices = indices
        self.controller.prefetch_buffer.put(operation)
        completed = 0
        while True:
            ack = _next(self.controller.ack_prefetch_queue)
            if ack.completed_tokens is not None:
                completed = ack.completed_tokens
            if ack.completed_req:
                break
        read = [content_of(self.host, at) for at in starts(indices)[: completed // PAGE]]
        self.host.free(indices)
        return read

    def find(self, tokens: list[int]) -> Any:
        """The look-up alone; returns the operation."""
        operation = self.controller.prefetch("request", array("q", tokens))
        assert _next(self.controller.prefetch_hit_queue) is operation
        return operation

    def keys(self, tokens: list[int]) -> list[str]:
        """SGLang's own hashes of the pages."""
        keys = self.controller.get_hash_str(array("q", tokens), page_size=PAGE)
        assert isinstance(keys, list)
        return keys

    def names(self, tokens: list[int]) -> list[str]:
        """The names of the pages' objects in the daemon."""
        return self.backend._pages["kv"].names(self.keys(tokens))


def starts(indices: torch.Tensor) -> list[int]:
    """The first slot of each page."""
    return indices[::PAGE].tolist()


def tokens_of(pages: int, first: int = 0) -> list[int]:
    """Tokens of as many pages; another first token makes all of them others."""
    return [first, *range(1, pages * PAGE)]


def _next(queue: Queue[Any]) -> Any:
    return queue.get(timeout=WITHIN_S)
