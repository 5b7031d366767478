#!/usr/bin/env bash
# Subject: Linux, tmpfs (/dev/shm), linkat(2); seen with 6.18, and the rule is older than 5.0.
# Guess: a daemon that holds a segment open can give it its name back with linkat on
#   /proc/self/fd/N, as the recipe for O_TMPFILE in open(2) does.
# Behaviour: that works for a file that never had a name, not for one that lost its last name.
#   The file is there, complete and writable, and no call names it again. A second hard link, made
#   in time, is the one way back: the name returns, and the inode is the same.
# Seen:
# | a file that never had a name: linked
# | a file that lost its last name: ENOENT, 4096 bytes still readable
# | a file that kept a second name: linked, the same inode
# Why it matters: clients of a KV cache attach to the segment by its name, and a client's exit can
#   unlink that name (shared_memory_exit_unlinks.sh). A new segment would be another inode, which
#   containers that bind-mounted the old one never see.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python - <<'PYTHON' | check
import errno
import os
import tempfile


ROOT = os.open("/", os.O_PATH)


def link_back(descriptor: int, path: str) -> str:
    try:
        # With a directory's descriptor it is linkat with AT_SYMLINK_FOLLOW, as the recipe has it.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=ROOT)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "linked"


with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    nameless = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    print("a file that never had a name:", link_back(nameless, f"{folder}/nameless"))

    segment = os.open(f"{folder}/segment", os.O_CREAT | os.O_RDWR, 0o600)
    os.write(segment, bytes(4096))
    os.unlink(f"{folder}/segment")
    outcome = link_back(segment, f"{folder}/segment")
    readable = len(os.pread(segment, 8192, 0))
    print(f"a file that lost its last name: {outcome}, {readable} bytes still readable")

    kept = os.open(f"{folder}/kept", os.O_CREAT | os.O_RDWR, 0o600)
    os.link(f"{folder}/kept", f"{folder}/.kept")
    os.unlink(f"{folder}/kept")
    outcome = link_back(kept, f"{folder}/kept")
    same = os.stat(f"{folder}/kept").st_ino == os.fstat(kept).st_ino
    print(f"a file that kept a second name: {outcome}, {'the same' if same else 'another'} inode")
PYTHON
