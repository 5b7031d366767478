#!/usr/bin/env bash
# Subject: `replica_num` of Mooncake Store, mooncake-transfer-engine-non-cuda 0.3.13.post1.
# Guess: a put with `replica_num` 2 that answers 0 has stored two replicas, or will when a second node is
#   there. When a node ends, the other replica is read; what was there alone is not reported any more.
# Behaviour: replicas are made at the put or never, as many as there are nodes with room, and 0 is the answer
#   for one as for two. When a second node joins, the same put once more answers 0 and changes nothing.
#   After a node has ended, `get` tries the replica that the master lists first and no other: for some ten
#   seconds, until the master gives the node up, half of the objects with two replicas have no bytes,
#   though `is_exist` says yes. What `get` returns then is what it returns for a key that never was.
# Seen:
# | put with replica_num 2, one node: 0, replicas: 1
# | a second node joins; the same put: 0, replicas: 1
# | put of other keys: 0, replicas: 2
# | the first node is killed; its only replica: is_exist 1, get 0 bytes
# | two replicas, the dead one listed first: is_exist 1, get 0 bytes
# | two replicas, the dead one listed second: is_exist 1, get 4096 bytes
# | the master gives the node up; its only replica: is_exist 0, get 0 bytes
# | two replicas, of which one is left: is_exist 1, get 4096 bytes
# | a key that never was: is_exist 0, get 0 bytes
# Why it matters: the first nodes of a rolling start hold the only copy of what was asked to be safe, and no
#   answer says so. For seconds after each loss a prefix look-up promises what a load then does not find.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install mooncake-transfer-engine-non-cuda==0.3.13.post1 numpy==2.2.6
rdma_libraries

python - 2>"$work/log" <<'PYTHON' | check
import os
import time
from itertools import count

from mooncake.store import ReplicateConfig

import mooncake_master

CONTENT = b"k" * 4096
NODE_MEMORY = 16 << 20
GIVEN_UP_WITHIN_S = 60

two = ReplicateConfig()
two.replica_num = 2

with mooncake_master.master() as port, mooncake_master.node(port, NODE_MEMORY) as first:
    # It stores with others and gives nothing of its own.
    store = mooncake_master.joined(port, 0)

    def nodes(key: str) -> list[str]:
        """Where the replicas are, in the master's order."""
        return [
            replica.get_memory_descriptor().buffer_descriptor.transport_endpoint
            for replica in store.get_replica_desc(key)
        ]

    def put(key: str) -> str:
        return f"{store.put(key, CONTENT, two)}, replicas: {len(nodes(key))}"

    def state(key: str) -> str:
        return f"is_exist {store.is_exist(key)}, get {len(store.get(key))} bytes"

    print("put with replica_num 2, one node:", put("alone"))
    (dead,) = nodes("alone")
    with mooncake_master.node(port, NODE_MEMORY):
        print("a second node joins; the same put:", put("alone"))
        answers, keys = set(), {}
        for number in count():
            key = f"chunk-{number}"
            answers.add(put(key))
            keys.setdefault(nodes(key).index(dead), key)
            if len(keys) == 2:
                break
        print("put of other keys:", *answers)
        first.kill()
        first.wait()
        print("the first node is killed; its only replica:", state("alone"))
        for place, name in enumerate(("first", "second")):
            print(f"two replicas, the dead one listed {name}:", state(keys[place]))
        deadline = time.monotonic() + GIVEN_UP_WITHIN_S
        while store.is_exist("alone") and time.monotonic() < deadline:
            time.sleep(0.5)
        print("the master gives the node up; its only replica:", state("alone"))
        print("two replicas, of which one is left:", *{state(key) for key in keys.values()})
        print("a key that never was:", state("never"), flush=True)
# The client's threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
