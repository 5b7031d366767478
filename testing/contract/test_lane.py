"""The fast lane: native clients use it if they reach it, and work without it.

Which way was taken is asked of the daemon, which counts frames and requests.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from kvlease import Connector, ConnectorSettings

from daemon import LEASES_LIVE, SHORT_TIMES, wait_until
from samples import KIB, MIB, NATIVE, STOCK, in_process_key, mp_key, payload

FRAMES = "kvlease_lane_requests_total"
REQUESTS = "kvlease_requests_total"
CAPACITY = "128MiB"
OBJECTS = 6
SIZE = MIB + 2
# Memory that was leased at a restart is not used again before the leases have ended. In seconds.
SHORT_TTL = 1.0
# The lane is back, or everything is given back, within this many seconds.
RECOVERS_WITHIN = 60.0
RELEASED_WITHIN = 60.0
# A process that imports LMCache ends within this many seconds.
ENDED_WITHIN = 100.0
# How often a client that has no lane is asked: it must not say the same each time.
ASKED = 5


@dataclass
class Mode:
    """One of LMCache's two modes, as these tests use it."""

    make: Callable[..., Any]
    key: Callable[..., Any]
    ttl: dict[str, Any]

    def keys(self, name: str) -> list:
        return [self.key(number, name) for number in range(OBJECTS)]

    @staticmethod
    def put(client, keys, contents) -> bool:
        if hasattr(client, "store"):
            return client.store(keys, contents)
        return client.put_all(keys, contents) == len(keys)

    @staticmethod
    def get(client, keys) -> list[bytes | None]:
        if hasattr(client, "load"):
            # As LMCache's server does it: what a lookup found is held for the load.
            client.lookup(keys)
            return client.load(keys, [SIZE] * len(keys))
        return client.get_all(keys)


@pytest.fixture(params=("in process", "mp"))
def mode(request, in_process_of, multi_process_of):
    if request.param == "mp":
        return Mode(multi_process_of, mp_key, {"lease_ttl_ms": int(1000 * SHORT_TTL)})
    return Mode(in_process_of, in_process_key, {"lease_ttl_s": SHORT_TTL})


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(CAPACITY, SHORT_TIMES)


@pytest.fixture
def notices(caplog):
    """The lines of the package's logger: `notices()` is a list of level and text."""
    caplog.set_level(logging.INFO, "kvlease")

    def said() -> list[tuple[str, str]]:
        ours = [record for record in caplog.records if record.name == "kvlease"]
        return [(record.levelname, record.getMessage()) for record in ours]

    return said


def test_native_clients_take_the_lane_by_themselves(mode, daemon, notices):
    # With the published index there are no frames of reads to be counted.
    client = mode.make(NATIVE, daemon, index="none")
    for turn in range(3):
        keys, contents = mode.keys(f"turn {turn}"), _contents(turn)
        assert mode.put(client, keys, contents)
        assert mode.get(client, keys) == contents
    assert _frames(daemon, "acquire") > 0
    assert _frames(daemon, "commit") > 0
    _assert_no_more_requests(daemon, lambda: mode.get(client, mode.keys("turn 0")))
    text = f"taking the daemon's fast lane, socket=`{daemon.socket}` index=`none`"
    assert notices() == [("INFO", text)]
    wait_until(lambda: daemon.metric(LEASES_LIVE) == 0, RELEASED_WITHIN, "the leases are back")


def test_a_path_is_taken_from_the_first_call_on(mode, daemon):
    client = mode.make(NATIVE, daemon, socket=str(daemon.socket), index="none")
    keys, contents = mode.keys("path"), _contents("path")
    before = _requests(daemon)
    assert mode.put(client, keys, contents)
    assert mode.get(client, keys) == contents
    assert _requests(daemon) == before
    assert _frames(daemon, "acquire") > 0


@pytest.mark.parametrize("no", ("none", False))
def test_clients_that_are_told_not_to_take_the_lane_do_not(mode, daemon, notices, no):
    client = mode.make(NATIVE, daemon, socket=no)
    keys, contents = mode.keys("none"), _contents("none")
    for _ in range(3):
        mode.put(client, keys, contents)
        assert mode.get(client, keys) == contents
    assert _frames(daemon) == 0
    assert daemon.metric(REQUESTS, operation="acquire") > 0
    assert notices() == []


def test_a_daemon_without_a_socket_is_used_over_http(mode, make_daemon, notices):
    daemon = make_daemon(CAPACITY, '[server]\nsocket = "none"\n')
    client = mode.make(NATIVE, daemon)
    keys, contents = mode.keys("no socket"), _contents("no socket")
    for _ in range(3):
        mode.put(client, keys, contents)
        assert mode.get(client, keys) == contents
    assert notices() == []


def test_stock_writes_and_native_reads_over_the_lane(mode, daemon):
    keys, contents = mode.keys("stock writes"), _contents("stock writes")
    assert mode.put(mode.make(STOCK, daemon), keys, contents)
    client = mode.make(NATIVE, daemon, socket=str(daemon.socket))
    assert mode.get(client, keys) == contents
    assert _frames(daemon, "acquire") > 0


def test_native_writes_over_the_lane_and_stock_reads(mode, daemon):
    keys, contents = mode.keys("native writes"), _contents("native writes")
    client = mode.make(NATIVE, daemon, socket=str(daemon.socket))
    assert mode.put(client, keys, contents)
    assert _frames(daemon, "commit") > 0
    assert daemon.metric(REQUESTS, operation="put") == 0
    assert mode.get(mode.make(STOCK, daemon), keys) == contents


