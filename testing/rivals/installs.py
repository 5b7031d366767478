"""Environments and packages, made once and kept in the cache."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rival import Command, Unavailable

STAMP = "rivals.stamp"
OLDEST_PYTHON = (3, 11)


def environment(directory: Path, requirements: Sequence[str], python: str | None = None) -> Path:
    """Makes a virtual environment of wheels unless it is there; returns the path of its Python."""
    origin = interpreter(python)
    made = directory / "bin" / "python"
    stamp = directory / STAMP
    # The programs in an environment name its path: one that was moved is another.
    wanted = "\n".join([str(directory), str(origin), *requirements])
    if stamp.exists() and stamp.read_text() == wanted and made.exists():
        return made
    shutil.rmtree(directory, ignore_errors=True)
    call([origin, "-m", "venv", directory])
    if requirements:
        pip: list[str | Path] = [
            made,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        call([*pip, "--only-binary", ":all:", *requirements])
    stamp.write_text(wanted)
    return made


def interpreter(version: str | None = None) -> Path:
    """The Python that runs this, or the one of the version (such as `3.11`) that a wheel needs."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version in (None, running):
        if sys.version_info < OLDEST_PYTHON:
            raise SystemExit(f"error: call this with Python 3.11 or newer, python=`{running}`")
        return Path(sys.executable)
    found = shutil.which(f"python{version}")
    if found is None:
        raise Unavailable(f"its wheels are for Python {version}, which is not on the PATH")
    return Path(found)


def debian(packages: Sequence[str]) -> None:
    """Installs packages of Debian, as root; else says which are missing."""
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"install Debian's packages (or your system's): {' '.join(packages)}")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    # Where services are started at all, none is to be: run.py starts its own.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    call(["apt-get", "update", "-qq"])
    call(install, quiet)


def call(command: Command, variables: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a command to its end and returns what it printed."""
    parts = [str(part) for part in command]
    try:
        done = subprocess.run(
            parts, check=True, capture_output=True, text=True, env=variables, cwd=cwd
        )
    except FileNotFoundError as error:
        raise Unavailable(f"there is no `{parts[0]}` on the PATH") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().split("\n")[-1]
        raise Unavailable(f"`{' '.join(parts)}` failed: {said}") from error
    return done.stdout
