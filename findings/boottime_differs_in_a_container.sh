#!/usr/bin/env bash
# Subject: Linux time namespaces (5.6 and later), CLOCK_BOOTTIME and boot_id; util-linux' unshare.
#   Seen with Linux 6.18.
# Guess: CLOCK_BOOTTIME is one clock for the whole machine, so that a deadline in a file that two
#   processes share means the same to both as long as /proc/sys/kernel/random/boot_id is the same.
# Behaviour: a time namespace shifts CLOCK_BOOTTIME (and CLOCK_MONOTONIC) for its processes, and
#   boot_id stays. Container runtimes and checkpoint/restore make such namespaces. The sure sign is
#   /proc/self/ns/time, not boot_id.
# Seen:
# | the same boot_id: yes
# | CLOCK_BOOTTIME inside minus outside, in days: 11
# | the same /proc/self/ns/time: no
# Why it matters: a KV cache that keeps lease deadlines over a restart takes a deadline of the other
#   clock for a lease of eleven days, and refuses every PUT meanwhile.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# In a user namespace of its own where the caller is not root.
as_root=()
[[ $EUID -eq 0 ]] || as_root=(--user --map-root-user)
cat >"$work/clocks.py" <<'PYTHON'
import os
import time

with open("/proc/sys/kernel/random/boot_id") as file:
    print(
        file.read().strip(),
        int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        os.readlink("/proc/self/ns/time"),
    )
PYTHON
read -r boot clock namespace < <(python "$work/clocks.py")
read -r boot_inside clock_inside namespace_inside < <(
  unshare "${as_root[@]}" --time --fork --boottime 1000000 -- python3 "$work/clocks.py"
)
{
  echo "the same boot_id: $([[ $boot == "$boot_inside" ]] && echo yes || echo no)"
  echo "CLOCK_BOOTTIME inside minus outside, in days: $(((clock_inside - clock) / 86400))"
  echo "the same /proc/self/ns/time: $([[ $namespace == "$namespace_inside" ]] && echo yes || echo no)"
} | check
