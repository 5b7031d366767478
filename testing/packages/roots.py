"""Roots of a Debian system that has CPython and nothing else: made once, unpacked for each use."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"

SUITE = "bookworm"
# The oldest one that the mirror has, with glibc 2.31. Its CPython is older than the wheel takes.
OLDEST = "bullseye"
OLDEST_GLIBC = (2, 31)
MIRROR = "http://deb.debian.org/debian"
# `venv` brings pip into the environments that it makes.
PACKAGES = "python3-venv"

# The base is made in memory: dpkg syncs each file.
MAKE = """
mount -t tmpfs -o size=2g,mode=755 tmpfs "$1"
debootstrap --variant=minbase --include="$2" "$3" "$1" "$4" >&2
rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/dev/*
tar --numeric-owner -C "$1" -cf "$5" .
"""

NAMESPACES = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"]


class Root:
    """One root, in a folder of its own."""

    def __init__(self, folder: Path, suite: str = SUITE) -> None:
        """Uses a folder that is a root already, or unpacks the base into one that is empty."""
        self.folder = folder
        if not folder.exists():
            folder.mkdir(parents=True)
            unpack = ["tar", "--numeric-owner", "-C", folder, "-xpf", _base(suite)]
            subprocess.run(unpack, check=True)

    def run(self, *commands: list[str], **asked: object) -> str:
        """Runs commands as `enter.py` says, and returns what they printed. Fails if one fails."""
        request = json.dumps({"commands": commands, **asked})
        enter = [*NAMESPACES, sys.executable, HERE / "enter.py", self.folder]
        done = subprocess.run(
            enter, input=request, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            raise SystemExit(f"{done.stdout}\nerror: failed in the root {self.folder}")
        return done.stdout

    def shell(self, script: str, **asked: object) -> str:
        """Runs a script of the shell, which ends at the first command that fails."""
        return self.run(["/bin/sh", "-ec", script], **asked)

    def destroy(self) -> None:
        """Removes it."""
        shutil.rmtree(self.folder)


def _base(suite: str) -> Path:
    if os.geteuid() != 0:
        raise SystemExit("error: roots are made by root: run this as root")
    base = TARGET / f"dist-root-{suite}.tar"
    if not base.exists():
        base.parent.mkdir(exist_ok=True)
        folder = TARGET / f"dist-root-{suite}"
        folder.mkdir(exist_ok=True)
        part = base.with_suffix(".part")
        shell = ["unshare", "--mount", "sh", "-ec", MAKE, "sh"]
        subprocess.run([*shell, folder, PACKAGES, suite, MIRROR, part], check=True)
        folder.rmdir()
        part.rename(base)
    return base
