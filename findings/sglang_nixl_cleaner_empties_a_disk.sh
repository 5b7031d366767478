#!/usr/bin/env bash
# Subject: SGLang 0.5.23, HiCache's storage backend `nixl` with a plug-in for files: its cleaner, which is on by
#   default. Over a tmpfs of 16 MiB.
# Guess: of pages in files the cleaner removes those that were not used for longest, and as many as it takes to
#   bring the cache below its watermark. What else is on the disk makes the cache smaller.
# Behaviour: the watermarks, 80 and 70 %, are of the whole disk, and files go in the order in which they were
#   written: a read leaves no trace. While other files alone take 70 %, each round, every 30 seconds, that finds the
#   disk at 80 % removes all pages, those of this moment too, and the disk is not below the low watermark then
#   either.
# Seen:
# | other files take 50 %, 200 pages 34 %; the first 20 have just been read
# | a round: 100 pages are left, 0 of those that were read; the disk is at 67 %
# | other files take 75 %, 50 pages 8 %
# | a round: 0 pages are left; the disk is at 75 %
# Why it matters: logs, images or another model on the disk of the cache turn it into a cache of half a minute,
#   without an error. And a system prompt, written first and used by all, is the first to go.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install sglang==0.5.23 numpy==2.2.6
cat >"$work/cleaner.py" <<'PYTHON'
import logging
import os
import sys
from pathlib import Path

import stand_ins

stand_ins.install(
    bare=["sglang", "sglang.srt", "sglang.srt.mem_cache", "sglang.srt.mem_cache.storage"],
    empty=["torch", "sglang.srt.environ", "sglang.srt.mem_cache.pool_host"],
)

from sglang.srt.mem_cache.storage.nixl.nixl_cleaner import HiCacheL3Cleaner
from sglang.srt.mem_cache.storage.nixl.nixl_utils import NixlBackendConfig, NixlFileManager

logging.disable()

PAGE = 28 << 10
DISK = 16 << 20
folder = Path(sys.argv[1])
manager = NixlFileManager([str(folder / "pages")])
config = NixlBackendConfig({}).get_l3_cleaner_config()
watermarks = {name: config[name] for name in ("high_watermark", "low_watermark")}
cleaner = HiCacheL3Cleaner(manager.iter_all_base_dirs(), 0, **watermarks)


def paths(pages: range) -> list[Path]:
    """Where the backend keeps these pages."""
    return [Path(manager.get_file_path(f"{page:064x}_model_0_1")) for page in pages]


def write(pages: range) -> None:
    for second, path in enumerate(paths(pages)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(PAGE))
        os.utime(path, (second, second))


def others(part: float) -> str:
    (folder / "other").write_bytes(bytes(int(part * DISK)))
    return f"other files take {part:.0%}".replace("%", " %")


def left(pages: range) -> int:
    return sum(path.exists() for path in paths(pages))


def disk() -> str:
    cleaner._tick()
    return f"the disk is at {cleaner._disk_usage_pct(folder):.0f} %"


many, used = range(200), range(20)
taken = others(0.5)
write(many)
for path in paths(used):
    path.read_bytes()
share = f"{len(many)} pages {len(many) * PAGE * 100 // DISK} %"
print(f"{taken}, {share}; the first {len(used)} have just been read")
after = disk()
print(f"a round: {left(many)} pages are left, {left(used)} of those that were read; {after}")
for path in paths(many):
    path.unlink(missing_ok=True)
few = range(50)
taken = others(0.75)
write(few)
print(f"{taken}, {len(few)} pages {len(few) * PAGE * 100 // DISK} %")
after = disk()
print(f"a round: {left(few)} pages are left; {after}")
PYTHON
# A mount of our own, which ends with the namespace; in a user namespace where the caller is not root.
as_root=()
[[ $EUID -eq 0 ]] || as_root=(--user --map-root-user)
mkdir "$work/tmpfs"
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
unshare "${as_root[@]}" --mount -- sh -c '
  mount -t tmpfs -o size=16m tmpfs "$1/tmpfs"
  "$1/env/bin/python" "$1/cleaner.py" "$1/tmpfs" 2>"$1/log"
' sh "$work" | check
