#!/usr/bin/env bash
# Subject: SGLang 0.5.23 with a draft model (EAGLE, MTP): keys of its pages and its KV events. Its hash is
#   compiled from its own file.
# Guess: a draft model guesses tokens and leaves the KV of the main model as it is, so its pages keep their
#   keys: a cache that was filled without a draft model serves an engine with one.
# Behaviour: with a draft model a page is made of pairs, each token with the next, and the keys are hashes
#   of these: none is the same. The last token has no next one, so a prompt of four whole pages has three.
#   In the events `token_ids` has the pairs, which SGLang's own class for readers refuses, and with it the
#   whole batch.
# Seen:
# | without a draft model: 4 pages, token_ids 100, 101, 102, ...
# | with one: 3 pages, token_ids (100, 101), (101, 102), (102, 103), ...
# | keys that both have: 0
# | events without a draft model, read by SGLang's class: read
# | events with one: Expected `int`, got `array` - at `$[1][0].token_ids[0]`
# Why it matters: whoever turns speculative decoding on begins with an empty cache, and where half of the
#   engines have it, everything is stored twice. A reader of events that knows only integers sees
#   nothing of these engines.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install $(<"$here/sglang_pages.txt")
sglang_hash
python - <<'PYTHON' 2>"$work/log" | check
import msgspec

import sglang_pages


def read(events: list[sglang_pages.BlockStored]) -> str:
    content = msgspec.msgpack.encode(sglang_pages.KVEventBatch(ts=1.0, events=events))
    try:
        msgspec.msgpack.decode(content, type=sglang_pages.KVEventBatch)
    except msgspec.ValidationError as error:
        return str(error)
    return "read"


plain, drafted = sglang_pages.node(), sglang_pages.node(speculative=True)
for name, node in (("without a draft model", plain), ("with one", drafted)):
    (stored,) = msgspec.to_builtins(sglang_pages.events(node))
    tokens = ", ".join(str(token) for token in stored["token_ids"][:3])
    print(f"{name}: {len(sglang_pages.keys(node))} pages, token_ids {tokens}, ...")
print("keys that both have:", len({*sglang_pages.keys(plain)} & {*sglang_pages.keys(drafted)}))
print("events without a draft model, read by SGLang's class:", read(sglang_pages.events(plain)))
print("events with one:", read(sglang_pages.events(drafted)))
PYTHON
