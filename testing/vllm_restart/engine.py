"""One run of an engine: LMCache's MP server and vLLM in front of it, both started as users do."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import die_with_parent, free_port, wait_until

READY_WITHIN = 240.0
ANSWERED_WITHIN = 120.0
STOPPED_WITHIN = 90.0
# The server stores in the background: until the daemon has what an answer left behind.
STORED_WITHIN = 90.0

# vLLM's own name of the model, in requests.
MODEL = "tiny"
ANSWER_TOKENS = 24
# Tokens to a page of vLLM: LMCache's adapter asks for a multiple of 32.
PAGE_TOKENS = 128

# Variables of both: the same hashes in every run, and no messages to the outside.
VARIABLES = {
    "PYTHONHASHSEED": "0",
    "LMCACHE_TRACK_USAGE": "false",
    "LMCACHE_DISABLE_BANNER": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Answer:
    """vLLM's answer to a prompt."""

    text: str
    prompt_tokens: int
    cached_tokens: int


class Engine:
    """The two processes, from start to stop. Their caches end with them."""

    def __init__(self, python: Path, model: Path, adapter: str, log: Path) -> None:
        """`adapter` is the value of LMCache's `--l2-adapter`; `log` gets what both print."""
        self._log = log
        self._environment = {
            **os.environ,
            **VARIABLES,
            "VLLM_CACHE_ROOT": str(model.parent / "vllm-cache"),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        server_port, status_port, self._port = free_port(), free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(server_command(python, server_port, status_port, adapter))
        self._wait(f"http://127.0.0.1:{status_port}/healthcheck", "LMCache's server is ready")
        self._start(_vllm(python, model, self._port, server_port))
        self._wait(f"{self._url}/health", "vLLM is ready")

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def ask(self, prompt: str) -> Answer:
        """The most likely continuation of a prompt."""
        question = {"model": MODEL, "prompt": prompt, "max_tokens": ANSWER_TOKENS}
        request = urllib.request.Request(
            f"{self._url}/v1/completions",
            json.dumps({**question, "temperature": 0, "ignore_eos": True}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=ANSWERED_WITHIN) as reply:
            answer = json.load(reply)
        usage = answer["usage"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Answer(answer["choices"][0]["text"], usage["prompt_tokens"], cached)

    def tokens_loaded(self) -> int:
        """Prompt tokens that vLLM got from LMCache, and not from its own cache, in this run."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=ANSWERED_WITHIN) as reply:
            metrics = reply.read().decode()
        samples = re.findall(
            r'^vllm:prompt_tokens_by_source_total\{.*source="external_kv_transfer".*\} (\S+)$',
            metrics,
            re.MULTILINE,
        )
        assert samples, "vLLM counts the tokens of a prompt otherwise than 0.32.0 does"
        return int(sum(map(float, samples)))

    def stop(self) -> None:
        """Ends both, vLLM first, and all that they have started."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(STOPPED_WITHIN)
        self._processes.clear()

    def _start(self, command: list[object]) -> None:
        with open(self._log, "ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            )

    def _wait(self, url: str, what: str) -> None:
        process = self._processes[-1]

        def answers() -> bool:
            status = process.poll()
            assert status is None, f"it ended, status=`{status}`, its log is {self._log}"
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return True
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False

        try:
            wait_until(answers, READY_WITHIN, f"{what}; its log is {self._log}")
        except BaseException:
            self.stop()
            raise


def server_command(python: Path, port: int, status_port: int, adapter: str | None) -> list[object]:
    """LMCache's server; without an adapter it has only memory of its own."""
    command = [python.with_name("lmcache"), "server", "--host", "127.0.0.1", "--port", port]
    command += ["--http-port", status_port, "--disable-metrics"]
    command += ["--l1-size-gb", 1, "--l1-init-size-gb", 1, "--eviction-policy", "LRU"]
    # vLLM on a CPU moves its pages itself; on a GPU the server does, and needs no such option.
    command += ["--supported-transfer-mode", "auto"]
    return command if adapter is None else [*command, "--l2-adapter", adapter]


def through_server(port: int) -> dict[str, Any]:
    """vLLM's `kv_transfer_config` for LMCache's server at this port."""
    return {
        "kv_connector": "LMCacheMPConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "lmcache.mp.host": "tcp://127.0.0.1",
            "lmcache.mp.port": port,
        },
    }


def _vllm(python: Path, model: Path, port: int, server_port: int) -> list[object]:
    # The command `vllm` looks for a package of that name, and this one is called vllm-cpu.
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", port]
    # Numbers of 4 bytes: the same answer whether a page was computed or loaded.
    command += ["--dtype", "float32", "--block-size", PAGE_TOKENS, "--max-model-len", 4096]
    command += ["--enforce-eager", "--enable-prompt-tokens-details"]
    return [*command, "--kv-transfer-config", json.dumps(through_server(server_port))]
