"""A client at work, so that there is something to see."""

import http.client
import json
import threading

from daemon import Daemon

MIB = 1 << 20


class Load:
    """A client that stores, reads, misses and is refused until it is told to stop.

    What it stores outgrows an arena of a test soon, so that objects are evicted.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.turns = 0
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._daemon.port, timeout=30)

        def ask(method: str, path: str, body: bytes | None = None) -> bytes:
            connection.request(method, path, body=body)
            return connection.getresponse().read()

        while not self._stop.wait(0.05):
            path = f"/v1/kv/prompts/{self.turns}"
            ask("PUT", path, bytes(MIB))
            lease = json.loads(ask("POST", f"{path}/leases?timeout_ms=1000&ttl_s=30"))
            ask("POST", f"/v1/leases/{lease['id']}/release")
            ask("GET", f"/v1/kv/prompts/{self.turns // 2}")
            ask("POST", "/v1/kv/prompts/absent/leases?timeout_ms=1000&ttl_s=30")
            self.turns += 1
