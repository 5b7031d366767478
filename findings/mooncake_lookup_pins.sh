#!/usr/bin/env bash
# Subject: Mooncake Store, mooncake-transfer-engine-non-cuda 0.3.13.post1.
# Guess: asking whether a key is there changes nothing, and an object that was just stored is the last
#   that a full store would drop.
# Behaviour: a look-up leases the object for ten seconds, and a put does not. A leased object can be
#   neither removed (-706) nor evicted. In a full store whose old keys were looked up, the master
#   therefore evicts the objects that were stored since, although it acknowledged each of these puts.
# Seen:
# | remove without a look-up: 0; after is_exist: -706
# | 8 puts into a full store: acknowledged 8, all are there
# | 8 puts after a look-up of all old keys: acknowledged 8, some are gone
# Why it matters: a router that asks for whole prefixes decides what the cache keeps, without a hit. The
#   KV of a fresh prefill may be gone a moment later.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install mooncake-transfer-engine-non-cuda==0.3.13.post1
rdma_libraries

python - 2>"$work/log" <<'PYTHON' | check
import os
import time

from mooncake.store import MooncakeDistributedStore
from mooncake_master import store_of

# The store has room for 64 of these, and evicts from 0.9 of that on.
OBJECT = bytes(1 << 20)


def in_a_full_store(store: MooncakeDistributedStore, look_up: bool) -> str:
    old = [f"old {number}" for number in range(54)]
    for name in old:
        store.put(name, OBJECT)
    if look_up:
        store.batch_is_exist(old)
    new = [f"new {number}" for number in range(8)]
    acknowledged = 0
    for name in new:
        acknowledged += store.put(name, OBJECT) == 0
        # The master evicts in a thread of its own.
        time.sleep(0.3)
    there = all(found == 1 for found in store.batch_is_exist(new))
    return f"acknowledged {acknowledged}, {'all are there' if there else 'some are gone'}"


def removed(store: MooncakeDistributedStore) -> str:
    for name in ("a", "b"):
        store.put(name, b"x")
    store.is_exist("b")
    return f"{store.remove('a')}; after is_exist: {store.remove('b')}"


for line, ask in (
    ("remove without a look-up", removed),
    ("8 puts into a full store", lambda store: in_a_full_store(store, look_up=False)),
    ("8 puts after a look-up of all old keys", lambda store: in_a_full_store(store, look_up=True)),
):
    with store_of(64 << 20) as store:
        print(f"{line}: {ask(store)}", flush=True)
# The clients' threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
