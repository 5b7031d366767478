"""kvlease itself: `kvlease serve` of this checkout, and its Python package."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import installs
from daemon import Daemon
from rival import CAPACITY, HERE, Command, Rival, Site, Unavailable, worker

BINARY_VARIABLE = "KVLEASE_BIN"
ROOT = HERE.parent.parent
DEFAULT_BINARY = ROOT / "target" / "release" / "kvlease"
BUILD_TOOLS = ("maturin==1.16.0",)

# docs/metrics.md
LANE_WRITTEN = "kvlease_lane_written_bytes_total"
LANE_CONNECTIONS = "kvlease_lane_connections"


class Kvlease(Rival):
    name = "kvlease"
    has_views = True

    def __init__(self, python: Path, binary: Path) -> None:
        self._python = python
        self._binary = binary
        self._daemon: Daemon | None = None

    @classmethod
    def prepare(cls, site: Site) -> "Kvlease":
        binary = Path(os.environ.get(BINARY_VARIABLE, DEFAULT_BINARY)).absolute()
        if not os.access(binary, os.X_OK):
            raise Unavailable(
                "build the daemon with `cargo build --release -p kvlease`, or name one, "
                f"{BINARY_VARIABLE}=`{binary}`"
            )
        python = installs.environment(site.cache / "environment", BUILD_TOOLS)
        variables = {
            # The build folder is the workspace's, so that only what has changed is compiled.
            "CARGO_TARGET_DIR": str(ROOT / "target"),
            **os.environ,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        offline = ["--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall"]
        installs.call([*pip, *offline, ROOT], variables)
        return cls(python, binary)

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        self._daemon = Daemon(self._binary, site.folder, str(CAPACITY))
        site.ends.callback(self._daemon.destroy)
        try:
            self._daemon.start()
        except AssertionError as error:
            raise Unavailable(str(error)) from error
        arguments = f"http://127.0.0.1:{self._daemon.port}", self._daemon.segment
        return worker(self._python, "kvlease_store", *arguments), None

    def describe(self, greeting: str) -> str:
        puts, leases = (
            "the fast lane" if self._is_above_zero(metric) else "HTTP"
            for metric in (LANE_WRITTEN, LANE_CONNECTIONS)
        )
        return f"{greeting}; wrote over {puts}, took its leases over {leases}"

    def _is_above_zero(self, metric: str) -> bool:
        assert self._daemon is not None
        lines = self._daemon.fetch("/metrics").splitlines()
        return any(float(line.split()[1]) > 0 for line in lines if line.startswith(f"{metric} "))


class Client:
    def __init__(self, source: memoryview, target: memoryview, url: str, segment: str) -> None:
        import kvlease

        self.greeting = f"kvlease {version('kvlease')}"
        settings = kvlease.ConnectorSettings(url, shared_memory_name=segment)
        self._connector = kvlease.Connector(settings)

    def put(self, key: str, source: memoryview) -> None:
        if not self._connector.put(key, source):
            raise ValueError(f"the key has an object, key=`{key}`")

    def get(self, key: str, target: memoryview) -> memoryview:
        if not self._connector.get_into(key, target):
            raise KeyError(key)
        return target

    @contextmanager
    def view(self, key: str) -> Iterator[memoryview]:
        view = self._connector.view(key)
        if view is None:
            raise KeyError(key)
        with view, memoryview(view) as seen:
            yield seen

    def remove(self, keys: list[str]) -> None:
        for removed in self._connector.batched_remove(keys):
            if removed is not True:
                raise ValueError(f"an object was not removed, outcome=`{removed}`")


connect = Client
