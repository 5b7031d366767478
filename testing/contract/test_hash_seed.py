"""The hash seed and LMCache's MP server: what docs/lmcache.md states, in fresh processes."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from lmcache.v1.multiprocess.token_hasher import TokenHasher
hasher = TokenHasher(4, sys.argv[1])
print(hasher.hash_to_bytes(hasher.hash_tokens([1, 2, 3, 4])).hex())
"""
ENDED_WITHIN = 100.0


def _first_key(algorithm: str, seed: str | None) -> str:
    variables = {name: v for name, v in os.environ.items() if name != "PYTHONHASHSEED"}
    variables |= {"PYTHONHASHSEED": seed} if seed else {}
    command = [sys.executable, "-c", PROGRAM, algorithm]
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=ENDED_WITHIN
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_the_default_hash_of_the_mp_server_has_no_seed():
    assert _first_key("blake3", None) == _first_key("blake3", "0")


def test_no_seed_makes_two_mp_servers_with_builtin_agree():
    # hash(None) is an address before CPython 3.12, and addresses differ from process to process.
    agree = len({_first_key("builtin", "0") for _ in range(3)}) == 1
    assert agree == (sys.version_info >= (3, 12))
