#!/usr/bin/env python3
"""vLLM on a CPU before and after a restart, with each way to keep its KV cache, in one run.

    usage: run.py [--rounds N] [--only NAME ...] [--plot DIRECTORY]

See README.md. Run by command and not in CI: it needs the environment of testing/vllm_restart, 3 GB,
which it makes, and Debian's redis-server. The daemon is built here, unless KVLEASE_BIN names one.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The environment is that of the restart, and the worker for a CPU that of the tier.
RESTART, TIER = HERE.parent / "vllm_restart", HERE.parent / "vllm_tier"
sys.path[:0] = [str(HERE.parent / "contract"), str(RESTART)]

from contenders import CONTENDERS, Contender, Site  # noqa: E402

import environment  # noqa: E402
from daemon import die_with_parent, named_or_built  # noqa: E402
from engine import VARIABLES  # noqa: E402

DIRECTORY_VARIABLE = "KVLEASE_VLLM_ENVIRONMENT"
DEFAULT_DIRECTORY = HERE.parent.parent / "target" / "vllm-environment"
ROUNDS = 3
# A model whose prompt takes a CPU seconds to read, and whose cache has 48 KiB a token.
SIZES = {"hidden": 768, "layers": 8, "heads": 12}
# A letter is a token.
PROMPT_TOKENS = 2048
TEXT = "An engine that was restarted has forgotten what it read before, {}. "
# Makes the engine warm, and is too short to be stored.
GREETING = "Hello."
# A store that has not grown for so long has got everything, in seconds.
SETTLED_FOR, SETTLES_WITHIN = 3.0, 60.0
ENDS_WITHIN = 60.0


class Life:
    """One engine, from start to end, and what lives beside it."""

    def __init__(self, contender: Contender, site: Site, model: Path) -> None:
        self._ends = ExitStack()
        # An engine that is killed leaves its CPU tier in memory.
        before = set(_cpu_tiers())
        self._ends.callback(lambda: [path.unlink() for path in set(_cpu_tiers()) - before])
        try:
            contender.start_beside(site, self._ends)
            command = [site.python, HERE / "life.py", model, json.dumps(contender.transfer())]
            with open(site.folder / "engine.log", "ab") as log:
                self._process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=site.variables,
                    text=True,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            self._ends.callback(self._end_engine)
            self._log = site.folder / "engine.log"
            self._read()
            self.ask(GREETING)
        except BaseException:
            self.end()
            raise

    def ask(self, prompt: str) -> dict[str, Any]:
        """The first token of an answer, and how it came about."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(prompt) + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> None:
        self._ends.close()

    def _end_engine(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        # And all that it has started.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(ENDS_WITHIN)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"error: the engine ended, log:\n{self._log.read_text()[-4000:]}")
        return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"by default {ROUNDS}")
    parser.add_argument("--only", nargs="+", help="these contenders alone")
    parser.add_argument("--plot", type=Path, metavar="DIRECTORY", help="draws the times")
    options = parser.parse_args()
    contenders = [make() for make in CONTENDERS]
    if options.only is not None:
        contenders = [contender for contender in contenders if contender.name in options.only]
    binary = named_or_built()
    directory = Path(os.environ.get(DIRECTORY_VARIABLE, DEFAULT_DIRECTORY))
    python = environment.make(directory, RESTART / "requirements.txt")
    _install(python)
    results: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        sizes = [word for name, size in SIZES.items() for word in (f"--{name}", str(size))]
        make = [python, RESTART / "tiny_model.py", model, *sizes]
        subprocess.run(make, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
        for number in range(options.rounds):
            for contender in contenders:
                place = Path(folder, f"{len(results)}-{number}")
                place.mkdir()
                site = Site(python, binary, place, _variables(python, Path(folder)))
                pair = _compare(contender, site, model, f"round {number}")
                results.setdefault(contender.name, []).append(pair)
                _say(
                    f"{contender.name}: {pair[0]['first_token_s']:.2f} s, then "
                    f"{pair[1]['first_token_s']:.2f} s with {pair[1]['cached_tokens']} cached"
                )
    _show(results, options.rounds)
    if options.plot is not None:
        _plot(python, results, options.plot)


def _compare(
    contender: Contender, site: Site, model: Path, what: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A prompt's answer by an engine, and by the next one after a restart."""
    sentence = TEXT.format(what)
    prompt = (sentence * (PROMPT_TOKENS // len(sentence) + 1))[:PROMPT_TOKENS]
    with ExitStack() as ends:
        contender.start(site, ends)
        life = Life(contender, site, model)
        try:
            before = life.ask(prompt)
            _settle(contender, life)
        finally:
            life.end()
        life = Life(contender, site, model)
        try:
            after = life.ask(prompt)
        finally:
            life.end()
    if after["token"] != before["token"]:
        raise SystemExit(f"error: the answer changed, contender=`{contender.name}`")
    return before, after


def _settle(contender: Contender, life: Life) -> None:
    """Waits until the store grows no more. vLLM's offloading goes on in the steps of requests."""
    began = changed = time.monotonic()
    seen = contender.stored()
    while time.monotonic() - changed < SETTLED_FOR:
        if time.monotonic() - began > SETTLES_WITHIN:
            raise SystemExit(f"error: the store grows on, contender=`{contender.name}`")
        life.ask(GREETING)
        time.sleep(0.1)
        stored = contender.stored()
        if stored != seen:
            seen, changed = stored, time.monotonic()


def _show(results: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]], rounds: int) -> None:
    print(f"\n{os.cpu_count()} x {_processor()}; medians of {rounds} rounds\n")
    print("| KV cache kept by | first token, s | after a restart, s | tokens from cache | faster |")
    print("|---|---|---|---|---|")
    for name, pairs in results.items():
        before, after = _median(pairs, 0, "first_token_s"), _median(pairs, 1, "first_token_s")
        ratio = statistics.median(b["first_token_s"] / a["first_token_s"] for b, a in pairs)
        tokens = f"{_median(pairs, 1, 'cached_tokens'):.0f} of {pairs[0][1]['prompt_tokens']}"
        print(f"| {name} | {before:.2f} | {after:.2f} | {tokens} | {ratio:.1f} times |")


def _median(pairs: list[tuple[dict[str, Any], dict[str, Any]]], life: int, what: str) -> float:
    return statistics.median(pair[life][what] for pair in pairs)


def _plot(python: Path, results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
    rows = [
        (name, _median(pairs, 0, "first_token_s"), _median(pairs, 1, "first_token_s"))
        for name, pairs in results.items()
    ]
    draw = [python, HERE / "plot.py", folder]
    subprocess.run(draw, input=json.dumps(rows), text=True, check=True)


def _variables(python: Path, folder: Path) -> dict[str, str]:
    paths = filter(None, (str(TIER), os.environ.get("PYTHONPATH")))
    return {
        **os.environ,
        **VARIABLES,
        "VLLM_CACHE_ROOT": str(folder / "vllm-cache"),
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }


def _install(python: Path) -> None:
    _say("installing kvlease")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    root = HERE.parent.parent
    variables = {"CARGO_TARGET_DIR": str(root / "target"), **os.environ}
    subprocess.run([*pip, "--no-deps", "--force-reinstall", root], check=True, env=variables)


def _cpu_tiers() -> list[Path]:
    """Files of vLLM's CPU tiers."""
    return list(Path("/dev/shm").glob("vllm_offload_*.mmap"))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return "unknown processor"


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main()