@pytest.mark.parametrize("ending", (signal.SIGKILL, signal.SIGTERM), ids=lambda how: how.name)
def test_a_restarted_daemon_costs_misses_and_the_lane_is_back_by_itself(
    mode, daemon, notices, ending
):
    # With the published index what a daemon had is read on until the next one begins.
    client = mode.make(NATIVE, daemon, socket=str(daemon.socket), index="none", **mode.ttl)
    keys, first = mode.keys("restart"), _contents("first")
    assert mode.put(client, keys, first)
    assert mode.get(client, keys) == first
    daemon.end(ending)
    assert mode.get(client, keys) == [None] * OBJECTS
    daemon.start()

    def works_over_the_lane() -> bool:
        found = mode.get(client, keys)
        for read, content in zip(found, first, strict=True):
            assert read in (None, content), "a read returned other bytes"
        return None not in found and _frames(daemon, "acquire") > 0

    wait_until(works_over_the_lane, RECOVERS_WITHIN, "the lane is taken again")
    levels = [level for level, text in notices() if "fast lane" in text]
    assert levels == ["INFO", "WARNING", "INFO"], notices()
    assert "the fast lane broke" in notices()[1][1]


def test_a_socket_that_is_not_there_is_warned_of_once_and_http_is_used(
    mode, daemon, notices, tmp_path
):
    client = mode.make(NATIVE, daemon, socket=str(tmp_path / "absent.sock"))
    keys, contents = mode.keys("absent"), _contents("absent")
    for _ in range(ASKED):
        mode.put(client, keys, contents)
        assert mode.get(client, keys) == contents
    assert _frames(daemon) == 0
    ((level, text),) = notices()
    assert level == "WARNING"
    assert "http, since the fast lane cannot be opened" in text
    assert "absent.sock" in text and "kvlease_socket" in text


@pytest.mark.parametrize("name", ("absent", None))
def test_the_lane_brings_the_segment_whatever_its_name(mode, daemon, notices, name):
    options = {"shared_memory_name": name, "socket": str(daemon.socket)}
    client = mode.make(NATIVE, daemon, **options)
    keys, contents = mode.keys("descriptor"), _contents("descriptor")
    assert mode.put(client, keys, contents)
    _assert_no_more_requests(daemon, lambda: mode.get(client, keys))
    assert mode.get(client, keys) == contents
    assert [level for level, _ in notices()] == ["INFO"]


def test_an_object_is_viewed_through_the_lane(daemon):
    where = f"kvlease://127.0.0.1:{daemon.port}"
    settings = ConnectorSettings(where, shared_memory_name="none", socket=str(daemon.socket))
    with Connector(settings) as connector:
        assert connector.put("k", payload(KIB, "viewed"))
        with connector.view("k") as view:
            assert bytes(view) == payload(KIB, "viewed")
            assert view.is_live and view.verify()
    assert _requests(daemon) == 0


def test_lmcache_shows_which_way_is_taken_beside_its_own_lines(daemon):
    program = (
        "import lmcache.logging, sys\n"
        "from kvlease.lmcache import NativeClient\n"
        "client = NativeClient(sys.argv[1], socket=sys.argv[2])\n"
        "client.submit_batch_exists(['absent'])\n"
        "while not client.drain_completions():\n"
        "    pass\n"
    )
    arguments = [f"kvlease://127.0.0.1:{daemon.port}", str(daemon.socket)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "LMCACHE_LOG_LEVEL": "INFO"},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "fast lane" in line]
    assert "LMCache INFO" in line and f"socket=`{daemon.socket}`" in line


def test_settings_show_which_lane_is_to_be_taken():
    for socket, shown in ((None, "auto"), ("AUTO", "auto"), (False, "none"), ("/a", "/a")):
        settings = ConnectorSettings("kvlease://h", socket=socket)
        assert settings.socket == shown
        assert f'socket="{shown}"' in repr(settings)
    for wrong in (True, "", "off", "a/b", 1):
        with pytest.raises(ValueError, match="give auto, none, or the socket's path.*socket=`"):
            ConnectorSettings("kvlease://h", socket=wrong)


def test_the_time_limit_of_opening_the_lane_is_a_setting():
    for make in (ConnectorSettings, ConnectorSettings.for_mp):
        assert make("kvlease://h").lane_open_max_ms == 500
        assert make("kvlease://h", lane_open_max_ms=None).lane_open_max_ms == 500
        assert make("kvlease://h", lane_open_max_ms=2_000).lane_open_max_ms == 2_000
        for wrong in (0, -1, "1s", 31_536_000_001):
            with pytest.raises(ValueError, match="from 1 to 31536000000.*lane_open_max_ms=`"):
                make("kvlease://h", lane_open_max_ms=wrong)
    extra_config = {"kvlease_lane_open_max_ms": "2_000"}
    settings = ConnectorSettings.from_extra_config("kvlease://h", extra_config)
    assert settings.lane_open_max_ms == 2_000 and settings.warnings == []


def _contents(*name: object) -> list[bytes]:
    return [payload(SIZE, *name, number) for number in range(OBJECTS)]


def _frames(daemon, kind: str = "") -> float:
    """Number of frames of the fast lane that the daemon answered."""
    return daemon.metric(FRAMES, **({"kind": kind} if kind else {}))


def _requests(daemon) -> float:
    """Number of requests for objects that the daemon answered over HTTP."""
    operations = ("put", "acquire", "get", "head", "remove")
    return sum(daemon.metric(REQUESTS, operation=operation) for operation in operations)


def _assert_no_more_requests(daemon, call: Callable[[], object]) -> None:
    before = _requests(daemon)
    call()
    assert _requests(daemon) == before, "it went over HTTP"
