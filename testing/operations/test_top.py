"""`kvlease top` in a terminal: the picture of docs/commands.md is made of what tmux shows."""

import io
import os
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from daemon import ROOT, Daemon, wait_until
from load import Load

WIDTH, HEIGHT = 120, 20
SHOWN_WITHIN = 60.0
NAME = "top.svg"


@pytest.fixture
def daemons(tmp_path):
    """Two daemons at work."""
    binary = Path(os.environ["KVLEASE_BIN"])
    found, loads = [], []
    try:
        for _ in range(2):
            daemon = Daemon(binary, tmp_path, "64MiB")
            found.append(daemon)
            loads.append(Load(daemon.start()))
        yield found
        for load in loads:
            load.stop()
    finally:
        for daemon in found:
            daemon.destroy()


def test_the_picture_of_top_shows_both_nodes(daemons, tmp_path, request):
    urls = [f"http://127.0.0.1:{daemon.port}" for daemon in daemons]
    terminal = Terminal(tmp_path, [os.environ["KVLEASE_BIN"], "top", "--interval", "0.5", *urls])
    try:
        wait_until(
            lambda: _is_full(terminal.screen()),
            SHOWN_WITHIN,
            f"both nodes are at work:\n{terminal.screen()}",
        )
        screen = terminal.screen()
    finally:
        terminal.close()
    # Ports are those of the test, and a picture is of any machine.
    for number, daemon in enumerate(daemons, 1):
        address = f"127.0.0.1:{daemon.port}"
        name = f"node-{number}:9200"
        # In the title of a frame the frame goes on behind the name.
        frame = re.compile(f"{re.escape(address)}(?=(?:\\x1b\\[[0-9;]*m)*─)")
        screen = frame.sub(name.ljust(len(address), "─"), screen)
        screen = screen.replace(address, name.ljust(len(address)))
        screen = screen.replace(daemon.segment, "shared_memory".ljust(len(daemon.segment)))
    picture = _drawn(screen)
    for part in ("node-1:9200", "node-2:9200", "ready", "shared_memory"):
        assert part in picture, part
    # Nothing is loaded from elsewhere.
    assert not re.search(r"url\((?!#)|<image", picture)
    if folder := request.config.getoption("--pictures"):
        (ROOT / folder / NAME).write_text(picture)


def _is_full(screen: str) -> bool:
    """Whether both nodes are ready and have rates."""
    rows = [
        line for line in re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines() if " ready " in line
    ]
    return len(rows) == 2 and not any(" - " in row for row in rows)


class Terminal:
    """A command in a terminal of tmux, with a server of its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._socket = folder / "tmux"
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, *command)

    def screen(self) -> str:
        """What the terminal shows, with its colours as escapes."""
        return self._tmux("capture-pane", "-p", "-e")

    def close(self) -> None:
        """Ends the command and the server."""
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        plain = {name: value for name, value in os.environ.items() if name != "TMUX"}
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env={**plain, "TERM": "xterm-256color"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _drawn(screen: str) -> str:
    """The screen as a picture, whose text stays text."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(screen.rstrip()))
    drawn = console.export_svg(title="kvlease top", unique_id="top")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.S)
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
