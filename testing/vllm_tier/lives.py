"""Lives of vLLM engines, each in a process of its own that answers prompts (life.py)."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from daemon import die_with_parent
from engine import VARIABLES

HERE = Path(__file__).resolve().parent
ENDED_WITHIN = 60.0
# Makes an engine warm, and is too short to be stored.
GREETING = "Hello."
CPU_TIERS = Path("/dev/shm")


def variables_of(python: Path, model: Path) -> dict[str, str]:
    """The environment of an engine and of what is started beside it."""
    return {
        **os.environ,
        **VARIABLES,
        "VLLM_CACHE_ROOT": str(model.parent / "vllm-cache"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }


def offloading(tier: dict[str, Any], cpu_tier_len: int) -> dict[str, Any]:
    """vLLM's `kv_transfer_config` with a secondary tier below its CPU tier of this many bytes."""
    return {
        "kv_connector": "OffloadingConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "spec_name": "CopyingSpec",
            "spec_module_path": "copying_spec",
            "cpu_bytes_to_use": cpu_tier_len,
            "secondary_tiers": [tier],
        },
    }


def hosting(settings: dict[str, Any]) -> dict[str, Any]:
    """vLLM's `kv_transfer_config` with the daemon's arena as its CPU tier."""
    spec = {"spec_name": "KvleaseHostSpec", "spec_module_path": "kvlease.vllm"}
    return {
        "kv_connector": "OffloadingConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {**spec, **settings},
    }


class Life:
    """One engine, from start to end. Its own caches end with it."""

    def __init__(
        self,
        python: Path,
        model: Path,
        transfer: dict[str, Any] | None,
        page_tokens: int,
        log: Path,
    ) -> None:
        """`transfer` is vLLM's `kv_transfer_config`; `log` gets what the engine prints."""
        command = [python, HERE / "life.py", model, json.dumps(transfer), page_tokens]
        self._log = log
        self._tiers_before = set(_cpu_tiers())
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=variables_of(python, model),
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            self._read()
            self.ask(GREETING)
        except BaseException:
            self.end()
            raise

    def ask(self, prompt: str, tokens: int = 1) -> dict[str, Any]:
        """The most likely continuation of a prompt, of `tokens` tokens."""
        return self._tell([prompt, tokens])

    def forget(self) -> None:
        """Empties the engine's own cache, so that prompts come from elsewhere, or are computed."""
        assert self._tell([None, 0])["is_empty"]

    def end(self) -> None:
        """Ends it and all that it has started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(ENDED_WITHIN)
        # An engine that is killed leaves its CPU tier in memory.
        for left in set(_cpu_tiers()) - self._tiers_before:
            left.unlink(missing_ok=True)

    def _tell(self, line: list[Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"error: the engine ended, log:\n{self._log.read_text()[-4000:]}")
        return json.loads(line)


def _cpu_tiers() -> list[Path]:
    """The files of vLLM's CPU tiers."""
    return list(CPU_TIERS.glob("vllm_offload_*.mmap"))
