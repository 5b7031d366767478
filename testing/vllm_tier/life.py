"""One life of an engine: answers the prompts that come by its standard input, a line each.

    usage: life.py MODEL TRANSFER PAGE_TOKENS     (TRANSFER: vLLM's kv_transfer_config, as JSON)

A line of input is a prompt and how many tokens are wanted, or null for the engine to empty its own
cache. A line of standard output answers it. Both are JSON.
"""

import json
import os
import sys
import time

MODEL, TRANSFER, PAGE_TOKENS = sys.argv[1:]
# The descriptor of the answers: vLLM and its processes print to the other.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from vllm import LLM, SamplingParams  # noqa: E402

PROMPT_MAX = 4096


def main() -> None:
    engine = LLM(
        model=MODEL,
        # Numbers of 4 bytes: the same answer whether a page was computed or loaded.
        dtype="float32",
        # Tokens to a page of vLLM, and so to an object.
        block_size=int(PAGE_TOKENS),
        max_model_len=PROMPT_MAX,
        # A prompt is one step: its first token comes after it.
        max_num_batched_tokens=PROMPT_MAX,
        enforce_eager=True,
        enable_prefix_caching=True,
        kv_transfer_config=json.loads(TRANSFER),
    )
    _answer({"ready": True})
    for line in sys.stdin:
        prompt, tokens = json.loads(line)
        if prompt is None:
            _answer({"is_empty": engine.reset_prefix_cache()})
            continue
        sampling = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
        began = time.perf_counter()
        output = engine.generate([prompt], sampling, use_tqdm=False)[0]
        _answer(
            {
                "took_s": time.perf_counter() - began,
                "text": output.outputs[0].text,
                "token_ids": list(output.outputs[0].token_ids),
                "prompt_tokens": len(output.prompt_token_ids),
                "cached_tokens": output.num_cached_tokens or 0,
            }
        )


def _answer(answer: dict[str, object]) -> None:
    print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
