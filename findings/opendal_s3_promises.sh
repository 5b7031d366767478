#!/usr/bin/env bash
# Subject: Apache OpenDAL 0.47.12 (Python binding) with its S3 service.
# Guess: `capability().write_with_if_not_exists` says whether this endpoint keeps one writer from
#   overwriting another; a write carries a checksum, as those of AWS' own clients do; and a range that
#   runs past the end is cut there, as HTTP has it.
# Behaviour: the capability is a constant of the service. Against a server that does not know
#   `If-None-Match` on PUT, the conditional write succeeds and overwrites. A write has no checksum, and
#   its body is not signed, over plain HTTP either. A range past the end is "unexpected, permanent".
# Seen:
# | capability, S3: if_not_exists True
# | a second write with if_not_exists: accepted, the object is now: second
# | checksum headers of the writes: none
# | x-amz-content-sha256: UNSIGNED-PAYLOAD
# | 10 bytes from the last one on: Unexpected
# Why it matters: a remote tier that lets several nodes store one key, or that trusts the transport with
#   its bytes, rests on neither. Each value has to carry its own checksum and length.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install opendal==0.47.12
python - <<'PYTHON' 2>"$work/log" | check
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import opendal

objects: dict[str, bytes] = {}
headers: list[dict[str, str]] = []


class Server(BaseHTTPRequestHandler):
    """S3 without conditional writes, as many servers are."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        headers.append({name.lower(): value for name, value in self.headers.items()})
        objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"")

    def do_GET(self) -> None:
        content = objects[self.path]
        asked = self.headers.get("Range")
        if asked is None:
            return self.answer(200, content)
        first, last = (int(place) for place in asked.removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        self.answer(206, part, f"bytes {first}-{first + len(part) - 1}/{len(content)}")

    def answer(self, status: int, body: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.send_header("ETag", '"tag"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
operator = opendal.Operator(
    "s3",
    bucket="kv",
    endpoint=f"http://127.0.0.1:{server.server_port}",
    region="us-east-1",
    access_key_id="a",
    secret_access_key="s",
    disable_config_load="true",
)
print("capability, S3: if_not_exists", operator.capability().write_with_if_not_exists)
operator.write("chunk", b"first")
try:
    operator.write("chunk", b"second", if_not_exists=True)
    outcome = "accepted"
except opendal.exceptions.ConditionNotMatch as error:
    outcome = type(error).__name__
content = bytes(operator.read("chunk")).decode()
print(f"a second write with if_not_exists: {outcome}, the object is now: {content}")
sums = {name for sent in headers for name in sent if "checksum" in name or name == "content-md5"}
print("checksum headers of the writes:", ", ".join(sorted(sums)) or "none")
print("x-amz-content-sha256:", *{sent["x-amz-content-sha256"] for sent in headers})
try:
    tail = bytes(operator.read("chunk", offset=5, size=10)).decode()
except Exception as error:
    # Its classes have no base of their own.
    tail = type(error).__name__
print("10 bytes from the last one on:", tail)
PYTHON
