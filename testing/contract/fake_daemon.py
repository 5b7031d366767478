"""A daemon with only the three calls that the stock clients use: PUT, lease, release.

It stands for the daemons of other vendors. Its replies have nothing beyond the protocol: a lease
is `{"id", "offsets"}` to the letter, a miss is an empty 504, and every other request gets an empty
404. So no reply identifies the daemon.

It also has the worst behaviour that the protocol allows. Objects come in fragments that are cut
within the first 28 bytes, and every lease has its own copy of the object. The moment a lease is
released or has expired, its copy is overwritten with `POISON`. A client without a lease reads
that.

A test may replace the right answer by its own (`answer`), and may have the requests answered in
rounds (`in_rounds`): all requests under way are answered together, once no further one arrives.
The number of rounds is then the number of successive round trips.
"""

import asyncio
import json
import mmap
import os
import threading
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from daemon import SHM
from samples import MIB

POISON = 0xEE
# Where objects are cut into fragments, and the gap between two fragments.
CUTS = (5, 22, 4096)
GAP = 64
# A round ends when no request has arrived for this long, in seconds.
QUIET = 0.03
# What an answer without an end amounts to, if the client does not hang up before.
ENDLESS_LEN = 256 * MIB
STARTED_WITHIN = 60.0


@dataclass
class Request:
    """A client's request; `path` is as received, `query` is decoded."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def names(self) -> list[str]:
        """The parts of the path, decoded."""
        return [urllib.parse.unquote(part) for part in self.path.split("/")[1:]]

    @property
    def wants(self) -> str:
        """`put`, `lease`, `release`, or `other`."""
        names = self.names
        if self.method == "PUT" and len(names) == 4 and names[:2] == ["v1", "kv"]:
            return "put"
        if self.method == "POST" and len(names) == 5 and names[4] == "leases":
            return "lease"
        if self.method == "POST" and len(names) == 4 and names[3] == "release":
            return "release"
        return "other"


@dataclass
class Answer:
    """An answer: `raw`, then `repeat` without end; then the connection continues or ends."""

    raw: bytes
    repeat: bytes = b""
    ends: bool = False
    after: float = 0.0


@dataclass
class Lease:
    """A copy of an object in the segment."""

    extents: list[tuple[int, int]]
    expiry: asyncio.TimerHandle | None = None


@dataclass
class Counts:
    """The events so far."""

    leases: int = 0
    released: int = 0
    expired: int = 0
    other: list[str] = field(default_factory=list)


class FakeDaemon:
    """Serves on a port of its own, from a thread of its own, until `destroy`."""

    def __init__(self, capacity: int = 64 * MIB) -> None:
        self.segment = f"kvlease-contract-fake-{uuid.uuid4().hex[:12]}"
        self.port = 0
        self.counts = Counts()
        self.objects: dict[tuple[str, str], bytes] = {}
        # Puts another answer in the place of the right one; the right one if it returns None.
        self.answer: Callable[[Request], Answer | None] = lambda request: None
        self.in_rounds = False
        self.rounds: list[int] = []
        self._capacity = capacity
        self._memory = self._make_segment()
        self._cursor = 0
        self._leases: dict[str, Lease] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._round_end: asyncio.TimerHandle | None = None
        self._connections: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def path(self):
        """The segment's public name."""
        return SHM / self.segment

    def live(self) -> int:
        """Number of leases that are neither released nor expired."""
        return len(self._leases)

    def replace_segment(self, capacity: int) -> None:
        """Replaces the segment at the public name, as a daemon with a new segment does."""
        self._call(self._replace(capacity))

    def unlink(self) -> None:
        """Removes the public name; the segment stays."""
        os.link(self.path, self._second_name())
        self.path.unlink()

    def relink(self) -> None:
        """Restores the public name."""
        os.rename(self._second_name(), self.path)

    def drop_connections(self) -> None:
        """Breaks off all connections."""
        self._call(self._drop_connections())

    def destroy(self) -> None:
        """Ends everything and removes the segment."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTED_WITHIN)
        self._loop.close()
        for path in (self.path, self._second_name()):
            path.unlink(missing_ok=True)

    def _call(self, coroutine: Awaitable):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(STARTED_WITHIN)

    def _second_name(self):
        return self.path.with_name(f"{self.segment}.second")

    def _make_segment(self) -> mmap.mmap:
        # Complete before it has its name, so that no client maps an empty file.
        new = self.path.with_name(f"{self.segment}.new")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(descriptor, self._capacity)
            memory = mmap.mmap(descriptor, self._capacity)
        finally:
            os.close(descriptor)
        os.rename(new, self.path)
        return memory

    async def _replace(self, capacity: int) -> None:
        for lease_id in list(self._leases):
            self._end_lease(lease_id)
        self._capacity, self._cursor = capacity, 0
        self._memory.close()
        self._memory = self._make_segment()

    async def _drop_connections(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _stop(self) -> None:
        self._server.close()
        self._end_round()
        await self._drop_connections()
        for lease_id in list(self._leases):
            self._end_lease(lease_id)
        self._memory.close()

    # Connections

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve(reader, writer):
                    pass
        except asyncio.CancelledError:
            # A dropped connection: no caller waits for the task.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handles one request; returns whether the connection continues."""
        request = await _read_request(reader)
        await self._round()
        answer = self.answer(request) or Answer(self.right_answer(request))
        if answer.after:
            await asyncio.sleep(answer.after)
        writer.write(answer.raw)
        await writer.drain()
        sent = 0
        while answer.repeat and sent < ENDLESS_LEN:
            writer.write(answer.repeat)
            await writer.drain()
            sent += len(answer.repeat)
        return not (answer.ends or answer.repeat)

    async def _round(self) -> None:
        if not self.in_rounds:
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        if self._round_end:
            self._round_end.cancel()
        self._round_end = self._loop.call_later(QUIET, self._end_round)
        await turn

    def _end_round(self) -> None:
        if self._waiting:
            self.rounds.append(len(self._waiting))
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting = []

    # The protocol

    def right_answer(self, request: Request) -> bytes:
        """The answer by the protocol; on the daemon's own thread only, as `answer` is called."""
        names = request.names
        match request.wants:
            case "put":
                key = (names[2], names[3])
                exists = key in self.objects
                self.objects.setdefault(key, request.body)
                return reply(409 if exists else 200)
            case "lease":
                return self._grant((names[2], names[3]), float(request.query.get("ttl_s", "10")))
            case "release":
                if self._end_lease(names[2]):
                    self.counts.released += 1
                return reply(200)
            case _:
                self.counts.other.append(f"{request.method} {request.path}")
                return reply(404)

    def _grant(self, key: tuple[str, str], ttl: float) -> bytes:
        if key not in self.objects:
            return reply(504)
        lease_id = uuid.uuid4().hex
        lease = Lease(self._place(self.objects[key]))
        lease.expiry = self._loop.call_later(ttl, self._expire, lease_id)
        self._leases[lease_id] = lease
        self.counts.leases += 1
        offsets = [{"offset": offset, "len": length} for offset, length in lease.extents]
        return json_reply({"id": lease_id, "offsets": offsets})

    def _expire(self, lease_id: str) -> None:
        if self._end_lease(lease_id):
            self.counts.expired += 1

    def _end_lease(self, lease_id: str) -> bool:
        lease = self._leases.pop(lease_id, None)
        if lease is None:
            return False
        if lease.expiry:
            lease.expiry.cancel()
        for offset, length in lease.extents:
            self._memory[offset : offset + length] = bytes([POISON]) * length
        return True

    def _place(self, content: bytes) -> list[tuple[int, int]]:
        """Copies an object into the segment, in fragments in another order than their offsets."""
        borders = [0, *(cut for cut in CUTS if cut < len(content)), len(content)]
        pieces = [
            content[start:end]
            for start, end in zip(borders, borders[1:], strict=False)
            if end > start
        ]
        place = self._free_run(sum(len(piece) + GAP for piece in pieces))
        extents = []
        for piece in reversed(pieces):
            self._memory[place : place + len(piece)] = piece
            extents.append((place, len(piece)))
            place += len(piece) + GAP
        return extents[::-1]

    def _free_run(self, length: int) -> int:
        taken = sorted(extent for lease in self._leases.values() for extent in lease.extents)
        for _ in range(2):
            start = self._cursor
            for offset, extent in taken:
                if offset < start + length and start < offset + extent:
                    start = offset + extent
            if start + length <= self._capacity:
                self._cursor = start + length
                return start
            self._cursor = 0
        raise AssertionError("the fake daemon's segment is too small for the test")


def reply(status: int, body: bytes = b"", content_type: str = "") -> bytes:
    """A whole HTTP reply."""
    lines = [f"HTTP/1.1 {status} {status}", f"Content-Length: {len(body)}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_reply(document: object, status: int = 200) -> bytes:
    """A whole HTTP reply with a JSON body."""
    return reply(status, json.dumps(document).encode(), "application/json")


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:])
    }
    path, _, query = target.partition("?")
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    elif length := int(headers.get("content-length", "0")):
        body = await reader.readexactly(length)
    return Request(method, path, dict(urllib.parse.parse_qsl(query)), body)
