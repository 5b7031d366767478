#!/usr/bin/env python3
"""vLLM on a CPU before and after a restart, with each way to keep its KV cache, in one run.

    usage: run.py [--rounds N] [--only NAME ...] [--plot DIRECTORY]

See README.md. Run by command and not in CI: it needs the environment of testing/vllm_restart, 3 GB,
which it makes, and Debian's redis-server. The daemon is built here, unless KVLEASE_BIN names one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The environment is that of the restart, and the engines are those of the tier.
RESTART = HERE.parent / "vllm_restart"
sys.path[:0] = [str(RESTART), str(HERE.parent / "vllm_tier"), str(HERE.parent / "contract")]

import run as restart  # noqa: E402
from contenders import CONTENDERS, Contender, Site  # noqa: E402
from lives import GREETING, Life, variables_of  # noqa: E402
from machine import processors  # noqa: E402

from daemon import named_or_built  # noqa: E402

ROUNDS = 3
# A model whose prompt takes a CPU seconds to read, and whose cache has 48 KiB a token.
SIZES = {"hidden": 768, "layers": 8, "heads": 12}
# A letter is a token.
PROMPT_TOKENS = 2048
TEXT = "An engine that was restarted has forgotten what it read before, {}. "
# A store that has not grown for so long has got everything, in seconds.
SETTLED_FOR, SETTLES_WITHIN = 3.0, 60.0
PAGE_TOKENS = 128


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
    directory = Path(os.environ.get(restart.DIRECTORY_VARIABLE, restart.DEFAULT_DIRECTORY))
    python = restart.environment.make(directory, RESTART / "requirements.txt")
    restart.install(python)
    results: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        sizes = [word for name, size in SIZES.items() for word in (f"--{name}", str(size))]
        make = [python, RESTART / "tiny_model.py", model, *sizes]
        subprocess.run(make, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
        for number in range(options.rounds):
            for contender in contenders:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    site = Site(python, binary, Path(place), variables_of(python, model))
                    pair = _compare(contender, site, model, f"round {number}")
                results.setdefault(contender.name, []).append(pair)
                _say(
                    f"{contender.name}: {pair[0]['took_s']:.2f} s, then "
                    f"{pair[1]['took_s']:.2f} s with {pair[1]['cached_tokens']} cached"
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
        with _life(contender, site, model) as life:
            before = life.ask(prompt)
            _settle(contender, life)
        with _life(contender, site, model) as life:
            after = life.ask(prompt)
    if after["token_ids"] != before["token_ids"]:
        raise SystemExit(f"error: the answer changed, contender=`{contender.name}`")
    return before, after


@contextmanager
def _life(contender: Contender, site: Site, model: Path) -> Iterator[Life]:
    """An engine, and what lives beside it."""
    with ExitStack() as ends:
        contender.start_beside(site, ends)
        log = site.folder / "engine.log"
        life = Life(site.python, model, contender.transfer(), PAGE_TOKENS, log)
        ends.callback(life.end)
        yield life


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
    print(f"\n{processors()}; medians of {rounds} rounds\n")
    print("| KV cache kept by | first token, s | after a restart, s | tokens from cache | faster |")
    print("|---|---|---|---|---|")
    for name, pairs in results.items():
        before, after = _median(pairs, 0, "took_s"), _median(pairs, 1, "took_s")
        ratio = statistics.median(b["took_s"] / a["took_s"] for b, a in pairs)
        tokens = f"{_median(pairs, 1, 'cached_tokens'):.0f} of {pairs[0][1]['prompt_tokens']}"
        print(f"| {name} | {before:.2f} | {after:.2f} | {tokens} | {ratio:.1f} times |")


def _median(pairs: list[tuple[dict[str, Any], dict[str, Any]]], life: int, what: str) -> float:
    return statistics.median(pair[life][what] for pair in pairs)


def _plot(python: Path, results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
    rows = [
        (name, _median(pairs, 0, "took_s"), _median(pairs, 1, "took_s"))
        for name, pairs in results.items()
    ]
    draw = [python, HERE / "plot.py", folder]
    subprocess.run(draw, input=json.dumps(rows), text=True, check=True)


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main()
