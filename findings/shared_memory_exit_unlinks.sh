#!/usr/bin/env bash
# Subject: CPython's multiprocessing.shared_memory, 3.8 to 3.13 and later unless told `track=False`;
#   seen with 3.11. LMCache 0.5.6's in-process HyperPod connector attaches by it.
# Guess: `SharedMemory(name, create=False)` attaches; only its creator, or `unlink()`, removes the name.
# Behaviour: attaching registers the name with the process's resource tracker, which unlinks it when
#   the process ends, even if the process created nothing and closed its mapping first. Attached
#   processes keep their mappings, so they notice nothing. A plain mmap of the file does not.
# Seen:
# | after a process that mapped the file: the name is there
# | after a process that attached with SharedMemory and closed it: the name is gone
# | what the daemon still reads: b'kv'
# Why it matters: an engine that ends takes the node's cache from all engines that start later. A daemon has
#   to watch its name, and to be able to put it back (tmpfs_name_cannot_come_back.sh).
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python - <<'PYTHON' | check
import os
import subprocess
import sys
import time

NAME = f"findings-{os.getpid()}"
PATH = f"/dev/shm/{NAME}"
MAPPED = f"""
import mmap, os
mmap.mmap(os.open({PATH!r}, os.O_RDONLY), 0, prot=mmap.PROT_READ)
"""
ATTACHED = f"""
from multiprocessing.shared_memory import SharedMemory
SharedMemory({NAME!r}).close()
"""
ENDINGS = {"mapped the file": MAPPED, "attached with SharedMemory and closed it": ATTACHED}
daemon = os.open(PATH, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
try:
    os.write(daemon, b"kv")
    for ending, program in ENDINGS.items():
        # The resource tracker warns of a leak, which is not one.
        subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)
        # It is a process of its own, which does its work after that end.
        deadline = time.monotonic() + 3
        while os.path.exists(PATH) and time.monotonic() < deadline:
            time.sleep(0.01)
        name = "there" if os.path.exists(PATH) else "gone"
        print(f"after a process that {ending}: the name is {name}")
    print("what the daemon still reads:", os.pread(daemon, 2, 0))
finally:
    if os.path.exists(PATH):
        os.unlink(PATH)
PYTHON
