#!/usr/bin/env bash
# Subject: SGLang 0.5.23, the number of a block in its KV events and the key of the same page in its
#   storage backend (HiCache). Its hash is compiled from its own file.
# Guess: both are the page's one hash: the number is the first 8 bytes of the key, so that whoever sees one
#   knows the other; and what is kept apart in the cache has different numbers.
# Behaviour: so it is for plain prompts alone. A salt and an adapter go into the two by different ways, and
#   an `extra_key` of the request goes into the key only: in the events its pages have the numbers of the
#   plain prompt's, and when they leave, these numbers are removed.
# Seen:
# | plain: key 9d373db168e3e6a0, number 9d373db168e3e6a0
# | with a salt: key 8211919abc7d8c5b, number fb8b8adc1dc06033
# | with an adapter: key 8cad8b9015afb37b, number a0adc7ad67662a8f
# | with an extra_key: key ce814b5c0ba0d287, number 9d373db168e3e6a0
# | removed with an extra_key: number 9d373db168e3e6a0
# Why it matters: a store below SGLang that announces its pages by their keys, or that looks up a router's
#   number, is right until the first tenant has a salt. And a prompt that is cached under two extra keys
#   is gone for the router as soon as one of them leaves.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/sglang_pages.txt")
sglang_hash
python - <<'PYTHON' 2>"$work/log" | check
import sglang_pages

NAMESPACES = {
    "plain": {},
    "with a salt": {"cache_salt": "red"},
    "with an adapter": {"extra_key": sglang_pages.ADAPTER_ID},
    "with an extra_key": {"extra_key": "blue"},
}


def number(event: sglang_pages.BlockStored | sglang_pages.BlockRemoved) -> str:
    """The number of the first page, as the digits of a key."""
    return f"{event.block_hashes[0] % 2**64:016x}"


for name, namespace in NAMESPACES.items():
    node = sglang_pages.node(**namespace)
    (stored,) = sglang_pages.events(node)
    print(f"{name}: key {sglang_pages.keys(node)[0][:16]}, number {number(stored)}")
(removed,) = sglang_pages.events(sglang_pages.node(extra_key="blue"), removed=True)
print(f"removed with an extra_key: number {number(removed)}")
PYTHON
