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
# The wheel is linked with these, without RDMA too. Of Debian's packages only the files are taken.
if ! ldconfig -p | grep --quiet libibverbs.so.1; then
  (cd "$work" && apt-get download --quiet libibverbs1 libnl-3-200 libnl-route-3-200 >&2)
  for package in "$work"/*.deb; do dpkg --extract "$package" "$work/debian"; done
  folders=$(find "$work/debian" -name 'lib*.so.*' -printf '%h\n' | sort --unique)
  export LD_LIBRARY_PATH=${folders//$'\n'/:}
fi

python - 2>"$work/log" <<'PYTHON' | check
import os
import socket
import subprocess
import time
from pathlib import Path

import mooncake
from mooncake.store import MooncakeDistributedStore

LOOPBACK = "127.0.0.1"
# The store has room for 64 of these, and evicts from 0.9 of that on.
OBJECT = bytes(1 << 20)


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def joined(port: int) -> MooncakeDistributedStore:
    store = MooncakeDistributedStore()
    deadline = time.monotonic() + 30
    while store.setup(
        LOOPBACK, "P2PHANDSHAKE", 64 << 20, 16 << 20, "tcp", "", f"{LOOPBACK}:{port}"
    ):
        if time.monotonic() > deadline:
            raise SystemExit(
                f"the master does not answer: see mooncake_master --help, port=`{port}`"
            )
        time.sleep(0.2)
    return store


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


program = Path(mooncake.__file__).with_name("mooncake_master")
for line, ask in (
    ("remove without a look-up", removed),
    ("8 puts into a full store", lambda store: in_a_full_store(store, look_up=False)),
    ("8 puts after a look-up of all old keys", lambda store: in_a_full_store(store, look_up=True)),
):
    port = free_port()
    master = subprocess.Popen(
        [program, f"--port={port}", f"--metrics_port={free_port()}"], stdout=subprocess.DEVNULL
    )
    try:
        print(f"{line}: {ask(joined(port))}", flush=True)
    finally:
        master.kill()
# The clients' threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
