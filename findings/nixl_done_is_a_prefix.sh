#!/usr/bin/env bash
# Subject: NIXL 1.5.1, its Python API: how the receiver of a transfer learns that it is done. UCX over the
#   memory and the loopback of one machine.
# Guess: `check_remote_xfer_done(agent, tag)` says whether the transfer with this tag is done; its
#   `tag_is_prefix=False` makes the match exact. What one call has not taken, the next one finds.
# Behaviour: the tag has to be the beginning of a message, by default, or any part of it, with
#   `tag_is_prefix=False`; no setting compares whole messages. So request-12 is request-1, and its
#   message is taken away: the receiver begins to read a page that nobody wrote, and never hears of the one
#   that is there. Each call also fetches all messages that have come, and `get_new_notifs` does not show
#   what was fetched before; `update_notifs` does.
# Seen:
# | request-12 is written: request-12 has AAAAAAAA, request-1 has xxxxxxxx
# | is request-1 done? True; is request-12 done? False
# | written again; is request-1 done, with tag_is_prefix=False? True
# | request-7 and request-8 are written; is request-7 done? True
# | get_new_notifs: none, update_notifs: request-8
# Why it matters: requests that are counted up are served from the memory of an earlier prompt as soon as there
#   are ten of them. A tag needs an end of its own, or a fixed length.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install nixl_cu12==1.5.1 numpy==2.2.6
export NIXL_LOG_LEVEL=ERROR UCX_TLS=self,sm,tcp UCX_NET_DEVICES=lo
python - 2>"$work/log" <<'PYTHON' | check
import logging
import os
import time

import numpy
from nixl_cu12._api import nixl_agent, nixl_agent_config

logging.disable()

PAGE = 4096
SHOWN = 8
TIMEOUT_S = 60
REQUESTS = range(13)

# The receiver has a page for each request, with the bytes of earlier ones.
pages = numpy.full((len(REQUESTS), PAGE), ord("x"), numpy.uint8)
computed = numpy.full(PAGE, ord("A"), numpy.uint8)
prefill, decode = (
    nixl_agent(name, nixl_agent_config(backends=["UCX"])) for name in ("prefill", "decode")
)
for agent, memory in ((prefill, computed), (decode, pages)):
    agent.register_memory([(memory.ctypes.data, memory.nbytes, 0, "")], "DRAM")
prefill.add_remote_agent(decode.get_agent_metadata())
decode.add_remote_agent(prefill.get_agent_metadata())


def write(*requests: int) -> None:
    """Writes the pages of requests, and returns when they and their messages are there."""
    waiting = len(decode.update_notifs().get("prefill", []))
    deadline = time.monotonic() + TIMEOUT_S
    for request in requests:
        source = prefill.get_xfer_descs([(computed.ctypes.data, PAGE, 0)], "DRAM")
        target = prefill.get_xfer_descs([(pages[request].ctypes.data, PAGE, 0)], "DRAM")
        tag = f"request-{request}".encode()
        transfer = prefill.initialize_xfer("WRITE", source, target, "decode", tag)
        prefill.transfer(transfer)
        while prefill.check_xfer_state(transfer) == "PROC" and time.monotonic() < deadline:
            time.sleep(0.01)
        prefill.release_xfer_handle(transfer)
    while len(decode.update_notifs().get("prefill", [])) < waiting + len(requests):
        if time.monotonic() > deadline:
            raise SystemExit("no message came")
        time.sleep(0.01)


def is_done(request: int, **arguments: bool) -> bool:
    return decode.check_remote_xfer_done("prefill", f"request-{request}".encode(), **arguments)


def shown(request: int) -> str:
    return f"request-{request} has {pages[request, :SHOWN].tobytes().decode()}"


def names(messages: dict[str, list[bytes]]) -> str:
    return ", ".join(message.decode() for message in messages.get("prefill", [])) or "none"


write(12)
print(f"request-12 is written: {shown(12)}, {shown(1)}")
print(f"is request-1 done? {is_done(1)}; is request-12 done? {is_done(12)}")
write(12)
done = is_done(1, tag_is_prefix=False)
print(f"written again; is request-1 done, with tag_is_prefix=False? {done}")
write(7, 8)
print(f"request-7 and request-8 are written; is request-7 done? {is_done(7)}")
new = names(decode.get_new_notifs())
print(f"get_new_notifs: {new}, update_notifs: {names(decode.update_notifs())}", flush=True)
# The agents' threads outlive the interpreter otherwise.
os._exit(0)
PYTHON
