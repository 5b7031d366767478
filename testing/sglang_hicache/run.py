#!/usr/bin/env python3
"""kvlease as a storage backend of SGLang's HiCache, on a CPU: checks, or a measurement.

    usage: run.py [--measure] [names of checks]

See README.md. Run by command and not in CI: it downloads 250 MB more than the environment of the
contract suite has, on top of which it makes its own. The daemon is built here, unless KVLEASE_BIN
names one.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONTRACT = HERE.parent / "contract"
sys.path.insert(0, str(CONTRACT))

import environment  # noqa: E402
import package  # noqa: E402
from daemon import BINARY_VARIABLE, named_or_built  # noqa: E402

DIRECTORY_VARIABLE = "KVLEASE_SGLANG_ENVIRONMENT"
DEFAULT_DIRECTORY = ROOT / "target" / "sglang-environment"
BASE_VARIABLE = "KVLEASE_CONTRACT_ENVIRONMENT"
REQUIREMENTS = HERE / "requirements.txt"
STAMP = "sglang-environment.stamp"
SITE = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="compare regions with whole pages")
    parser.add_argument("names", nargs="*", help="checks, as unittest names them")
    arguments = parser.parse_args()
    binary = named_or_built()
    base = environment.make(Path(os.environ.get(BASE_VARIABLE, environment.DEFAULT_DIRECTORY)))
    python = make(Path(os.environ.get(DIRECTORY_VARIABLE, DEFAULT_DIRECTORY)).absolute(), base)
    # The tools of the package's build are those of the environment below.
    os.environ["PATH"] = f"{python.parent}:{base.parent}:{os.environ['PATH']}"
    package.install(python)
    variables = {**os.environ, BINARY_VARIABLE: str(binary)}
    names = [name if name.startswith("checks") else f"checks.{name}" for name in arguments.names]
    command = [python, "-m", "unittest", "-v", *(names or ["checks"])]
    if arguments.measure:
        command = [python, HERE / "measure.py"]
    os.chdir(HERE)
    raise SystemExit(subprocess.run(command, env=variables).returncode)


def make(directory: Path, base: Path) -> Path:
    """Makes an environment on top of another unless it is there; returns the path of its Python."""
    python = directory / "bin" / "python"
    stamp = directory / STAMP
    wanted = hashlib.sha256(f"{base} {directory}\n".encode() + REQUIREMENTS.read_bytes())
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    only = ["--no-deps", "--only-binary", ":all:", "-r", REQUIREMENTS]
    subprocess.run([*pip, *only], check=True, stdout=sys.stderr)
    below, above = _output(base, SITE), _output(python, SITE)
    Path(above, "below.pth").write_text(f"{below}\n")
    stamp.write_text(wanted.hexdigest())
    return python


def _output(python: Path, program: str) -> str:
    done = subprocess.run([python, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
