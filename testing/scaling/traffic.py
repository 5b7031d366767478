#!/usr/bin/env python3
"""What a shared store sees of each node, from traces of requests.

    usage: traffic.py [options] TRACE...

A trace has one JSON object a line, as the Mooncake traces do: `hash_ids` names the blocks of 512
tokens of a prompt, and equal ids are equal prefixes. The requests are dealt to the nodes in turns.
A node keeps the blocks that it used last in its memory and on its disk. What it has not, it loads
from the store if any node has stored it, and otherwise computes and stores.

The figures are those of a node that serves `--rate` requests a second. The second table is the
directory of names, which all nodes read.
"""

import argparse
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK_TOKENS = 512

# How values are split: docs/remote-tier.md.
VALKEY_PIECE = 4 * MIB
S3_PART = 8 * MIB
# Seconds between two readings of the directory, entries of a node in it, and names in one page of
# S3's listing.
READ_EVERY = 5
ENTRIES = 20
PAGE = 1000


@dataclass
class Traffic:
    """Blocks of all requests, by what became of them."""

    requests: int = 0
    local: int = 0
    loaded: int = 0
    stored: int = 0


class Node:
    """The blocks that a node has in its memory and on its disk, by last use."""

    def __init__(self, blocks_max: int) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._max = blocks_max

    def use(self, block: int) -> bool:
        """Whether the node had the block; it has it now."""
        had = block in self._blocks
        self._blocks[block] = None
        self._blocks.move_to_end(block)
        if len(self._blocks) > self._max:
            self._blocks.popitem(last=False)
        return had


def replay(prompts: list[list[int]], nodes: int, blocks_max: int) -> Traffic:
    """Deals the prompts to the nodes in turns, and counts what becomes of their blocks."""
    all_nodes = [Node(blocks_max) for _ in range(nodes)]
    store: set[int] = set()
    traffic = Traffic(requests=len(prompts))
    for number, blocks in enumerate(prompts):
        node = all_nodes[number % nodes]
        for block in blocks:
            if node.use(block):
                traffic.local += 1
            elif block in store:
                traffic.loaded += 1
            else:
                traffic.stored += 1
                store.add(block)
    return traffic


def to_store(object_len: int) -> tuple[int, int]:
    """Requests to store an object: to S3, and to Valkey."""
    parts, pieces = -(-object_len // S3_PART), -(-object_len // VALKEY_PIECE)
    # Is it there? Then the object, in parts between a begin and an end, and its name.
    s3 = 1 + (1 if parts == 1 else parts + 2) + 1
    # Each piece is stored and then kept; the name is a field of a hash and its node in a set.
    valkey = 1 + (1 if pieces == 1 else 2 * pieces + 1) + 2
    return s3, valkey


def to_load(object_len: int) -> tuple[int, int]:
    """Requests to look an object up and load it: from S3, and from Valkey."""
    parts, pieces = -(-object_len // S3_PART), -(-object_len // VALKEY_PIECE)
    return 1 + parts, 1 + (1 if pieces == 1 else pieces + 1)


def to_read_names(nodes: int) -> tuple[float, float]:
    """Requests a second of all nodes to read the directory: of S3, and of Valkey."""
    # Every node finds at least one new entry of every other one.
    new = nodes - 1
    pages = -(-nodes * ENTRIES // PAGE)
    return nodes * (pages + new) / READ_EVERY, nodes * (1 + nodes + new) / READ_EVERY


def main() -> None:
    options = _options()
    block_len = BLOCK_TOKENS * options.token_bytes
    object_len = options.object_tokens * options.token_bytes
    objects = BLOCK_TOKENS / options.object_tokens
    print(f"objects of {object_len / MIB:.0f} MiB, {options.rate:g} requests a second and node\n")
    columns = "local store computed in,_GB/s out,_GB/s S3,_1/s Valkey,_1/s".split()
    _row("trace", "nodes", *(column.replace("_", " ") for column in columns))
    _row(*["---"] * 9)
    for trace in options.traces:
        prompts = [json.loads(line)["hash_ids"] for line in trace.read_text().splitlines()]
        for nodes in options.nodes:
            seen = replay(prompts, nodes, int(options.local_gib * GIB / block_len))
            blocks = seen.local + seen.loaded + seen.stored
            a_second = options.rate / seen.requests
            stores, loads = seen.stored * objects * a_second, seen.loaded * objects * a_second
            shares = [f"{100 * n / blocks:.1f} %" for n in (seen.local, seen.loaded, seen.stored)]
            rates = [f"{n * object_len / 1e9:.2f}" for n in (stores, loads)]
            calls = [
                f"{stores * put + loads * get:.0f}"
                for put, get in zip(to_store(object_len), to_load(object_len), strict=True)
            ]
            _row(trace.stem, nodes, *shares, *rates, *calls)
    print()
    _row("nodes", "directory: S3, 1/s", "Valkey, 1/s")
    _row(*["---"] * 3)
    for nodes in options.nodes:
        s3, valkey = to_read_names(nodes)
        _row(nodes, f"{s3:.0f}", f"{valkey:.0f}")


def _row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE")
    parser.add_argument("--nodes", type=_numbers, default=[1, 10, 1000], help="1,10,1000")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second of a node")
    parser.add_argument("--token-bytes", type=int, default=320 * KIB, help="KV of a token")
    parser.add_argument("--object-tokens", type=int, default=256, help="tokens of an object")
    parser.add_argument("--local-gib", type=float, default=4096, help="memory and disk of a node")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    main()
