"""A router's view of the KV events: a subscriber over libzmq that asks for what it missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import zmq

# The number behind the last batch of a replay.
END = b"\xff" * 8
# How long an answer may take, in milliseconds.
ANSWER_MS = 20_000

# Blocks by their hash, as it is on the wire.
Hash = int | bytes


class Router:
    """The blocks that a publisher has announced, by the rules of docs/events.md."""

    def __init__(self, publish: int, replay: int, decode: Callable[[bytes], Any]) -> None:
        """Connects.

        Args:
            publish: The port of the publisher on this machine.
            replay: The port for requests for what was missed.
            decode: Makes the payload a batch: one of an engine's own classes, with `events` whose
                types have the names of the events.
        """
        self._decode = decode
        self._context = zmq.Context()
        self._subscriber = self._context.socket(zmq.SUB)
        self._subscriber.connect(f"tcp://127.0.0.1:{publish}")
        self._subscriber.subscribe(b"")
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.connect(f"tcp://127.0.0.1:{replay}")
        self.last = -1
        self.blocks: set[Hash] = set()
        self.events: list[Any] = []

    def close(self) -> None:
        """Ends both connections."""
        self._context.destroy(linger=0)

    def read(self, quiet_ms: int) -> None:
        """Takes all batches until none has come for this time."""
        while self._subscriber.poll(quiet_ms):
            _, number, payload = self._subscriber.recv_multipart()
            self._take(int.from_bytes(number, "big"), payload)

    def ask(self, start: int) -> None:
        """Takes the batches from this number on from the publisher's memory."""
        for number, payload in self._replayed(start):
            self._apply(number, payload)

    def _take(self, number: int, payload: bytes) -> None:
        if number > self.last + 1:
            self.ask(self.last + 1)
        if number > self.last:
            self._apply(number, payload)

    def _replayed(self, start: int) -> Iterator[tuple[int, bytes]]:
        self._dealer.send_multipart([b"", start.to_bytes(8, "big")])
        while True:
            assert self._dealer.poll(ANSWER_MS), "the publisher does not answer"
            empty, _, number, payload = self._dealer.recv_multipart()
            assert empty == b""
            if number == END:
                assert payload == b""
                return
            yield int.from_bytes(number, "big"), payload

    def _apply(self, number: int, payload: bytes) -> None:
        self.last = number
        for event in self._decode(payload).events:
            self.events.append(event)
            kind = type(event).__name__
            if kind == "BlockStored":
                self.blocks.update(event.block_hashes)
            elif kind == "BlockRemoved":
                self.blocks.difference_update(event.block_hashes)
            else:
                assert kind == "AllBlocksCleared"
                self.blocks.clear()
