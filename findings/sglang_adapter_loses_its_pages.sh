#!/usr/bin/env bash
# Subject: SGLang 0.5.23, keys of pages of prompts with an adapter (LoRA), in the tree and in HiCache's
#   storage. Its hash is compiled from its own file.
# Guess: an adapter's KV is known by the adapter: its name, its path or its weights. A server that has it under
#   the same name, from the same path, finds the pages of earlier lives and of other servers, and an adapter
#   that made room for another finds its own when it is back.
# Behaviour: the key has the adapter's id. One that is given at the start has an id of its name and its path, as
#   they are written. One that is loaded over HTTP has a random id. So has one that made room for another
#   (`--max-loaded-loras`) and is loaded again by a request, although it was given at the start: each time it
#   comes back, all of its pages have new keys. Those before stay where they are and are not asked for again.
# Seen:
# | given at the start as red=/adapters/red: 4 pages are stored
# | the next life of the server, given as before: 4 of 4 are found
# | blue takes its place, and a request brings it back: 0 of 4 are found; 4 more are stored
# | blue takes its place, and a request brings it back: 0 of 8 are found; 4 more are stored
# | given at the start as red=/adapters/red/: 0 of 12 are found; 4 more are stored
# | loaded over HTTP, name red, path /adapters/red: 0 of 16 are found; 4 more are stored
# Why it matters: a node with more adapters than places computes each system prompt again with every change,
#   and fills the memory and the storage below with pages that nobody will read. Nothing tells it apart from
#   an empty cache.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/sglang_pages.txt")
sglang_hash
python - <<'PYTHON' 2>"$work/log" | check
import asyncio
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import sglang_pages
import stand_ins

stand_ins.install(
    bare=["sglang.srt.arg_groups", "sglang.srt.lora", "sglang.srt.managers"],
    empty=[
        "fastapi",
        "pybase64",
        "sglang.srt.arg_groups.overrides",
        "sglang.srt.beam_search",
        "sglang.srt.configs",
        "sglang.srt.constants",
        "sglang.srt.disaggregation",
        "sglang.srt.elastic_ep",
        "sglang.srt.layers",
        "sglang.srt.managers.async_dynamic_batch_tokenizer",
        "sglang.srt.managers.communicator",
        "sglang.srt.managers.disagg_service",
        "sglang.srt.managers.embed_types",
        "sglang.srt.managers.io_struct",
        "sglang.srt.managers.load_snapshot",
        "sglang.srt.managers.mm_utils",
        "sglang.srt.managers.multimodal_processor",
        "sglang.srt.managers.positional_embeds_transport",
        "sglang.srt.managers.schedule_batch",
        "sglang.srt.managers.scheduler_input_blocker",
        "sglang.srt.managers.tokenizer_manager_score_mixin",
        "sglang.srt.managers.utils",
        "sglang.srt.model_executor",
        "sglang.srt.multimodal",
        "sglang.srt.observability",
        "sglang.srt.sampling",
        "sglang.srt.server_args",
        "sglang.srt.speculative",
        "sglang.srt.tokenizer",
        "sglang.utils",
    ],
)

# The loop of CPython does as well.
sys.modules["uvloop"] = SimpleNamespace(EventLoopPolicy=asyncio.DefaultEventLoopPolicy)

from sglang.srt.arg_groups import lora_hook
from sglang.srt.lora import lora_registry
from sglang.srt.managers import tokenizer_control_mixin, tokenizer_manager

# Nothing happens at once here, so nothing is locked or counted.
lora_registry.RWLock = lambda: SimpleNamespace(reader_lock=nullcontext(), writer_lock=nullcontext())


class NoCounter:
    async def increment(self, notify_all: bool) -> None:
        pass

    async def wait_for_zero(self) -> None:
        pass


lora_registry.ConcurrentCounter = NoCounter
# It comes there by way of a module that is stood in for.
tokenizer_control_mixin.LoRARef = lora_registry.LoRARef
lora_hook.resolving_view = lambda arguments: arguments
lora_hook.declare_resolution = lambda arguments, _, **values: vars(arguments).update(values)
for module in (tokenizer_control_mixin, tokenizer_manager):
    module.LoadLoRAAdapterReqInput = SimpleNamespace
    module.UnloadLoRAAdapterReqInput = SimpleNamespace
    module.get_parallel = lambda: SimpleNamespace(dp_size=1)


class Server(tokenizer_manager.TokenizerManager):
    """SGLang's handling of adapters, over schedulers that do what they are told."""

    def __init__(self, *lora_paths: str) -> None:
        arguments = SimpleNamespace(
            enable_lora=True,
            enable_lora_overlap_loading=False,
            lora_backend="triton",
            lora_drain_wait_threshold=0.0,
            lora_paths=list(lora_paths),
            lora_target_modules=["all"],
            lora_use_virtual_experts=False,
            max_loaded_loras=1,
            max_lora_chunk_size=None,
            max_lora_rank=16,
            max_loras_per_batch=1,
            moe_runner_backend="auto",
            speculative_algorithm=None,
        )
        lora_hook.check_lora_server_args(arguments)
        for module in (tokenizer_control_mixin, tokenizer_manager):
            module.get_lora = lambda: arguments
        self.init_lora()

    async def update_lora_adapter_communicator(self, message: object) -> list[object]:
        loaded = {message.lora_name: None} | {name: None for name in self.lora_ref_cache}
        return [SimpleNamespace(success=True, loaded_adapters=loaded)]

    async def load(self, name: str, path: str) -> None:
        message = SimpleNamespace(lora_name=name, lora_path=path, pinned=False)
        assert (await self.load_lora_adapter(message)).success

    async def pages(self) -> set[str]:
        """The keys of the pages of a prompt that asks for the adapter."""
        request = SimpleNamespace(lora_path="red")
        await self._resolve_lora_path(request)
        # A request's extra_key ends with the adapter's id.
        return set(sglang_pages.keys(sglang_pages.node(extra_key=request.lora_id)))


stored = set()


async def ask(what: str, server: Server) -> None:
    pages = await server.pages()
    found, new = pages & stored, pages - stored
    outcome = [f"{len(found)} of {len(stored)} are found"] if stored else []
    if new:
        outcome.append(f"{len(new)} {'more ' if stored else 'pages '}are stored")
    print(f"{what}: {'; '.join(outcome)}", flush=True)
    stored.update(pages)


async def main() -> None:
    await ask("given at the start as red=/adapters/red", Server("red=/adapters/red"))
    server = Server("red=/adapters/red")
    await ask("the next life of the server, given as before", server)
    for _ in range(2):
        await server.load("blue", "/adapters/blue")
        await ask("blue takes its place, and a request brings it back", server)
    await ask("given at the start as red=/adapters/red/", Server("red=/adapters/red/"))
    server = Server()
    await server.load("red", "/adapters/red")
    await ask("loaded over HTTP, name red, path /adapters/red", server)


asyncio.run(main())
PYTHON
