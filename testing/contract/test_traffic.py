"""The script that computes what a shared store sees, on a trace whose figures are plain to see."""

import json
import sys

import printed
from documents import ROOT

# Objects are blocks here, of 4 MiB. The last prompt is the first one's: the node that has it not
# loads it.
PROMPTS = ([1, 2], [3], [4], [1, 2])
OPTIONS = ["--token-bytes", "8192", "--object-tokens", "512", "--local-gib", "1", "--rate", "1"]


def test_the_traffic_is_what_the_nodes_have_not_themselves(tmp_path):
    trace = tmp_path / "short.jsonl"
    trace.write_text("".join(json.dumps({"hash_ids": ids}) + "\n" for ids in PROMPTS))
    script = ROOT / "testing" / "scaling" / "traffic.py"
    output = printed.run([sys.executable, script, "--nodes", "1,2", *OPTIONS, trace])
    # Four new blocks in four requests: three calls of S3 and four of Valkey for each. Two nodes
    # load two blocks more, with two calls for each.
    one, two = (line for line in output.splitlines() if line.startswith("| short"))
    assert one == "| short | 1 | 33.3 % | 0.0 % | 66.7 % | 0.00 | 0.00 | 3 | 4 |"
    assert two == "| short | 2 | 0.0 % | 33.3 % | 66.7 % | 0.00 | 0.00 | 4 | 5 |"
    # Each node reads every 5 s: a page of names and an entry of the other one.
    assert output.splitlines()[-1] == "| 2 | 1 | 2 |"
