#!/usr/bin/env bash
# Subject: Linux, sendfile(2) from tmpfs to TCP; seen with 6.18.
# Guess: once sendfile has returned a count, that many bytes are on their way, and the memory that
#   they came from may be used again.
# Behaviour: the socket holds references to the pages, not bytes. A change of the pages before the
#   receiver's side took them arrives in the place of the old bytes. TCP's own checksum covers the new
#   bytes. A copy (write, send) has no such window.
# Seen:
# | sendfile: 16384 bytes accepted before the change, received afterwards: new
# | send: 16384 bytes accepted before the change, received afterwards: old
# Why it matters: a KV cache that serves a GET out of its arena by sendfile, and ends the lease when
#   sendfile returns, sends another request's KV once the extent is used again.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

python - <<'PYTHON' | check
import os
import socket

LENGTH = 16 * 1024


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        return sender, listener.accept()[0]


def received(receiver: socket.socket) -> str:
    content = receiver.recv(LENGTH, socket.MSG_WAITALL)
    return {b"o" * LENGTH: "old", b"n" * LENGTH: "new"}.get(content, "a mixture")


arena = os.memfd_create("arena")
for name in ("sendfile", "send"):
    os.pwrite(arena, b"o" * LENGTH, 0)
    sender, receiver = pair()
    # The receiver does not read before the change.
    if name == "sendfile":
        accepted = os.sendfile(sender.fileno(), arena, 0, LENGTH)
    else:
        accepted = sender.send(os.pread(arena, LENGTH, 0))
    os.pwrite(arena, b"n" * LENGTH, 0)
    seen = received(receiver)
    print(f"{name}: {accepted} bytes accepted before the change, received afterwards: {seen}")
PYTHON
