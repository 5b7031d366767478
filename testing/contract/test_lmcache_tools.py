"""LMCache's own tools against the daemon, run as a user runs them with each kind of client."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from daemon import LEASES_LIVE, wait_until
from multi_process import adapter_json

ENDED_WITHIN = 100.0
RELEASED_WITHIN = 60.0


def test_lmcache_bench_l2_runs_clean_and_verifies_every_byte(make_daemon, kind):
    daemon = make_daemon("1GiB")
    lmcache = Path(sys.executable).with_name("lmcache")
    options = ["--num-keys", "16", "--in-flight", "2", "--data-size-kb", "4096", "--rounds", "3"]
    options += ["--lookup-max-hit-rate", "0.5", "--no-skip-verify", "--format", "json"]
    output = _run(lmcache, "bench", "l2", "--l2-adapter", adapter_json(daemon, kind), *options)
    assert "All 32 keys data verified OK" in output
    # The document stands between lines of progress.
    document, _ = json.JSONDecoder().raw_decode(output, output.index("\n{") + 1)
    metrics = document["metrics"]
    operations = {section["operation"]: section for section in _operations(metrics)}
    assert len(operations) == 3, operations
    for name, section in operations.items():
        assert section["rounds"] == 3, section
        assert section["rounds_timed_out"] == 0, section
        wanted = 48 if "lookup" in name.lower() else 96
        assert section["total_success"] == wanted, section
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases are back")


def test_lmcache_basic_check_passes_every_phase(make_daemon, kind):
    daemon = make_daemon("1GiB")
    module = [sys.executable, "-m", "lmcache.v1.basic_check", "--mode", "test_l2_adapter"]
    options = ["--num-keys", "16", "--obj-size", "262144", "--l2-adapter"]
    options.append(adapter_json(daemon, kind))
    output = _run(*module, *options)
    # The check ends with status 0 whatever it finds: its text is what counts.
    assert re.findall(r"Validation.*?: (\d+/\d+)", output) == ["16/16"] * 4, output
    assert "Batch store OK" in output
    assert "FAIL" not in output.upper().replace("FAILURE RATE", ""), output


def _operations(metrics):
    return [section for section in metrics.values() if "operation" in section]


def _run(*command: object) -> str:
    arguments = [str(part) for part in command]
    environment = {**os.environ, "LMCACHE_LOG_LEVEL": "WARNING"}
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=ENDED_WITHIN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
