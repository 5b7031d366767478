#!/usr/bin/env python3
"""An unmodified vLLM answers a prompt, is restarted with empty caches, and answers again with the
prompt cached by the daemon.

    usage: run.py [--stock] [--nvme DIRECTORY]

See README.md. Run by command and not in CI: it installs about 3 GB into target/vllm-environment,
or the directory that KVLEASE_VLLM_ENVIRONMENT names, from PyPI alone. The daemon is built here,
unless KVLEASE_BIN names one.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The daemon's process and the environment without NVIDIA's libraries are the contract suite's.
sys.path.insert(0, str(HERE.parent / "contract"))

import environment  # noqa: E402
from daemon import Daemon, named_or_built, wait_until  # noqa: E402
from engine import STORED_WITHIN, Answer, Engine  # noqa: E402

DIRECTORY_VARIABLE = "KVLEASE_VLLM_ENVIRONMENT"
DEFAULT_DIRECTORY = ROOT / "target" / "vllm-environment"
CAPACITY = "1GiB"
# An object of LMCache has 2 MiB here, so the prompt has 10 MiB.
SMALL_CAPACITY = "8MiB"
TIER = """[tier.nvme]
path = "{path}"
capacity = "256MiB"
write_through = "all"
"""

TIER_OBJECTS = "kvlease_tier_objects"
TIER_HITS = "kvlease_tier_hits_total"

# LMCache stores whole runs of tokens; a letter is a token. The endings are the same, so that
# answers can only differ by what comes before.
OBJECT_TOKENS = 256
BEGINNING = "kvlease keeps what an engine has read. " * 34
OTHER_BEGINNING = "An engine forgets when it is restarted. " * 34
ENDING = " And now, after the restart, what do you say?"
LENGTH = 1336
PROMPT = BEGINNING[: LENGTH - len(ENDING)] + ENDING
OTHER_PROMPT = OTHER_BEGINNING[: LENGTH - len(ENDING)] + ENDING
# Makes the engine warm, and is too short to be stored.
GREETING = "Hello."


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stock", action="store_true", help="with LMCache's own HyperPod adapter")
    parser.add_argument(
        "--nvme",
        type=Path,
        metavar="DIRECTORY",
        help="a tier in this directory on a disk; the second arena is too small for the prompt",
    )
    arguments = parser.parse_args()
    stock = arguments.stock
    binary = named_or_built()
    directory = Path(os.environ.get(DIRECTORY_VARIABLE, DEFAULT_DIRECTORY))
    python = environment.make(directory, HERE / "requirements.txt")
    if not stock:
        install(python)
    with tempfile.TemporaryDirectory() as folder:
        model = [python, HERE / "tiny_model.py", Path(folder, "model")]
        subprocess.run(model, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
        with _tier(arguments.nvme) as config:
            daemon = Daemon(binary, Path(folder), CAPACITY, config)
            try:
                _show(python, Path(folder), daemon.start(), stock)
            finally:
                daemon.destroy()


@contextlib.contextmanager
def _tier(directory: Path | None) -> Iterator[str]:
    """The configuration of a tier, whose files go again."""
    if directory is None:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="kvlease-", dir=directory) as path:
        yield TIER.format(path=path)


def _show(python: Path, folder: Path, daemon: Daemon, stock: bool) -> None:
    adapter = adapter_to(daemon, stock)
    _say(f"starting LMCache's server and vLLM, --l2-adapter '{adapter}'")
    engine = Engine(python, folder / "model", adapter, folder / "first.log")
    try:
        engine.ask(GREETING)
        before = _ask(engine, PROMPT)
        other = _ask(engine, OTHER_PROMPT)
        # Two prompts, each in whole objects of 256 tokens.
        wanted = 2 * (before.prompt_tokens // OBJECT_TOKENS)
        wait_until(lambda: _objects(daemon) >= wanted, STORED_WITHIN, "the prompts are stored")
    finally:
        engine.stop()
    _say(f"both have ended, and their caches with them; the daemon has {_objects(daemon)} objects")
    if _has_tier(daemon):
        daemon.end()
        # As after a reboot: an arena keeps its size as long as it is there.
        daemon.destroy()
        daemon.capacity = SMALL_CAPACITY
        daemon.start()
        _say(f"the daemon starts again with an arena of {SMALL_CAPACITY}")
    _say("starting both again")
    engine = Engine(python, folder / "model", adapter, folder / "second.log")
    try:
        engine.ask(GREETING)
        after = _ask(engine, PROMPT)
        loaded = engine.tokens_loaded()
    finally:
        engine.stop()
    _judge(before, other, after, loaded)
    if _has_tier(daemon):
        _judge_tier(after, int(daemon.metric(TIER_HITS)), loaded)


def _ask(engine: Engine, prompt: str) -> Answer:
    started = time.perf_counter()
    answer = engine.ask(prompt)
    elapsed = time.perf_counter() - started
    _say(
        f"{answer.prompt_tokens} tokens asked, {answer.cached_tokens} of them cached, "
        f"{elapsed:.2f} s: {prompt[:24]!r}… -> {answer.text!r}"
    )
    return answer


def _judge(before: Answer, other: Answer, after: Answer, loaded: int) -> None:
    if before.text == other.text:
        raise SystemExit("error: the answer does not depend on how the prompt begins")
    if before.cached_tokens or not loaded or after.cached_tokens < loaded:
        raise SystemExit(
            "error: nothing was cached by the daemon, "
            f"before=`{before.cached_tokens}` after=`{after.cached_tokens}` loaded=`{loaded}`"
        )
    if after.text != before.text:
        raise SystemExit(
            f"error: the answer changed, before=`{before.text!r}` after=`{after.text!r}`"
        )
    print(
        f"{loaded} of {after.prompt_tokens} prompt tokens were cached by the daemon, "
        "and the answer is the same"
    )


def _judge_tier(after: Answer, hits: int, loaded: int) -> None:
    wanted = after.prompt_tokens // OBJECT_TOKENS
    if hits < wanted or loaded < wanted * OBJECT_TOKENS:
        raise SystemExit(f"error: the prompt came in part, hits=`{hits}` loaded=`{loaded}`")
    print(
        f"the {wanted} objects of the prompt came from the tier, through an arena of "
        f"{SMALL_CAPACITY}, by {hits} loads"
    )


def adapter_to(daemon: Daemon, stock: bool) -> str:
    """The value of LMCache's `--l2-adapter` for the daemon."""
    where = f"127.0.0.1:{daemon.port}"
    if stock:
        url = f"sagemaker-hyperpod://{where}"
        settings = {"type": "sagemaker-hyperpod", "url": url}
        return json.dumps({**settings, "shared_memory_name": daemon.segment})
    plugin = {"module_path": "kvlease.lmcache", "class_name": "NativeClient"}
    settings = {"url": f"kvlease://{where}", "shared_memory_name": daemon.segment}
    return json.dumps({"type": "native_plugin", **plugin, "adapter_params": settings})


def _objects(daemon: Daemon) -> int:
    """Objects that the daemon has: with a tier below it, those that the tier has."""
    if _has_tier(daemon):
        return int(daemon.metric(TIER_OBJECTS))
    return json.loads(daemon.fetch("/v1/stats"))["objects"]


def _has_tier(daemon: Daemon) -> bool:
    return TIER_OBJECTS in daemon.metrics()


def install(python: Path) -> None:
    _say("installing kvlease")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # The workspace's build folder: a second run compiles only what has changed.
    variables = {"CARGO_TARGET_DIR": str(ROOT / "target"), **os.environ}
    subprocess.run([*pip, "--no-deps", "--force-reinstall", ROOT], check=True, env=variables)


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main()
