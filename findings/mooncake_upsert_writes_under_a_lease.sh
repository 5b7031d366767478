#!/usr/bin/env bash
# Subject: Mooncake Store, mooncake-transfer-engine-non-cuda 0.3.13.post1.
# Guess: a put that answers 0 has stored its bytes. An object that a look-up has leased stays as it is
#   until the lease ends, whoever wants to remove or replace it.
# Behaviour: of two puts under one key the first stays, whatever the length, and the second answers 0
#   too; so do put_batch and batch_put_from. Only an upsert replaces, and it asks for no lease: while
#   remove is refused with -706, an upsert of the same length writes into the very memory that is
#   leased. One of another length takes new memory.
# Seen:
# | put: 0; again, longer: 0; get: first
# | put_batch: 0, batch_put_from: [0]; get: first
# | after a look-up, remove: -706, upsert of the same length: 0; get: other, in the leased memory
# | after a look-up, remove: -706, upsert of another length: 0; get: longer, in new memory
# Why it matters: a lease keeps memory from being reused and not from being overwritten: a reader that
#   copies under its lease can get half of each object. And a writer that stores a corrected chunk
#   under its old key reads success, and everybody the old one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install mooncake-transfer-engine-non-cuda==0.3.13.post1 numpy==2.2.6
rdma_libraries

python - 2>"$work/log" <<'PYTHON' | check
import os

import numpy
from mooncake.store import MooncakeDistributedStore
from mooncake_master import store_of


def address(store: MooncakeDistributedStore, key: str) -> int:
    (replica,) = store.get_replica_desc(key)
    return replica.get_memory_descriptor().buffer_descriptor.buffer_address


def replaced(store: MooncakeDistributedStore, length: str, content: bytes) -> str:
    store.is_exist("chunk")
    before = address(store, "chunk")
    removed = store.remove("chunk")
    upserted = store.upsert("chunk", content)
    memory = "the leased memory" if address(store, "chunk") == before else "new memory"
    now = f"{store.get('chunk').decode()}, in {memory}"
    return f"remove: {removed}, upsert of {length} length: {upserted}; get: {now}"


with store_of(16 << 20) as store:
    answers = [store.put("chunk", content) for content in (b"first", b"the second")]
    print(f"put: {answers[0]}; again, longer: {answers[1]}; get: {store.get('chunk').decode()}")
    batch = store.put_batch(["chunk"], [b"third"])
    buffer = numpy.frombuffer(bytearray(b"fourth"), dtype=numpy.uint8)
    place = buffer.ctypes.data
    store.register_buffer(place, buffer.nbytes)
    from_buffer = store.batch_put_from(["chunk"], [place], [buffer.nbytes])
    content = store.get("chunk").decode()
    print(f"put_batch: {batch}, batch_put_from: {from_buffer}; get: {content}")
    for length, content in (("the same", b"other"), ("another", b"longer")):
        print(f"after a look-up, {replaced(store, length, content)}", flush=True)
# The client's threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
