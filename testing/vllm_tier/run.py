#!/usr/bin/env python3
"""vLLM with kvlease below its own offloading, on a CPU: lives of engines, with the secondary tier
and with the arena as the CPU tier itself.

    usage: run.py [--checks | --costs | --host]

See README.md. Run by command and not in CI: it needs the environment of testing/vllm_restart, which
it makes. The daemon is built here, unless KVLEASE_BIN names one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The environment, the model and the prompts are those of the restart.
RESTART = HERE.parent / "vllm_restart"
sys.path[:0] = [str(RESTART), str(HERE.parent / "contract")]

import run as restart  # noqa: E402
from lives import Life, hosting, offloading  # noqa: E402

from daemon import BINARY_VARIABLE, Daemon, named_or_built, wait_until  # noqa: E402
from engine import VARIABLES  # noqa: E402

CAPACITY = "256MiB"
STORED_WITHIN = 60.0
PAGE_TOKENS = 32
ANSWER_TOKENS = 24
CPU_TIER_LEN = 256 << 20
# Kills of the daemon for each of three prompts, and the time of the last one from the question on.
KILLS = 4
KILL_WITHIN_S = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checks", action="store_true", help="only the checks without an engine")
    parser.add_argument("--costs", action="store_true", help="only what the tier costs")
    parser.add_argument("--host", action="store_true", help="only the arena as the CPU tier")
    options = parser.parse_args()
    binary = named_or_built()
    directory = Path(os.environ.get(restart.DIRECTORY_VARIABLE, restart.DEFAULT_DIRECTORY))
    python = restart.environment.make(directory, RESTART / "requirements.txt")
    restart.install(python)
    variables = {**os.environ, **VARIABLES, BINARY_VARIABLE: str(binary)}
    for checks in _checks(options):
        subprocess.run([python, *checks], cwd=HERE, check=True, env=variables)
    if options.checks or options.costs:
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        make = [python, RESTART / "tiny_model.py", model]
        subprocess.run(make, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
        for name, transfer in (("secondary tier", _secondary), ("CPU tier", hosting)):
            if options.host and transfer is not hosting:
                continue
            print(f"kvlease as vLLM's {name}", flush=True)
            daemon = Daemon(binary, Path(folder), CAPACITY)
            try:
                daemon.start()
                lives = Lives(python, model, daemon, transfer(_settings(daemon)))
                before = _show(lives, daemon)
                if transfer is hosting:
                    _kill(lives, daemon, before)
            finally:
                daemon.destroy()


def _checks(options: argparse.Namespace) -> list[list[str]]:
    """The programs without an engine that are run."""
    if options.costs:
        return [["costs.py"]]
    unittest = ["-m", "unittest", "-v"]
    host = [*unittest, "host_checks.HostTier"]
    return [host] if options.host else [[*unittest, "checks"], host]


def _settings(daemon: Daemon) -> dict[str, Any]:
    url = f"kvlease://127.0.0.1:{daemon.port}"
    return {"url": url, "shared_memory_name": daemon.segment}


def _secondary(settings: dict[str, Any]) -> dict[str, Any]:
    tier = {"type": "KvleaseTier", "module_path": "kvlease.vllm", **settings}
    return offloading(tier, CPU_TIER_LEN)


class Lives:
    """Lives of engines with one configuration."""

    def __init__(self, python: Path, model: Path, daemon: Daemon, transfer: dict[str, Any]) -> None:
        self._python, self._model, self._transfer = python, model, transfer
        self._log = f"{daemon.segment}-{{}}.log"

    def begin(self, name: str) -> Life:
        log = self._model.parent / self._log.format(name)
        return Life(self._python, self._model, self._transfer, PAGE_TOKENS, log)


def _show(lives: Lives, daemon: Daemon) -> dict[str, str]:
    """Three lives. Returns the right answers, by prompt."""
    first = lives.begin("first")
    try:
        before, other = _ask(first, restart.PROMPT), _ask(first, restart.OTHER_PROMPT)
        wanted = 2 * (before["prompt_tokens"] // PAGE_TOKENS)
        wait_until(lambda: _objects(daemon) >= wanted, STORED_WITHIN, "the prompts are stored")
    finally:
        first.end()
    print(f"the engine has ended; the daemon has {_objects(daemon)} chunks", flush=True)
    second = lives.begin("second")
    try:
        after = _ask(second, restart.PROMPT)
        # The engine goes on without its daemon: it computes what it cannot load.
        daemon.end(signal.SIGKILL)
        alone = _ask(second, restart.OTHER_PROMPT)
    finally:
        second.end()
    print("an engine without a daemon", flush=True)
    third = lives.begin("third")
    try:
        without = _ask(third, restart.PROMPT)
    finally:
        third.end()
    _judge(before, other, after, alone, without)
    return {restart.PROMPT: before["text"], restart.OTHER_PROMPT: other["text"]}


def _kill(lives: Lives, daemon: Daemon, answers: dict[str, str]) -> None:
    """One life in which the daemon is killed in the middle of answers, and started again."""
    daemon.start()
    life = lives.begin("killed")
    cached = 0
    try:
        for round_number in range(KILLS):
            # What has not been stored before, beside what has.
            new = f"{round_number} {restart.PROMPT}"
            for prompt in (*answers, new):
                # From before the first step to behind the last one, by the round.
                after = KILL_WITHIN_S * (round_number + 1) / KILLS
                killer = threading.Timer(after, daemon.end, [signal.SIGKILL])
                killer.start()
                answer = life.ask(prompt, ANSWER_TOKENS)
                killer.join()
                wanted = answers.get(prompt, answer["text"])
                life.forget()
                # Computed again, or loaded, it is the same.
                daemon.start()
                again = life.ask(prompt, ANSWER_TOKENS)
                life.forget()
                cached += again["cached_tokens"]
                if not answer["text"] == again["text"] == wanted:
                    raise SystemExit(f"error: an answer changed, round=`{round_number}`")
    finally:
        life.end()
    if not cached:
        raise SystemExit("error: nothing came from a daemon that was started again")
    print(f"{3 * KILLS} times the daemon was killed while a prompt was answered: no wrong token")


def _ask(life: Life, prompt: str) -> dict[str, Any]:
    answer = life.ask(prompt, ANSWER_TOKENS)
    print(
        f"{answer['prompt_tokens']} tokens asked, {answer['cached_tokens']} of them cached: "
        f"{prompt[:24]!r}… -> {answer['text']!r}",
        flush=True,
    )
    return answer


def _judge(
    before: dict[str, Any],
    other: dict[str, Any],
    after: dict[str, Any],
    alone: dict[str, Any],
    without: dict[str, Any],
) -> None:
    if before["text"] == other["text"]:
        raise SystemExit("error: the answer does not depend on how the prompt begins")
    if before["cached_tokens"] or not after["cached_tokens"] or without["cached_tokens"]:
        raise SystemExit("error: the chunks of the second life, and only those, are to be cached")
    if not before["text"] == after["text"] == without["text"] or other["text"] != alone["text"]:
        raise SystemExit("error: an answer changed")
    print(
        f"{after['cached_tokens']} of {after['prompt_tokens']} prompt tokens came from the daemon, "
        "and all answers are the same, with the daemon and without it"
    )


def _objects(daemon: Daemon) -> int:
    return json.loads(daemon.fetch("/v1/stats"))["objects"]


if __name__ == "__main__":
    main()
