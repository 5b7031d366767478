"""Stores the chunks of a prompt, and reads the part of another prompt that is cached.

kvlease serve &
python examples/python/asyncio_prefix.py [URL [SEGMENT]]
"""

import asyncio
import hashlib
import sys

import kvlease
import kvlease.asyncio

CHUNK = 4


def keys(prompt: str) -> list[str]:
    """A key for each chunk of words, which has the words before it as well."""
    words = prompt.split()
    ends = range(CHUNK, len(words) + 1, CHUNK)
    return [hashlib.sha256(" ".join(words[:end]).encode()).hexdigest() for end in ends]


async def main(url: str, segment: str) -> None:
    """Two prompts with the same beginning."""
    first = "you are a helpful assistant who answers in one short sentence what is a cache"
    second = "you are a helpful assistant who answers in one short sentence why do leaves fall"
    settings = kvlease.ConnectorSettings(url, bucket="example", shared_memory_name=segment)
    async with kvlease.asyncio.Connector(settings) as connector:
        chunks = [f"state {number}".encode() * 1000 for number in range(len(keys(first)))]
        stored = await connector.batched_put(keys(first), chunks)
        print(f"stored {stored.count(True)} chunks")
        hits = await connector.lookup_prefix(keys(second))
        read = await connector.batched_get(keys(second)[:hits])
        assert read == chunks[:hits]
        print(f"{hits} of {len(keys(second))} chunks of the second prompt were cached")
        # Calls run side by side on one loop.
        await asyncio.gather(*(connector.remove(key) for key in keys(first)))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    url = arguments[0] if arguments else "kvlease://127.0.0.1:9200"
    asyncio.run(main(url, arguments[1] if len(arguments) > 1 else "shared_memory"))
