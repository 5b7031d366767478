#!/usr/bin/env bash
# Subject: obstore 0.12.1, the Python binding of the Rust crate object_store; S3.
# Guess: the first 64 bytes of a value are what is there, at most 64: ten for a value of ten, none for an
#   empty one. Or the empty one is an error of its own, as an absent one is.
# Behaviour: S3 answers 416 for a range in an empty value, and the library makes a generic error of it,
#   the same as of a store that fails. A value of one byte is read without an error.
# Seen:
# | the first 64 bytes of a value of ten: 10 bytes
# | the first 64 bytes of an empty value: GenericError
# | the first 64 bytes of no value: FileNotFoundError
# | the first 64 bytes of a store that fails: GenericError
# Why it matters: a reader that looks at the head of a value takes one truncated object for the failure of
#   the whole store, and a breaker keeps all other objects from being read.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install obstore==0.12.1
python - <<'PYTHON' 2>"$work/log" | check
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
from obstore.store import S3Store

objects: dict[str, bytes] = {"/kv/ten": b"0123456789", "/kv/empty": b""}


class Server(BaseHTTPRequestHandler):
    """S3's GET: a range is cut at the end of the value, and one that begins there is a 416."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = objects.get(self.path)
        if self.path == "/kv/failing":
            return self.answer(500, b"<Error><Code>InternalError</Code></Error>")
        if content is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        asked = self.headers.get("Range")
        if asked is None:
            return self.answer(200, content)
        first, last = (int(place) for place in asked.removeprefix("bytes=").split("-"))
        if first >= len(content):
            return self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        part = content[first : last + 1]
        self.answer(206, part, f"bytes {first}-{first + len(part) - 1}/{len(content)}")

    def answer(self, status: int, body: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.send_header("ETag", '"tag"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store(
    "kv",
    endpoint=f"http://127.0.0.1:{server.server_port}",
    region="us-east-1",
    access_key_id="a",
    secret_access_key="s",
    virtual_hosted_style_request=False,
    client_options={"allow_http": True},
    retry_config={"max_retries": 0},
)
for name, what in {
    "ten": "a value of ten",
    "empty": "an empty value",
    "absent": "no value",
    "failing": "a store that fails",
}.items():
    try:
        outcome = f"{len(bytes(obstore.get_range(store, name, start=0, end=64)))} bytes"
    except Exception as error:
        outcome = type(error).__name__
    print(f"the first 64 bytes of {what}: {outcome}")
PYTHON
