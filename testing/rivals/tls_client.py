"""A client of HTTP within TLS that spends little time in Python."""

import re
import socket
import ssl

END_OF_HEAD = b"\r\n\r\n"
# Room for the head of an answer.
HEAD_LEN_MAX = 64 << 10
# The most time for an answer, in seconds.
ANSWER_WITHIN = 60.0


class Client:
    """A kept-alive connection. Answers are read into one buffer, at most this `size`."""

    def __init__(self, port: int, context: ssl.SSLContext, size: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self._buffer = bytearray(size + HEAD_LEN_MAX)

    def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, memoryview]:
        """Status and body of the answer."""
        length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode()
        self.socket.sendall(head)
        if body:
            self.socket.sendall(body)
        view, filled, end = memoryview(self._buffer), 0, -1
        while end < 0:
            filled += self._receive(view[filled:])
            end = self._buffer.find(END_OF_HEAD, 0, filled)
        start, answer = end + len(END_OF_HEAD), bytes(view[:end]).decode().lower()
        found = re.search(r"\r\ncontent-length: *(\d+)", answer)
        stop = start + (int(found[1]) if found else 0)
        while filled < stop:
            filled += self._receive(view[filled:])
        return int(answer.split(" ", 2)[1]), view[start:stop]

    def _receive(self, room: memoryview) -> int:
        count = self.socket.recv_into(room)
        if count == 0:
            raise ConnectionError("the server closed the connection")
        return count
