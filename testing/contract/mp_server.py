"""LMCache's multi-process server as users start it, with the client of its own benchmark in the
place of an engine: its worker has the pages of an engine in host memory.
"""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import torch
from lmcache.cli.commands.bench.server_bench.client import RequestContext, ServerBenchClient
from lmcache.cli.commands.bench.server_bench.config import BenchConfig

from daemon import Daemon, die_with_parent, free_port, wait_until
from multi_process import adapter_json

READY_WITHIN = 100.0
ENDED_WITHIN = 60.0
# Two layers of keys and values in pages of 16 tokens: 2 MiB for each run of 256 tokens.
SHAPE = "(2,96,16,32,64):float16:2"
PAGES, PAGE_TOKENS = 96, 16
# The benchmark's token of its own comes first: four whole runs.
TOKENS = 4 * 256 - 1


class MpServer:
    """One server over a daemon."""

    def __init__(self, daemon: Daemon, kind: str, folder: Path) -> None:
        self.port, self._http_port = free_port(), free_port()
        self._log = folder / f"server-{self.port}.log"
        command = [Path(sys.executable).with_name("lmcache"), "server", "--disable-metrics"]
        command += ["--host", "127.0.0.1", "--port", self.port, "--http-port", self._http_port]
        command += ["--l1-size-gb", 1, "--l1-init-size-gb", 1, "--eviction-policy", "LRU"]
        # A worker in host memory moves its pages itself; on a GPU the server does.
        command += ["--supported-transfer-mode", "auto"]
        command += ["--l2-adapter", adapter_json(daemon, kind)]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=log,
                env={**os.environ, "LMCACHE_LOG_LEVEL": "INFO"},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def wait(self) -> "MpServer":
        """Waits until the server serves."""
        wait_until(self._answers, READY_WITHIN, f"the server serves; its log is {self._log}")
        return self

    def close(self) -> None:
        """Ends the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(ENDED_WITHIN)

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"it ended:\n{self._log.read_text()}"
        url = f"http://127.0.0.1:{self._http_port}/healthcheck"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return b"healthy" in reply.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


class Worker:
    """An engine's worker at a server: pages, and requests of whole runs of tokens."""

    def __init__(self, server: MpServer) -> None:
        config = BenchConfig(
            rpc_url=f"tcp://127.0.0.1:{server.port}",
            http_url="",
            mode="cpu",
            transfer_mode="auto",
            tp_size=1,
            use_mla=False,
            num_tokens=TOKENS,
            kvcache_shape_spec=SHAPE,
            num_blocks=PAGES,
            block_size=PAGE_TOKENS,
        )
        self._client = ServerBenchClient(config, lambda _: None)
        self._client.start()
        (worker,) = self._client._workers
        self.pages: list[torch.Tensor] = list(worker.kv_caches.values())

    def request(self, number: int, name: str) -> RequestContext:
        """The request of a prompt, which `number` alone decides."""
        request = self._client.create_request(number, name, name)
        assert request is not None and request.total_chunks > 1
        return request

    def store(self, request: RequestContext) -> None:
        """Hands the pages of the request to the server."""
        done = self._client.store(request, 0, request.num_full_tokens)
        assert done is not None and done.succeeded, done

    def hits(self, request: RequestContext) -> int:
        """Runs of the request that the server has, and has loaded."""
        found = self._client.lookup(request)
        assert found.succeeded, found.error
        return found.hit_chunks

    def retrieve(self, request: RequestContext) -> None:
        """Fills the pages of the request."""
        done = self._client.retrieve(request, 0, request.num_full_tokens)
        assert done is not None and done.succeeded, done

    def content(self, request: RequestContext) -> bytes:
        """The bytes of the request's pages, of all layers."""
        first, behind = request.block_offset, request.block_offset + request.num_blocks
        parts = [layer[:, first:behind].contiguous() for layer in self.pages]
        return b"".join(part.view(torch.uint8).numpy().tobytes() for part in parts)

    def close(self) -> None:
        """Leaves the server."""
        self._client.close()
