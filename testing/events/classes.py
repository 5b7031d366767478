"""One engine's classes as a reader of KV events: see run.py, which starts this."""

import hashlib
import importlib.util
import os
import sys
import tempfile
import types
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from daemon import BINARY_VARIABLE, Daemon, free_port, wait_until
from kv_router import Hash, Router

SOON = 20.0
QUIET_MS = 300
SHA = hashlib.sha256(b"a block").hexdigest()
DIGEST = "0123456789abcdef"
WHEEL_VARIABLE = "KVLEASE_SGLANG_WHEEL"
FILE = "sglang/srt/disaggregation/kv_events.py"
# What the engine told of an object, in the header that any client may send.
BLOCKS = (
    b'{"hashes": [11, 12], "parent": 10, "tokens": [1, 2, 3, 4], "block_size": 2,'
    b' "lora_name": "adapter"}'
)


def vllm() -> tuple[type, str, Hash]:
    """vLLM's batch, a key of kvlease's tier, and the hash that vLLM publishes for it."""
    from vllm.distributed.kv_events import KVEventBatch
    from vllm.v1.core.kv_cache_utils import maybe_convert_block_hash

    published = maybe_convert_block_hash(bytes.fromhex(SHA))
    return KVEventBatch, f"vllm@model@{DIGEST}@{SHA}00000000", published


def sglang() -> tuple[type, str, Hash]:
    """SGLang's batch, a key of kvlease's backend, and the hash that SGLang publishes for it."""
    # The file imports two modules of the engine that its classes do not use.
    for name, needed in [
        ("sglang.srt.runtime_context", "get_parallel"),
        ("sglang.srt.utils.network", "NetworkAddress"),
    ]:
        module = types.ModuleType(name)
        setattr(module, needed, None)
        sys.modules[name] = module
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(os.environ[WHEEL_VARIABLE]) as wheel:
            path = wheel.extract(FILE, folder)
        spec = importlib.util.spec_from_file_location("sglang_kv_events", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    published = int.from_bytes(bytes.fromhex(SHA[:16]), "big", signed=True)
    return module.KVEventBatch, f"sglang@model@{DIGEST}@{SHA}", published


def main(engine: Callable[[], tuple[type, str, Hash]]) -> None:
    batch, key, published = engine()
    with tempfile.TemporaryDirectory() as folder:
        publish, replay = free_port(), free_port()
        config = (
            f'[events]\nendpoint = "127.0.0.1:{publish}"\n'
            f'replay_endpoint = "127.0.0.1:{replay}"\ntopic = "kv@node@model"\n'
        )
        daemon = Daemon(Path(os.environ[BINARY_VARIABLE]), Path(folder), "64MiB", config)
        router = Router(publish, replay, msgspec.msgpack.Decoder(batch).decode)
        try:
            daemon.start()
            _check(daemon, router, key, published)
        finally:
            router.close()
            daemon.destroy()


def _check(daemon: Daemon, router: Router, key: str, published: Hash) -> None:
    def announced(expected: set[Hash]) -> bool:
        router.read(QUIET_MS)
        return router.blocks == expected

    _put(daemon, key)
    _put(daemon, "told", {"kvlease-blocks": BLOCKS.decode()})
    wait_until(lambda: announced({published, 11, 12}), SOON, "all blocks are announced")
    told: Any = next(e for e in router.events if getattr(e, "token_ids", None))
    assert told.token_ids == [1, 2, 3, 4] and told.block_size == 2
    assert told.parent_block_hash == 10 and told.lora_name == "adapter" and told.medium == "CPU"
    _request(daemon, "DELETE", key)
    wait_until(lambda: announced({11, 12}), SOON, "the block has left")
    # Batches that are asked for again are the same.
    router.ask(0)
    assert announced({11, 12})
    print(f"{type(told).__module__}: {len(router.events)} events decoded", flush=True)


def _put(daemon: Daemon, key: str, headers: dict[str, str] | None = None) -> None:
    _request(daemon, "PUT", key, headers or {}, b"some bytes")


def _request(
    daemon: Daemon,
    method: str,
    key: str,
    headers: dict[str, str] | None = None,
    data: bytes | None = None,
) -> None:
    url = f"http://127.0.0.1:{daemon.port}/v1/kv/lmcache/{urllib.parse.quote(key, safe='')}"
    request = urllib.request.Request(url, method=method, data=data, headers=headers or {})
    urllib.request.urlopen(request, timeout=60).close()


if __name__ == "__main__":
    main({"vllm": vllm, "sglang": sglang}[sys.argv[1]])
