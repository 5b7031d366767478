"""Programs with a native client that end, fork, are stopped or killed while they work."""

import json
import random
import signal
import time

import pytest

import samples
from daemon import LEASES_EXPIRED_UNRELEASED, LEASES_LIVE, RELINKS, SHORT_TIMES, wait_until
from native_programs import FORKED, OBJECTS, SIZE
from programs import Programs
from samples import NATIVE, in_process_key, mp_key, payload

# A program that has nothing left to do ends within this many seconds, whatever is under way.
ENDED_WITHIN = 60.0
# How often each program is run. With LMCache, most of the time is what torch takes to end.
REPETITIONS = {"exits_in_process": 4, "exits_in_mp": 40, "exits_blocking": 60}
EXPIRED_WITHIN = 60.0
# Leases of a stopped program, in seconds, how often it is stopped for longer than that, and how
# many programs there are at most until that was in the middle of a copy.
SHORT_TTL = 0.05
STOPS = 25
STOPPED_PROGRAMS = 8


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    programs = Programs(tmp_path_factory.mktemp("programs"))
    yield programs
    programs.destroy()


@pytest.fixture
def daemon(make_daemon, in_process_of, multi_process_of):
    """A daemon with the objects that the programs read."""
    daemon = make_daemon("256MiB", SHORT_TIMES)
    one, other = in_process_of(NATIVE, daemon), multi_process_of(NATIVE, daemon)
    contents = [payload(SIZE, "old", number) for number in range(OBJECTS)]
    old = [in_process_key(number, "old") for number in range(OBJECTS)]
    assert one.put_all(old, contents) == OBJECTS
    assert other.store([mp_key(number, "old") for number in range(OBJECTS)], contents)
    return daemon


@pytest.mark.parametrize("name", REPETITIONS)
def test_a_program_ends_with_status_0_while_operations_are_under_way(programs, daemon, name):
    inode = daemon.inode()
    for number in range(REPETITIONS[name]):
        program = programs.start(name, daemon, number)
        assert program.status(ENDED_WITHIN) == 0, f"run {number}: {program.output()}"
        assert "Traceback" not in program.output(), program.output()
    assert daemon.inode() == inode
    assert daemon.metric(RELINKS) == 0
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, EXPIRED_WITHIN, "no lease lives")


def test_a_program_keeps_the_status_that_it_ends_with(programs, daemon):
    for number in range(20):
        program = programs.start("exits_with_an_exception", daemon, number)
        assert program.status(ENDED_WITHIN) == 7, program.output()


def test_the_leases_of_a_killed_program_expire_and_others_go_on(programs, daemon, multi_process_of):
    program = programs.start("holds_leases", daemon)
    program.wait_ready()
    assert daemon.metric(LEASES_LIVE) == OBJECTS
    inode = daemon.inode()
    program.send(signal.SIGKILL)
    assert program.status(ENDED_WITHIN) == -signal.SIGKILL
    client = multi_process_of(NATIVE, daemon)
    keys = [mp_key(number, "old") for number in range(OBJECTS)]
    contents = [payload(SIZE, "old", number) for number in range(OBJECTS)]
    assert client.load(keys, [SIZE] * OBJECTS) == contents
    assert daemon.inode() == inode
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, EXPIRED_WITHIN, "no lease lives")
    assert daemon.metric(LEASES_EXPIRED_UNRELEASED) >= OBJECTS


@pytest.mark.parametrize("name", ("forks", "forks_often"))
def test_a_forked_child_is_refused_and_its_parent_goes_on(programs, daemon, name):
    program = programs.start(name, daemon)
    assert program.status(4 * ENDED_WITHIN) == 0, program.output()
    assert FORKED in program.output()
    # Leases of the parent are the parent's to give back.
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, EXPIRED_WITHIN, "no lease lives")
    assert daemon.metric(RELINKS) == 0


def test_a_copy_whose_lease_ended_under_it_is_never_returned(programs, fake_daemon):
    """The fake daemon overwrites the bytes of a lease the moment it ends."""
    chance = random.Random(samples.SEED)
    for _ in range(STOPPED_PROGRAMS):
        program = programs.start("reads_for_ever", fake_daemon, SHORT_TTL)
        program.wait_ready()
        for _ in range(STOPS):
            time.sleep(chance.uniform(0.001, 0.03))
            program.send(signal.SIGSTOP)
            time.sleep(2 * SHORT_TTL)
            program.send(signal.SIGCONT)
        program.send(signal.SIGUSR1)
        assert program.status(ENDED_WITHIN) == 0, program.output()
        counts = json.loads(program.output().splitlines()[-1])
        assert counts["hits"] > 0, counts
        if counts["hits"] < counts["reads"]:
            break
    else:
        raise AssertionError("no copy was ever stopped")
    assert fake_daemon.counts.expired > 0
