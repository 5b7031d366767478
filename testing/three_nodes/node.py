"""Three nodes on one machine: each daemon has a port, a segment and a disk of its own."""

import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from daemon import Daemon, wait_until

NAMES = ("a", "b", "c")
BUCKET = "lmcache"
# What an arena holds is less than what the nodes store.
CAPACITY = "64MiB"
DISK = "256MiB"
OBJECT_LEN = 3 << 20
OBJECTS = 24

# A node reads every 5 s which names the others have published, and tries a tier that failed
# again after 30 s at most.
KNOWN_WITHIN = 60.0
QUIET_WITHIN = 60.0


class WrongSource(Exception):
    """An object that did not come from where it should, or other bytes than were stored."""


def content(number: int) -> bytes:
    """The bytes of an object."""
    return random.Random(number).randbytes(OBJECT_LEN)


def key(number: int) -> str:
    """The name of an object."""
    return f"object-{number:02}"


class Node:
    """One node: its daemon, and what its clients do."""

    def __init__(self, name: str, binary: Path, folder: Path, store) -> None:
        disk = folder / f"disk-{name}"
        disk.mkdir()
        config = f'[tier.nvme]\npath = "{disk}"\ncapacity = "{DISK}"\nrate_min = "none"\n'
        config += f'[tier.remote]\nurl = "{store.url}"\nrate_min = "none"\n'
        self.name = name
        self.tiers = ("nvme", store.tier)
        self.daemon = Daemon(binary, folder, CAPACITY, config, store.environment)

    def put(self, number: int) -> None:
        """Stores an object, and waits until the tiers have what they are to have."""
        url = f"http://127.0.0.1:{self.daemon.port}/v1/kv/{BUCKET}/{key(number)}"
        request = urllib.request.Request(url, data=content(number), method="PUT")
        urllib.request.urlopen(request, timeout=30).close()
        wait_until(self.is_quiet, QUIET_WITHIN, f"{self.name} has written to its tiers")

    def read(self, number: int) -> str:
        """Reads an object, compares every byte, and returns where it came from."""
        before = self._hits()
        try:
            found = self.daemon.stored(key(number))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return "nowhere"
        if found != content(number):
            raise WrongSource(f"{self.name} read other bytes than were stored: {key(number)}")
        after = self._hits()
        tiers = [tier for tier in self.tiers if after[tier] > before[tier]]
        return tiers[0] if tiers else "memory"

    def expect(self, numbers: Iterable[int], source: str) -> None:
        """Reads objects, and prints where each came from; fails unless it is the expected place."""
        for number in numbers:
            found = self.read(number)
            print(f"  {self.name} reads {key(number)}: from {found}", flush=True)
            if found != source:
                raise WrongSource(
                    f"an object did not come from where it should, node=`{self.name}` "
                    f"object=`{key(number)}` expected=`{source}` found=`{found}`"
                )

    def wait_until_known(self, number: int) -> None:
        """Waits until the node reports an object that another one stored."""
        what = f"{self.name} knows of {key(number)}"
        wait_until(lambda: self._reports(number), KNOWN_WITHIN, what)

    def is_quiet(self) -> bool:
        """Whether nothing waits for a tier that works, and there is room for the next object.

        The daemon chooses what leaves on a thread of its own, some time after it has answered.
        Until then nothing waits, and the next object would take the room of one without a copy.
        """
        if self.daemon.metric("kvlease_free_bytes") < OBJECT_LEN:
            return False
        broken = [self.daemon.metric("kvlease_tier_broken", tier=tier) for tier in self.tiers]
        queued = [self.daemon.metric("kvlease_tier_queued", tier=tier) for tier in self.tiers]
        return not any(queue for queue, failed in zip(queued, broken, strict=True) if not failed)

    def uses_store(self) -> bool:
        """Whether the node does not leave the shared store alone."""
        return not self.daemon.metric("kvlease_tier_broken", tier=self.tiers[-1])

    def _hits(self) -> dict[str, float]:
        name = "kvlease_tier_hits_total"
        return {tier: self.daemon.metric(name, tier=tier) for tier in self.tiers}

    def _reports(self, number: int) -> bool:
        url = f"http://127.0.0.1:{self.daemon.port}/v1/kv/{BUCKET}/{key(number)}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60).close()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True


class LocalReads:
    """Reads of objects in a node's memory, one after the other until the end of the block."""

    def __init__(self, node: Node, numbers: tuple[int, ...]) -> None:
        self._node, self._numbers = node, numbers
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._reads, self._longest = 0, 0.0
        self._fault: BaseException | None = None

    def __enter__(self) -> "LocalReads":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        print(
            f"  {self._node.name} read {self._reads} times from its memory meanwhile, "
            f"the longest read took {1000 * self._longest:.0f} ms",
            flush=True,
        )

    def _run(self) -> None:
        contents = {number: content(number) for number in self._numbers}
        try:
            while not self._done.is_set():
                for number, expected in contents.items():
                    started = time.monotonic()
                    found = self._node.daemon.stored(key(number))
                    self._longest = max(self._longest, time.monotonic() - started)
                    self._reads += 1
                    if found != expected:
                        raise WrongSource(f"{self._node.name} read other bytes: {key(number)}")
        except BaseException as fault:
            self._fault = fault
