"""One life of an engine: answers the prompts that come by its standard input, a line each.

    usage: life.py MODEL TRANSFER     (TRANSFER: vLLM's kv_transfer_config, as JSON, or `null`)

A line of standard output answers a line of input, both as JSON. An answer has the time to the first
token, in seconds, and how many tokens of the prompt were cached.
"""

import json
import os
import sys
import time

MODEL, TRANSFER = sys.argv[1:]
# The descriptor of the answers: vLLM and its processes print to the other.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from vllm import LLM, SamplingParams  # noqa: E402

PAGE_TOKENS = 128
PROMPT_MAX = 4096


def main() -> None:
    engine = LLM(
        model=MODEL,
        # Numbers of 4 bytes: the same answer whether a page was computed or loaded.
        dtype="float32",
        block_size=PAGE_TOKENS,
        max_model_len=PROMPT_MAX,
        max_num_batched_tokens=PROMPT_MAX,
        enforce_eager=True,
        enable_prefix_caching=True,
        kv_transfer_config=json.loads(TRANSFER),
    )
    first = SamplingParams(temperature=0, max_tokens=1, ignore_eos=True)
    _answer({"ready": True})
    for line in sys.stdin:
        began = time.perf_counter()
        output = engine.generate([json.loads(line)], first, use_tqdm=False)[0]
        _answer(
            {
                "first_token_s": time.perf_counter() - began,
                "token": output.outputs[0].token_ids[0],
                "prompt_tokens": len(output.prompt_token_ids),
                "cached_tokens": output.num_cached_tokens or 0,
            }
        )


def _answer(answer: dict[str, object]) -> None:
    print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
