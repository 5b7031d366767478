"""The backend against SGLang's real pools, factory and controllers, without an engine.

usage: python -m unittest checks          (run.py does so, in the environment that it makes)
"""

import os
import sys
import tempfile
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "contract")]

import torch  # noqa: E402
from sglang.srt.mem_cache.hicache_storage import (  # noqa: E402
    HiCacheStorageConfig,
    PoolHitPolicy,
    PoolName,
    PoolTransfer,
)
from sglang.srt.mem_cache.memory_pool_host import LogicalHostPool  # noqa: E402
from sglang.srt.mem_cache.storage import StorageBackendFactory  # noqa: E402

from daemon import Daemon, wait_until  # noqa: E402
from ranks import (  # noqa: E402
    HEADS,
    LAYERS,
    MHA_LAYOUTS,
    MLA_LAYOUTS,
    PAGE,
    Rank,
    content_of,
    device_pool,
    fill,
    host_pool,
    starts,
    tokens_of,
)

BUCKET = "sglang"
# More than one batch of SGLang, which has 128 pages.
MANY = 300
# (kind of pool, layout): all that SGLang's pools have.
POOLS = [("mha", layout) for layout in MHA_LAYOUTS] + [("mla", layout) for layout in MLA_LAYOUTS]
WITHIN = 20.0


class Checks(unittest.TestCase):
    capacity = "64MiB"
    config = ""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        binary = Path(os.environ["KVLEASE_BIN"])
        self.daemon = Daemon(binary, Path(folder.name), self.capacity, self.config)
        self.addCleanup(self.daemon.destroy)
        self.daemon.start()

    def rank(self, layout: str = "page_first", kind: str = "mha", **settings: Any) -> Rank:
        rank = Rank(self.daemon, layout, kind, **settings)
        self.addCleanup(rank.close)
        return rank

    def objects(self) -> int:
        return int(self.daemon.metric("kvlease_objects"))


