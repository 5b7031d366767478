"""The interface of a participating store, and the site that runs it."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, TypeAlias

from daemon import die_with_parent

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parent / "contract"

# What a store may keep. Far more than lies in it at once, so that none has to evict.
CAPACITY = 1 << 30
STOPPED_WITHIN = 10.0

Command: TypeAlias = Sequence[str | Path]
# Whether a server still runs.
Runs: TypeAlias = Callable[[], bool]


class Unavailable(Exception):
    """The reason why a store is not available."""


class Site:
    """The site of a store: its installation, its directory and its processes."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache = cache
        self.folder = folder
        # What has to be undone when the store is no longer needed.
        self.ends = ExitStack()
        self.folder.mkdir(parents=True)

    @property
    def log(self) -> Path:
        """The log of the store's processes."""
        return self.folder / "log"

    def spawn(self, command: Command, variables: Mapping[str, str] | None = None) -> Runs:
        """Starts a server, which ends with the site; returns a check that it still runs."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=variables,
                preexec_fn=die_with_parent,
            )
        self.ends.callback(_stop, process)
        return lambda: process.poll() is None

    def wait_until(self, condition: Callable[[], bool], runs: Runs, within: float) -> None:
        """Waits for a server to be ready, as long as it runs."""
        deadline = time.monotonic() + within
        while not condition():
            if not runs():
                raise Unavailable(f"its server ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"its server is not ready within {within} s: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self) -> str:
        """The last line of the log."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        spoken = [line for line in lines if line.strip()]
        return spoken[-1] if spoken else "it said nothing"


class Rival(ABC):
    """A store, and the way to its client."""

    # How the table calls it.
    name: ClassVar[str]
    # How many times as fast kvlease is meant to be at 16 MiB, by operation.
    aims: ClassVar[Mapping[str, float]] = {}
    # Whether it can show an object without copying it.
    has_views: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def prepare(cls, site: Site) -> "Rival":
        """Installs what it needs, unless it is there. Raises `Unavailable`."""

    @abstractmethod
    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        """Starts the servers; returns the client's command and variables. Raises `Unavailable`."""

    def describe(self, greeting: str) -> str:
        """A participant, for the end of the table; `greeting` is its client's own description."""
        return greeting


def worker(python: Path, module: str, *arguments: str | Path) -> Command:
    """The command of the client in a module of this folder, run by `python`."""
    return program(python, "worker", module, *arguments)


def program(python: Path, module: str, *arguments: str | Path) -> Command:
    """The command of a module of this folder, which may import the contract suite's."""
    return ["env", f"PYTHONPATH={CONTRACT}", python, HERE / f"{module}.py", *arguments]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOPPED_WITHIN)
