"""The quick start as it is printed: each block is run, and what it prints is what the page says."""

import os
import re
import subprocess
from pathlib import Path

from daemon import Daemon
from documents import ROOT, Block, blocks_of

DOCUMENT = "docs/quick-start.md"
# The page's own address; the test's daemon has another.
ADDRESS = "http://127.0.0.1:9200"


def test_the_blocks_print_what_the_page_says(tmp_path):
    blocks = blocks_of(DOCUMENT, (ROOT / DOCUMENT).read_text())
    serves, *others = [block for block in blocks if block.language == "sh"]
    assert serves.text == "kvlease serve --capacity 64MiB\n"
    daemon = Daemon(Path(os.environ["KVLEASE_BIN"]), tmp_path, "64MiB")
    (tmp_path / "file.bin").write_bytes(os.urandom(4096))
    try:
        daemon.start()
        for block in others:
            printed = _run(block.text, daemon, tmp_path)
            expected = _expected(blocks, block).replace(ADDRESS, f"http://127.0.0.1:{daemon.port}")
            assert re.fullmatch(_pattern(expected), _plain(printed)), (
                f"{expected}\n--- but:\n{printed}"
            )
        assert (tmp_path / "copy.bin").read_bytes() == (tmp_path / "file.bin").read_bytes()
    finally:
        daemon.destroy()
    assert len(others) == 2


def _run(text: str, daemon: Daemon, folder: Path) -> str:
    """What the commands print on both outputs, in order."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    link = programs / "kvlease"
    if not link.exists():
        link.symlink_to(os.environ["KVLEASE_BIN"])
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KVLEASE_")}
    variables = {
        **plain,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KVLEASE_URL": f"http://127.0.0.1:{daemon.port}",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _expected(blocks: list[Block], block: Block) -> str:
    """The text behind a block."""
    following = blocks[blocks.index(block) + 1]
    assert following.language == "text", f"no output is printed behind {block}"
    return following.text


def _pattern(text: str) -> str:
    """The text as an expression, in which `…` stands for anything within a line."""
    return ".*".join(re.escape(part) for part in _plain(text).split("…"))


def _plain(text: str) -> str:
    """The text with one space for each run of them, and none at the ends of lines."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())
