#!/usr/bin/env python3
"""Measures kvlease over TLS next to nginx that serves the same bytes, in one run, in turns.

    usage: tls.py [--rounds N] [--size SIZE] [--clients N] [--by-call]

One client in Python gets and puts objects of each, over kept-alive connections, with the same
certificate and suite. The last column is the processor time of the daemon by that of nginx, which
does not depend on the client. With `--by-call` a turn is some calls of one client, each of which is
timed, and the ratios are those of the medians and of the fastest tenths: other work on the machine
changes them little. Run by command and not in CI: it needs `openssl` and `nginx`
(Debian's package; NGINX_BIN names another one), and says so where they are missing, with exit
status 1. The daemon is target/release/kvlease, or what KVLEASE_BIN names.
"""

import argparse
import os
import pwd
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "contract"))

from authority import Authority  # noqa: E402
from tls_client import Client  # noqa: E402

from daemon import BINARY_VARIABLE, Daemon, die_with_parent, free_port, wait_until  # noqa: E402
from table import size_of  # noqa: E402

MIB = 1 << 20
ROUNDS = 15
WARM_UP_ROUNDS = 2
# Bytes of one turn.
TURN_BYTES = 256 * MIB
# Calls of one turn that are timed one by one, behind two that are not.
CALLS = 18
AIM = 0.9
STARTED_WITHIN = 10.0

NGINX_CONFIG = """
daemon off;
user {user};
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        client_max_body_size 0;
        root {folder}/root;
        location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"""


class Unavailable(Exception):
    """Something that the measurement needs is missing."""


