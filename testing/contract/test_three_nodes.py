"""The script that shows three nodes, run as a user runs it: testing/three_nodes/run.py."""

import os
import sys

import pytest

import printed
from documents import ROOT
from stores import RedisCluster, S3Server

READS_AT_LEAST = 40


@pytest.mark.parametrize("store", (RedisCluster.tier, S3Server.tier))
def test_every_object_comes_from_where_it_should(store):
    script = ROOT / "testing" / "three_nodes" / "run.py"
    command = [sys.executable, script, "--store", store]
    output = printed.run(command, KVLEASE_BIN=os.environ["KVLEASE_BIN"])
    reads = [line for line in output.splitlines() if " reads object-" in line]
    assert len(reads) >= READS_AT_LEAST, output
    for source in ("memory", "nvme", store, "nowhere"):
        assert any(line.endswith(f"from {source}") for line in reads), output
    assert f"every object came from where it should: {store}" in output
