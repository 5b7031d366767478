"""The script that measures copies between a device and the arena, on a machine without a device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "gpu" / "run.py"
ENDED_WITHIN = 120


def test_without_a_device_nothing_is_measured_and_the_status_says_so():
    # On a machine with a device as well, this hides it.
    ended = _run("--sizes", "256KiB", variables={"CUDA_VISIBLE_DEVICES": "-1"})
    assert ended.returncode == 3
    assert "not run" in ended.stderr and "Nothing was measured" in ended.stderr
    assert "GB/s" not in ended.stdout


def test_a_rehearsal_goes_all_steps_and_says_that_it_is_none_of_a_device():
    ended = _run("--device", "cpu", "--sizes", "256KiB,5MiB", "--rounds", "2")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("GB/s") == 3 * 4
    assert "| 256 KiB | device to host |" in ended.stdout
    assert "| 5 MiB | host to device |" in ended.stdout
    assert "a rehearsal" in ended.stdout


@pytest.mark.parametrize("arguments", (("--sizes", "7"), ("--sizes", "0MiB"), ("--rounds", "0")))
def test_an_argument_of_no_use_is_refused_with_its_value(arguments):
    ended = _run(*arguments)
    assert ended.returncode == 2
    assert f"`{arguments[1]}`" in ended.stderr


def _run(*arguments, variables=None):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN,
    )
