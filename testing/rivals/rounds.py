"""The stores' clients take turns, so that each meets the same machine."""

import os
import select
import statistics
import subprocess
from dataclasses import dataclass, field

from daemon import die_with_parent
from rival import Rival, Site, Unavailable
from worker import MIB

OPERATIONS = ("put", "get", "view")
WARM_UP_ROUNDS = 2
# Bytes of one turn: several times as many as a cache of the processor holds.
TURN_BYTES = 128 * MIB
VERIFIED = 4
# The most time for an answer, in seconds. A turn of the slowest takes about one.
ANSWER_WITHIN = 120.0


class Player:
    """A participating store, with its servers and its client's process."""

    def __init__(self, rival: Rival, site: Site) -> None:
        self.rival = rival
        self._site = site
        self._unread = b""
        # Size, first number and count of the objects that it has.
        self._stored: tuple[int, int, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            command, variables = rival.start(site)
            with open(site.log, "ab") as log:
                self._process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=site.folder,
                    env=variables,
                    preexec_fn=die_with_parent,
                )
            self.greeting = self._answer()
        except BaseException:
            self.end()
            raise

    def play(self, what: str, size: int, first: int, count: int) -> list[float]:
        """Makes the client run an operation `count` times; returns the seconds of each call.

        A put takes the place of all that was put before, which is removed behind the clock.
        """
        if what == "put":
            if self._stored is not None:
                self._order("remove", *self._stored)
            self._stored = size, first, count
        return self._order(what, size, first, count)

    def end(self) -> None:
        """Ends the client, then the servers."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._site.ends.close()

    def _order(self, what: str, size: int, first: int, count: int) -> list[float]:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(f"{what} {size} {first} {count}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Unavailable(f"its client ended: {self._site.last_words()}") from error
        return [float(seconds) for seconds in self._answer().split()]

    def _answer(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        output = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([output], [], [], ANSWER_WITHIN)[0]:
                raise Unavailable(f"its client gave no answer within {ANSWER_WITHIN} s")
            read = os.read(output, 1 << 16)
            if not read:
                raise Unavailable(f"its client ended: {self._site.last_words()}")
            self._unread += read
        line, self._unread = self._unread.split(b"\n", 1)
        outcome, _, rest = line.decode().partition(" ")
        if outcome != "ok":
            raise Unavailable(rest)
        return rest


@dataclass(frozen=True)
class Row:
    """The times of one store for one operation: the median of its calls, round by round."""

    rival: Rival
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds of one call."""
        return statistics.median(self.seconds)

    def times_as_long_as(self, other: "Row") -> float:
        """The median of the ratios of the rounds."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(own / others for own, others in pairs)


@dataclass(frozen=True)
class Measured:
    """The rows of one size, by operation and then by the store's name."""

    size: int
    rounds: int
    calls: int
    yardsticks: tuple[str, str]
    rows: dict[str, dict[str, Row]]


class Contest:
    """The participating stores, and the reasons against the others."""

    def __init__(self, yardsticks: tuple[str, str]) -> None:
        self.players: list[Player] = []
        self.absent: dict[str, str] = {}
        self._yardsticks = yardsticks
        # The number of the next object: no key is ever used again.
        self._next = 0

    def join(self, player: Player) -> None:
        """Adds one that has been started."""
        self.players.append(player)

    def leave(self, name: str, reason: str) -> None:
        """Continues without a failed store, unless it is one that all others are compared with."""
        self.absent[name] = reason
        for player in [player for player in self.players if player.rival.name == name]:
            self.players.remove(player)
            player.end()
        if name in self._yardsticks:
            self.end()
            raise SystemExit(f"error: {name} is not available: {reason}")

    def measure(self, size: int, rounds: int) -> Measured:
        """Makes all stores put, get and view objects of one size, for a number of rounds."""
        for operation in ("put", "verify"):
            for player in list(self.players):
                self._play(player, operation, size, VERIFIED)
        self._next += VERIFIED
        rows = {
            operation: {player.rival.name: Row(player.rival) for player in self._able_to(operation)}
            for operation in OPERATIONS
        }
        calls = TURN_BYTES // size
        for number in range(WARM_UP_ROUNDS + rounds):
            for operation, of_operation in rows.items():
                for player in _in_turn(self._able_to(operation), number):
                    seconds = self._play(player, operation, size, calls)
                    if seconds and number >= WARM_UP_ROUNDS:
                        of_operation[player.rival.name].seconds.append(statistics.median(seconds))
            self._next += calls
        for of_operation in rows.values():
            # One that left half-way has no result.
            for name in set(of_operation) & set(self.absent):
                del of_operation[name]
        return Measured(size, rounds, calls, self._yardsticks, rows)

    def end(self) -> None:
        """Ends every client and server."""
        for player in self.players:
            player.end()

    def _able_to(self, operation: str) -> list[Player]:
        return [it for it in self.players if operation != "view" or it.rival.has_views]

    def _play(self, player: Player, what: str, size: int, count: int) -> list[float]:
        try:
            return player.play(what, size, self._next, count)
        except Unavailable as reason:
            self.leave(player.rival.name, f"{what} failed: {reason}")
            return []


def _in_turn(players: list[Player], round_number: int) -> list[Player]:
    """The stores in a round's order: each begins with another, every second one is reversed."""
    start = round_number % len(players)
    order = players[start:] + players[:start]
    return order if round_number % 2 else order[::-1]
