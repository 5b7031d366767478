#!/usr/bin/env python3
"""Runs commands in a root as on a machine of its own: with its own processes, network and /dev/shm.

    usage: unshare --mount --pid --net --ipc --fork --kill-child enter.py ROOT   (JSON on its input)

The JSON has `commands`, and may have `daemon`, `user` (a name or UID:GID), `environment` and
`binds` (pairs of a folder and the place in the root where it is seen, read-only). The daemon starts
first. The commands run one after the other when it is ready, and it ends by a signal after them.
`roots.py` calls this.
"""

import fcntl
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

DEVICES = ("full", "null", "random", "urandom", "zero")
# What `auto` takes as the capacity is a quarter of it.
SHARED_MEMORY = "1g"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHROOT = shutil.which("chroot", path=PATH) or "chroot"
READY_WITHIN = 60.0
ENDED_WITHIN = 60.0
READY = "http://127.0.0.1:9200/readyz"

# The request that sets the flags of an interface, and those of one that is up.
SIOCSIFFLAGS = 0x8914
UP_AND_RUNNING = 0x1 | 0x40


def main() -> None:
    root = Path(sys.argv[1])
    asked = json.load(sys.stdin)
    furnish(root, asked.get("binds", []))
    raise_loopback()
    daemon = asked.get("daemon")
    running = start(root, daemon, asked) if daemon else None
    if running:
        wait_ready(running)
    for command in asked["commands"]:
        print(f"$ {' '.join(command)}", flush=True)
        status = start(root, command, asked).wait()
        if status:
            raise SystemExit(f"error: the command failed, status=`{status}`: {command}")
    if running:
        running.send_signal(signal.SIGTERM)
        if status := running.wait(ENDED_WITHIN):
            raise SystemExit(f"error: the daemon did not end well, status=`{status}`")


def furnish(root: Path, binds: list[list[str]]) -> None:
    """Mounts what a container has; all of it ends with this process."""
    for place in ("proc", "dev", "tmp"):
        (root / place).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for device in DEVICES:
        (root / "dev" / device).touch()
        mount("--bind", f"/dev/{device}", root / "dev" / device)
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    shm = root / "dev" / "shm"
    shm.mkdir()
    mount("-t", "tmpfs", "-o", f"mode=1777,size={SHARED_MEMORY}", "tmpfs", shm)
    for source, place in binds:
        inside = root / place.lstrip("/")
        inside.mkdir(parents=True, exist_ok=True)
        mount("--bind", "-o", "ro", source, inside)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        flags = struct.pack("16sh14x", b"lo", UP_AND_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, flags)


def start(root: Path, command: list[str], asked: dict) -> subprocess.Popen:
    user = asked.get("user")
    as_user = [f"--userspec={user}"] if user else []
    environment = {"PATH": PATH, **asked.get("environment", {})}
    return subprocess.Popen([CHROOT, *as_user, str(root), *command], env=environment)


def wait_ready(running: subprocess.Popen) -> None:
    end = time.monotonic() + READY_WITHIN
    while True:
        try:
            urllib.request.urlopen(READY, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if running.poll() is not None or time.monotonic() > end:
                raise SystemExit("error: the daemon does not become ready") from None
        time.sleep(0.05)


if __name__ == "__main__":
    main()
