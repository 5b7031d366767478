"""A stock client's exit unlinks the segment's public name, and it comes back; a native one's does
not touch it."""

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

import samples
from client_exit import SIZE
from daemon import RELINKS, wait_until
from samples import NATIVE, STOCK, in_process_key, mp_key, payload

# What the daemon promises, in seconds, and how often the name is looked at within that time: a
# count stands still while the machine holds this process up.
NAME_BACK_WITHIN = 1.0
LOOK_INTERVAL = 0.002
LOOKS_MAX = NAME_BACK_WITHIN / LOOK_INTERVAL
# For the client's process to start, work and end, and for the tracker to unlink, in seconds.
CLIENT_ENDED_WITHIN = 90.0
UNLINKED_WITHIN = 60.0
EXITS = 2


class Watch:
    """Polls the public name: the longest absence, in looks, and every inode seen."""

    def __init__(self, daemon) -> None:
        self.longest_absence = 0
        self.inodes: set[int] = set()
        self._daemon = daemon
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        absence = 0
        while not self._stop.wait(LOOK_INTERVAL):
            inode = self._daemon.inode()
            if inode is not None:
                absence = 0
                self.inodes.add(inode)
                continue
            absence += 1
            self.longest_absence = max(self.longest_absence, absence)


@pytest.mark.only(STOCK)
def test_the_name_is_back_within_a_second_with_the_same_inode(
    make_daemon, in_process, multi_process
):
    daemon = make_daemon("64MiB")
    inode = daemon.inode()
    one, other = in_process(daemon), multi_process(daemon)
    assert one.put(in_process_key(1, "attached"), payload(SIZE, "attached"))
    assert other.store([mp_key(1, "attached")], [payload(SIZE, "attached")])
    with Watch(daemon) as watch:
        for number in range(EXITS):
            _run_client(daemon, STOCK, number)
            restored = partial(_was_restored, daemon, number + 1)
            wait_until(restored, UNLINKED_WITHIN, "the exit unlinked the name, and it is back")
            assert daemon.inode() == inode
    assert watch.inodes == {inode}
    assert watch.longest_absence <= LOOKS_MAX
    # The clients that were attached all the while notice nothing, and new ones can attach.
    assert one.get(in_process_key(1, "attached")) == payload(SIZE, "attached")
    assert other.load([mp_key(1, "attached")], [SIZE]) == [payload(SIZE, "attached")]
    assert other.transport()["shared_memory_current"]
    assert in_process(daemon).get(in_process_key(0, "exit")) == payload(SIZE, "exit", 0)
    assert multi_process(daemon).load([mp_key(1, "attached")], [SIZE]) != [None]


def test_the_exit_of_a_native_client_does_not_unlink_the_name(make_daemon):
    daemon = make_daemon("64MiB")
    inode = daemon.inode()
    with Watch(daemon) as watch:
        _run_client(daemon, NATIVE, 0)
    assert watch.inodes == {inode}
    assert watch.longest_absence == 0
    assert daemon.metric(RELINKS) == 0


def _was_restored(daemon, times: int) -> bool:
    return daemon.metric(RELINKS) == times


def _run_client(daemon, kind: str, number: int) -> None:
    script = Path(__file__).with_name("client_exit.py")
    command = [sys.executable, script, kind, str(daemon.port), daemon.segment, str(number)]
    environment = {samples.SEED_VARIABLE: str(samples.SEED), "LMCACHE_TRACK_USAGE": "false"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=CLIENT_ENDED_WITHIN
    )
    assert done.returncode == 0, done.stderr