class Controller(Checks):
    def test_pages_of_every_layout_come_back_over_the_lane_and_over_http(self) -> None:
        for number, (kind, layout) in enumerate(POOLS):
            tokens = tokens_of(MANY, number)
            with self.subTest(kind=kind, layout=layout):
                writer = self.rank(layout, kind)
                pages, stored = writer.write(tokens)
                self.assertEqual(stored, MANY)
                # One object for each page, whatever regions it has.
                for name, page in zip(writer.names(tokens[: 2 * PAGE]), pages, strict=False):
                    self.assertEqual(sorted(self.daemon.stored(name, BUCKET)), sorted(page))
                ways: list[dict[str, Any]] = [
                    {},
                    {"socket": "none"},
                    {"socket": "none", "shared_memory_name": None},
                ]
                for way in ways:
                    reader = self.rank(layout, kind, **way)
                    self.assertEqual(reader.read(tokens), pages)
                    http_reads = reader.backend._connector.stats()["http_reads"]
                    self.assertEqual(http_reads, MANY if "shared_memory_name" in way else 0)

    def test_pages_are_written_over_http_alone(self) -> None:
        for number, (kind, layout) in enumerate(POOLS):
            tokens = tokens_of(20, number)
            writer = self.rank(layout, kind, socket="none", shared_memory_name=None)
            pages, stored = writer.write(tokens)
            self.assertEqual((stored, self.rank(layout, kind).read(tokens)), (20, pages))

    def test_the_interface_with_copies_works_and_is_warned_of(self) -> None:
        for number, (kind, layout) in enumerate(POOLS):
            tokens = tokens_of(MANY, number)
            with self.assertLogs("kvlease.sglang", "WARNING") as logged:
                writer = self.rank(layout, kind, interface_v1=0)
            self.assertIn("interface_v1", logged.output[0])
            pages, stored = writer.write(tokens)
            self.assertEqual(stored, MANY)
            self.assertEqual(self.rank(layout, kind, interface_v1=0).read(tokens), pages)
            # Copies of some layouts have another order, so they have names of their own.
            self.assertEqual(self.rank(layout, kind).read(tokens, 0), [])

    def test_a_page_that_was_stored_before_counts_as_stored(self) -> None:
        rank, tokens = self.rank(), tokens_of(10)
        first, _ = rank.write(tokens)
        _, stored = rank.write(tokens, seed=100)
        self.assertEqual((stored, rank.read(tokens)), (10, first))

    def test_a_look_up_ends_at_the_first_hole_and_costs_no_call_if_the_index_answers(self) -> None:
        rank, tokens = self.rank(), tokens_of(MANY)
        pages, _ = rank.write(tokens)
        asked = self._asked()
        self.assertEqual(rank.find(tokens).storage_hit_count, MANY * PAGE)
        self.assertEqual(self._asked(), asked)
        rank.backend._connector.remove(rank.names(tokens)[140])
        self.assertEqual(rank.read(tokens, 140), pages[:140])
        # The hole was asked for, in one call.
        self.assertEqual(self._asked(), asked + 1)

    def test_a_page_that_goes_between_look_up_and_read_ends_the_read_before_it(self) -> None:
        rank, tokens = self.rank("layer_first"), tokens_of(MANY)
        pages, _ = rank.write(tokens)
        operation = rank.find(tokens)
        for hole in (200, 140):
            rank.backend._connector.remove(rank.names(tokens)[hole])
        self.assertEqual(rank.transfer(operation, MANY), pages[:140])

    def test_pages_whose_bytes_changed_in_the_arena_are_not_taken(self) -> None:
        rank, tokens = self.rank("layer_first"), tokens_of(8)
        pages, _ = rank.write(tokens)
        with self.daemon.path.open("r+b") as segment:
            place = segment.read().find(rank_bytes(rank, self.daemon, tokens, 5))
            self.assertGreater(place, 0)
            segment.seek(place + 100)
            segment.write(b"?!?!")
        self.assertEqual(rank.read(tokens, 8), pages[:5])

    def test_an_object_of_another_length_is_a_miss(self) -> None:
        rank, tokens = self.rank(), tokens_of(3)
        pages, _ = rank.write(tokens)
        name = rank.names(tokens)[1]
        self.assertTrue(rank.backend._connector.remove(name))
        self.assertTrue(rank.backend._connector.put(name, b"short"))
        self.assertEqual(rank.read(tokens, 3), pages[:1])

    def _asked(self) -> float:
        kinds = ("acquire", "exists")
        return sum(self.daemon.metric("kvlease_lane_requests_total", kind=kind) for kind in kinds)


