"""Runs the programs of `native_programs.py` for a test.

Each is a process of its own that ends as Python programs do, by running off the end of `main`.
Importing LMCache takes seconds, so one process imports it once, makes no client, and forks a
program whenever a test asks: what the program then does and how it ends is its own. Torch also
takes a second to end, so what is possible without LMCache is done by forks of a second process.

    usage: programs.py MODULE…      (for `Programs` alone)

Requests come as JSON, one a line: a number, the program's name, its arguments, the file for its
output. The reply is that number and the process's.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from daemon import die_with_parent, wait_until
from native_programs import PROGRAMS, READY, WITHOUT_LMCACHE, status_of

STARTED_WITHIN = 60.0


class Program:
    """One running program."""

    def __init__(self, pid: int, output: Path, launcher: "_Launcher") -> None:
        self.pid = pid
        self._output = output
        self._launcher = launcher

    def wait_ready(self, within: float = STARTED_WITHIN) -> None:
        """Waits until the program prints that it is ready."""
        wait_until(lambda: READY in self.output(), within, f"ready: {self.output()}")

    def output(self) -> str:
        """The program's output so far, errors included."""
        return self._output.read_text()

    def status(self, within: float) -> int:
        """Waits for the end; the exit status, negative for a signal's number."""
        status = self._launcher.ask("wait", [self.pid, within], "", within)
        assert status is not None, f"the program hangs:\n{self.output()}"
        return status

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)


class Programs:
    """A starter of programs; those that still run end with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._launchers = {
            True: _Launcher(folder, "kvlease.lmcache"),
            False: _Launcher(folder, "in_process", "multi_process", "kvlease.lmcache"),
        }

    def start(self, name: str, daemon, *arguments: object) -> Program:
        """Starts a program with a daemon and further arguments."""
        self._count += 1
        output = self._folder / f"{self._count}-{name}.log"
        output.touch()
        launcher = self._launchers[PROGRAMS[name] in WITHOUT_LMCACHE]
        where = [daemon.port, daemon.segment]
        pid = launcher.ask(name, [*where, *arguments], str(output))
        return Program(pid, output, launcher)

    def destroy(self) -> None:
        """Ends everything."""
        for launcher in self._launchers.values():
            launcher.destroy()


class _Launcher:
    """The process that has imported some modules and forks programs."""

    def __init__(self, folder: Path, *modules: str) -> None:
        import samples

        self._log = folder / f"{len(modules)}-modules.log"
        self._number = 0
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__), *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, samples.SEED_VARIABLE: str(samples.SEED)},
                preexec_fn=die_with_parent,
            )

    def ask(self, name: str, arguments: list, output: str, within: float = 0.0):
        """The answer to a request."""
        assert self._process.stdin and self._process.stdout
        self._number += 1
        request = [self._number, name, arguments, output]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        while True:
            ready, _, _ = select.select([self._process.stdout], [], [], STARTED_WITHIN + within)
            line = self._process.stdout.readline() if ready else ""
            assert line, f"no programs can be started:\n{self._log.read_text()}"
            number, answer = json.loads(line)
            # A test that was interrupted has left its answer behind.
            if number == self._number:
                return answer

    def destroy(self) -> None:
        """Ends the process, and its programs with it."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    # Before the first fork, so that every program finds them.
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        number, name, arguments, output = json.loads(line)
        if name == "wait":
            print(json.dumps([number, status_of(*arguments)]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _become(name, arguments, output)
            # Runs off the end of the program, as any program does.
            return
        print(json.dumps([number, pid]), flush=True)


def _become(name: str, arguments: list, output: str) -> None:
    die_with_parent()
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    port, segment, *rest = arguments
    PROGRAMS[name](SimpleNamespace(port=port, segment=segment), *rest)


if __name__ == "__main__":
    main()
