"""`kvlease doctor` and `python -m kvlease doctor`, next to the installed LMCache."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import yaml
from kvlease.doctor import look
from lmcache.v1 import config
from lmcache.v1.config import LMCacheEngineConfig

ENDED_WITHIN = 100.0
lmcache_version = version("lmcache")


def _look(command: list, **variables: str) -> tuple[int, dict]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LMCACHE_") and name != "PYTHONHASHSEED"
    }
    done = subprocess.run(
        [*command, "doctor", "--json"],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def _names(report: dict) -> set[str]:
    return {finding["name"] for finding in report["findings"]}


def test_the_command_knows_every_key_of_lmcache(tmp_path):
    known = [*LMCacheEngineConfig.from_defaults().to_dict(), *config._CONFIG_ALIASES]
    file = tmp_path / "lmcache.yaml"
    file.write_text(yaml.safe_dump({key: None for key in known}))
    program = os.environ["KVLEASE_BIN"]
    _, report = _look([program], LMCACHE_CONFIG_FILE=str(file))
    assert "settings-unknown" in report["right"], report


def test_the_module_tells_of_the_seed_and_of_the_packages():
    module = [sys.executable, "-m", "kvlease"]
    in_process = {"LMCACHE_CONFIG_FILE": "lmcache.yaml"}
    status, report = _look(module, **in_process)
    assert (status, _names(report)) == (1, {"hash-seed-unset"})
    assert "lmcache-unsupported" in report["right"]
    status, report = _look(module, PYTHONHASHSEED="0", **in_process)
    assert status == 0 and not report["findings"], report
    assert report["versions"]["lmcache"] == lmcache_version
    status, report = _look(module)
    assert status == 0
    assert [entry["name"] for entry in report["not_checked"]] == ["hash-seed-unset"]


def test_an_old_lmcache_is_a_finding():
    report = look({}, {"lmcache": "0.4.9"}.get)
    assert _names(report) == {"lmcache-unsupported"}
