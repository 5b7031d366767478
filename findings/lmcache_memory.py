"""LMCache's host memory, as far as its in-process connectors ask for it."""

from types import SimpleNamespace


class HostMemory:
    config = SimpleNamespace(extra_config=None)
    metadata = SimpleNamespace(
        chunk_size=256,
        use_mla=False,
        get_shapes=lambda: [],
        get_dtypes=lambda: [],
        get_num_groups=lambda: 1,
    )
