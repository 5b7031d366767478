#!/usr/bin/env bash
# Subject: mistral-common 1.13.1, with which vLLM and others make the prompts of Mistral's models; the
#   tokenizers are those of its wheel.
# Guess: a chat grows at its end: each prompt begins with that of the turn before, tools and system prompt
#   first, so a prefix cache has all of it.
# Behaviour: with the tokenizers of versions 2 and 3 (Mistral 7B 0.2 and 0.3, Mixtral 8x22B, Nemo, Pixtral)
#   tools and system prompt stand before the last user message, wherever that is by then: each turn moves
#   them behind the turn before. What two prompts share ends where they stood, and of the first two it is
#   one token, the beginning of the text. Version 1 has no tools; version 7 has the system prompt first, and
#   the tools still before the last message.
# Seen:
# | v1: turn 2 begins with 257 of 257 tokens of turn 1, turn 3 with 278 of 278 of turn 2
# | v2: turn 2 begins with 1 of 307 tokens of turn 1, turn 3 with 19 of 323 of turn 2
# | v3: turn 2 begins with 1 of 307 tokens of turn 1, turn 3 with 19 of 323 of turn 2
# | v3 of Nemo: turn 2 begins with 1 of 304 tokens of turn 1, turn 3 with 17 of 318 of turn 2
# | v3 of Pixtral: turn 2 begins with 1 of 304 tokens of turn 1, turn 3 with 17 of 318 of turn 2
# | v7: turn 2 begins with 244 of 307 tokens of turn 1, turn 3 with 262 of 323 of turn 2
# Why it matters: what makes chats of agents cheap, their long fixed beginning, is not at the beginning. No
#   engine, router or store finds a prefix, and it looks like wrong hash seeds or keys.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install mistral_common==1.13.1 annotated-types==0.8.0 attrs==26.1.0 certifi==2026.10.19.post1 \
  charset-normalizer==3.5.3 idna==3.20 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 numpy==2.2.6 \
  pillow==12.0.0 pycountry==26.2.16 pydantic==2.13.5 pydantic_core==2.46.5 pydantic-extra-types==2.11.1 \
  referencing==0.37.0 regex==2026.11.19 requests==2.34.2 rpds-py==2026.9.1 sentencepiece==0.2.3 \
  tiktoken==0.14.0 typing_extensions==4.16.0 typing-inspection==0.4.5 urllib3==2.8.0
python - <<'PYTHON' 2>"$work/log" | check
from itertools import pairwise
from os.path import commonprefix

from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Function, Tool
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

TOKENIZERS = {
    "v1": MistralTokenizer.v1(),
    "v2": MistralTokenizer.v2(),
    "v3": MistralTokenizer.v3(),
    "v3 of Nemo": MistralTokenizer.v3(is_tekken=True),
    "v3 of Pixtral": MistralTokenizer.v3(is_tekken=True, is_mm=True),
    "v7": MistralTokenizer.v7(),
}
WEATHER = Tool(
    function=Function(
        name="get_weather",
        description="The weather of a city",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}},
    )
)
CHAT = [
    SystemMessage(content="You are a careful assistant. " * 40),
    UserMessage(content="What is a prefix cache?"),
    AssistantMessage(content="It keeps the KV of prompts."),
    UserMessage(content="And a block?"),
    AssistantMessage(content="The part that it keeps at once."),
    UserMessage(content="Who evicts it?"),
]

for name, tokenizer in TOKENIZERS.items():
    turns = [
        tokenizer.encode_chat_completion(
            ChatCompletionRequest(messages=CHAT[:count], tools=[WEATHER])
        ).tokens
        for count in (2, 4, 6)
    ]
    first, second = (f"{len(commonprefix(pair))} of {len(pair[0])}" for pair in pairwise(turns))
    print(f"{name}: turn 2 begins with {first} tokens of turn 1, turn 3 with {second} of turn 2")
PYTHON
