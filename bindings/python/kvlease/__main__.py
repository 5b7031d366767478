"""`python -m kvlease doctor`: what this interpreter and its packages have wrong for a client.

The program `kvlease` has a `doctor` that looks at the daemon, the segment and the socket as well.
"""

import argparse
import importlib.metadata
import json
import os
import sys
from typing import Any

from kvlease.doctor import look

FINDINGS = 1


def main() -> int:
    """Runs the command, and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m kvlease", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    doctor = commands.add_parser("doctor", help="look for what is wrong")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    report = look(os.environ, _version)
    print(json.dumps(report, indent=2) if arguments.json else _lines(report))
    return FINDINGS if report["findings"] else 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _lines(report: dict[str, Any]) -> str:
    lines: list[str] = []
    for found in report["findings"]:
        lines += [f"finding  {found['name']}: {found['what']}", f"  remedy  {found['remedy']}"]
    lines += [f"not checked  {entry['name']}: {entry['why']}" for entry in report["not_checked"]]
    versions = report["versions"].items()
    lines.append(", ".join(f"{name} {version or 'not installed'}" for name, version in versions))
    found, right = len(report["findings"]), len(report["right"])
    unseen = len(report["not_checked"])
    findings = "1 finding" if found == 1 else f"{found} findings"
    lines.append(f"seen in Python: {findings}, {right} checks right, {unseen} not checked")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
