#!/usr/bin/env python3
"""Makes the virtual environment in which the unmodified LMCache runs on a CPU.

    usage: environment.py [DIRECTORY]        (default: target/contract-environment)

Prints the path of the environment's Python. Takes some minutes and about 2 GB the first time,
from PyPI alone; a later call with the same inputs returns at once. The inputs are hashed into a
stamp inside the environment, so a changed requirement, script or Python makes it anew.

It needs Python's venv module, a C compiler and binutils (cuda_stubs.py says why), and sees to a
C++ compiler, which the fuzzer in testing/fuzz is built with, and to Chromium, which shows the
status page. Where one is missing, it is installed
with apt-get when this runs as root on Debian or its kin; otherwise the message names the package.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_DIRECTORY = HERE.parent.parent / "target" / "contract-environment"
REQUIREMENTS = HERE / "requirements.txt"
SCRIPTS = (HERE / "cuda_stubs.py", Path(__file__).resolve())
STAMP = "contract-environment.stamp"

# What has to be there, how to tell, and the Debian package that brings it.
TOOLS = {
    "gcc": "gcc",
    "c++": "g++",
    "nm": "binutils",
    "readelf": "binutils",
    "chromium": "chromium",
    "openssl": "openssl",
}
# `libc6-dev` holds the start-up files without which gcc cannot link; a page needs a font.
COMPANIONS = {"gcc": ["libc6-dev"], "chromium": ["fonts-dejavu-core"]}

OLDEST_PYTHON = (3, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_DIRECTORY)
    print(make(parser.parse_args().directory))


def make(directory: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Makes the environment in `directory` unless it is there; returns the path of its Python.

    `requirements` names torch, LMCache, and every package that they need.
    """
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = directory / "bin" / "python"
        stamp = directory / STAMP
        wanted = _fingerprint(directory, requirements)
        if stamp.exists() and stamp.read_text() == wanted and python.exists():
            return python
        _check_machine()
        _clear(directory)
        _build(directory, python, requirements)
        stamp.write_text(wanted)
        return python


def _fingerprint(directory: Path, requirements: Path) -> str:
    # The programs in an environment name its path: one that was moved is another.
    digest = hashlib.sha256(f"{directory}\n".encode())
    for path in (requirements, *SCRIPTS):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    digest.update(f"{sys.version} {platform.machine()}".encode())
    return digest.hexdigest()


def _check_machine() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SystemExit(
            "error: LMCache's wheel is for Linux on x86-64: run the suite there, "
            f"platform=`{platform.system()} {platform.machine()}`"
        )
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        raise SystemExit(
            f"error: the package needs Python {needed} or newer: call this script with one, "
            f"python=`{platform.python_version()}`"
        )
    packages = _missing_packages()
    if packages:
        _install_packages(packages)


def _missing_packages() -> list[str]:
    packages: list[str] = []
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            packages += [package, *COMPANIONS.get(tool, [])]
    # Debian splits ensurepip off; without it venv makes an environment that has no pip.
    if importlib.util.find_spec("ensurepip") is None:
        packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return sorted(set(packages))


def _install_packages(packages: list[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(
            "error: tools are missing: install them with your package manager "
            f"(the names are Debian's), packages=`{' '.join(packages)}`"
        )
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


def _clear(directory: Path) -> None:
    """Removes an environment of other inputs; refuses to remove anything else."""
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not (directory / "pyvenv.cfg").exists():
        raise SystemExit(
            "error: the directory holds something other than a virtual environment: "
            f"name another one, directory=`{directory}`"
        )
    shutil.rmtree(directory)


def _build(directory: Path, python: Path, requirements: Path) -> None:
    print(f"making an environment in {directory}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary", ":all:", "-r", requirements]
    subprocess.run([*pip, "install", "-q", *wanted], check=True, stdout=sys.stderr)
    sys.path.insert(0, str(HERE))
    import cuda_stubs

    purelib = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    stubs = cuda_stubs.install(Path(_output(python, purelib)))
    print(f"compiled stand-ins for {len(stubs)} NVIDIA libraries", file=sys.stderr)
    versions = (
        "import torch, lmcache; print('torch', torch.__version__, 'lmcache', lmcache.__version__)"
    )
    print(_output(python, versions), file=sys.stderr)


def _output(python: Path, program: str) -> str:
    environment = {**os.environ, "LMCACHE_TRACK_USAGE": "false", "LMCACHE_LOG_LEVEL": "ERROR"}
    command = [python, "-c", program]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
