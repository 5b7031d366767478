#!/usr/bin/env python3
"""vLLM with kvlease as a secondary tier of its own offloading, on a CPU: three lives of an engine.

    usage: run.py [--checks | --costs]

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
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The environment, the model and the prompts are those of the restart.
RESTART = HERE.parent / "vllm_restart"
sys.path[:0] = [str(RESTART), str(HERE.parent / "contract")]

import run as restart  # noqa: E402
from lives import Life, offloading  # noqa: E402

from daemon import BINARY_VARIABLE, Daemon, named_or_built, wait_until  # noqa: E402
from engine import VARIABLES  # noqa: E402

CAPACITY = "256MiB"
STORED_WITHIN = 60.0
PAGE_TOKENS = 32
ANSWER_TOKENS = 24
CPU_TIER_LEN = 256 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checks", action="store_true", help="only the checks without an engine")
    parser.add_argument("--costs", action="store_true", help="only what the tier costs")
    options = parser.parse_args()
    binary = named_or_built()
    directory = Path(os.environ.get(restart.DIRECTORY_VARIABLE, restart.DEFAULT_DIRECTORY))
    python = restart.environment.make(directory, RESTART / "requirements.txt")
    restart.install(python)
    checks = [python, *(["costs.py"] if options.costs else ["-m", "unittest", "-v", "checks"])]
    variables = {**os.environ, **VARIABLES, BINARY_VARIABLE: str(binary)}
    subprocess.run(checks, cwd=HERE, check=True, env=variables)
    if options.checks or options.costs:
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        make = [python, RESTART / "tiny_model.py", model]
        subprocess.run(make, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
        daemon = Daemon(binary, Path(folder), CAPACITY)
        try:
            _show(python, model, daemon.start())
        finally:
            daemon.destroy()


def _show(python: Path, model: Path, daemon: Daemon) -> None:
    tier = {
        "type": "KvleaseTier",
        "module_path": "kvlease.vllm",
        "url": f"kvlease://127.0.0.1:{daemon.port}",
        "shared_memory_name": daemon.segment,
    }
    transfer = offloading(tier, CPU_TIER_LEN)

    def live(log: str) -> Life:
        return Life(python, model, transfer, PAGE_TOKENS, model.parent / log)

    first = live("first.log")
    try:
        before, other = _ask(first, restart.PROMPT), _ask(first, restart.OTHER_PROMPT)
        wanted = 2 * (before["prompt_tokens"] // PAGE_TOKENS)
        wait_until(lambda: _objects(daemon) >= wanted, STORED_WITHIN, "the prompts are stored")
    finally:
        first.end()
    print(f"the engine has ended; the daemon has {_objects(daemon)} chunks", flush=True)
    second = live("second.log")
    try:
        after = _ask(second, restart.PROMPT)
        # The engine goes on without its daemon: it computes what it cannot load.
        daemon.end(signal.SIGKILL)
        alone = _ask(second, restart.OTHER_PROMPT)
    finally:
        second.end()
    print("an engine without a daemon", flush=True)
    third = live("third.log")
    try:
        without = _ask(third, restart.PROMPT)
    finally:
        third.end()
    _judge(before, other, after, alone, without)


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
