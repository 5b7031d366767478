"""A process that stores one object with the in-process client and exits without closing it.

    usage: stock_client_exit.py PORT SEGMENT NUMBER

CPython's resource tracker registers the attached segment as if this process had made it, and
unlinks its public name when the process has ended. The in-process client cannot prevent it.
"""

import sys
from types import SimpleNamespace

from in_process import InProcess, host_memory
from samples import in_process_key, payload

SIZE = 100_000


def main() -> None:
    port, segment, number = sys.argv[1:]
    daemon = SimpleNamespace(url=f"sagemaker-hyperpod://127.0.0.1:{port}", segment=segment)
    client = InProcess(daemon, host_memory())
    key = in_process_key(int(number), "exit")
    content = payload(SIZE, "exit", number)
    assert client.put(key, content)
    assert client.get(key) == content


if __name__ == "__main__":
    main()
