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
import obstore
from obstore.store import S3Store

from s3_endpoint import Endpoint, serve

objects: dict[str, bytes] = {"/kv/ten": b"0123456789", "/kv/empty": b""}


class Server(Endpoint):
    def do_GET(self) -> None:
        if self.path == "/kv/failing":
            return self.answer(500, b"<Error><Code>InternalError</Code></Error>")
        self.answer_content(objects.get(self.path))


store = S3Store(
    "kv",
    endpoint=f"http://{serve(Server)}",
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
