#!/usr/bin/env python3
"""The unmodified amzn-sagemaker-checkpointing against the daemon: every call of its client, two
ranks that save and load over gloo, a killed daemon, and a rank that is lost within a save.

    usage: run.py [--total-gib GIB [--disk DIRECTORY]]

With a total, one step of that length goes through an arena of 2 GiB to a tier on disk instead,
which takes 1 GiB more of the directory until the end. See docs/checkpoint.md. Run by command and
not in CI: it installs 21 MB into target/checkpoint-packages, beside the contract suite's
environment, which it makes. The daemon is built here, unless KVLEASE_BIN names one.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "contract"))

import environment  # noqa: E402
from daemon import Daemon, die_with_parent, free_port, named_or_built  # noqa: E402

DIRECTORY_VARIABLE = "KVLEASE_CONTRACT_ENVIRONMENT"
PACKAGES = ROOT / "target" / "checkpoint-packages"
REQUIREMENTS = HERE / "requirements.txt"

# The address that the package has in its code.
HOST = "ai-toolkit-gossip-headless.aws-hyperpod.svc.cluster.local"
CONFIG = f"""[server]
host_names = "{HOST}"
[checkpoint]
capacity = "{{capacity}}"
"""

# Of a step that is larger than the arena: one shard has room in the arena's share.
LARGE_CAPACITY, LARGE_SHARE = "2GiB", "1GiB"
LARGE_SHARDS = 16
LARGE_CONFIG = """disk_capacity = "{total}MiB"
[tier.nvme]
path = "{disk}"
capacity = "1GiB"
"""
LARGE_ENDS_WITHIN = 1800.0

WORLD_SIZE = 2
# A step has 40 MiB.
CAPACITY, SHARE = "256MiB", "200MiB"
# A job, or all calls of a client, ends within this many seconds.
ENDS_WITHIN = 120.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--total-gib", type=float, default=0.0)
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args()
    binary = named_or_built()
    directory = os.environ.get(DIRECTORY_VARIABLE, environment.DEFAULT_DIRECTORY)
    python = environment.make(Path(directory))
    _install(python)
    if arguments.total_gib > 0:
        _large(python, binary, int(arguments.total_gib * (1 << 30)), arguments.disk)
        return
    with tempfile.TemporaryDirectory() as folder:
        _with_daemon(binary, Path(folder), ("128MiB", "64MiB"), lambda d: _calls(python, d))
        _with_daemon(binary, Path(folder), (CAPACITY, SHARE), lambda d: _jobs(python, d))


def _install(python: Path) -> None:
    """Puts the packages into a folder of their own: the environment stays as it is."""
    stamp = PACKAGES / "requirements.txt"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    command += ["--target", PACKAGES, "--requirement", REQUIREMENTS]
    subprocess.run([str(part) for part in command], check=True)
    stamp.write_text(REQUIREMENTS.read_text())


def _with_daemon(
    binary: Path, folder: Path, sizes: tuple[str, str], use, further: str = ""
) -> None:
    capacity, share = sizes
    daemon = Daemon(binary, folder, capacity, CONFIG.format(capacity=share) + further)
    try:
        use(daemon.start())
    finally:
        daemon.destroy()


def _calls(python: Path, daemon: Daemon) -> None:
    process = _start(python, daemon, "calls.py", [], {})
    _say(_end(process))


def _large(python: Path, binary: Path, total: int, disk: Path) -> None:
    length = total // LARGE_SHARDS
    # Each file has a header as well.
    room = (total >> 20) + LARGE_SHARDS

    def use(daemon: Daemon) -> None:
        for what in ("save", "load", "load"):
            arguments = [what, str(LARGE_SHARDS), str(length)]
            process = _start(python, daemon, "large.py", arguments, {})
            _say(_end(process, LARGE_ENDS_WITHIN))
            if what == "save":
                shards = int(daemon.metric("kvlease_checkpoint_disk_shards"))
                assert 0 < shards < LARGE_SHARDS, f"one medium has all, on disk=`{shards}`"
                _say(f"{LARGE_SHARDS - shards} of them in memory, {shards} on the disk")
                daemon.restart(signal.SIGKILL)
                _say("the daemon was killed and started again")

    with tempfile.TemporaryDirectory(dir=disk) as tier, tempfile.TemporaryDirectory() as folder:
        further = LARGE_CONFIG.format(total=room, disk=tier)
        sizes = (LARGE_CAPACITY, LARGE_SHARE)
        _with_daemon(binary, Path(folder), sizes, use, further)


def _jobs(python: Path, daemon: Daemon) -> None:
    _run(python, daemon, "save", "10", "20", "30")
    _say("two ranks saved steps 10, 20 and 30")
    _load(python, daemon, "latest", 30)
    daemon.restart(signal.SIGKILL)
    _say("the daemon was killed and started again")
    _load(python, daemon, "latest", 30)
    _load(python, daemon, "10", 10)
    _run(python, daemon, "break", "40", wanted=None)
    _say("the last rank was killed within the save of step 40")
    _load(python, daemon, "latest", 30)
    _run(python, daemon, "save", "40", "50")
    _load(python, daemon, "latest", 50)
    # A job that went back rewrites the steps that it meets again.
    _run(python, daemon, "save", "40")
    _load(python, daemon, "40", 40)
    _say("steps 40 and 50 were saved, and 40 was rewritten")
    shards = daemon.metric("kvlease_checkpoint_shards")
    assert shards == 3 * (WORLD_SIZE + 1), f"three steps are retained, shards=`{shards}`"
    assert daemon.metric("kvlease_evictions_total") == 0


def _load(python: Path, daemon: Daemon, which: str, step: int) -> None:
    output = _run(python, daemon, "load", which)
    for rank in range(WORLD_SIZE):
        assert f"rank {rank} loaded step {step}" in output, output
    _say(f"both ranks load step {step}, asked for `{which}`, every byte as saved")


def _run(python: Path, daemon: Daemon, *arguments: str, wanted: int | None = 0) -> str:
    """Runs all ranks of a job to their end. `wanted` is their status, None for a job that fails."""
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = [
        _start(
            python,
            daemon,
            "rank.py",
            ["job", *arguments],
            {**group, "RANK": str(rank), "WORLD_SIZE": str(WORLD_SIZE)},
        )
        for rank in range(WORLD_SIZE)
    ]
    if wanted is None:
        # Those that are left wait for the one that was lost.
        ranks[-1].wait(ENDS_WITHIN)
        for rank in ranks[:-1]:
            rank.kill()
            rank.wait(ENDS_WITHIN)
        return ""
    return " ".join(_end(rank) for rank in ranks)


def _start(
    python: Path, daemon: Daemon, script: str, arguments: list[str], variables: dict[str, str]
) -> subprocess.Popen[str]:
    proxy = f"http://127.0.0.1:{daemon.port}"
    return subprocess.Popen(
        [str(part) for part in (python, HERE / script, *arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            **variables,
            "PYTHONPATH": str(PACKAGES),
            # The package's requests go to its fixed address by way of the daemon itself.
            "http_proxy": proxy,
            "no_proxy": "",
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        },
        preexec_fn=die_with_parent,
    )


def _end(process: subprocess.Popen[str], within: float = ENDS_WITHIN) -> str:
    output, _ = process.communicate(timeout=within)
    assert process.returncode == 0, output
    lines = output.strip().splitlines()
    return lines[-1] if lines else "done"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
