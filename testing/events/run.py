#!/usr/bin/env python3
"""KV events of the daemon, decoded with the message classes of vLLM and of SGLang themselves.

    usage: run.py [vllm | sglang]

Run by command and not in CI, which has neither: vLLM's classes need all of vLLM, and SGLang's are
one file of a wheel of 39 MB. The environment is that of testing/vllm_restart, which is made unless
KVLEASE_VLLM_ENVIRONMENT names one; SGLang's wheel is fetched into a temporary folder, unless
KVLEASE_SGLANG_WHEEL names one. The daemon is built here, unless KVLEASE_BIN names one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parent / "contract"
RESTART = HERE.parent / "vllm_restart"
sys.path[:0] = [str(RESTART), str(CONTRACT)]

import run as restart  # noqa: E402

from daemon import BINARY_VARIABLE, named_or_built  # noqa: E402

WHEEL_VARIABLE = "KVLEASE_SGLANG_WHEEL"
SGLANG = "sglang==0.5.23"
ENGINES = ("vllm", "sglang")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engine", nargs="?", choices=ENGINES, help="only the classes of this one")
    options = parser.parse_args()
    binary = named_or_built()
    directory = Path(os.environ.get(restart.DIRECTORY_VARIABLE, restart.DEFAULT_DIRECTORY))
    python = restart.environment.make(directory, RESTART / "requirements.txt")
    with tempfile.TemporaryDirectory() as folder:
        for engine in [options.engine] if options.engine else ENGINES:
            wheel = _wheel(python, Path(folder)) if engine == "sglang" else None
            variables = {**os.environ, BINARY_VARIABLE: str(binary), "PYTHONPATH": str(CONTRACT)}
            if wheel:
                variables[WHEEL_VARIABLE] = str(wheel)
            subprocess.run([python, HERE / "classes.py", engine], check=True, env=variables)


def _wheel(python: Path, folder: Path) -> Path:
    if WHEEL_VARIABLE in os.environ:
        return Path(os.environ[WHEEL_VARIABLE])
    fetch = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, SGLANG]
    subprocess.run(fetch, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    main()
