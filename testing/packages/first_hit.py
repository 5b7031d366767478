#!/usr/bin/env python3
"""A new user's first minutes: the commands of docs/install.md in a root that has CPython alone.

    usage: first_hit.py [--download] DIST        (as root)

DIST is the folder that `cargo xtask dist` fills. The commands run as they are printed. The user has
an environment with LMCache: that of the contract suite, seen in the root. With `--download` it is
made in the root instead, with pip from PyPI and all that LMCache asks for, which takes gigabytes.
After the commands, the daemon's status page and its `/v1/stats` have to show hits.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from roots import Root

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.append(str(HERE.parent / "contract"))

import documents  # noqa: E402 -- the contract suite's, found by the path above

DOCUMENT = "docs/install.md"
SECTION = "First hit"
COMMANDS_MAX = 5

VENV = "/opt/venv"
# Where the contract suite's packages are seen in the root.
PACKAGES = "/opt/lmcache"
# Packages of that environment that the user does not have, or has already.
LEFT_OUT = re.compile(r"kvlease|pip\b|__pycache__|.*\.pth$")
LMCACHE = "lmcache==0.5.6"

# What follows a command in the background: a person sees the daemon start.
WAIT = "until kvlease status >/dev/null 2>&1; do sleep 0.1; done\n"
# What a browser would fetch, and what a program would.
SEE = """
see() { python3 -c "
import sys, urllib.request
print(urllib.request.urlopen('http://127.0.0.1:9200' + sys.argv[1]).read().decode())
" "$1"; }
echo STATS; see /v1/stats
echo PAGE; see /
"""


def run(dist: Path, folder: Path, download: bool = False) -> None:
    """Runs the commands in a new root, and fails unless the page shows hits."""
    commands = printed()
    root = Root(folder)
    root.shell(f"python3 -m venv {VENV}")
    binds = [[str(dist), "/root/target/dist"]]
    if download:
        _download(root)
    else:
        binds.append([str(_lend_lmcache(root)), PACKAGES])
    script = "".join(
        f"echo '$' {_quoted(command)}\n{command}\n{WAIT if command.endswith('&') else ''}"
        for command in commands
    )
    environment = {
        "PATH": f"{VENV}/bin:/usr/bin:/bin",
        "HOME": "/root",
        "LMCACHE_TRACK_USAGE": "false",
    }
    output = root.shell(f"cd /root\n{script}{SEE}", binds=binds, environment=environment)
    shown, page = output.split("\nPAGE\n")
    shown, stats = shown.split("\nSTATS\n")
    print(shown)
    assert re.search(r"All \d+ keys data verified OK", shown), "LMCache has not compared its bytes"
    hits = json.loads(stats)["hits"]
    (on_page,) = re.findall(r'id="hit-count"><data value="(\d+)">', page)
    assert hits > 0 and int(on_page) == hits, (hits, on_page)
    print(f"packages: first hit: {len(commands)} commands, {hits} hits on the page", flush=True)


def printed() -> list[str]:
    """The commands of the document's section, each on one line."""
    blocks = [b for b in documents.blocks() if (b.document, b.section) == (DOCUMENT, SECTION)]
    (block,) = [block for block in blocks if block.language == "sh"]
    lines = block.text.replace("\\\n", " ").splitlines()
    commands = [re.sub(r"\s+# .*$", "", line).strip() for line in lines if line.strip()]
    assert 0 < len(commands) <= COMMANDS_MAX, commands
    return commands


def _quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"


def _lend_lmcache(root: Root) -> Path:
    """Gives the root's environment the packages of the contract suite's; returns their folder."""
    import environment

    directory = os.environ.get("KVLEASE_CONTRACT_ENVIRONMENT", environment.DEFAULT_DIRECTORY)
    python = environment.make(Path(directory))
    (packages,) = (python.parent.parent / "lib").glob("python3.*/site-packages")
    (inside,) = (root.folder / VENV.lstrip("/") / "lib").glob("python3.*/site-packages")
    if inside.parent.name != packages.parent.name:
        raise SystemExit(
            "error: compiled packages need one version of CPython: run this with that of the root, "
            f"or with --download, root=`{inside.parent.name}` here=`{packages.parent.name}`"
        )
    for path in packages.iterdir():
        link = inside / path.name
        if not LEFT_OUT.match(path.name) and not link.exists():
            link.symlink_to(f"{PACKAGES}/{path.name}")
    command = root.folder / VENV.lstrip("/") / "bin" / "lmcache"
    lines = python.with_name("lmcache").read_text().splitlines()
    command.write_text("\n".join([f"#!{VENV}/bin/python3", *lines[1:]]) + "\n")
    command.chmod(0o755)
    return packages


def _download(root: Root) -> None:
    """Installs LMCache from PyPI. Names are looked up as on the host, and nothing else is its."""
    shutil.copy("/etc/resolv.conf", root.folder / "etc" / "resolv.conf")
    pip = [f"{VENV}/bin/pip", "install", "--quiet", LMCACHE]
    subprocess.run(["chroot", root.folder, *pip], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--download", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvlease-newcomer-") as folder:
        run(options.dist.resolve(), Path(folder) / "root", options.download)


if __name__ == "__main__":
    main()
