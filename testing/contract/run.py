#!/usr/bin/env python3
"""Runs the contract suite: makes its environment if need be, checks the form of its own text,
builds the Python package into it, then calls pytest in it.

    usage: run.py [--put-ceiling | --python-calls | --side-by-side]
                  [arguments of pytest, or of the script so called]

The daemon under test is the one that KVLEASE_BIN names, by default target/release/kvlease. The
environment is in the directory that KVLEASE_CONTRACT_ENVIRONMENT names, by default
target/contract-environment.
"""

import os
import subprocess
import sys
from pathlib import Path

import environment
import package

BINARY_VARIABLE = "KVLEASE_BIN"
DIRECTORY_VARIABLE = "KVLEASE_CONTRACT_ENVIRONMENT"

# Python's resource tracker warns about each segment that the in-process client was attached to:
# the very confusion that test_public_name.py is about.
NO_TRACKER_WARNINGS = "ignore::UserWarning:multiprocessing.resource_tracker"

HERE = Path(__file__).resolve().parent
DEFAULT_BINARY = HERE.parent.parent / "target" / "release" / "kvlease"


# Scripts that measure, and judge nothing.
MEASUREMENTS = {
    "--put-ceiling": "put_ceiling.py",
    "--python-calls": "python_calls.py",
    "--side-by-side": "side_by_side.py",
}


def main() -> None:
    arguments = sys.argv[1:]
    binary = Path(os.environ.get(BINARY_VARIABLE, DEFAULT_BINARY)).absolute()
    if not os.access(binary, os.X_OK):
        raise SystemExit(
            "error: no daemon to test: build it with `cargo build --release -p kvlease`, or name "
            f"one, {BINARY_VARIABLE}=`{binary}`"
        )
    os.environ[BINARY_VARIABLE] = str(binary)
    os.environ["PYTHONWARNINGS"] = NO_TRACKER_WARNINGS
    directory = os.environ.get(DIRECTORY_VARIABLE, environment.DEFAULT_DIRECTORY)
    python = environment.make(Path(directory))
    for check in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        subprocess.run([python.with_name("ruff"), *check, HERE], check=True)
    package.install(python)
    package.check(python)
    script = next((name for name in MEASUREMENTS if name in arguments), None)
    if script is None:
        command = [python, "-m", "pytest", *arguments]
    else:
        arguments.remove(script)
        command = [python, HERE / MEASUREMENTS[script], *arguments]
    os.chdir(HERE)
    os.execv(python, [str(part) for part in command])


if __name__ == "__main__":
    main()
