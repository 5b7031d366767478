#!/usr/bin/env python3
"""Measures what subscribers that fall behind, or leave, cost the requests of others.

    usage: measure.py URL [ROUNDS]

Each round measures puts, gets and removals with no subscriber; with subscribers that read nothing,
first while their buffers fill and then when they have fallen behind; and with subscribers that come
and go. Prints the 99th percentile of each, and its ratio to that with no subscriber: the median of
all rounds. Only the standard library is needed.
"""

import http.client
import socket
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable

BUCKET = "events-measured"
REQUESTS = 700
SUBSCRIBERS = 16
BODY = bytes(4096)


def main() -> None:
    """Runs the rounds, and prints a line for each kind of subscriber."""
    url = urllib.parse.urlsplit(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    address = (url.hostname or "127.0.0.1", url.port or 9200)
    kinds = {
        "no subscriber": _none,
        "who read nothing": _silent,
        "who are behind": _behind,
        "who come and go": _fleeting,
    }
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    _requests(address)
    for _ in range(rounds):
        for kind, subscribe in kinds.items():
            stop = threading.Event()
            threads = subscribe(address, stop)
            found[kind].append(_requests(address))
            stop.set()
            for thread in threads:
                thread.join()
    for kind, values in found.items():
        ratios = [value / base for value, base in zip(values, found["no subscriber"], strict=True)]
        p99, ratio = statistics.median(values), statistics.median(ratios)
        print(f"{kind:18} p99 {p99 * 1e6:7.0f} us, {ratio:.2f} of that with no subscriber")


def _requests(address: tuple[str, int]) -> float:
    """The 99th percentile of the times of single requests, in seconds."""
    connection = http.client.HTTPConnection(*address)
    times = []
    for number in range(REQUESTS):
        path = f"/v1/kv/{BUCKET}/{number}"
        for method, body in (("PUT", BODY), ("GET", None), ("DELETE", None)):
            begin = time.perf_counter()
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - begin)
            if answer.status != 200:
                raise SystemExit(f"error: {method} {path} was answered {answer.status}")
    connection.close()
    return statistics.quantiles(times, n=100)[98]


def _none(address: tuple[str, int], stop: threading.Event) -> list[threading.Thread]:
    return []


def _silent(address: tuple[str, int], stop: threading.Event) -> list[threading.Thread]:
    """Subscribers that read nothing."""
    sockets = [_subscribed(address) for _ in range(SUBSCRIBERS)]

    def hold() -> None:
        stop.wait()
        for each in sockets:
            each.close()

    return _started(hold)


def _behind(address: tuple[str, int], stop: threading.Event) -> list[threading.Thread]:
    """Subscribers that read nothing, whose sockets are full: 1,400 events are 260 KB."""
    threads = _silent(address, stop)
    _requests(address)
    return threads


def _fleeting(address: tuple[str, int], stop: threading.Event) -> list[threading.Thread]:
    """Subscribers that leave a moment after they came."""

    def come_and_go() -> None:
        while not stop.wait(0.02):
            _subscribed(address).close()

    return _started(come_and_go)


def _subscribed(address: tuple[str, int]) -> socket.socket:
    subscriber = socket.socket()
    subscriber.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    subscriber.connect(address)
    subscriber.sendall(b"GET /v1/events?snapshot=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return subscriber


def _started(work: Callable[[], None]) -> list[threading.Thread]:
    thread = threading.Thread(target=work)
    thread.start()
    return [thread]


if __name__ == "__main__":
    main()
