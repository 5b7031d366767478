"""One real daemon process, with its own segment and port."""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

SHM = Path("/dev/shm")

# The most time that the daemon may take, in seconds, before a test calls it stuck.
READY_WITHIN = 60.0
STOPPED_WITHIN = 60.0
# Between two looks at something that is awaited, in seconds.
POLL = 0.02

PR_SET_PDEATHSIG = 1

# Times short enough to wait for: the grace of an expired lease, and how long a stopping daemon
# waits for its leases.
SHORT_TIMES = "[lease]\ngrace_s = 1\n[server]\ndrain_timeout_s = 1\n"

# For tests that change bytes in the segment and say who finds out: the scrubber does not.
UNSCRUBBED = '[cache]\nscrub_rate = "none"\n'

# Ports that this process has given out.
_GIVEN: set[int] = set()

# Names the daemon to run; of the suite run.py sets it.
BINARY_VARIABLE = "KVLEASE_BIN"
ROOT = Path(__file__).resolve().parent.parent.parent

LEASES_LIVE = "kvlease_leases_live"
LEASES_EXPIRED_UNRELEASED = "kvlease_leases_expired_unreleased_total"
RELINKS = "kvlease_relinks_total"


class Daemon:
    """A `kvlease serve` process that a test can start, kill and start again on the same segment.

    The port and the segment's name stay the same over restarts, as they do for a daemon that a
    supervisor starts again.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        capacity: str,
        config: str = "",
        variables: dict[str, str] | None = None,
    ) -> None:
        """`variables` are further ones of its environment, such as the key of a store."""
        self.binary = binary
        self._variables = variables or {}
        self.capacity = capacity
        self.port = free_port()
        self.segment = f"kvlease-contract-{uuid.uuid4().hex[:12]}"
        self.log = folder / f"{self.segment}.log"
        self._config = folder / f"{self.segment}.toml" if config else None
        if self._config:
            self._config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        """The segment's public name."""
        return SHM / self.segment

    @property
    def socket(self) -> Path:
        """The socket of the fast lane, unless the configuration says otherwise."""
        return SHM / f".kvlane.{self.segment}" / "sock"

    @property
    def pid(self) -> int:
        """Number of the process, which runs."""
        return self._running().pid

    def inode(self) -> int | None:
        """The inode behind the public name; None while the name is gone."""
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None

    def start(self) -> "Daemon":
        """Starts the process and waits until it is ready and all of its capacity is there."""
        address = f"127.0.0.1:{self.port}"
        command = [self.binary, "serve", "--listen", address]
        command += ["--shared-memory-name", self.segment, "--capacity", self.capacity]
        if self._config:
            command += ["--config", self._config]
        environment = {**_environment(), **self._variables}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, preexec_fn=die_with_parent
            )
        wait_until(self._is_ready, READY_WITHIN, f"the daemon is ready; its log is {self.log}")
        wait_until(self._is_populated, READY_WITHIN, "the arena is populated")
        return self

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal, waits for the end, returns the exit status."""
        process = self._running()
        process.send_signal(how)
        status = process.wait(STOPPED_WITHIN)
        self._process = None
        return status

    def pause(self) -> None:
        """Stops the process until `resume`; the kernel still accepts connections for it."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # A thread goes on for a moment.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Lets the process go on."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self, how: signal.Signals) -> None:
        """Ends the process with the signal and starts it again."""
        self.end(how)
        self.start()

    def destroy(self) -> None:
        """Kills the process if it runs, and removes every name of its segment."""
        inode = self.inode()
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPPED_WITHIN)
            self._process = None
        # Files of other tests may go meanwhile.
        found = [Path(folder, name) for folder, *names in os.walk(SHM) for name in sum(names, [])]
        for path in sorted(found, reverse=True):
            if self.segment in path.name or _is_inode(path, inode):
                is_folder = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)

    def fetch(self, path: str, accept: str = "*/*") -> str:
        """The body of a GET from the daemon."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read().decode()

    def metrics(self) -> str:
        """All metrics, in the format that Prometheus asks for."""
        return self.fetch("/metrics", "application/openmetrics-text; version=1.0.0")

    def stored(self, key: str, bucket: str = "lmcache") -> bytes:
        """An object's bytes, read from the daemon over HTTP."""
        with urllib.request.urlopen(self._object_url(bucket, key), timeout=60) as reply:
            return reply.read()

    def lease(self, key: str, bucket: str = "lmcache", ttl_s: float = 30.0) -> dict:
        """The reply to a lease request that the test makes by itself."""
        url = f"{self._object_url(bucket, key)}/leases?timeout_ms=1000&ttl_s={ttl_s}"
        request = urllib.request.Request(url, method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def release(self, lease: dict) -> None:
        """Ends a lease that `lease` returned."""
        url = f"http://127.0.0.1:{self.port}/v1/leases/{lease['id']}/release"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = [
            float(line.rsplit(" ", 1)[1])
            for line in self.metrics().splitlines()
            if line.startswith((f"{name} ", f"{name}{{")) and all(label in line for label in wanted)
        ]
        assert samples, f"the daemon has no metric of this name, metric=`{name}`"
        return sum(samples)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the daemon was not started"
        return self._process

    def _object_url(self, bucket: str, key: str) -> str:
        quoted = urllib.parse.quote(key, safe="")
        return f"http://127.0.0.1:{self.port}/v1/kv/{bucket}/{quoted}"

    def _is_populated(self) -> bool:
        stats = json.loads(self.fetch("/v1/stats"))
        return stats["populated"] == stats["capacity"]

    def _is_ready(self) -> bool:
        status = self._running().poll()
        assert status is None, f"the daemon ended, status=`{status}`:\n{self.log.read_text()}"
        try:
            self.fetch("/healthz")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


def wait_until(condition, within: float, what: str) -> None:
    """Waits until `condition()` holds; fails after `within` seconds, naming `what`."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(POLL)


def named_or_built() -> Path:
    """The daemon that BINARY_VARIABLE names, or the one that is built here now."""
    named = os.environ.get(BINARY_VARIABLE)
    if named is None:
        build = ["cargo", "build", "--release", "--package", "kvlease"]
        subprocess.run(build, cwd=ROOT, check=True)
        return ROOT / "target" / "release" / "kvlease"
    if not os.access(named, os.X_OK):
        raise SystemExit(f"error: no daemon to run: name one, {BINARY_VARIABLE}=`{named}`")
    return Path(named).absolute()


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    # A fixed port rather than port 0 at the daemon: attached clients must find it again after a
    # restart. The kernel gives higher ones to connections, which would take it meanwhile.
    while True:
        port = random.randrange(16_384, 32_768)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def _environment() -> dict[str, str]:
    # The daemon takes settings from variables of this prefix, and refuses those it does not know.
    return {name: value for name, value in os.environ.items() if not name.startswith("KVLEASE_")}


def die_with_parent() -> None:
    """Makes the kernel kill the daemon if the test run is killed, so that none is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_inode(path: Path, inode: int | None) -> bool:
    try:
        return os.lstat(path).st_ino == inode
    except FileNotFoundError:
        return False
