#!/usr/bin/env python3
"""Makes the files of this folder with the daemon of a release, killed in the middle of its life.

Usage: make.py PATH_OF_THE_KVLEASE_PROGRAM
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADDRESS = "127.0.0.1:9743"
NAME = "segment_v1"
CAPACITY = "64KiB"
UNIT = 4096
PIECES = 12
LEASE_S = 20
# Names of the files on disk, and of their copies here.
FILES = {"arena": "arena.bin", "horizon": "horizon.bin", "record": "record.bin"}


def content(seed: int, length: int) -> bytes:
    """Bytes of an object. The test computes the same."""
    return bytes((at * 31 + at // 256 + seed * 101) % 251 for at in range(length))


def call(method: str, path: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(f"http://{ADDRESS}{path}", data=body, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read()


def until_ready() -> None:
    for _ in range(200):
        try:
            call("GET", "/readyz")
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the daemon is not ready")


def live() -> None:
    """Stores, removes and leases: what the test expects."""
    # One unit each, so that the holes between them leave no room for the next in one piece.
    for seed in range(PIECES):
        call("PUT", f"/v1/kv/pieces/{seed}", content(seed, UNIT))
    for seed in range(1, PIECES, 2):
        call("DELETE", f"/v1/kv/pieces/{seed}")
    # Several extents.
    call("PUT", "/v1/kv/lmcache/scattered", content(100, 7 * UNIT + 5))
    # Several cells, by its names.
    long = "k" * 300
    call("PUT", f"/v1/kv/b%C3%BCcket/{long}", content(101, 1000))
    call("PUT", "/v1/kv/lmcache/empty", b"")
    # Removed, and stored again with other bytes.
    call("PUT", "/v1/kv/lmcache/twice", content(102, 10))
    call("DELETE", "/v1/kv/lmcache/twice")
    call("PUT", "/v1/kv/lmcache/twice", content(103, 20))
    call("POST", f"/v1/kv/lmcache/twice/leases?ttl_s={LEASE_S}")


def main() -> None:
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="kvlease-fixture-") as folder:
        settings = [f"cache.shared_memory_dir={folder}", "cache.scrub_rate=none"]
        command = [program, "serve", "--listen", ADDRESS, "--shared-memory-name", NAME]
        command += ["--capacity", CAPACITY, "--socket", "none"]
        command += [word for setting in settings for word in ("--set", setting)]
        daemon = subprocess.Popen(command)
        try:
            until_ready()
            live()
        finally:
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        private = Path(folder) / f".kvlease.{NAME}"
        for file, copy in FILES.items():
            whole = (private / file).read_bytes()
            print(f"{file}: {len(whole)} bytes")
            # The rest is zeros; the test makes the files as long as they were.
            (HERE / copy).write_bytes(whole.rstrip(b"\0"))
        assert os.stat(private / "arena").st_ino == os.stat(Path(folder) / NAME).st_ino
        shutil.rmtree(private)


if __name__ == "__main__":
    main()
