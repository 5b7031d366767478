#!/usr/bin/env python3
"""Builds the Python package from the checkout into the contract suite's environment and checks its
types: the code with mypy, and the stub of the native half against the module that was built.

    usage: package.py [DIRECTORY]        (default: target/contract-environment)

Cargo's build folder is the workspace's, so that a second run compiles only what has changed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import environment

ROOT = environment.HERE.parent.parent
NATIVE_HALF = "kvlease._kvlease"
# Before CPython 3.12 a class with the buffer protocol does not show it by a method.
ALLOWED = environment.HERE / "stubtest_allowed.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=environment.DEFAULT_DIRECTORY)
    python = environment.make(parser.parse_args().directory)
    install(python)
    check(python)


def install(python: Path) -> None:
    """Builds and installs the package, as `pip install .` does."""
    variables = {
        **os.environ,
        # The build tools are the environment's, at their pinned versions.
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")),
    }
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    build = [*pip, "--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall", ROOT]
    subprocess.run(build, check=True, env=variables, stdout=sys.stderr)


def check(python: Path) -> None:
    """Checks the form of the package's text and its types; pyproject.toml has the settings."""
    settings = ["--config", environment.HERE.parent / "ruff.toml"]
    for command in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        ruff = [python.with_name("ruff"), *command, *settings, ROOT / "bindings"]
        subprocess.run(ruff, check=True)
    subprocess.run([python, "-m", "mypy", "--no-error-summary"], cwd=ROOT, check=True)
    stubtest = [python, "-m", "mypy.stubtest", "--concise"]
    project = ["--mypy-config-file", "pyproject.toml"]
    project += ["--allowlist", ALLOWED, "--ignore-unused-allowlist"]
    subprocess.run([*stubtest, *project, NATIVE_HALF], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
