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
import opendal

from s3_endpoint import Endpoint, serve

objects: dict[str, bytes] = {}
headers: list[dict[str, str]] = []


class Server(Endpoint):
    """S3 without conditional writes, as many servers are."""

    def do_PUT(self) -> None:
        headers.append({name.lower(): value for name, value in self.headers.items()})
        objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)

    def do_GET(self) -> None:
        self.answer_content(objects[self.path])


operator = opendal.Operator(
    "s3",
    bucket="kv",
    endpoint=f"http://{serve(Server)}",
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
