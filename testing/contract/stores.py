"""The real stores of a remote tier: a Redis server, a cluster of three masters, and an S3 server.

`cargo xtask stores` gets their programs: `redis-server` from Debian and `s3s-fs` from crates.io.
"""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from daemon import die_with_parent, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
S3_PROGRAM = ROOT / "target" / "tools" / "bin" / "s3s-fs"
# The bucket of the S3 server, and the key that opens it.
BUCKET = "nodes"
ACCESS_KEY, SECRET_KEY = "AKIANODES", "a-key-of-the-nodes"
# The server makes file names of whole names, so that segments have to be short.
SEGMENT_MAX = 56

SLOTS = 16384
MASTERS = 3
# Starts of a server until its port is not taken by another process.
STARTS_MAX = 5

LISTENS_WITHIN = 60.0
AGREED_WITHIN = 60.0
ENDED_WITHIN = 60.0


class Server:
    """One server on a port of its own, which it keeps over restarts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.log = folder.with_suffix(".log")
        for _ in range(STARTS_MAX):
            self.port = free_port()
            if self._listens():
                return
        raise AssertionError(f"the server does not start; its log is {self.log}")

    def command(self) -> list[str | Path]:
        """The command that serves on `port`."""
        raise NotImplementedError

    def kill(self) -> None:
        """Ends the server at once, as the loss of its machine does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(ENDED_WITHIN)

    def restart(self) -> None:
        """Starts a server that was killed again, on the same port."""
        wait_until(self._listens, LISTENS_WITHIN, f"the server listens; its log is {self.log}")

    def destroy(self) -> None:
        """Ends the server."""
        self.kill()

    def _listens(self) -> bool:
        """Whether a process that is started now listens before it ends."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        wait_until(self._ended_or_listens, LISTENS_WITHIN, f"it listens; its log is {self.log}")
        return self._process.poll() is None

    def _ended_or_listens(self) -> bool:
        if self._process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class RedisServer(Server):
    """A single server."""

    tier = "valkey"
    environment: dict[str, str] = {}
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The URL of the tier."""
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> list[str | Path]:
        server = [_program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        memory_only = ["--save", "", "--appendonly", "no", "--dir", self.folder]
        return [*server, *memory_only, *self.options]

    def call(self, *words: object) -> str:
        """The answer to a command."""
        client = [_program("redis-cli"), "-p", str(self.port), *map(str, words)]
        done = subprocess.run(client, capture_output=True, text=True, timeout=ENDED_WITHIN)
        assert done.returncode == 0 and "ERR" not in done.stdout, done.stdout + done.stderr
        return done.stdout.strip()


class Master(RedisServer):
    """A master of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.bus_port = free_port()
        super().__init__(folder)

    @property
    def options(self) -> tuple[str, ...]:  # type: ignore[override]
        cluster = ("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port))
        # A master that is lost is lost alone, and soon.
        alone = ("--cluster-require-full-coverage", "no", "--cluster-node-timeout", "2000")
        return (*cluster, *alone)


class RedisCluster:
    """A cluster of masters without replicas."""

    tier = "valkey"
    environment: dict[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.masters = [Master(folder / str(number)) for number in range(MASTERS)]
        for number, master in enumerate(self.masters):
            first, behind = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS
            master.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            master.call("CLUSTER", "ADDSLOTSRANGE", first, behind - 1)
            for other in self.masters[:number]:
                master.call("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        wait_until(self._is_agreed, AGREED_WITHIN, "the masters agree")

    @property
    def url(self) -> str:
        """The URL of the tier."""
        servers = ",".join(f"127.0.0.1:{master.port}" for master in self.masters)
        return f"redis-cluster://{servers}"

    def master_of(self, name: str) -> Master:
        """The master that has a name."""
        slot = int(self.masters[-1].call("CLUSTER", "KEYSLOT", name))
        # The ranges are those of the start.
        return next(
            master
            for number, master in enumerate(self.masters)
            if slot < (number + 1) * SLOTS // MASTERS
        )

    def destroy(self) -> None:
        """Ends all servers."""
        for master in self.masters:
            master.destroy()

    def _is_agreed(self) -> bool:
        wanted = ("cluster_state:ok", f"cluster_slots_ok:{SLOTS}", f"cluster_known_nodes:{MASTERS}")
        answers = [master.call("CLUSTER", "INFO") for master in self.masters]
        return all(word in answer for word in wanted for answer in answers)


class S3Server(Server):
    """An S3 server over a folder."""

    tier = "s3"
    environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def __init__(self, folder: Path) -> None:
        (folder / "data" / BUCKET).mkdir(parents=True)
        super().__init__(folder / "log")
        self.data = folder / "data"

    @property
    def url(self) -> str:
        """The URL of the tier."""
        endpoint = f"http://127.0.0.1:{self.port}"
        return f"s3://{BUCKET}?endpoint={endpoint}&region=test&segment_max={SEGMENT_MAX}"

    def command(self) -> list[str | Path]:
        keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [_program(S3_PROGRAM), *address, *keys, self.folder.parent / "data"]


def _program(name: str | Path) -> str:
    found = shutil.which(name)
    assert found, f"the server is missing: run `cargo xtask stores`, program=`{name}`"
    return found
