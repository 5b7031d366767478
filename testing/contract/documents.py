#!/usr/bin/env python3
"""The fenced blocks of every document: what runs each of them, or the reason why nothing does.

    usage: documents.py          lists them all

A block that cannot be run has a comment on the line above its fence:
`<!-- not run: the reason -->`. Every other block needs a runner, which test_documents.py has.
"""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

MARK = re.compile(r"<!-- not run: (.+) -->$")
HEADING = re.compile(r"#{1,6} (.+)$")
FENCE = re.compile(r"(\s*)```(\w*)$")
# The command that begins a line of a shell text, also within an assignment. An indented line
# continues the one before it, and an assignment of a plain value runs nothing.
FIRST_WORD = re.compile(r"(?:[A-Z_]+=\$\()?(?![A-Z_]+=|#)(\S+)")

# Commands that a test lets run as they are printed, in a shell.
COMMANDS = {"curl", "kvlease", "lmcache"}
# Commands that serve until they are ended. Each has a block for itself.
SERVERS = {("kvlease", "serve"): "daemon", ("lmcache", "server"): "LMCache's server"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: str
    line: int
    section: str
    language: str
    text: str
    # The reason why it is not run, if it is marked.
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line} ({self.language or 'no language'})"


def blocks() -> list[Block]:
    """The blocks of all documents of the checkout, in order."""
    found = []
    for name in documents():
        found += blocks_of(name, (ROOT / name).read_text())
    return found


def documents() -> list[str]:
    """The paths of all documents of the checkout, those that git does not know yet included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted({name for name in listed.stdout.splitlines() if (ROOT / name).exists()})


def blocks_of(name: str, document: str) -> list[Block]:
    """The blocks of one document."""
    found: list[Block] = []
    section, reason = "", None
    lines = iter(enumerate(document.splitlines(), 1))
    for number, line in lines:
        if fence := FENCE.match(line):
            inside = []
            for _, content in lines:
                if content.strip() == "```":
                    break
                inside.append(content.removeprefix(fence[1]))
            text = "".join(f"{content}\n" for content in inside)
            found.append(Block(name, number, section, fence[2], text, reason))
        if heading := HEADING.match(line):
            section = heading[1]
        mark = MARK.match(line.strip())
        reason = mark[1] if mark else None
    return found


def runner(block: Block) -> str | None:
    """What runs the block; None for a block that nothing can run."""
    match block.language:
        case "python":
            return "program"
        case "toml":
            return "settings"
        case "promql":
            return "query"
        case "hex":
            return "frame"
        case "json":
            return "reply" if isinstance(json.loads(block.text), dict) else None
        case "yaml":
            return _runner_of_yaml(yaml.safe_load(block.text))
        case "sh":
            return _runner_of_commands(block.text)
    return None


def commands(text: str) -> list[list[str]]:
    """The words of every command of a shell text, variables before it left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [without_variables(shlex.split(line, comments=True)) for line in lines if line.strip()]


def without_variables(words: list[str]) -> list[str]:
    """A command's words without the variables that are set for it."""
    first = next((i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words))
    return words[first:]


def _runner_of_yaml(content: object) -> str | None:
    match content:
        case {"extra_config": _}:
            return "LMCache in-process"
        case [{"alert": _}, *_]:
            return "alerts"
        case {"env": _}:
            return "variables"
    return None


def _runner_of_commands(text: str) -> str | None:
    joined = text.replace("\\\n", " ").splitlines()
    words = {found[1] for found in map(FIRST_WORD.match, joined) if found}
    if not words <= COMMANDS:
        return None
    servers = [what for command, what in SERVERS.items() if " ".join(command) in text]
    if servers:
        return servers[0] if len(joined) == 1 else None
    return "shell"


def main() -> None:
    for block in blocks():
        print(f"{block}: {block.reason and f'not run: {block.reason}' or runner(block)}")


if __name__ == "__main__":
    main()
