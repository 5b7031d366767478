#!/usr/bin/env bash
# Subject: Linux, tmpfs, mmap(2) with MAP_POPULATE and madvise(2) with MADV_POPULATE_WRITE (5.14 and
#   later); seen with 6.18.
# Guess: MAP_POPULATE faults the mapping in, so a segment that was mapped by it is backed by memory,
#   or else mmap fails.
# Behaviour: mmap succeeds whatever became of the populating. On a tmpfs that is too small the pages
#   are not there, and the first store to one is a SIGBUS, maybe hours later. MADV_POPULATE_WRITE
#   does the same work and reports it, as EFAULT.
# Seen:
# | ftruncate to 8 MiB on a tmpfs of 2 MiB: done
# | mmap with MAP_POPULATE: done
# | the tmpfs is full: yes
# | MADV_POPULATE_WRITE: EFAULT
# Why it matters: the arena of a KV cache is as large as the machine allows, and in a container
#   /dev/shm is often 64 MiB. A daemon that trusts MAP_POPULATE starts, and dies under load.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

cat >"$work/populate.py" <<'PYTHON'
import ctypes
import errno
import mmap
import os
import sys

LENGTH = 8 << 20
MAP_POPULATE, MADV_POPULATE_WRITE = 0x8000, 23

libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
segment = os.open(f"{sys.argv[1]}/segment", os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(segment, LENGTH)
print("ftruncate to 8 MiB on a tmpfs of 2 MiB: done")
arena = mmap.mmap(segment, LENGTH, flags=mmap.MAP_SHARED | MAP_POPULATE)
print("mmap with MAP_POPULATE: done")
print("the tmpfs is full:", "yes" if os.fstatvfs(segment).f_bavail == 0 else "no")
address = ctypes.addressof(ctypes.c_char.from_buffer(arena))
failed = libc.madvise(address, LENGTH, MADV_POPULATE_WRITE)
print("MADV_POPULATE_WRITE:", errno.errorcode[ctypes.get_errno()] if failed else "done")
PYTHON
# A mount of our own, which ends with the namespace; in a user namespace where the caller is not root.
as_root=()
[[ $EUID -eq 0 ]] || as_root=(--user --map-root-user)
mkdir "$work/tmpfs"
unshare "${as_root[@]}" --mount -- sh -c '
  mount -t tmpfs -o size=2m tmpfs "$1/tmpfs"
  python3 "$1/populate.py" "$1/tmpfs"
' sh "$work" | check
