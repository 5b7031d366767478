"""One life of an engine: answers the prompts that come by its standard input, a line each.

    usage: life.py MODEL TIER          (TIER: the tier's configuration, as JSON)

A line of standard output answers a line of input, both as JSON.
"""

import json
import os
import sys

MODEL, TIER = sys.argv[1:]
# The descriptor of the answers: vLLM and its processes print to the other.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from vllm import LLM, SamplingParams  # noqa: E402

ANSWER_TOKENS = 24
# Tokens to a page of vLLM, and so to an object.
PAGE_TOKENS = 32
CPU_TIER_LEN = 256 << 20


def main() -> None:
    extra = {
        "spec_name": "CopyingSpec",
        "spec_module_path": "copying_spec",
        "cpu_bytes_to_use": CPU_TIER_LEN,
        "secondary_tiers": [json.loads(TIER)],
    }
    engine = LLM(
        model=MODEL,
        # Numbers of 4 bytes: the same answer whether a page was computed or loaded.
        dtype="float32",
        block_size=PAGE_TOKENS,
        max_model_len=4096,
        enforce_eager=True,
        enable_prefix_caching=True,
        kv_transfer_config={
            "kv_connector": "OffloadingConnector",
            "kv_role": "kv_both",
            "kv_connector_extra_config": extra,
        },
    )
    sampling = SamplingParams(temperature=0, max_tokens=ANSWER_TOKENS, ignore_eos=True)
    _answer({"ready": True})
    for line in sys.stdin:
        output = engine.generate([json.loads(line)], sampling, use_tqdm=False)[0]
        _answer(
            {
                "text": output.outputs[0].text,
                "prompt_tokens": len(output.prompt_token_ids),
                "cached_tokens": output.num_cached_tokens or 0,
            }
        )


def _answer(answer: dict[str, object]) -> None:
    print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
