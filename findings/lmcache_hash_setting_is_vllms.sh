#!/usr/bin/env bash
# Subject: LMCache 0.5.6, `pre_caching_hash_algorithm` and PYTHONHASHSEED, in-process mode, where vLLM
#   cannot be imported (SGLang's environment).
# Guess: `sha256_cbor` makes keys by SHA-256, a misspelt name is an error, and without PYTHONHASHSEED
#   two processes never agree on a key, since LMCache says that it must be set.
# Behaviour: the functions are vLLM's. Where they cannot be had, each name, a misspelt one too, means
#   Python's `hash`, after a warning. Its input is whole numbers alone, whose hash no seed
#   changes: the keys are equal in all processes. (With vLLM at hand the chain begins with the hash of
#   a text, and then the seed decides.)
# Seen:
# | builtin, seed 0: 1abacd733b54a8ac -6c4f18f9b2e02e86
# | builtin, seed 1: the same
# | builtin, no seed: the same
# | sha256_cbor, no seed: the same
# | no-such-hash, no seed: the same
# Why it matters: engines of two kinds that are configured alike, and that share one cache, have different
#   keys: they store everything twice and find nothing of each other's.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6 $(<"$here/lmcache_connector.txt")
cat >"$work/keys.py" <<'PYTHON'
import sys
from types import SimpleNamespace

import stand_ins

stand_ins.install(
    bare=["lmcache"],
    empty=[
        "requests",
        "torch",
        "transformers",
        "lmcache.v1.config",
        "lmcache.v1.memory_management",
        "lmcache.v1.metadata",
    ],
)

import torch
from lmcache.v1.token_database import ChunkedTokenDatabase

config = SimpleNamespace(
    chunk_size=4,
    enable_pd=False,
    get_extra_config_value=lambda name, default=None: default,
    pre_caching_hash_algorithm=sys.argv[1],
    remote_url=None,
    save_unfull_chunk=False,
)
metadata = SimpleNamespace(
    kv_dtype=torch.bfloat16, model_name="model", use_mla=False, worker_id=0, world_size=1
)
chunks = ChunkedTokenDatabase(config, metadata).process_tokens(list(range(10)))
print(*(key.chunk_hash_hex for _, _, key in chunks))
PYTHON

first=
show() {
  local keys
  keys=$(python "$work/keys.py" "$1" 2>"$work/log" | tail --lines=1)
  [[ $keys != "$first" ]] || keys="the same"
  echo "$1, $2: $keys"
  [[ -n $first ]] || first=$keys
}
{
  PYTHONHASHSEED=0 show builtin "seed 0"
  PYTHONHASHSEED=1 show builtin "seed 1"
  unset PYTHONHASHSEED
  show builtin "no seed"
  show sha256_cbor "no seed"
  show no-such-hash "no seed"
} >"$work/keys"
check <"$work/keys"