class Failures(Checks):
    def test_a_daemon_that_is_killed_and_back_costs_pages_and_no_exception(self) -> None:
        for layout in ("page_first", "layer_first"):
            rank, tokens = self.rank(layout, timeout_ms=2000), tokens_of(MANY)
            pages, _ = rank.write(tokens)
            operation = rank.find(tokens)
            self.daemon.end(SIGKILL)
            # What the daemon has left in memory is still read, or nothing: never other bytes.
            read = rank.transfer(operation, MANY)
            self.assertEqual(read, pages[: len(read)])
            started = time.monotonic()
            _, stored = rank.write(tokens_of(MANY, 1), seed=MANY)
            self.assertEqual(stored, 0)
            # The first write waited for the daemon to come back; the next do not.
            _, stored = rank.write(tokens_of(MANY, 2), seed=MANY)
            self.assertEqual(stored, 0)
            # Were each page waited for, it took ten minutes.
            self.assertLess(time.monotonic() - started, 120)
            self.daemon.start()
            again = tokens_of(MANY, 3)

            def written(rank: Rank = rank, again: list[int] = again) -> bool:
                nonlocal pages
                pages, stored = rank.write(again, seed=5)
                return stored == MANY

            wait_until(written, WITHIN, "the backend writes again")
            self.assertEqual(rank.read(again), pages)
            # What it had stored before, the daemon has taken over.
            self.assertGreater(rank.find(tokens).storage_hit_count, 0)
            rank.backend.clear()

    def test_a_daemon_that_comes_back_during_a_write_gets_all_of_it(self) -> None:
        # A write waits for as long as a daemon needs to start, on a busy machine too.
        rank, tokens = self.rank(timeout_ms=60_000), tokens_of(MANY)
        rank.write(tokens_of(1, 9))
        self.daemon.end(SIGKILL)
        written: list[tuple[list[bytes], int]] = []
        # The kernel ends a daemon with the thread that has started it: that is this one.
        writer = threading.Thread(target=lambda: written.append(rank.write(tokens)))
        writer.start()
        time.sleep(0.3)
        self.daemon.start()
        writer.join()
        [(pages, stored)] = written
        self.assertEqual(stored, MANY)
        self.assertEqual(self.rank().read(tokens), pages)

    def test_a_batch_that_fails_in_part_is_told_page_by_page(self) -> None:
        rank, tokens = self.rank(), tokens_of(6)
        keys, indices = rank.keys(tokens), rank.alloc(6)
        pages = [fill(rank.host, at, n) for n, at in enumerate(starts(indices))]
        connector = rank.backend._connector
        gather = connector.batched_gather
        tries: list[int] = []

        def failing(names: list[str], *rest: Any) -> list[Any]:
            tries.append(len(names))
            flags = gather(names, *rest)
            bad = rank.names(tokens)[2]
            return [
                RuntimeError("at a limit") if name == bad else flag
                for name, flag in zip(names, flags, strict=True)
            ]

        with replaced(rank.backend._transfers, "_connector", batched_gather=failing):
            stored = rank.backend.batch_set_v1(keys, indices)
            self.assertEqual(stored, [True, True, False, True, True, True])
            # Only what had failed was tried again, and after all tries have failed there is one.
            self.assertEqual(tries, [6, 1, 1, 1, 1])
            rank.backend.batch_set_v1(keys, indices)
            self.assertEqual(tries[5:], [6])
        self.assertEqual(rank.backend.batch_set_v1(keys, indices), [True] * 6)
        self.assertEqual(rank.read(tokens), pages)

    def test_slots_that_are_not_those_of_the_pages_are_refused(self) -> None:
        rank, tokens = self.rank(), tokens_of(4)
        keys, indices = rank.keys(tokens), rank.alloc(4)
        for slots in (indices[:-1], None, indices[: 2 * PAGE]):
            self.assertEqual(rank.backend.batch_set_v1(keys, slots), [False] * 4)
            self.assertEqual(rank.backend.batch_get_v1(keys, slots), [False] * 4)
        self.assertEqual(rank.backend.batch_set_v1([], indices[:0]), [])
        # Slots outside of the pool are addresses outside of its memory.
        self.assertEqual(rank.backend.batch_set_v1(keys, indices + 10**6), [False] * 4)
        self.assertEqual(rank.backend.batch_get_v1(keys, indices + 10**6), [False] * 4)
        self.assertEqual(self.objects(), 0)

    def test_without_a_daemon_the_engine_starts_and_every_page_is_a_miss(self) -> None:
        self.daemon.end()
        rank, tokens = self.rank(timeout_ms=500), tokens_of(4)
        self.assertEqual(rank.read(tokens, 0), [])
        self.assertEqual(rank.write(tokens)[1], 0)
        self.assertFalse(rank.backend.exists("key"))
        self.assertFalse(rank.backend.clear())

    def test_settings_are_checked(self) -> None:
        with self.assertLogs("kvlease.sglang", "WARNING") as logged:
            self.rank(of_a_later_sglang=1)
        self.assertIn("of_a_later_sglang", logged.output[0])
        with self.assertRaisesRegex(ValueError, "timeout_ms"):
            self.rank(timeout_ms="soon")
        with self.assertRaisesRegex(ValueError, "url"):
            self.rank(url=None)


class FullArena(Checks):
    capacity = "16MiB"

    def test_nothing_is_half_stored_where_there_is_no_room(self) -> None:
        tokens = tokens_of(MANY)
        writer = self.rank("layer_first")
        pages, _ = writer.write(tokens)
        leases = [
            self.daemon.lease(name, BUCKET)
            for name in writer.names(tokens)
            if self._exists(writer, name)
        ]
        # All that is there is leased, so further pages find no room at some point.
        first, rounds = 1, 0
        while rounds < 40:
            more = tokens_of(MANY, first)
            stored = writer.write(more, seed=first * MANY)[1]
            leases += [
                self.daemon.lease(name, BUCKET)
                for name in writer.names(more)
                if self._exists(writer, name)
            ]
            first, rounds = first + 1, rounds + 1
            if stored < MANY:
                break
        self.assertLess(stored, MANY)
        self.assertEqual(writer.read(tokens), pages)
        # Every page of the operation that failed is whole, or not there.
        length = len(pages[0])
        for name in writer.names(more):
            if self._exists(writer, name):
                self.assertEqual(len(self.daemon.stored(name, BUCKET)), length)
        for lease in leases:
            self.daemon.release(lease)

    def _exists(self, rank: Rank, name: str) -> bool:
        return rank.backend._connector.exists(name)


