"""Runs what the documents and manifests print, against the daemon of a test."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from daemon import Daemon, die_with_parent, free_port, wait_until

HERE = Path(__file__).resolve().parent
ENDED_WITHIN = 100.0
READY_WITHIN = 60.0
# The daemon's address and segment in every text.
ADDRESS = "127.0.0.1:9200"
SEGMENT = re.compile(r'"shared_memory"(?!\s*:)')
# Each command of a text notes its arguments here, for tests of what was called.
CALLS = "calls"


def elsewhere(text: str, daemon: Daemon) -> str:
    """A text for the daemon of a test: another port and segment, nothing else."""
    text = text.replace(ADDRESS, f"127.0.0.1:{daemon.port}")
    return SEGMENT.sub(json.dumps(daemon.segment), text)


def run(command: list, folder: Path | None = None, **variables: str) -> str:
    """Runs a command to its end, and returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_shell(text: str, daemon: Daemon, folder: Path) -> str:
    """Runs a shell text in a folder that has a `file.bin`, and returns what it printed.

    The first command that fails ends it. An answer of 400 or more is a failure of `curl`.
    """
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    lmcache = Path(sys.executable).with_name("lmcache")
    curl = shutil.which("curl")
    assert curl, "curl is missing: install the package `curl`"
    for name, line in {
        "kvlease": f'exec {os.environ["KVLEASE_BIN"]} "$@"',
        "lmcache": f'exec {lmcache} "$@"',
        "curl": f'exec {curl} --fail-with-body "$@"',
    }.items():
        shim = programs / name
        note = f'printf "%s\\0" {name} "$@" >> {folder / CALLS}; echo >> {folder / CALLS}'
        shim.write_text(f"#!/bin/sh\n{note}\n{line}\n")
        shim.chmod(0o755)
    (folder / "file.bin").write_bytes(os.urandom(4096))
    script = f"set -euo pipefail\n{elsewhere(text, daemon)}"
    return run(
        ["bash", "-c", script],
        folder,
        PATH=f"{programs}:{os.environ['PATH']}",
        KVLEASE_URL=f"http://127.0.0.1:{daemon.port}",
    )


def calls(folder: Path) -> list[list[str]]:
    """The words of each command that `run_shell` ran in the folder."""
    return [line.split("\0")[:-1] for line in (folder / CALLS).read_text().splitlines()]


def assert_kept_over_a_restart(variables: dict[str, str], stock: bool = False) -> None:
    """One engine stores a prompt, and another one that starts empty gets all of it.

    LMCache's own connector is not closed, since its `close()` never returns.
    """
    program = [sys.executable, HERE / "recipe_engine.py"]
    end = ["--without-close"] if stock else []
    variables = {**variables, "PYTHONHASHSEED": "0"}
    stored = json.loads(run([*program, "store", *end], **variables).splitlines()[-1])
    retrieved = json.loads(run([*program, "retrieve", *end], **variables).splitlines()[-1])
    assert retrieved == stored == {"tokens": 600, "same": True}


def assert_serves(line: list, adapter: str, folder: Path) -> None:
    """LMCache's server becomes healthy, and names an L2 adapter of this type that is."""
    port = free_port()
    command = [str(part) for part in [*line, *_small(), "--http-port", port]]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**_environment(), "LMCACHE_LOG_LEVEL": "INFO"},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        wait_until(
            lambda: _answers(port, server),
            READY_WITHIN,
            f"LMCache's server is ready: {shlex.join(command)}",
        )
        status = _fetch(port, "/status").replace(" ", "")
        assert f'"type":"{adapter}"' in status, status
        assert '"is_healthy":false' not in status, status
    except AssertionError as error:
        raise AssertionError(f"{error}\n{(folder / 'server.log').read_text()}") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(ENDED_WITHIN)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KVLEASE_")}


def _small() -> list[str]:
    """Options that isolate a test's server and keep it small."""
    port = str(free_port())
    return ["--host", "127.0.0.1", "--port", port, "--l1-init-size-gb", "1", "--disable-metrics"]


def _answers(port: int, server: subprocess.Popen) -> bool:
    assert server.poll() is None, f"it ended, status=`{server.returncode}`"
    try:
        return "healthy" in _fetch(port, "/healthcheck")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return reply.read().decode()
