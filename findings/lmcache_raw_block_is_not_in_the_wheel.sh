#!/usr/bin/env bash
# Subject: LMCache 0.5.6, its adapter `raw_block` for disks, as PyPI's wheel has it.
# Guess: an adapter whose code and settings the wheel has can be used, as `fs_native` and `resp` can, whose
#   native halves are in the wheel. The message of a missing extension names the package to install.
# Behaviour: the wheel has the adapter and takes its settings, but not the extension that moves the bytes. The
#   module that it imports has another name than the one in its message, and is built only from the
#   source distribution. The server fails when the adapter opens its device, not when its settings are read.
# Seen:
# | native halves in the wheel: cuda_ops, lmcache_fs, lmcache_native, lmcache_redis
# | the adapter's code in the wheel: raw_block_l2_adapter.py
# | what it imports: lmcache_rust_raw_block_io, found: False
# | what its message asks for: rust_raw_block_io
# Why it matters: who compares tiers on a disk measures `fs` instead, or finds out at the first start of
#   a node. kvlease's comparison builds the extension from the source.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install lmcache==0.5.6
python - <<'PYTHON' 2>"$work/log" | check
import re
from importlib.metadata import files
from importlib.util import find_spec

found = {file.name: file for file in files("lmcache") or ()}
native = sorted(name.partition(".")[0] for name in found if name.endswith(".so"))
print("native halves in the wheel:", ", ".join(native))
adapter = next(name for name in found if name == "raw_block_l2_adapter.py")
print("the adapter's code in the wheel:", adapter)
cores = [file for file in files("lmcache") or () if str(file).endswith("raw_block/core.py")]
code = cores[0].locate().read_text()
module = re.search(r"from (\w+) import RawBlockDevice", code)[1]
print(f"what it imports: {module}, found: {find_spec(module) is not None}")
print("what its message asks for:", re.search(r"Install / build `(\w+)`", code)[1])
PYTHON
