"""The arena as vLLM's CPU tier, without an engine: the real spec, both halves, real memory.

usage: python -m unittest host_checks     (run.py does so, in the environment that it makes)
"""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

import torch
from checks import (
    CONFIG,
    PARALLEL,
    STEP,
    WITHIN,
    Daemon,
    Node,
    key_of,
    wait_until,
)
from vllm.v1.kv_offload.base import (
    CanonicalKVCacheRef,
    CanonicalKVCaches,
    CanonicalKVCacheTensor,
    GPULoadStoreSpec,
    LookupResult,
    ReqContext,
)
from vllm.v1.kv_offload.factory import OffloadingSpecFactory

# Two tensors, as of two layers; a page of each makes a block, and two blocks make a chunk.
PAGES = (12 << 10, 20 << 10)
BLOCKS = 128
BLOCKS_PER_CHUNK = 2
ROW_LEN = BLOCKS_PER_CHUNK * sum(PAGES)
HIT, MISS, RETRY = LookupResult.HIT, LookupResult.MISS, LookupResult.RETRY


class Engine:
    """The spec's two halves in one process, and vLLM's cache between them."""

    def __init__(self, daemon: Any, **settings: Any) -> None:
        extra = {
            "spec_name": "KvleaseHostSpec",
            "spec_module_path": "kvlease.vllm",
            "url": f"kvlease://127.0.0.1:{daemon.port}",
            "shared_memory_name": daemon.segment,
            **settings,
        }
        config = replace(
            CONFIG,
            worker_kv_bytes_per_block=sum(PAGES),
            cache=replace(CONFIG.cache, blocks_per_chunk=BLOCKS_PER_CHUNK),
            parallel=PARALLEL,
            extra_config=extra,
        )
        spec = OffloadingSpecFactory.create_spec(config)
        self.manager = spec.get_manager()
        self.caches = [torch.zeros((BLOCKS, page), dtype=torch.int8) for page in PAGES]
        tensors = [
            CanonicalKVCacheTensor(cache, page)
            for cache, page in zip(self.caches, PAGES, strict=True)
        ]
        refs = [CanonicalKVCacheRef(place, page) for place, page in enumerate(PAGES)]
        self.worker = spec.get_worker(CanonicalKVCaches(tensors, [refs]))
        self._jobs = 0

    def close(self) -> None:
        self.worker.shutdown()
        self.manager.shutdown()

    def begin(self, request: str) -> ReqContext:
        context = ReqContext(req_id=request)
        self.manager.on_new_request(context)
        return context

    def fill(self, block: int, key: bytes, part: int) -> None:
        """Writes what a block of this chunk has, and no other, into vLLM's cache."""
        for layer, cache in enumerate(self.caches):
            cache[block] = page_of(key, part, layer)

    def has(self, block: int, key: bytes, part: int) -> bool:
        """Whether a block of vLLM's cache has what a block of this chunk has."""
        pages = (torch.equal(c[block], page_of(key, part, n)) for n, c in enumerate(self.caches))
        return all(pages)

    def store(self, keys: list[bytes], context: ReqContext) -> list[bytes]:
        """Offloads chunks out of the first blocks; returns those that there was room for."""
        prepared = self.manager.prepare_store(keys, context)
        assert prepared is not None
        stored = prepared.keys_to_store
        for place, key in enumerate(stored):
            for part in range(BLOCKS_PER_CHUNK):
                self.fill(place * BLOCKS_PER_CHUNK + part, key, part)
        if stored:
            blocks = list(range(len(stored) * BLOCKS_PER_CHUNK))
            pages = GPULoadStoreSpec(blocks, [len(blocks)], [0])
            # A worker may be another process.
            spec = pickle.loads(pickle.dumps(prepared.store_spec))
            self.transfer(self.worker.submit_store, pages, spec)
            self.manager.complete_store(set(stored), context)
        return stored

    def find(self, keys: list[bytes], context: ReqContext) -> list[LookupResult]:
        """Looks up until there is an answer, a step of the scheduler for each round."""
        found: list[LookupResult] = []

        def settled() -> bool:
            nonlocal found
            found = [self.manager.lookup(key, context) for key in keys]
            self.manager.on_schedule_end(STEP)
            return RETRY not in found

        wait_until(settled, WITHIN, "every look-up has an answer")
        # The answers of this step, as the loads of a step are prepared in it.
        return [self.manager.lookup(key, context) for key in keys]

    def load(self, keys: list[bytes], context: ReqContext, skipped: int = 0) -> list[int]:
        """Loads chunks into the last blocks; `skipped` blocks of the first one are left out."""
        spec = self.manager.prepare_load(keys, context)
        count = len(keys) * BLOCKS_PER_CHUNK - skipped
        blocks = list(range(BLOCKS - count, BLOCKS))
        pages = GPULoadStoreSpec(blocks, [count], [skipped])
        self.transfer(self.worker.submit_load, pickle.loads(pickle.dumps(spec)), pages)
        self.manager.complete_load(set(keys), context)
        return blocks

    def transfer(self, submit: Any, source: Any, target: Any) -> None:
        self._jobs += 1
        assert submit(self._jobs, source, target)
        [result] = self.worker.get_finished()
        assert result.success and result.job_id == self._jobs


