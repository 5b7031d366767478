#!/usr/bin/env bash
# Subject: SGLang 0.5.23, HiCache's `file` storage backend (`HiCacheFile`).
# Guess: a page's key stands for its bytes: token hashes, and from the backend the model and the
#   parallel layout. A server that finds a key finds a page that it can use.
# Behaviour: neither the type of the KV nor its layout is in the name, and the file has no header. A
#   server with half as many bytes a page (fp8 beside bf16) reads the first half of the other's pages,
#   and takes it for a hit: only short files are noticed. And `/` in the model's name becomes `-`, so
#   that two models can have the same names.
# Seen:
# | org/model-a stores a page of 8 bytes: 1 2 3 4 5 6 7 8
# | the same model, pages of 4 bytes: 1 2 3 4
# | org-model/a: 1 2 3 4 5 6 7 8
# | files: 1
# Why it matters: no error is seen, only wrong answers. A store that several servers share needs type
#   and layout in its keys, whatever the engine puts there.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

install sglang==0.5.23 numpy==2.2.6 orjson==3.12.0
python - "$work/pages" <<'PYTHON' 2>"$work/log" | check
import os
import sys

import stand_ins

# torch is not used: pages are arrays with those methods of a tensor that the backend calls.
stand_ins.install(bare=["sglang", "sglang.srt"], empty=["torch", "sglang.srt.utils"])

import numpy
from sglang.srt.mem_cache.hicache_storage import HiCacheFile, HiCacheStorageConfig

KEY = "0123456789abcdef" * 4


class Page:
    def __init__(self, content: list[int]) -> None:
        self.array = numpy.array(content, dtype=numpy.uint8)

    def numel(self) -> int:
        return self.array.size

    def element_size(self) -> int:
        return self.array.itemsize

    def view(self, dtype: object = None) -> "Page":
        return self

    def contiguous(self) -> "Page":
        return self

    def numpy(self) -> numpy.ndarray:
        return self.array


def backend(model: str) -> HiCacheFile:
    config = HiCacheStorageConfig(
        tp_rank=0,
        tp_size=1,
        pp_rank=0,
        pp_size=1,
        attn_cp_rank=0,
        attn_cp_size=1,
        is_mla_model=False,
        enable_storage_metrics=False,
        is_page_first_layout=True,
        model_name=model,
    )
    return HiCacheFile(config, sys.argv[1])


def read(model: str, length: int) -> str:
    page = backend(model).get(KEY, Page([0] * length))
    return "absent" if page is None else " ".join(map(str, page.array))


backend("org/model-a").set(KEY, Page([1, 2, 3, 4, 5, 6, 7, 8]))
print("org/model-a stores a page of 8 bytes:", read("org/model-a", 8))
print("the same model, pages of 4 bytes:", read("org/model-a", 4))
print("org-model/a:", read("org-model/a", 8))
print("files:", len(os.listdir(sys.argv[1])))
PYTHON
