#!/usr/bin/env bash
# Subject: Apache Arrow's Plasma store, pyarrow 11.0.0 (the last release that has it).
# Guess: deleting an object makes it invisible at once, as unlink does for a name; those who read it
#   keep their bytes, and its key can be stored anew.
# Behaviour: while any client holds a buffer of it, `delete` returns without an error and the object
#   stays visible to everybody, new readers included; storing it again fails as "exists". It goes
#   away with the last buffer, which in Python lives as long as any array or view of it.
# Seen:
# | deleted while a reader holds a buffer: still contained
# | stored again meanwhile: PlasmaObjectExists
# | the reader's buffer is collected: gone
# Why it matters: a corrupt object that was deleted is served to new readers for as long as one slow
#   reader has it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# There are wheels of pyarrow 11 up to Python 3.11.
install pyarrow==11.0.0 numpy==1.26.4
"$work/env/bin/plasma_store" -m 10485760 -s "$work/socket" 2>"$work/log" &
store=$!
trap 'kill "$store"; rm -rf "$work"' EXIT

python -W ignore - "$work/socket" <<'PYTHON' | check
import sys
import time
from pathlib import Path

from pyarrow import plasma

socket = sys.argv[1]
while not Path(socket).exists():
    time.sleep(0.05)
writer, reader = plasma.connect(socket), plasma.connect(socket)
key = plasma.ObjectID(b"k" * 20)


def put() -> None:
    writer.create(key, 1024)
    writer.seal(key)


put()
(buffer,) = reader.get_buffers([key])
writer.delete([key])
seen = "still contained" if plasma.connect(socket).contains(key) else "gone"
print("deleted while a reader holds a buffer:", seen)
try:
    put()
    print("stored again meanwhile: stored")
except plasma.PlasmaObjectExists as error:
    print("stored again meanwhile:", type(error).__name__)
del buffer
deadline = time.monotonic() + 5
while writer.contains(key) and time.monotonic() < deadline:
    time.sleep(0.02)
print("the reader's buffer is collected:", "still contained" if writer.contains(key) else "gone")
PYTHON