def page_of(key: bytes, part: int, layer: int) -> torch.Tensor:
    """What a page has: other bytes for each chunk, block and layer."""
    seed = hashlib.sha256(key + bytes((part, layer))).digest()
    length = PAGES[layer]
    return torch.frombuffer(bytearray(seed * (length // len(seed))), dtype=torch.int8)


class HostTier(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        config = '[cache]\nscrub_rate = "none"\n'
        self.daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder.name), "64MiB", config)
        self.addCleanup(self.daemon.destroy)
        self.daemon.start()

    def engine(self, **settings: Any) -> Engine:
        engine = Engine(self.daemon, **settings)
        self.addCleanup(engine.close)
        return engine

    def stored(self, keys: list[bytes]) -> None:
        """Has the chunks stored, by an engine that ends."""
        engine = self.engine()
        self.assertEqual(engine.store(keys, engine.begin("stores")), keys)
        self.wait_for(len(keys))

    def wait_for(self, objects: int) -> None:
        wait_until(lambda: self.objects() == objects, WITHIN, "the chunks are committed")

    def objects(self) -> int:
        return json.loads(self.daemon.fetch("/v1/stats"))["objects"]

    def loads_all(self, engine: Engine, keys: list[bytes], context: ReqContext) -> bool:
        blocks = engine.load(keys, context)
        places = [(key, part) for key in keys for part in range(BLOCKS_PER_CHUNK)]
        pairs = zip(blocks, places, strict=True)
        return all(engine.has(block, key, part) for block, (key, part) in pairs)

    def test_what_one_engine_stores_another_loads_and_in_another_process_too(self) -> None:
        keys = [key_of(number) for number in range(20)]
        self.stored(keys)
        engine = self.engine()
        context = engine.begin("loads")
        absent = [key_of(100), key_of(101)]
        self.assertEqual(engine.find(keys + absent, context), [HIT] * 20 + [MISS] * 2)
        self.assertTrue(self.loads_all(engine, keys, context))
        # A chunk of which a request has the first block already.
        again = engine.begin("again")
        self.assertEqual(engine.find(keys[:2], again), [HIT] * 2)
        blocks = engine.load(keys[:2], again, skipped=1)
        wanted = [(keys[0], 1), (keys[1], 0), (keys[1], 1)]
        for block, (key, part) in zip(blocks, wanted, strict=True):
            self.assertTrue(engine.has(block, key, part))
        other = [sys.executable, __file__, str(self.daemon.port), self.daemon.segment]
        subprocess.run(other, check=True)
        self.assertEqual(engine.manager.prepare_store(keys, context).keys_to_store, [])
        self._wait_for_no_lease()

    def test_its_chunks_are_those_of_the_secondary_tier(self) -> None:
        keys = [key_of(number) for number in range(4)]
        self.stored(keys)
        # The tier's own checks have one block to a chunk; so a row of theirs is one of ours.
        config = replace(
            CONFIG,
            worker_kv_bytes_per_block=sum(PAGES),
            cache=replace(CONFIG.cache, blocks_per_chunk=BLOCKS_PER_CHUNK),
        )
        node = Node(self.daemon, row_len=ROW_LEN, config=config)
        self.addCleanup(node.close)
        context = node.begin("loads")
        self.assertEqual(node.find(keys, context), [HIT] * 4)
        # A row has tensor after tensor, each with the blocks of the chunk.
        rows = [
            b"".join(
                page_of(key, part, layer).numpy().tobytes()
                for layer in range(len(PAGES))
                for part in range(BLOCKS_PER_CHUNK)
            )
            for key in keys
        ]
        self.assertEqual(node.read(keys, context), rows)

    def test_a_chunk_whose_bytes_have_changed_is_a_miss(self) -> None:
        keys = [key_of(number) for number in range(3)]
        self.stored(keys)
        engine = self.engine()
        name = engine.manager._name(keys[1])
        [(offset, _)] = engine.manager._connector.view(name).extents
        with open(self.daemon.path, "r+b") as arena:
            arena.seek(offset)
            byte = arena.read(1)[0]
            arena.seek(offset)
            arena.write(bytes((byte ^ 1,)))
        self.assertEqual(engine.find(keys, engine.begin("loads")), [HIT, MISS, HIT])
        stats = engine.manager.get_stats()
        assert stats is not None
        self.assertEqual(stats.reduce()["vllm:kv_offload_kvlease_corrupt"], 1)

    def test_what_was_found_is_loaded_though_the_daemon_is_killed_and_started_again(self) -> None:
        keys = [key_of(number) for number in range(10)]
        self.stored(keys)
        engine = self.engine()
        first, second = engine.begin("first"), engine.begin("second")
        self.assertEqual(engine.find(keys, first), [HIT] * 10)
        self.assertEqual(engine.find(keys, second), [HIT] * 10)
        self.daemon.end(SIGKILL)
        self.assertTrue(self.loads_all(engine, keys, first))
        self.daemon.start()
        others = self.engine()
        # Space of what is leased is left alone by the daemon after it.
        others.store([key_of(number) for number in range(1000, 1060)], others.begin("fills"))
        self.assertTrue(self.loads_all(engine, keys, second))

    def test_without_a_daemon_everything_is_a_miss_and_nothing_is_stored_or_raised(self) -> None:
        keys = [key_of(number) for number in range(10)]
        self.stored(keys)
        engine = self.engine(timeout_ms=1000)
        context = engine.begin("stores")
        prepared = engine.manager.prepare_store([key_of(100)], context)
        self.assertEqual(len(prepared.keys_to_store), 1)
        self.daemon.end(SIGKILL)
        # What was under way ends without an object, and what begins is not begun.
        engine.manager.complete_store({key_of(100)}, context)
        self.assertEqual(engine.find(keys, engine.begin("loads")), [MISS] * 10)
        self.assertEqual(engine.store([key_of(101)], context), [])
        engine.manager.touch(keys, context)
        without = self.engine(timeout_ms=1000)
        self.assertEqual(without.find(keys, without.begin("loads")), [MISS] * 10)
        self.daemon.start()
        wait_until(
            lambda: engine.store([key_of(102)], engine.begin("after")) == [key_of(102)],
            WITHIN,
            "the engine has found the daemon again",
        )

    def test_a_daemon_that_is_stopped_is_not_waited_for(self) -> None:
        engine = self.engine(timeout_ms=1000)
        context = engine.begin("stores")
        self.daemon.pause()
        self.addCleanup(self.daemon.resume)
        self.assertEqual(engine.store([key_of(1)], context), [])
        # Space that comes too late is given back, and found free again.
        self.daemon.resume()
        engine.manager._reserve_again = 0.0

        def stored() -> bool:
            engine.manager.on_schedule_end(STEP)
            engine.manager._reserve_again = 0.0
            return engine.store([key_of(1)], context) == [key_of(1)]

        wait_until(stored, WITHIN, "the chunk is stored")

    def test_a_store_whose_time_is_over_is_neither_copied_nor_committed(self) -> None:
        engine = self.engine()
        context = engine.begin("stores")
        key = key_of(1)
        prepared = engine.manager.prepare_store([key], context)
        spec = prepared.store_spec
        before = self._bytes_at(spec)
        spec.until = 0.0
        engine.fill(0, key, 0)
        engine.fill(1, key, 1)
        engine.transfer(engine.worker.submit_store, GPULoadStoreSpec([0, 1], [2], [0]), spec)
        self.assertEqual(self._bytes_at(spec), before)
        store = engine.manager._stores[key]
        engine.manager._stores[key] = store._replace(until=0.0)
        engine.manager.complete_store({key}, context)
        # The space is free again, so the key can be stored.
        del store
        wait_until(lambda: engine.store([key], context) == [key], WITHIN, "the space is back")
        self.wait_for(1)

    def test_a_full_arena_stores_what_there_is_room_for(self) -> None:
        engine = self.engine()
        keys = [key_of(number) for number in range(60)]
        self.stored(keys)
        context = engine.begin("holds")
        self.assertEqual(engine.find(keys, context), [HIT] * 60)
        stored: set[bytes] = set()
        for begin in range(1000, 4000, 60):
            more = [key_of(number) for number in range(begin, begin + 60)]
            stored.update(engine.store(more, context))
        # Leased chunks stayed: all others had to make room.
        self.assertTrue(stored)
        self.assertTrue(self.loads_all(engine, keys, context))

    def test_no_more_is_held_than_a_part_of_the_arena_and_the_rest_is_a_miss(self) -> None:
        keys = [key_of(number) for number in range(20)]
        self.stored(keys)
        engine = self.engine()
        engine.find(keys[:1], engine.begin("first"))
        engine.manager._held_max = 5
        found = engine.find(keys, engine.begin("second"))
        self.assertEqual(found, [HIT] * 5 + [MISS] * 15)

    def test_a_request_that_has_ended_holds_nothing(self) -> None:
        keys = [key_of(number) for number in range(10)]
        self.stored(keys)
        engine = self.engine()
        first, second = engine.begin("first"), engine.begin("second")
        for context in (first, second):
            self.assertEqual(engine.find(keys, context), [HIT] * 10)
        engine.manager.on_request_finished(first)
        self.assertEqual(len(engine.manager._held), 10)
        engine.manager.on_request_finished(second)
        self.assertEqual(engine.manager._held, {})
        self._wait_for_no_lease()

    def test_a_load_after_the_end_of_its_lease_ends_the_engine(self) -> None:
        keys = [key_of(1)]
        self.stored(keys)
        engine = self.engine(lease_ttl_ms=1000)
        context = engine.begin("loads")
        self.assertEqual(engine.find(keys, context), [HIT])
        [view] = engine.manager._held.values()
        engine.manager.prepare_load(keys, context)
        self.daemon.pause()
        self.addCleanup(self.daemon.resume)
        wait_until(lambda: not view.is_live, WITHIN, "the lease has ended")
        with self.assertRaisesRegex(RuntimeError, "lease_ttl_ms"):
            engine.manager.complete_load(set(keys), context)

    def test_after_a_reset_nothing_of_before_is_found(self) -> None:
        keys = [key_of(number) for number in range(5)]
        self.stored(keys)
        engine = self.engine()
        self.assertEqual(engine.find(keys, engine.begin("first")), [HIT] * 5)
        engine.manager.reset_cache()
        second = engine.begin("second")
        self.assertEqual(engine.find(keys, second), [MISS] * 5)
        engine.manager.on_request_finished(second)
        self.assertEqual(engine.store(keys, engine.begin("third")), keys)
        self.wait_for(10)
        self.assertEqual(engine.find(keys, engine.begin("fourth")), [HIT] * 5)

    def test_an_arena_of_another_name_is_told_and_not_used(self) -> None:
        keys = [key_of(1)]
        self.stored(keys)
        with self.assertLogs("kvlease.vllm.host.manager", "WARNING") as logged:
            engine = self.engine(shared_memory_name=f"{self.daemon.segment}-other")
            self.assertEqual(engine.find(keys, engine.begin("loads")), [MISS])
            self.assertEqual(engine.store([key_of(2)], engine.begin("stores")), [])
        self.assertIn("shared_memory_name", "\n".join(logged.output))

    def test_an_engine_that_began_without_a_daemon_uses_it_once_it_is_there(self) -> None:
        keys = [key_of(number) for number in range(3)]
        self.stored(keys)
        self.daemon.end(SIGKILL)
        hidden = self.daemon.path.with_name(f"{self.daemon.segment}-hidden")
        self.daemon.path.rename(hidden)
        engine = self.engine(timeout_ms=1000)
        first = engine.begin("first")
        self.assertEqual(engine.find(keys, first), [MISS] * 3)
        engine.manager.on_request_finished(first)
        hidden.rename(self.daemon.path)
        self.daemon.start()

        def found() -> bool:
            return engine.find(keys, engine.begin("second")) == [HIT] * 3 or bool(
                engine.manager.on_request_finished(ReqContext(req_id="second"))
            )

        wait_until(found, WITHIN, "the chunks are found")
        self.assertTrue(self.loads_all(engine, keys, ReqContext(req_id="second")))

    def test_settings_that_cannot_be_used_are_refused(self) -> None:
        for settings in ({"url": None}, {"shared_memory_name": None}, {"timeout_ms": "soon"}):
            with self.subTest(settings), self.assertRaises((ValueError, TypeError)):
                self.engine(**settings)

    def _bytes_at(self, spec: Any) -> bytes:
        with open(self.daemon.path, "rb") as arena:
            arena.seek(int(spec.block_ids[0]) * 4096)
            return arena.read(ROW_LEN)

    def _wait_for_no_lease(self) -> None:
        live = "kvlease_leases_live"
        wait_until(lambda: self.daemon.metric(live) == 0, WITHIN, "no lease is held")


def load_in_another_process(port: int, segment: str) -> None:
    """Loads what the first check has stored, and compares every page."""
    keys = [key_of(number) for number in range(20)]
    engine = Engine(type("Daemon", (), {"port": port, "segment": segment}))
    try:
        context = engine.begin("another")
        assert engine.find(keys, context) == [HIT] * len(keys)
        blocks = iter(engine.load(keys, context))
        for key in keys:
            for part in range(BLOCKS_PER_CHUNK):
                assert engine.has(next(blocks), key, part)
    finally:
        engine.close()


if __name__ == "__main__":
    load_in_another_process(int(sys.argv[1]), sys.argv[2])
