"""The machine that something was measured on."""

import os
from pathlib import Path


def processors() -> str:
    """How many processors there are, and which."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{os.cpu_count()} x {line.partition(': ')[2]}"
    return f"{os.cpu_count()} x unknown processor"
