#!/usr/bin/env bash
# Subject: NIXL's OBJ plug-in, nixl-cu12 1.5.1 (with its AWS SDK for C++ 1.11.760), against an S3 endpoint.
# Guess: writing 64 bytes is a PUT with `Content-Length: 64` and these 64 bytes as its body.
# Behaviour: the body is in chunks twice. HTTP's chunked encoding carries AWS' own (`aws-chunked`):
#   hexadecimal length, bytes, and a trailer with a CRC-64/NVME. There is no Content-Length; the
#   object's is in `x-amz-decoded-content-length`. The client asks by `Expect: 100-continue` first.
# Seen:
# | PUT /kv/chunk
# | content-length: -
# | transfer-encoding: chunked
# | content-encoding: aws-chunked
# | x-amz-decoded-content-length: 64
# | x-amz-trailer: x-amz-checksum-crc64nvme
# | expect: 100-continue
# | the body: 40;AAAA...AAAA;0;x-amz-checksum-crc64nvme:A/ul5gBqWDA=;;
# | the transfer: DONE
# Why it matters: a server of a KV protocol that adds three verbs of S3, and stores a PUT's body as it
#   comes, acknowledges the frame as the object; and reads through NIXL then return the frame.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install nixl-cu12==1.5.1 numpy==2.2.6
python - 2>"$work/log" <<'PYTHON' | check
import os

import numpy

from nixl_objects import agent_at, run
from s3_endpoint import Endpoint, serve

LENGTH = 64
SHOWN = (
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "expect",
)
seen: list[str] = []


class Server(Endpoint):
    def do_PUT(self) -> None:
        seen.append(f"PUT {self.path}")
        seen.extend(f"{name}: {self.headers.get(name, '-')}" for name in SHOWN)
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        text = body.decode().replace("\r\n", ";").replace("A" * LENGTH, "AAAA...AAAA")
        seen.append(f"the body: {text}")
        self.answer(200)


agent = agent_at(serve(Server), "writer")
chunk = numpy.full(LENGTH, ord("A"), dtype=numpy.uint8)
memory = (chunk.ctypes.data, LENGTH, 0)
agent.register_memory([(*memory, "")], "DRAM")
agent.register_memory([(0, LENGTH, 1, "chunk")], "OBJ")
transfer = agent.initialize_xfer(
    "WRITE",
    agent.get_xfer_descs([memory], "DRAM"),
    agent.get_xfer_descs([(0, LENGTH, 1)], "OBJ"),
    "writer",
)
state = run(agent, transfer)
print(*seen, sep="\n")
print("the transfer:", state, flush=True)
# The plug-in's threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
