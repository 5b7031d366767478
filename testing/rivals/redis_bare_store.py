"""Redis over a Unix socket, with its protocol spoken by hand from the caller's buffers: no copy is
made on the way, so that no client of Redis is much faster."""

import socket
from collections.abc import Mapping

import installs
from redis_store import Redis
from rival import Command, Site, worker


class RedisBare(Redis):
    name = "Redis, bare protocol"

    @classmethod
    def prepare(cls, site: Site) -> "RedisBare":
        cls.install_server()
        return cls()

    def start(self, site: Site) -> tuple[Command, Mapping[str, str] | None]:
        return worker(installs.interpreter(), "redis_bare_store", self.serve(site)), None


class Client:
    greeting = "sendmsg out of and recv_into the caller's buffers, from Python"

    def __init__(self, source: memoryview, target: memoryview, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)

    def put(self, key: str, source: memoryview) -> None:
        self._send(_words("SET", key, values=1), b"$%d\r\n" % len(source), source, b"\r\n")
        self._expect(b"+OK")

    def get(self, key: str, target: memoryview) -> memoryview:
        self._send(_words("GET", key))
        self._expect(b"$%d" % len(target))
        self._receive(target)
        self._receive(memoryview(bytearray(len(b"\r\n"))))
        return target

    def remove(self, keys: list[str]) -> None:
        for key in keys:
            self._send(_words("DEL", key))
            self._expect(b":1")

    def _send(self, *parts: bytes | memoryview) -> None:
        left = [memoryview(part) for part in parts]
        while left:
            sent = self._socket.sendmsg(left)
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if sent:
                left[0] = left[0][sent:]

    def _expect(self, answer: bytes) -> None:
        """Reads as many bytes as the answer has; any other answer ends the client."""
        line = bytearray(len(answer) + len(b"\r\n"))
        self._receive(memoryview(line))
        if line != answer + b"\r\n":
            raise ValueError(f"not the answer, answer=`{line!r}` expected=`{answer!r}`")

    def _receive(self, target: memoryview) -> None:
        filled = 0
        while filled < len(target):
            read = self._socket.recv_into(target[filled:])
            if not read:
                raise ConnectionError("the server closed the connection")
            filled += read


def _words(*words: str, values: int = 0) -> bytes:
    """The beginning of a command with this number of further values."""
    parts = [b"*%d\r\n" % (len(words) + values)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
    return b"".join(parts)


connect = Client
