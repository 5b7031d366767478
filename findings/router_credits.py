"""vllm-router with one worker, which is a publisher of vLLM's events and a server of a few lines.

What the router would credit the worker with, when a request begins with the prompt, is in its log.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dynamo_indexer import (
    BLOCK_SIZE,
    LOOPBACK,
    MODEL,
    PROMPT,
    SETTLING_TIME_S,
    START_TIMEOUT_S,
    AllBlocksCleared,
    Engine,
    free_port,
    removed,
    stored,
)

__all__ = ["SETTLING_TIME_S", "AllBlocksCleared", "removed", "router", "stored"]

# Its load balancer in Python brings packages that nothing here needs.
LAUNCH = """
import sys
from types import SimpleNamespace
sys.modules["vllm_router.mini_lb"] = SimpleNamespace(MiniLoadBalancer=None)
from vllm_router.launch_router import launch_router, parse_router_args
launch_router(parse_router_args(sys.argv[1:]))
"""


class Worker(BaseHTTPRequestHandler):
    """As much of an engine's server as the router asks for."""

    def do_GET(self) -> None:
        self.answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"object": "text_completion", "choices": []})

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


class Router:
    def __init__(self, port: int, engine: Engine, log: str) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.engine = engine
        self.log = log

    def logged(self, pattern: str) -> list[str]:
        with open(self.log) as log:
            # The log is in colours.
            return re.findall(pattern, re.sub(r"\x1b\[\d*m", "", log.read()))

    def wait(self) -> None:
        self.engine.wait_for_subscriber()
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def credit(self) -> int:
        """Tokens of the prompt that the worker is credited with, if one token more is asked."""
        decisions = r"credited_prefix_tokens=(\d+)"
        before = len(self.logged(decisions))
        body = {"model": MODEL, "prompt": [*PROMPT, 1], "max_tokens": 1}
        request = urllib.request.Request(
            f"{self.url}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=START_TIMEOUT_S).close()
        deadline = time.monotonic() + START_TIMEOUT_S
        while len(self.logged(decisions)) == before:
            if time.monotonic() > deadline:
                raise SystemExit("the router logged no decision")
            time.sleep(0.1)
        return int(self.logged(decisions)[-1])

    def tell(self, *events: object) -> int:
        """Announces it, and returns what is credited then."""
        self.engine.announce(*events)
        return self.credit()

    def warnings(self) -> int:
        return len(self.logged(r"\bWARN\b"))


@contextmanager
def router() -> Iterator[Router]:
    server = ThreadingHTTPServer((LOOPBACK, 0), Worker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    worker = f"http://{LOOPBACK}:{server.server_port}"
    events, port = free_port(), free_port()
    arguments = {
        "host": LOOPBACK,
        "port": port,
        "prometheus-port": free_port(),
        "policy": "kv_aware",
        "worker-urls": worker,
        "kv-event-source": f"{worker}=tcp://{LOOPBACK}:{events}",
        "kv-event-block-size": BLOCK_SIZE,
        "kv-event-model": MODEL,
        "log-level": "debug",
    }
    program = [sys.executable, "-c", LAUNCH]
    for name, value in arguments.items():
        program += [f"--{name}", str(value)]
    engine = Engine(events)
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(program, stdout=log, stderr=log)
        try:
            started = Router(port, engine, log.name)
            started.wait()
            yield started
        finally:
            process.kill()
            process.wait()
