#!/usr/bin/env python3
"""Runs schemathesis against a daemon: the OpenAPI document makes requests and judges replies.

    usage: run.py [--seconds N] [ARGUMENT…]        (arguments go to schemathesis)

It installs schemathesis from PyPI into target/openapi-environment, at pinned versions, unless that
is done already. `KVLEASE_BIN` names the daemon; `KVLEASE_TEST_SEED` repeats a run. It fails when
schemathesis finds something, when it cannot run, and when the daemon does not survive.
"""

import argparse
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "contract"))

from daemon import Daemon  # noqa: E402 -- the contract suite's, found by the path above

REQUIREMENTS = HERE / "requirements.txt"
ENVIRONMENT = ROOT / "target" / "openapi-environment"

# Time of the run, and of one request, in seconds.
SECONDS = 60
REQUEST_SECONDS = 10

# What is not checked, and why:
# * ensure_resource_availability: an object may be evicted or removed at any time.
# * positive_data_acceptance: whether an object exists decides, not the form of the request.
EXCLUDED = "ensure_resource_availability,positive_data_acceptance"

# Short times, so that leases and stalled uploads of the run end within it.
CONFIG = "[lease]\ngrace_s = 1\nwait_max_s = 1\n[server]\nput_stall_timeout_s = 2\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options, rest = parser.parse_known_args()
    python = environment()
    binary = Path(os.environ.get("KVLEASE_BIN", ROOT / "target" / "release" / "kvlease"))
    seed = os.environ.get("KVLEASE_TEST_SEED") or str(secrets.randbelow(1 << 32))
    print(f"openapi: KVLEASE_TEST_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kvlease-openapi-") as folder:
        daemon = Daemon(binary, Path(folder), "64MiB", CONFIG)
        try:
            daemon.start()
            status, output = run(python, daemon, options.seconds, seed, rest)
            daemon.fetch("/healthz")
        finally:
            daemon.destroy()
    print(output, flush=True)
    print(f"openapi: {summary(output)}", flush=True)
    sys.exit(status)


def environment() -> Path:
    """The Python of the environment, which is made unless it is there."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "openapi-environment.stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", REQUIREMENTS]
        subprocess.run(install, check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    return python


def run(python: Path, daemon: Daemon, seconds: int, seed: str, rest: list[str]) -> tuple[int, str]:
    """The exit status of schemathesis, and its output."""
    command = [python.with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "run"]
    command += [f"http://127.0.0.1:{daemon.port}/openapi.json", "--no-color"]
    command += ["--max-time", str(seconds), "--request-timeout", str(REQUEST_SECONDS)]
    command += ["--seed", seed, "--checks", "all", "--exclude-checks", EXCLUDED]
    # Streams have no end: crates/kvlease-server/tests/http/events.rs reads them.
    command += ["--exclude-path", "/v1/events"]
    command += ["--suppress-health-check", "all", "--warnings", "off", *rest]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def summary(output: str) -> str:
    """The closing line of schemathesis, without the signs around it."""
    lines = [line.strip(" =") for line in output.splitlines() if line.strip(" =")]
    return lines[-1] if lines else "no output"


if __name__ == "__main__":
    main()
