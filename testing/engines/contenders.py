"""The ways to keep KV cache that are compared: what each starts, and what vLLM is told of it."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import run as restart
from lives import offloading

from daemon import Daemon, die_with_parent, free_port, wait_until
from engine import server_command, through_server

STARTS_WITHIN = 120.0
ENDS_WITHIN = 30.0
CAPACITY = "2GiB"
# The engine's own CPU tier, in bytes, which is there for `fs` and for kvlease alike.
CPU_TIER_LEN = 1 << 30

Transfer = dict[str, Any] | None


@dataclass(frozen=True)
class Site:
    """Where a contender runs."""

    python: Path
    binary: Path
    folder: Path
    variables: dict[str, str]


class Contender:
    """A way to keep KV cache. What `start` starts outlives the engine; what `start_beside` starts
    does not."""

    name = "no tier"

    def start(self, site: Site, ends: ExitStack) -> None:
        """Starts the store."""

    def start_beside(self, site: Site, ends: ExitStack) -> None:
        """Starts what lives and ends with the engine."""

    def transfer(self) -> Transfer:
        """The setting of vLLM."""
        return None

    def stored(self) -> int:
        """How much the store has, in a unit of its own."""
        return 0


class _Offloading(Contender):
    """A secondary tier of vLLM's own offloading, over its CPU tier."""

    def tier(self) -> dict[str, Any]:
        raise NotImplementedError

    def transfer(self) -> Transfer:
        return offloading(self.tier(), CPU_TIER_LEN)


class FileTier(_Offloading):
    name = "vLLM's fs tier"

    def start(self, site: Site, ends: ExitStack) -> None:
        # On a disk, where vLLM's documentation has it.
        self._folder = site.folder / "files"
        ends.callback(shutil.rmtree, self._folder, ignore_errors=True)

    def tier(self) -> dict[str, Any]:
        return {"type": "fs", "root_dir": str(self._folder)}

    def stored(self) -> int:
        return sum(1 for _ in self._folder.rglob("*.bin"))


class KvleaseTier(_Offloading):
    name = "kvlease as vLLM's tier"

    def start(self, site: Site, ends: ExitStack) -> None:
        self._daemon = _daemon(site, ends)

    def tier(self) -> dict[str, Any]:
        return {
            "type": "KvleaseTier",
            "module_path": "kvlease.vllm",
            "url": f"kvlease://127.0.0.1:{self._daemon.port}",
            "shared_memory_name": self._daemon.segment,
        }

    def stored(self) -> int:
        return _objects(self._daemon)


class LMCache(Contender):
    """LMCache's MP server with memory of its own, which ends with it."""

    name = "LMCache, local CPU"

    def start_beside(self, site: Site, ends: ExitStack) -> None:
        self._port, status = free_port(), free_port()
        command = server_command(site.python, self._port, status, self.adapter())
        _serve(site, ends, command, f"http://127.0.0.1:{status}/healthcheck")

    def adapter(self) -> str | None:
        """The value of `--l2-adapter`."""
        return None

    def transfer(self) -> Transfer:
        return through_server(self._port)


class LMCacheRedis(LMCache):
    name = "LMCache with Redis"

    def start(self, site: Site, ends: ExitStack) -> None:
        self._redis = free_port()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", self._redis]
        _serve(site, ends, [*command, "--save", "", "--appendonly", "no"], None)
        wait_until(lambda: self._ask("PING") == "PONG", STARTS_WITHIN, "redis-server answers")

    def adapter(self) -> str | None:
        return json.dumps({"type": "resp", "host": "127.0.0.1", "port": self._redis})

    def stored(self) -> int:
        return int(self._ask("DBSIZE"))

    def _ask(self, command: str) -> str:
        ask = ["redis-cli", "-p", str(self._redis), command]
        return subprocess.run(ask, check=False, capture_output=True, text=True).stdout.strip()


class LMCacheKvlease(LMCache):
    name = "LMCache with kvlease"

    def start(self, site: Site, ends: ExitStack) -> None:
        self._daemon = _daemon(site, ends)

    def adapter(self) -> str | None:
        return restart.adapter_to(self._daemon, stock=False)

    def stored(self) -> int:
        return _objects(self._daemon)


CONTENDERS: tuple[Callable[[], Contender], ...] = (
    Contender,
    FileTier,
    LMCache,
    LMCacheRedis,
    LMCacheKvlease,
    KvleaseTier,
)


def _daemon(site: Site, ends: ExitStack) -> Daemon:
    daemon = Daemon(site.binary, site.folder, CAPACITY)
    ends.callback(daemon.destroy)
    return daemon.start()


def _objects(daemon: Daemon) -> int:
    return json.loads(daemon.fetch("/v1/stats"))["objects"]


def _serve(site: Site, ends: ExitStack, command: list[object], health: str | None) -> None:
    """Starts a server, which ends with `ends`."""
    with open(site.folder / "servers.log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=log,
            stderr=log,
            env=site.variables,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def end() -> None:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    ends.callback(end)

    def answers() -> bool:
        status = process.poll()
        if status is not None:
            raise SystemExit(f"error: a server ended, status=`{status}` command=`{command[0]}`")
        try:
            with urllib.request.urlopen(health, timeout=5):
                return True
        except OSError:
            return False

    if health is not None:
        wait_until(answers, STARTS_WITHIN, f"{command[0]} is ready")
