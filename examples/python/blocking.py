"""Stores an object, reads it in three ways, and removes it.

kvlease serve &
python examples/python/blocking.py [URL [SEGMENT]]
"""

import sys

import kvlease


def main(url: str, segment: str) -> None:
    """One object: as bytes, into a buffer, and where it is."""
    settings = kvlease.ConnectorSettings(url, bucket="example", shared_memory_name=segment)
    content = b"some state" * 100_000
    with kvlease.Connector(settings) as connector:
        print("stored" if connector.put("a key", content) else "it was there")
        assert connector.get("a key") == content
        buffer = bytearray(len(content))
        assert connector.get_into("a key", buffer) and buffer == content
        with connector.view("a key") as view:
            total = sum(memoryview(view)[:10])
            assert view.is_live, "the lease ended meanwhile: total is invalid"
        print(f"the first ten bytes add up to {total}")
        connector.remove("a key")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    url = arguments[0] if arguments else "kvlease://127.0.0.1:9200"
    main(url, arguments[1] if len(arguments) > 1 else "shared_memory")