class Names(Checks):
    def test_what_decides_on_the_bytes_is_in_the_name(self) -> None:
        tokens = tokens_of(1)
        ranks = [self.rank(layout, kind) for kind, layout in POOLS] + [
            self.rank(dtype=torch.bfloat16),
            self.rank(dtype=torch.float32),
            self.rank(heads=2 * HEADS),
            self.rank(tp=(0, 2)),
            self.rank(tp=(1, 2)),
            self.rank(pp=(0, 2)),
            self.rank(pp=(1, 2)),
            self.rank(model="org/other-7b"),
            self.rank(namespace="fp8 of another kind"),
            self.rank(interface_v1=0),
        ]
        names = [rank.names(tokens)[0] for rank in ranks]
        self.assertEqual(len(set(names)), len(names), names)
        same = self.rank(timeout_ms=2000)
        self.assertEqual(
            same.names(tokens), ranks[POOLS.index(("mha", "page_first"))].names(tokens)
        )
        self.assertTrue(names[0].startswith("sglang@model-7b@"), names[0])
        self.assertTrue(names[0].endswith("@" + same.keys(tokens)[0]), names[0])

    def test_other_ranks_layouts_and_data_types_find_nothing(self) -> None:
        tokens = tokens_of(5)
        self.rank(tp=(0, 2)).write(tokens)
        others: list[dict[str, Any]] = [
            {"tp": (1, 2)},
            {"tp": (0, 4)},
            {"tp": (0, 2), "layout": "page_first_direct"},
            {"tp": (0, 2), "layout": "layer_first"},
            {"tp": (0, 2), "dtype": torch.bfloat16},
        ]
        for other in others:
            self.assertEqual(self.rank(**other).read(tokens, 0), [], other)

    def test_two_ranks_keep_their_halves_apart(self) -> None:
        tokens = tokens_of(20)
        both = [self.rank(tp=(number, 2)) for number in range(2)]
        pages = [rank.write(tokens, seed=100 * number)[0] for number, rank in enumerate(both)]
        self.assertEqual(self.objects(), 40)
        self.assertEqual([rank.read(tokens) for rank in both], pages)

    def test_ranks_whose_pages_are_the_same_share_those_of_the_first(self) -> None:
        tokens = tokens_of(20)
        first, second = (self.rank(kind="mla", tp=(number, 2)) for number in range(2))
        pages, _ = first.write(tokens)
        # SGLang itself lets the other ranks write nothing.
        self.assertEqual(second.write(tokens, seed=500)[1], 0)
        self.assertEqual(second.read(tokens), pages)
        self.assertEqual(self.objects(), 20)

    def test_the_parts_of_a_page_are_found_by_engines_of_more_ranks(self) -> None:
        tokens = tokens_of(20)
        whole = self.rank("page_head", tp_lcm_size=2)
        pages, stored = whole.write(tokens)
        self.assertEqual((stored, self.objects()), (20, 40))
        self.assertEqual(self.rank("page_head", tp_lcm_size=2).read(tokens), pages)
        halves = [
            self.rank("page_head", tp=(number, 2), heads=HEADS // 2, tp_lcm_size=2)
            for number in range(2)
        ]
        read = [rank.read(tokens) for rank in halves]
        for number, page in enumerate(pages):
            # K and V, each by heads.
            quarters = [page[part * len(page) // 4 :][: len(page) // 4] for part in range(4)]
            self.assertEqual(read[0][number], quarters[0] + quarters[2])
            self.assertEqual(read[1][number], quarters[1] + quarters[3])
        # A page is there if all its parts are.
        operation = whole.find(tokens)
        halves[1].backend._connector.remove(halves[1].names(tokens)[7])
        self.assertEqual(whole.transfer(operation, 20), pages[:7])
        self.assertEqual(whole.read(tokens, 7), pages[:7])

    def test_clearing_removes_this_engines_pages_and_no_others(self) -> None:
        rank, other = self.rank(), self.rank("layer_first")
        for each in (rank, other):
            each.write(tokens_of(10))
        self.assertTrue(rank.controller.storage_backend.clear())
        self.assertEqual(rank.read(tokens_of(10), 0), [])
        self.assertEqual(len(other.read(tokens_of(10))), 10)


class SeveralPools(Checks):
    """The second interface, with a draft model's pages beside the model's own."""

    def setUp(self) -> None:
        super().setUp()
        self.kv = self.rank("page_first")
        self.draft = host_pool(device_pool("mha"), "layer_first")
        self.backend = self.kv.backend
        self.backend.register_mem_host_pool_v2(self.kv.host, PoolName.KV)
        self.backend.register_mem_host_pool_v2(self.draft, PoolName.DRAFT)
        self.backend.on_host_pools_registered()

    def transfer(self, keys: list[str], **fields: Any) -> PoolTransfer:
        fields.setdefault("name", PoolName.DRAFT)
        return PoolTransfer(keys=keys, **fields)

    def stored(self, keys: list[str]) -> list[bytes]:
        indices = self.draft.alloc(len(keys) * PAGE)
        pages = [fill(self.draft, at, 1000 + n) for n, at in enumerate(starts(indices))]
        transfer = self.transfer(keys, host_indices=indices)
        self.assertEqual(
            self.backend.batch_set_v2([transfer]), {PoolName.DRAFT: [True] * len(keys)}
        )
        return pages

    def test_pages_of_a_further_pool_come_back_and_are_not_those_of_the_first(self) -> None:
        tokens = tokens_of(10)
        keys = self.kv.keys(tokens)
        own, _ = self.kv.write(tokens)
        pages = self.stored(keys)
        self.assertEqual(self.objects(), 20)
        self.backend._connector.remove(self.backend._pages["draft"].names(keys)[6])
        indices = self.draft.alloc(10 * PAGE)
        read = self.backend.batch_get_v2([self.transfer(keys, host_indices=indices)])
        self.assertEqual(read, {PoolName.DRAFT: [True] * 6 + [False] + [True] * 3})
        found = [content_of(self.draft, at) for at in starts(indices)]
        self.assertEqual(found[:6] + found[7:], pages[:6] + pages[7:])
        self.assertEqual(self.kv.read(tokens), own)

    def test_a_prefix_is_as_long_as_all_pools_can_serve(self) -> None:
        tokens = tokens_of(10)
        keys = self.kv.keys(tokens)
        self.kv.write(tokens[: 8 * PAGE])
        self.stored([keys[0], keys[1], keys[3], keys[4], keys[7]])
        cases = [
            (PoolHitPolicy.ALL_PAGES, 1, 2, 2, [1, 2]),
            (PoolHitPolicy.TRAILING_PAGES, 1, 8, 8, [1, 2, 4, 5, 8]),
            (PoolHitPolicy.TRAILING_PAGES, 2, 5, 5, [1, 2, 5]),
            (PoolHitPolicy.BLOCK_GROUPS, 1, 8, None, list(range(1, 9))),
        ]
        for policy, trailing, hits, of_pool, restorable in cases:
            transfer = self.transfer(keys[:trailing], hit_policy=policy)
            result = self.backend.batch_exists_v2(keys, [transfer])
            self.assertEqual(result.kv_hit_pages, hits, policy)
            self.assertEqual(result.restorable_prefix_pages, restorable, policy)
            self.assertEqual(result.extra_pool_hit_pages.get(PoolName.DRAFT), of_pool, policy)
            self.assertEqual(result.extra_pool_hit_pages[PoolName.KV], 8)
        self.assertEqual(self.backend.batch_exists_v2(keys).kv_hit_pages, 8)
        nothing = self.backend.batch_exists_v2(self.kv.keys(tokens_of(3, 77)), [transfer])
        self.assertEqual((nothing.kv_hit_pages, nothing.extra_pool_hit_pages), (0, {}))

    def test_the_answers_are_those_of_sglangs_own_file_backend(self) -> None:
        from sglang.srt.mem_cache.hicache_storage import HiCacheFile

        tokens = tokens_of(12)
        keys = self.kv.keys(tokens)
        with tempfile.TemporaryDirectory() as folder:
            model = self.kv.controller.storage_config
            files = HiCacheFile(model, folder)
            files.register_mem_pool_host(self.kv.host)
            for name, pool in ((PoolName.KV, self.kv.host), (PoolName.DRAFT, self.draft)):
                files.register_mem_host_pool_v2(pool, name)
            self.kv.write(tokens[: 9 * PAGE])
            indices = self.kv.alloc(9)
            own = PoolTransfer(name=PoolName.KV, keys=keys[:9], host_indices=indices)
            files.batch_set_v2([own])
            some = [keys[n] for n in (0, 1, 2, 4, 5, 8)]
            self.stored(some)
            slots = self.draft.alloc(len(some) * PAGE)
            files.batch_set_v2([self.transfer(some, host_indices=slots)])
            for policy in (PoolHitPolicy.ALL_PAGES, PoolHitPolicy.TRAILING_PAGES):
                for trailing in (1, 2, 3, 4):
                    transfers = [self.transfer(keys[:trailing], hit_policy=policy)]
                    answers = [
                        backend.batch_exists_v2(keys, transfers)
                        for backend in (self.backend, files)
                    ]
                    self.assertEqual(answers[0], answers[1], (policy, trailing))

    def test_a_pool_that_is_not_known_stores_and_finds_nothing(self) -> None:
        keys = self.kv.keys(tokens_of(3))
        self.kv.write(tokens_of(3))
        unknown = self.transfer(keys, name=PoolName.MAMBA, host_indices=torch.arange(3 * PAGE))
        self.assertEqual(self.backend.batch_set_v2([unknown]), {PoolName.MAMBA: [False] * 3})
        self.assertEqual(self.backend.batch_get_v2([unknown]), {PoolName.MAMBA: [False] * 3})
        self.assertEqual(self.backend.batch_exists_v2(keys, [unknown]).kv_hit_pages, 0)

    def test_a_pool_without_bytes_leaves_the_answer_to_the_others(self) -> None:
        keys = self.kv.keys(tokens_of(4))
        self.backend.register_mem_pool_host(LogicalHostPool(64 * PAGE, PAGE))
        indices = torch.arange(4 * PAGE)
        self.assertEqual(self.backend.batch_set_v1(keys, indices), [True] * 4)
        self.assertEqual(self.backend.batch_get_v1(keys, indices), [True] * 4)
        self.stored(keys[:3])
        result = self.backend.batch_exists_v2(keys, [self.transfer(keys)])
        self.assertEqual(result.kv_hit_pages, 3)
        self.assertEqual(self.backend.batch_exists(keys), 0)


class Loading(Checks):
    """The class without a controller: arguments, copies, other releases."""

    def backend(self, **fields: Any) -> Any:
        extra = {
            "backend_name": "kvlease",
            "module_path": "kvlease.sglang",
            "class_name": "KvleaseHiCache",
            "interface_v1": 1,
            "url": f"kvlease://127.0.0.1:{self.daemon.port}",
            "shared_memory_name": self.daemon.segment,
        }
        config = HiCacheStorageConfig(
            tp_rank=0,
            tp_size=1,
            pp_rank=0,
            pp_size=1,
            attn_cp_rank=0,
            attn_cp_size=1,
            is_mla_model=False,
            enable_storage_metrics=True,
            is_page_first_layout=True,
            model_name="m",
            extra_config=extra,
            **fields,
        )
        backend = StorageBackendFactory.create_backend("dynamic", config, None)
        self.addCleanup(backend.close)
        return backend

    def test_single_pages_come_and_go_as_tensors_of_any_type(self) -> None:
        backend = self.backend()
        backend.register_mem_pool_host(host_pool(device_pool("mha"), "layer_first"))
        for number, dtype in enumerate((torch.bfloat16, torch.float32, torch.uint8)):
            key, value = f"key{number}", (torch.rand(3, 50) * 100).to(dtype)
            self.assertFalse(backend.exists(key))
            self.assertIsNone(backend.get(key, torch.zeros_like(value)))
            # The transpose is not contiguous.
            self.assertTrue(backend.set(key, value.T))
            self.assertTrue(backend.exists(key))
            target = torch.zeros(50, 3, dtype=dtype)
            self.assertIs(backend.get(key, target), target)
            self.assertTrue(torch.equal(target, value.T))
            other = torch.zeros(3, 50, dtype=dtype)
            self.assertIsNotNone(backend.get(key, other.T))
            self.assertTrue(torch.equal(other, value))
            fresh = backend.get(key)
            self.assertTrue(torch.equal(fresh.view(dtype), value.T.flatten()))
        self.assertFalse(backend.set("key", None))
        self.assertIsNone(backend.get("key0", torch.zeros(7)))

    def test_rates_are_told_as_sglang_takes_them(self) -> None:
        backend = self.backend()
        pool = host_pool(device_pool("mha"), "page_first")
        backend.register_mem_pool_host(pool)
        indices = pool.alloc(5 * PAGE)
        backend.batch_set_v1(list("abcde"), indices)
        backend.batch_get_v1(list("abcde"), indices)
        stats = backend.get_stats()
        self.assertEqual((stats.backup_pgs, stats.prefetch_pgs), ([5], [5]))
        self.assertGreater(min(stats.backup_bandwidth + stats.prefetch_bandwidth), 0)
        self.assertEqual(backend.get_stats().backup_pgs, [])

    def test_arguments_of_other_releases_do(self) -> None:
        from kvlease.sglang import KvleaseHiCache

        url = f"kvlease://127.0.0.1:{self.daemon.port}"
        old = SimpleNamespace(model_name=None, extra_config={"url": url, "interface_v1": True})
        for others in ((), ({},), (object(),), ({}, 1)):
            backend = KvleaseHiCache(old, *others, of_a_later_release=1)
            pool = host_pool(device_pool("mha"), "page_first")
            backend.register_mem_pool_host(pool)
            self.assertEqual(backend.batch_exists(["a"]), 0)
            backend.close()
        with self.assertRaisesRegex(ValueError, "url"):
            KvleaseHiCache(None)

    def test_a_pool_that_cannot_tell_its_regions_is_copied(self) -> None:
        backend = self.backend()

        class Shy(type(host_pool(device_pool("mha"), "page_first", 8))):  # type: ignore[misc]
            def get_page_buffer_meta(self, indices: Any) -> Any:
                raise NotImplementedError

        pool = host_pool(device_pool("mha"), "page_first")
        pool.__class__ = Shy
        backend.register_mem_pool_host(pool)
        indices = pool.alloc(6 * PAGE)
        pages = [fill(pool, at, n) for n, at in enumerate(starts(indices))]
        keys = list("abcdef")
        self.assertEqual(backend.batch_set_v1(keys, indices), [True] * 6)
        others = pool.alloc(7 * PAGE)
        read = backend.batch_get_v1([*keys[:3], "?", *keys[3:]], others)
        self.assertEqual(read, [True] * 3 + [False] + [True] * 3)
        found = [content_of(pool, at) for at in starts(others)]
        self.assertEqual(found[:3] + found[4:], pages)


def rank_bytes(rank: Rank, daemon: Daemon, tokens: list[int], page: int) -> bytes:
    """The bytes of a page as its object has them."""
    return daemon.stored(rank.names(tokens)[page], BUCKET)


@contextmanager
def replaced(owner: Any, name: str, **calls: Any) -> Any:
    """Some calls of a native object replaced, which cannot be set on it."""
    original = getattr(owner, name)

    class Stand:
        def __getattr__(self, call: str) -> Any:
            return calls.get(call) or getattr(original, call)

    setattr(owner, name, Stand())
    try:
        yield
    finally:
        setattr(owner, name, original)


assert LAYERS > 1, "a page of one layer would have its regions in order by chance"
