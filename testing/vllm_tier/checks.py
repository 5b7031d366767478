"""The tier against vLLM's real manager, factory and shared region, without an engine.

usage: python -m unittest checks          (run.py does so, in the environment that it makes)
"""

import os
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "contract"))

from kvlease.vllm.namespace import fields_of, prefix_of  # noqa: E402
from vllm.v1.kv_offload.base import (  # noqa: E402
    LookupResult,
    OffloadingKVEventsConfig,
    ReqContext,
    ScheduleEndContext,
    make_offload_key,
)
from vllm.v1.kv_offload.config import (  # noqa: E402
    OffloadingCacheConfig,
    OffloadingConfig,
    OffloadingGroupConfig,
    OffloadingModelConfig,
    OffloadingParallelConfig,
)
from vllm.v1.kv_offload.cpu.shared_offload_region import SharedOffloadRegion  # noqa: E402
from vllm.v1.kv_offload.tiering.factory import SecondaryTierFactory  # noqa: E402
from vllm.v1.kv_offload.tiering.manager import (  # noqa: E402
    CPUPrimaryTierOffloadingManager,
    TieringOffloadingManager,
)

from daemon import Daemon, wait_until  # noqa: E402

ROW_LEN = 64 << 10
CHUNKS = 64
BUCKET = "vllm"
WITHIN = 20.0
STEP = ScheduleEndContext(new_req_ids=(), preempted_req_ids=())
PARALLEL = OffloadingParallelConfig(
    rank=0,
    world_size=1,
    tp_size=1,
    pp_size=1,
    pcp_size=1,
    dcp_size=1,
    data_parallel_index=0,
    data_parallel_size=1,
    data_parallel_rank_local=None,
    is_parallelism_agnostic=False,
)
CONFIG = OffloadingConfig(
    groups=(OffloadingGroupConfig(tokens_per_block=32, layer_names=("a", "b"), group_id=0),),
    worker_kv_bytes_per_block=ROW_LEN,
    enable_kv_cache_events=True,
    extra_config={},
    engine_id="checks",
    model=OffloadingModelConfig(name="org/model", dtype="float16"),
    cache=OffloadingCacheConfig(tokens_per_hash=32, blocks_per_chunk=1),
    parallel=PARALLEL,
    kv_cache_layout="NHD",
)


def key_of(number: int, group: int = 0) -> bytes:
    """A key like vLLM's: a digest, and the number of a group."""
    return make_offload_key(number.to_bytes(32, "little"), group)


