"""A process that stores one object with the in-process client and exits without closing it.

    usage: client_exit.py KIND PORT SEGMENT NUMBER

With the stock client, CPython's resource tracker registers the attached segment as if this process
had made it, and unlinks its public name when the process has ended. That client cannot prevent it.
The native one does not use what the tracker tracks.
"""

import sys
from types import SimpleNamespace

from in_process import InProcess, host_memory
from samples import in_process_key, payload

SIZE = 100_000


def main() -> None:
    kind, port, segment, number = sys.argv[1:]
    daemon = SimpleNamespace(port=int(port), segment=segment)
    client = InProcess(daemon, host_memory(), kind)
    key = in_process_key(int(number), "exit")
    content = payload(SIZE, "exit", number)
    assert client.put(key, content)
    assert client.get(key) == content


if __name__ == "__main__":
    main()
