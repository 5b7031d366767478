#!/usr/bin/env bash
# Subject: the in-memory client of amzn-sagemaker-checkpointing 1.1.3, which speaks to the daemon of
#   SageMaker HyperPod (`/v1/cp`).
# Guess: `get_latest_checkpoints` returns an empty list where there are none, and raises where the
#   daemon fails, as `get_checkpoint` does; its `retries` argument retries; and 503 is a server error.
# Behaviour: every failure reads as "no checkpoints": 503, no JSON, no daemon. `retries` of a call is
#   ignored, and the default is not to retry; `request_retries` of the configuration counts. 429, 500,
#   502, 503 and 504 arrive as "unhandled request error", without the status, whether there are retries
#   or not: only other statuses, 507 for one, are an InMemoryServerError.
# Seen:
# | latest, 200: [30, 20]
# | latest, 404: []
# | latest, 503: []
# | put, 507: InMemoryServerError after 1 request(s)
# | put, retries=3, 503 once: InMemoryRequestError after 1 request(s)
# | put, request_retries=3, 503 once: stored after 2 request(s)
# | latest, no daemon: []
# Why it matters: a job that starts while the daemon restarts finds no checkpoint, and may begin from an
#   older tier or from nothing. No answer of a daemon can tell this client "not now".
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install amzn-sagemaker-checkpointing==1.1.3 certifi==2026.10.18 charset-normalizer==3.5.2 idna==3.20 \
  requests==2.34.2 urllib3==2.8.0 xxhash==4.1.0
python - <<'PYTHON' 2>"$work/log" | check
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stand_ins

stand_ins.install(
    bare=["amzn_sagemaker_checkpointing", "amzn_sagemaker_checkpointing.storage"], empty=["torch"]
)

from amzn_sagemaker_checkpointing.config.in_memory_client import InMemoryClientConfig
from amzn_sagemaker_checkpointing.storage.clients.inmemory.exceptions import InMemoryStorageError
from amzn_sagemaker_checkpointing.storage.clients.inmemory.inmemory_client import (
    InMemoryCheckpointClient,
)

# The statuses of the next answers; the last one is that of all that follow.
statuses: list[int] = []
requests = 0


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global requests
        requests += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        body = b"[20, 30]" if status == 200 else b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def client(**settings: object) -> InMemoryCheckpointClient:
    url = f"http://127.0.0.1:{server.server_port}"
    return InMemoryCheckpointClient("job", "0", "1", InMemoryClientConfig(base_url=url, **settings))


def put(answers: list[int], configured: int = 0, **arguments: int) -> str:
    global requests
    statuses[:], requests = answers, 0
    try:
        client(request_retries=configured, retry_backoff=0).put_checkpoint(
            30, b"shard", **arguments
        )
        outcome = "stored"
    except InMemoryStorageError as error:
        outcome = type(error).__name__
    return f"{outcome} after {requests} request(s)"


for status in (200, 404, 503):
    statuses[:] = [status]
    print(f"latest, {status}:", client().get_latest_checkpoints())
print("put, 507:", put([507]))
print("put, retries=3, 503 once:", put([503, 200], retries=3))
print("put, request_retries=3, 503 once:", put([503, 200], configured=3))
server.shutdown()
server.server_close()
print("latest, no daemon:", client().get_latest_checkpoints())
PYTHON
