"""Answers to look-ups, for as long as a request that asked lives.

A chunk that the daemon's published index names is found at once. All others are asked for together
at the end of the scheduler's step. An answer is kept until the last request that asked for the
chunk has finished, so that all of its look-ups agree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Verdict:
    # None until the daemon has answered.
    found: bool | None = None
    requests: set[str] = field(default_factory=set)


class Verdicts:
    """What is known of chunks, by key. All calls are those of one thread at a time."""

    def __init__(self) -> None:
        self._verdicts: dict[bytes, _Verdict] = {}
        # The keys that each live request asked for.
        self._asked_by: dict[str, set[bytes]] = {}
        self._unasked: list[bytes] = []

    def begin(self, request: str) -> None:
        """A request lives from now on."""
        self._asked_by.setdefault(request, set())

    def known(self, key: bytes) -> bool:
        """Whether the key was asked for, or its load has failed."""
        return key in self._verdicts

    def is_found(self, key: bytes) -> bool:
        """Whether a request asked for the chunk, and it exists."""
        verdict = self._verdicts.get(key)
        return verdict is not None and verdict.found is True

    def ask(self, key: bytes, request: str) -> bool | None:
        """Whether the chunk exists; None while that is asked."""
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = _Verdict()
            self._unasked.append(key)
        self._keep(key, verdict, request)
        return verdict.found

    def take_unasked(self) -> list[bytes]:
        """The keys that the daemon is to be asked for now."""
        keys = [key for key in self._unasked if key in self._verdicts]
        self._unasked = []
        return keys

    def answer(self, keys: Collection[bytes], found: Collection[bool]) -> None:
        """Applies the daemon's answers. A failed load has decided more lately than they have."""
        for key, is_found in zip(keys, found, strict=True):
            verdict = self._verdicts.get(key)
            if verdict is not None and verdict.found is None:
                verdict.found = is_found

    def fail(self, keys: Collection[bytes], request: str) -> None:
        """A load of the keys failed: they are misses to all requests that know of them.

        Otherwise the scheduler would find them again, load them again, and so on.
        """
        for key in keys:
            verdict = self._verdicts.get(key)
            if verdict is None:
                if request not in self._asked_by:
                    continue
                verdict = self._verdicts[key] = _Verdict()
            verdict.found = False
            if request in self._asked_by:
                self._keep(key, verdict, request)

    def end(self, request: str) -> list[bytes]:
        """A request has finished: what no other request asked for is forgotten, and returned."""
        forgotten = []
        for key in self._asked_by.pop(request, ()):
            verdict = self._verdicts[key]
            verdict.requests.discard(request)
            if not verdict.requests:
                del self._verdicts[key]
                forgotten.append(key)
        return forgotten

    def _keep(self, key: bytes, verdict: _Verdict, request: str) -> None:
        verdict.requests.add(request)
        self._asked_by.setdefault(request, set()).add(key)
