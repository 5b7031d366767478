#!/usr/bin/env bash
# Subject: reads through NIXL's plug-ins OBJ and POSIX, nixl-cu12 1.5.1; the object store keeps S3's rules.
# Guess: a read of 64 bytes that is DONE has brought 64 bytes, from an object as from a file; and a read
#   that failed has left the destination alone.
# Behaviour: where less is there than was asked for, POSIX fails and OBJ is DONE, with what there is; the
#   rest of the destination keeps its earlier bytes. No call tells the count. A failed read of OBJ leaves
#   the beginning of the server's error document in the destination.
# Seen:
# | OBJ, an object of 64 bytes: DONE, AAAAAAAA...AAAAAAAA
# | OBJ, an object of 40 bytes: DONE, AAAAAAAA...xxxxxxxx
# | OBJ, no object: NIXL_ERR_BACKEND, <Error><...xxxxxxxx
# | POSIX, a file of 64 bytes: DONE, AAAAAAAA...AAAAAAAA
# | POSIX, a file of 40 bytes: NIXL_ERR_BACKEND, AAAAAAAA...xxxxxxxx
# Why it matters: an object that was cut short, or one of another page size under the same key, is read as
#   KV cache with the tail of another prompt's. The length has to be asked for first, or carried in the value.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install nixl-cu12==1.5.1 numpy==2.2.6
python - "$work" 2>"$work/log" <<'PYTHON' | check
import os
import sys
from pathlib import Path

import numpy

from nixl_objects import agent_at, run
from s3_endpoint import Endpoint, serve

from nixl_cu12._bindings import nixlBackendError

LENGTH = 64
SHORT = 40
SHOWN = 8
OBJECTS = {"/kv/whole": b"A" * LENGTH, "/kv/short": b"A" * SHORT}


class Server(Endpoint):
    def do_GET(self) -> None:
        self.answer_content(OBJECTS.get(self.path.partition("?")[0]))


agent = agent_at(serve(Server), "reader")
agent.create_backend("POSIX", {})


def read(kind: str, number: int, name: str) -> str:
    """The state of a read into memory full of `x`, and both ends of that memory after it."""
    destination = numpy.full(LENGTH, ord("x"), dtype=numpy.uint8)
    memory = (destination.ctypes.data, LENGTH, 0)
    agent.register_memory([(*memory, "")], "DRAM")
    agent.register_memory([(0, LENGTH, number, name)], kind)
    transfer = agent.initialize_xfer(
        "READ",
        agent.get_xfer_descs([memory], "DRAM"),
        agent.get_xfer_descs([(0, LENGTH, number)], kind),
        "reader",
    )
    try:
        state = run(agent, transfer)
    except nixlBackendError as error:
        state = str(error)
    content = bytes(destination).decode()
    return f"{state}, {content[:SHOWN]}...{content[-SHOWN:]}"


for number, (what, name) in enumerate(
    {
        "an object of 64 bytes": "whole",
        "an object of 40 bytes": "short",
        "no object": "absent",
    }.items()
):
    print(f"OBJ, {what}:", read("OBJ", number, name))
for length in (LENGTH, SHORT):
    path = Path(sys.argv[1]) / f"file-{length}"
    path.write_bytes(b"A" * length)
    with path.open("rb") as file:
        print(f"POSIX, a file of {length} bytes:", read("FILE", file.fileno(), ""), flush=True)
# The plug-ins' threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
