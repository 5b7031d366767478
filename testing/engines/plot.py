"""Draws the times to the first token before and after a restart.

usage: plot.py DIRECTORY          (rows of name, seconds before and after, as JSON, on its input)
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# Text stays text, and the file is the same for the same figures.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kvlease"})

import matplotlib.pyplot as plt  # noqa: E402


def main() -> None:
    folder = Path(sys.argv[1])
    rows = json.load(sys.stdin)
    names = [name for name, _, _ in rows]
    places = range(len(rows))
    figure, axes = plt.subplots(figsize=(8, 0.7 * len(rows) + 1))
    axes.barh([at - 0.2 for at in places], [row[1] for row in rows], 0.4, label="before")
    axes.barh([at + 0.2 for at in places], [row[2] for row in rows], 0.4, label="after a restart")
    axes.set_yticks(list(places), names)
    axes.invert_yaxis()
    axes.set_xlabel("time to the first token, s")
    axes.legend()
    figure.tight_layout()
    for form in ("svg", "png"):
        metadata = {"Date": None} if form == "svg" else None
        figure.savefig(folder / f"engines.{form}", metadata=metadata, dpi=120)


if __name__ == "__main__":
    main()