def content_of(key: bytes) -> bytes:
    """What a chunk of this key has, and no other."""
    return (key * (ROW_LEN // len(key) + 1))[:ROW_LEN]


class Node:
    """One engine's managers over a daemon: vLLM's own, and the tier."""

    def __init__(
        self,
        daemon: Daemon,
        chunks: int = CHUNKS,
        row_len: int = ROW_LEN,
        config: OffloadingConfig = CONFIG,
        **settings: Any,
    ) -> None:
        self._row_len = row_len
        self.region = SharedOffloadRegion(
            engine_id=uuid.uuid4().hex,
            num_chunks=chunks,
            rank=None,
            kv_bytes_per_chunk=row_len,
            cpu_page_size=row_len,
        )
        primary = CPUPrimaryTierOffloadingManager(num_chunks=chunks, mmap_region=self.region)
        events = OffloadingKVEventsConfig(True, False)
        spec = SimpleNamespace(config=config, kv_events_config=events, blocks_per_chunk=1)
        tier = {
            "type": "KvleaseTier",
            "module_path": "kvlease.vllm",
            "url": f"kvlease://127.0.0.1:{daemon.port}",
            "shared_memory_name": daemon.segment,
            "enable_kv_events": True,
            **settings,
        }
        view = primary.get_kv_memoryview()
        self.tier = SecondaryTierFactory.create_secondary_tier(tier, view, spec)
        self.manager = TieringOffloadingManager(primary, [self.tier])
        # Flat: a view of two dimensions has no slices.
        self._rows = view.cast("B")

    def close(self) -> None:
        self._rows.release()
        self.manager.shutdown()

    def row(self, chunk: int) -> memoryview:
        return self._rows[chunk * self._row_len : (chunk + 1) * self._row_len]

    def begin(self, request: str) -> ReqContext:
        context = ReqContext(req_id=request)
        self.manager.on_new_request(context)
        return context

    def store(self, keys: set[bytes], context: ReqContext) -> None:
        """As a step of the scheduler, once the worker has copied the pages."""
        prepared = self.manager.prepare_store(keys, context)
        assert prepared is not None
        chunks = prepared.store_spec.chunk_ids.tolist()
        for key, chunk in zip(prepared.keys_to_store, chunks, strict=True):
            self.row(chunk)[:] = content_of(key)
        self.manager.complete_store(set(prepared.keys_to_store), context)
        self.settle()

    def find(self, keys: list[bytes], context: ReqContext) -> list[LookupResult]:
        """Looks up until there is an answer, a step of the scheduler for each round."""

        def settled() -> bool:
            nonlocal found
            found = [self.manager.lookup(key, context) for key in keys]
            self.manager.on_schedule_end(STEP)
            open_answers = (LookupResult.RETRY, LookupResult.HIT_PENDING)
            return not any(answer in open_answers for answer in found)

        found: list[LookupResult] = []
        wait_until(settled, WITHIN, "every look-up has an answer")
        return found

    def read(self, keys: list[bytes], context: ReqContext) -> list[bytes]:
        """The bytes of chunks that were found."""
        chunks = self.manager.prepare_load(keys, context).chunk_ids.tolist()
        rows = [bytes(self.row(chunk)) for chunk in chunks]
        self.manager.complete_load(keys, context)
        return rows

    def settle(self) -> None:
        """Steps until no job is under way."""

        def idle() -> bool:
            self.manager.on_schedule_end(STEP)
            return not self.manager.has_pending_work()

        wait_until(idle, WITHIN, "no job is under way")


class Tier(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), Path(folder.name), "64MiB")
        self.addCleanup(self.daemon.destroy)
        self.daemon.start()

    def node(self, **settings: Any) -> Node:
        node = Node(self.daemon, **settings)
        self.addCleanup(node.close)
        return node

    def test_each_key_keeps_its_page_also_in_another_process(self) -> None:
        # vLLM's store has a set of keys, and pages in the order in which this set is walked.
        keys = {key_of(number, number % 2) for number in range(40)}
        node = self.node()
        node.store(keys, node.begin("first"))
        prefix = prefix_of(fields_of(CONFIG, ROW_LEN))
        for key in keys:
            self.assertEqual(self.daemon.stored(prefix + key.hex(), BUCKET), content_of(key))
        # Another process walks the same set in another order.
        for seed in ("1", "2"):
            other = [sys.executable, __file__, str(self.daemon.port), self.daemon.segment]
            subprocess.run(other, check=True, env={**os.environ, "PYTHONHASHSEED": seed})

    def test_the_index_answers_at_once_and_the_rest_is_asked_in_one_call_a_step(self) -> None:
        keys = [key_of(number) for number in range(20)]
        first = self.node()
        first.store(set(keys), first.begin("first"))
        second = self.node()
        context = second.begin("second")
        asked = self._asked()
        self.assertEqual(
            [second.tier.lookup(key, context) for key in keys], [LookupResult.HIT] * 20
        )
        self.assertEqual(self._asked(), asked)
        absent = [key_of(number) for number in range(100, 120)]
        self.assertEqual(
            [second.tier.lookup(key, context) for key in absent], [LookupResult.RETRY] * 20
        )
        self.assertEqual(second.find(absent, context), [LookupResult.MISS] * 20)
        self.assertEqual(self._asked(), asked + 1)
        stats = second.manager.get_stats()
        assert stats is not None
        counts = stats.reduce()
        self.assertEqual(counts["vllm:kv_offload_kvlease_lookups_in_place"], 20)
        self.assertEqual(counts["vllm:kv_offload_kvlease_lookups_asked"], 20)

    def test_a_load_that_fails_in_part_keeps_the_rest_and_does_not_loop(self) -> None:
        keys = [key_of(number) for number in range(8)]
        first = self.node()
        first.store(set(keys), first.begin("first"))
        second = self.node()
        context = second.begin("second")
        # Found, and removed before the load of this step is submitted.
        for key in keys:
            self.assertIs(second.manager.lookup(key, context), LookupResult.HIT_PENDING)
        removed = prefix_of(fields_of(CONFIG, ROW_LEN)) + keys[3].hex()
        self.assertTrue(second.tier._connector.remove(removed))
        second.settle()
        found = second.find(keys, context)
        hit, miss = LookupResult.HIT, LookupResult.MISS
        self.assertEqual(found, [hit, hit, hit, miss, hit, hit, hit, hit])
        there = keys[:3] + keys[4:]
        self.assertEqual(second.read(there, context), [content_of(key) for key in there])
        second.manager.on_request_finished(context)
        # Stored anew, it is found by the next request.
        third = self.node()
        third.store({keys[3]}, third.begin("third"))
        self.assertEqual(second.find([keys[3]], second.begin("fourth")), [hit])

    def test_an_object_of_another_length_is_a_miss(self) -> None:
        node, key = self.node(), key_of(7)
        node.tier._connector.put(prefix_of(fields_of(CONFIG, ROW_LEN)) + key.hex(), b"short")
        self.assertEqual(node.find([key], node.begin("first")), [LookupResult.MISS])

    def test_without_a_daemon_everything_is_a_miss_and_nothing_raises_or_hangs(self) -> None:
        keys = [key_of(number) for number in range(10)]
        node = self.node(timeout_ms=1000)
        node.store(set(keys), node.begin("first"))
        self.daemon.end(SIGKILL)
        other = self.node(timeout_ms=1000)
        context = other.begin("second")
        self.assertEqual(other.find(keys, context), [LookupResult.MISS] * 10)
        other.store({key_of(200)}, context)
        stats = other.manager.get_stats()
        assert stats is not None
        self.assertEqual(stats.reduce()["vllm:kv_offload_kvlease_store_failures"], 1)
        other.manager.reset_cache()

    def test_stores_are_announced_with_their_owner(self) -> None:
        node = self.node()
        keys = {key_of(number) for number in range(5)}
        node.store(keys, node.begin("first"))
        [event] = [event for event in node.manager.take_events() if event.ownership == "kvlease"]
        self.assertEqual(
            (set(event.keys), event.removed, event.medium.name, event.locality.name),
            (keys, False, "CPU", "LOCAL"),
        )

    def test_a_touch_is_told_to_the_daemon(self) -> None:
        node = self.node()
        context = node.begin("first")
        keys = [key_of(number) for number in range(5)]
        node.store(set(keys), context)
        self.assertEqual(self._calls("used"), 0)
        node.manager.touch(keys, context)
        wait_until(lambda: self._calls("used") == 1, WITHIN, "the touch was told")

    def test_a_setting_that_is_not_known_is_warned_of_and_a_bad_one_refused(self) -> None:
        with self.assertLogs("kvlease.vllm.tier", "WARNING") as logged:
            self.node(of_a_later_vllm=1)
        self.assertIn("of_a_later_vllm", logged.output[0])
        with self.assertRaisesRegex(ValueError, "timeout_ms"):
            self.node(timeout_ms="soon")

    def _asked(self) -> float:
        return self._calls("acquire") + self._calls("exists")

    def _calls(self, kind: str) -> float:
        return self.daemon.metric("kvlease_lane_requests_total", kind=kind)


class Namespace(unittest.TestCase):
    def test_engines_whose_bytes_differ_have_different_keys(self) -> None:
        group = CONFIG.groups[0]
        others = [
            replace(CONFIG, model=replace(CONFIG.model, name="another/model")),
            replace(CONFIG, model=replace(CONFIG.model, dtype="bfloat16")),
            replace(CONFIG, parallel=replace(PARALLEL, tp_size=2)),
            replace(CONFIG, parallel=replace(PARALLEL, dcp_size=2)),
            replace(CONFIG, cache=replace(CONFIG.cache, blocks_per_chunk=2)),
            replace(CONFIG, cache=replace(CONFIG.cache, tokens_per_hash=16)),
            replace(CONFIG, groups=(replace(group, layer_names=("a",)),)),
            replace(CONFIG, groups=(group, group)),
            replace(CONFIG, kv_cache_layout="HND"),
            replace(CONFIG, canonical_layout=True),
            replace(CONFIG, replicated_layout=True),
        ]
        prefixes = {prefix_of(fields_of(config, ROW_LEN)) for config in [CONFIG, *others]}
        prefixes.add(prefix_of(fields_of(CONFIG, 2 * ROW_LEN)))
        self.assertEqual(len(prefixes), len(others) + 2)
        # The engine's own name, its rank and its other settings are not part of it.
        same = replace(CONFIG, engine_id="other", parallel=replace(PARALLEL, rank=1))
        self.assertEqual(prefix_of(fields_of(same, ROW_LEN)), prefix_of(fields_of(CONFIG, ROW_LEN)))

    def test_parallelism_is_left_out_where_vllm_says_that_the_bytes_do_not_depend_on_it(
        self,
    ) -> None:
        agnostic = replace(PARALLEL, is_parallelism_agnostic=True)
        prefixes = {
            prefix_of(fields_of(replace(CONFIG, parallel=replace(agnostic, tp_size=size)), ROW_LEN))
            for size in (1, 2, 4)
        }
        self.assertEqual(len(prefixes), 1)


def read_in_another_process(port: int, segment: str) -> None:
    """Loads what the first check has stored, and compares every page."""
    keys = list({key_of(number, number % 2) for number in range(40)})
    node = Node(SimpleNamespace(port=port, segment=segment))  # type: ignore[arg-type]
    try:
        context = node.begin("another")
        assert node.find(keys, context) == [LookupResult.HIT] * len(keys)
        assert node.read(keys, context) == [content_of(key) for key in keys]
    finally:
        node.close()


if __name__ == "__main__":
    started = time.monotonic()
    read_in_another_process(int(sys.argv[1]), sys.argv[2])
    print(f"read in {time.monotonic() - started:.2f} s")
