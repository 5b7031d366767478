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
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy

os.environ.update(AWS_EC2_METADATA_DISABLED="true", NIXL_LOG_LEVEL="ERROR")
from nixl_cu12._api import nixl_agent, nixl_agent_config

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


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

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
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
agent = nixl_agent("writer", nixl_agent_config(backends=[]))
settings = {
    "bucket": "kv",
    "endpoint_override": f"127.0.0.1:{server.server_port}",
    "scheme": "http",
    "use_virtual_addressing": "false",
    "region": "us-east-1",
    "access_key": "a",
    "secret_key": "s",
}
agent.create_backend("OBJ", settings)
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
state = agent.transfer(transfer)
deadline = time.monotonic() + 30
while state == "PROC" and time.monotonic() < deadline:
    time.sleep(0.01)
    state = agent.check_xfer_state(transfer)
print(*seen, sep="\n")
print("the transfer:", state, flush=True)
# The plug-in's threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
