"""The build backend of `pip`: maturin's, with the command `kvlease` in the wheel beside the module.

maturin packs a module or a program and not both; `data` of pyproject.toml names a folder whose
`scripts` pip puts into the environment's `bin`. The hooks here fill it:

* with what `KVLEASE_WHEEL_DATA` names, a folder that `cargo xtask dist` has made;
* or with the program that `KVLEASE_BIN` names;
* or with a program that cargo builds, in the folder that maturin builds the module in.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import maturin

ROOT = Path(__file__).resolve().parents[3]
# pyproject.toml has the same path.
DATA = ROOT / "target" / "wheel-data"

Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return maturin.get_requires_for_build_wheel(config_settings)


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return maturin.get_requires_for_build_sdist(config_settings)


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return maturin.get_requires_for_build_editable(config_settings)


def prepare_metadata_for_build_wheel(folder: str, config_settings: Settings = None) -> str:
    DATA.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_wheel(folder, config_settings)


def prepare_metadata_for_build_editable(folder: str, config_settings: Settings = None) -> str:
    DATA.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_editable(folder, config_settings)


def build_wheel(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    _fill()
    return maturin.build_wheel(folder, settings, metadata)


def build_editable(folder: str, settings: Settings = None, metadata: str | None = None) -> str:
    _fill()
    return maturin.build_editable(folder, settings, metadata)


def build_sdist(folder: str, config_settings: Settings = None) -> str:
    raise SystemExit(
        "error: there is no source distribution: build a wheel from a checkout, `pip wheel .`"
    )


def _fill() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    if made := os.environ.get("KVLEASE_WHEEL_DATA"):
        shutil.copytree(made, DATA)
        return
    program = os.environ.get("KVLEASE_BIN") or _build()
    command = DATA / "scripts" / "kvlease"
    command.parent.mkdir(parents=True)
    # Names of functions stay, for backtraces; what a debugger alone reads is most of the file.
    strip = ["strip", "--strip-debug", "-o", command, program]
    if shutil.which("strip") is None or subprocess.run(strip).returncode:
        shutil.copy2(program, command)


def _build() -> Path:
    """The program, built with the profile for releases, which ends the daemon at a panic."""
    cargo = os.environ.get("CARGO", "cargo")
    build = [cargo, "build", "--release", "--locked", "--package", "kvlease"]
    subprocess.run(build, cwd=ROOT, check=True)
    metadata = [cargo, "metadata", "--format-version", "1", "--no-deps", "--offline"]
    printed = subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return Path(json.loads(printed)["target_directory"]) / "release" / "kvlease"