class Nginx:
    """nginx on a directory of the tmpfs."""

    name = "nginx"

    def __init__(self, authority: Authority, folder: Path) -> None:
        binary = os.environ.get("NGINX_BIN") or shutil.which("nginx")
        if binary is None:
            raise Unavailable("nginx is not installed: `apt-get install nginx`, or set NGINX_BIN")
        self.port = free_port()
        (folder / "root").mkdir()
        config = folder / "nginx.conf"
        values: dict[str, object] = {"certificate": authority.daemon[0], "key": authority.daemon[1]}
        # As root, nginx would give its workers another user, who may not read the folder.
        values["user"] = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(NGINX_CONFIG.format(folder=folder, port=self.port, **values))
        command = [binary, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
        self._process = subprocess.Popen(command, preexec_fn=die_with_parent)
        wait_until(lambda: _listens(self.port), STARTED_WITHIN, "nginx listens")

    def cpu(self) -> float:
        """Seconds of processor time of all of its processes."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True
        )
        return sum(map(_cpu, [self._process.pid, *map(int, found.stdout.split())]))

    def end(self) -> None:
        """Ends it and its workers."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STARTED_WITHIN)


class Kvlease:
    """The daemon, with a listener for TLS."""

    name = "kvlease"

    def __init__(self, authority: Authority, folder: Path) -> None:
        root = HERE.parent.parent
        binary = Path(os.environ.get(BINARY_VARIABLE) or root / "target" / "release" / "kvlease")
        if not binary.exists():
            raise Unavailable(f"no daemon: `cargo build --release`, path=`{binary}`")
        self.port = free_port()
        config = authority.listener("tls", self.port)
        self._daemon = Daemon(binary, folder, "2GiB", config).start()

    def cpu(self) -> float:
        """Seconds of processor time."""
        return _cpu(self._daemon.pid)

    def end(self) -> None:
        """Ends it and removes its segment."""
        self._daemon.destroy()


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _listens(port: int) -> bool:
    with open("/proc/net/tcp") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


@dataclass
class Turn:
    """Seconds that a turn took, and seconds of processor time of the server."""

    took: float
    cpu: float


class Player:
    """A server, and clients that take turns with those of the other one."""

    def __init__(
        self, server: Nginx | Kvlease, context: ssl.SSLContext, options: argparse.Namespace
    ) -> None:
        self.server = server
        self.clients = [Client(server.port, context, options.size) for _ in range(options.clients)]
        self.body = os.urandom(options.size)
        self.count = max(1, TURN_BYTES // options.size // options.clients)
        self._turns = 0
        self._call(self.clients[0], "PUT", "/v1/kv/b/read")

    def suite(self) -> str:
        """Version and suite of the connections."""
        found = self.clients[0].socket
        return f"{found.version()} {found.cipher()[0]}"

    def get(self) -> Turn:
        """A turn of gets."""
        return self._turn(lambda client, _: self._get(client))

    def put(self) -> Turn:
        """A turn of puts. What is put is removed behind the clock."""
        self._turns += 1
        turn = self._turns
        path = "/v1/kv/b/{}-{}".format
        played = self._turn(lambda client, n: self._call(client, "PUT", path(turn, n)))
        for number in range(self.count * len(self.clients)):
            self._call(self.clients[0], "DELETE", path(turn, number))
        return played

    def calls(self, what: str) -> list[float]:
        """Seconds of some calls of the first client. What is put is removed behind the clock."""
        self._turns += 1
        client, took = self.clients[0], []
        paths = [f"/v1/kv/b/call-{self._turns}-{number}" for number in range(2 + CALLS)]
        for path in paths:
            started = time.perf_counter()
            if what == "get":
                self._get(client)
            else:
                self._call(client, "PUT", path)
            took.append(time.perf_counter() - started)
        for path in paths if what == "put" else []:
            self._call(client, "DELETE", path)
        return took[2:]

    def _turn(self, call: Callable[[Client, int], None]) -> Turn:
        def run(index: int) -> None:
            for number in range(self.count):
                call(self.clients[index], index * self.count + number)

        threads = [
            threading.Thread(target=run, args=(index,)) for index in range(len(self.clients))
        ]
        before, started = self.server.cpu(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - started
        return Turn(took, self.server.cpu() - before)

    def _get(self, client: Client) -> None:
        status, body = client.call("GET", "/v1/kv/b/read")
        assert status == 200 and len(body) == len(self.body), status

    def _call(self, client: Client, method: str, path: str) -> None:
        status, _ = client.call(method, path, self.body if method == "PUT" else b"")
        assert status in (200, 201, 204), f"{self.server.name}: {method} {path}: {status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"by default {ROUNDS}")
    parser.add_argument("--size", type=size_of, default=MIB, help="by default 1MiB")
    parser.add_argument("--clients", type=int, default=1, help="connections, by default 1")
    parser.add_argument("--by-call", action="store_true", help="time the calls of one client")
    options = parser.parse_args()
    servers: list[Nginx | Kvlease] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="kvlease-tls-") as name:
        try:
            if shutil.which("openssl") is None:
                raise Unavailable("openssl is not installed: `apt-get install openssl`")
            folder = Path(name)
            authority = Authority(folder)
            servers += [kind(authority, folder) for kind in (Nginx, Kvlease)]
            _measure(servers, authority, options)
        except Unavailable as reason:
            print(f"NOT AVAILABLE: {reason}", file=sys.stderr)
            sys.exit(1)
        finally:
            for server in servers:
                server.end()


def _measure(servers: list, authority: Authority, options: argparse.Namespace) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    nginx, kvlease = (Player(server, context, options) for server in servers)
    print(f"nginx: {nginx.suite()}; kvlease: {kvlease.suite()}; clients: {options.clients}")
    if options.by_call:
        return _measure_calls(nginx, kvlease, options.rounds)
    print(f"{'':4} {'nginx':>14} {'kvlease':>14} {'of nginx':>9} {'aim':>5} {'its CPU':>9}")
    volume = nginx.count * options.clients * options.size
    for what in ("get", "put"):
        turns: dict[str, list[Turn]] = {nginx.server.name: [], kvlease.server.name: []}
        for turn in range(WARM_UP_ROUNDS + options.rounds):
            for player in (nginx, kvlease) if turn % 2 == 0 else (kvlease, nginx):
                played = getattr(player, what)()
                if turn >= WARM_UP_ROUNDS:
                    turns[player.server.name].append(played)
        theirs, ours = turns[nginx.server.name], turns[kvlease.server.name]
        ratio = statistics.median(a.took / b.took for a, b in zip(theirs, ours, strict=True))
        rates = [volume / statistics.median(t.took for t in side) / 1e9 for side in (theirs, ours)]
        cpu = sum(turn.cpu for turn in ours) / sum(turn.cpu for turn in theirs)
        columns = f"{rates[0]:9.2f} GB/s {rates[1]:9.2f} GB/s {ratio:9.2f} {AIM:5} {cpu:9.2f}"
        print(f"{what:4} {columns}")


def _measure_calls(nginx: Player, kvlease: Player, rounds: int) -> None:
    print(f"{'':4} {'nginx':>10} {'kvlease':>10} {'of nginx':>9} {'fastest':>9} {'aim':>5}")
    for what in ("get", "put"):
        calls: dict[str, list[float]] = {nginx.server.name: [], kvlease.server.name: []}
        for turn in range(WARM_UP_ROUNDS + rounds):
            for player in (nginx, kvlease) if turn % 2 == 0 else (kvlease, nginx):
                took = player.calls(what)
                if turn >= WARM_UP_ROUNDS:
                    calls[player.server.name] += took
        sides = [statistics.quantiles(side, n=10) for side in calls.values()]
        theirs, ours = ((deciles[4], deciles[0]) for deciles in sides)
        columns = f"{theirs[0] * 1e6:7.0f} us {ours[0] * 1e6:7.0f} us"
        print(f"{what:4} {columns} {theirs[0] / ours[0]:9.2f} {theirs[1] / ours[1]:9.2f} {AIM:5}")


if __name__ == "__main__":
    main()
