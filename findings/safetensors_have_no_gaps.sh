#!/usr/bin/env bash
# Subject: the safetensors format and library, safetensors 0.8.0.
# Guess: `data_offsets` says where a tensor is, so a writer may start each tensor on a page of its own,
#   for O_DIRECT and DMA, and a reader skips the bytes between.
# Behaviour: every byte behind the header has to belong to a tensor: gaps and spare bytes at the end
#   are refused. A tensor starts where the one before it ends. Padding has to be a tensor itself,
#   which then shows up among the names.
# Seen:
# | one tensor behind the other: k, v
# | v on the next page: SafetensorError: Error while deserializing: invalid offset for tensor `v`
# | spare bytes at the end: SafetensorError: Error while deserializing: incomplete metadata, file not fully covered
# | v on the next page, behind a tensor that pads: .pad, k, v
# Why it matters: KV chunks that are kept as safetensors files (LMCache's GDS backend does) cannot be
#   laid out for direct I/O and still be read by the library.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install safetensors==0.8.0 numpy==2.2.6
python - <<'PYTHON' | check
import json
import struct

from safetensors import SafetensorError
from safetensors.numpy import load

PAGE = 4096


def tensor(start: int, end: int) -> dict[str, object]:
    return {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}


def read(header: dict[str, dict[str, object]], length: int) -> str:
    text = json.dumps(header).encode()
    try:
        return ", ".join(sorted(load(struct.pack("<Q", len(text)) + text + bytes(length))))
    except SafetensorError as error:
        return f"SafetensorError: {error}"


k = tensor(0, 100)
on_a_page = tensor(PAGE, PAGE + 100)
print("one tensor behind the other:", read({"k": k, "v": tensor(100, 200)}, 200))
print("v on the next page:", read({"k": k, "v": on_a_page}, PAGE + 100))
print("spare bytes at the end:", read({"k": k}, PAGE))
padded = {"k": k, ".pad": tensor(100, PAGE), "v": on_a_page}
print("v on the next page, behind a tensor that pads:", read(padded, PAGE + 100))
PYTHON
