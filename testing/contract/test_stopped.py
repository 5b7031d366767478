"""Calls to a daemon that is stopped, and to listeners that accept and say nothing.

Every call ends by its time limit, the first and later ones: a read is a miss, a store fails. Once
the daemon goes on, so does the client.

Only the native clients are tested: LMCache's own have no limit for some of these calls.
"""

import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from kvlease import Connector, ConnectorSettings, UnavailableError

from daemon import wait_until
from samples import KIB, NATIVE, in_process_key, mp_key, payload

CAPACITY = "64MiB"
SIZE = 64 * KIB
KEYS = 3
# The clients' own limit of a call, in milliseconds.
TIMEOUT_MS = 200
# The calls of a client are given up after this many seconds: before the limit that a client has by
# default (5 s), so that a call that heeds another limit than the client's fails.
ENDED_WITHIN = 4.5
WORKS_WITHIN = 60.0
# The first call and later ones.
ROUNDS = 2
PAUSE = 0.01

# How clients reach the daemon, by the setting `socket`; None stands for the daemon's path.
WAYS = {"http": "none", "lane": None, "auto": "auto"}

IN_PROCESS = [in_process_key(number, "stopped") for number in range(KEYS)]
MP = [mp_key(number, "stopped") for number in range(KEYS)]
NAMES = [f"stopped-{number}" for number in range(KEYS)]
CONTENTS = [payload(SIZE, "stopped", number) for number in range(KEYS)]
SIZES = [SIZE] * KEYS


class RunningClock:
    """A clock that stands still while the machine holds this process up.

    It counts the short pauses of a thread.
    """

    def __init__(self) -> None:
        self._pauses = 0
        Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            time.sleep(PAUSE)
            self._pauses += 1

    def now(self) -> float:
        return self._pauses * PAUSE


CLOCK = RunningClock()


def _fails(call: Callable[[], object]) -> str:
    try:
        return f"returned {call()!r}"
    except UnavailableError:
        return "failed"


# Calls of each client, with what they come to without an answer.
IN_PROCESS_CALLS: dict[str, tuple[Callable[[Any], object], object]] = {
    "get": (lambda one: one.get(IN_PROCESS[0]), None),
    "batched_get": (lambda one: one.get_all(IN_PROCESS), [None] * KEYS),
    "batched_get_non_blocking": (
        lambda one: one.call(one.connector.batched_get_non_blocking("", IN_PROCESS)),
        [],
    ),
    "exists": (lambda one: one.exists(IN_PROCESS[0]), False),
    "exists_sync": (lambda one: one.connector.exists_sync(IN_PROCESS[0]), False),
    "batched_contains": (lambda one: one.connector.batched_contains(IN_PROCESS), 0),
    "batched_async_contains": (
        lambda one: one.call(one.connector.batched_async_contains("", IN_PROCESS)),
        0,
    ),
    "list": (lambda one: one.call(one.connector.list()), []),
    "ping": (lambda one: one.call(one.connector.ping()) == 0, False),
    "remove_sync": (lambda one: one.connector.remove_sync(in_process_key(KEYS, "no")), False),
    "put": (lambda one: one.put(IN_PROCESS[0], CONTENTS[0]), False),
    "batched_put": (lambda one: one.put_all(IN_PROCESS, CONTENTS), 0),
}
MP_CALLS: dict[str, tuple[Callable[[Any], object], object]] = {
    "lookup": (lambda other: other.lookup(MP), [False] * KEYS),
    "load": (lambda other: other.load(MP, SIZES), [None] * KEYS),
    "delete": (lambda other: other.delete([mp_key(KEYS, "no")]), None),
    "store": (lambda other: other.store(MP, CONTENTS), False),
}
CONNECTOR_CALLS: dict[str, tuple[Callable[[Any], object], object]] = {
    "get": (lambda it: _fails(lambda: it.get(NAMES[0])), "failed"),
    "get_into": (lambda it: _fails(lambda: it.get_into(NAMES[0], bytearray(SIZE))), "failed"),
    "batched_get": (lambda it: _failed(it.batched_get(NAMES)), KEYS),
    "batched_get_into": (
        lambda it: _failed(it.batched_get_into(NAMES, [bytearray(SIZE) for _ in NAMES])),
        KEYS,
    ),
    "view": (lambda it: _fails(lambda: it.view(NAMES[0])), "failed"),
    "exists": (lambda it: _fails(lambda: it.exists(NAMES[0])), "failed"),
    "batched_exists": (lambda it: _failed(it.batched_exists(NAMES)), KEYS),
    "lookup_prefix": (lambda it: _fails(lambda: it.lookup_prefix(NAMES)), "failed"),
    "list": (lambda it: _fails(it.list), "failed"),
    "ping": (lambda it: _fails(it.ping), "failed"),
    "remove": (lambda it: _fails(lambda: it.remove("no")), "failed"),
    "batched_remove": (lambda it: _failed(it.batched_remove(["no"])), 1),
    "put": (lambda it: _fails(lambda: it.put(NAMES[0], CONTENTS[0])), "failed"),
    "batched_put": (lambda it: _failed(it.batched_put(NAMES, CONTENTS)), KEYS),
}


@dataclass
class Client:
    """One of the three clients: how it is made, its calls, and one store with its read."""

    make: Callable[..., Any]
    calls: dict[str, tuple[Callable[[Any], object], object]]
    store: Callable[[Any], bool]
    read: Callable[[Any], bool]


@pytest.fixture(params=("in process", "mp", "connector"))
def client(request, in_process_of, multi_process_of):
    if request.param == "in process":
        return Client(
            lambda daemon, **options: in_process_of(NATIVE, daemon, **options),
            IN_PROCESS_CALLS,
            lambda one: one.put_all(IN_PROCESS, CONTENTS) == KEYS,
            lambda one: one.get_all(IN_PROCESS) == CONTENTS,
        )
    if request.param == "mp":
        return Client(
            lambda daemon, **options: multi_process_of(NATIVE, daemon, **options),
            MP_CALLS,
            lambda other: other.store(MP, CONTENTS),
            lambda other: other.load(MP, SIZES) == CONTENTS,
        )
    made = []
    request.addfinalizer(lambda: [connector.close() for connector in made])

    def make(daemon, **options: object) -> Connector:
        options = {"shared_memory_name": daemon.segment, **options}
        url = f"kvlease://127.0.0.1:{daemon.port}"
        made.append(Connector(ConnectorSettings(url, **options)))
        return made[-1]

    return Client(
        make,
        CONNECTOR_CALLS,
        lambda it: _failed(it.batched_put(NAMES, CONTENTS)) == 0,
        lambda it: it.batched_get(NAMES) == CONTENTS,
    )


@pytest.fixture
def stopped_daemon(make_daemon):
    """A daemon that a test stops, and that goes on at its end."""
    daemon = make_daemon(CAPACITY)
    yield daemon
    daemon.resume()


@pytest.fixture
def silence():
    """The addresses of listeners that accept, as the kernel does for them, and say nothing."""
    # The path of a socket has to be short.
    folder = Path(tempfile.mkdtemp())
    with socket.socket() as http, socket.socket(socket.AF_UNIX) as lane:
        http.bind(("127.0.0.1", 0))
        lane.bind(str(folder / "lane.sock"))
        http.listen()
        lane.listen()
        port = http.getsockname()[1]
        yield SimpleNamespace(port=port, socket=folder / "lane.sock", segment="absent")
    shutil.rmtree(folder)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("used", (True, False), ids=("used before", "new"))
def test_calls_to_a_stopped_daemon_end_and_work_again_when_it_goes_on(
    client, stopped_daemon, way, used
):
    clients = _one_for_each_call(client, stopped_daemon, way)
    if used:
        _wait_until_all_work(client, clients)
    stopped_daemon.pause()
    _every_call_ends(client, clients)
    stopped_daemon.resume()
    _wait_until_all_work(client, clients)


@pytest.mark.parametrize("used", (True, False), ids=("used before", "new"))
def test_a_client_of_a_stopped_daemon_closes(client, stopped_daemon, used):
    it = client.make(stopped_daemon, **_options(stopped_daemon, "lane"))
    if used:
        _wait_until_all_work(client, {"close": it})
    stopped_daemon.pause()
    begin = CLOCK.now()
    it.close()
    assert CLOCK.now() - begin < ENDED_WITHIN


@pytest.mark.parametrize("way", WAYS)
def test_calls_to_what_accepts_and_says_nothing_end(client, silence, way):
    _every_call_ends(client, _one_for_each_call(client, silence, way))


def _one_for_each_call(client: Client, daemon, way: str) -> dict[str, Any]:
    """A client for each call: after a few failures a client does not even try."""
    return {name: client.make(daemon, **_options(daemon, way)) for name in client.calls}


def _options(daemon, way: str) -> dict[str, object]:
    # What the published index names is found although the daemon is silent.
    socket_path = WAYS[way] or str(daemon.socket)
    return {"timeout_ms": TIMEOUT_MS, "socket": socket_path, "index": "none"}


def _every_call_ends(client: Client, clients: dict[str, Any]) -> None:
    """Makes all calls side by side, each in every round."""
    came_to: dict[str, list[object]] = {name: [] for name in client.calls}

    def run(name: str) -> None:
        call, _ = client.calls[name]
        for _ in range(ROUNDS):
            came_to[name].append(call(clients[name]))

    threads = {name: Thread(target=run, args=(name,), daemon=True) for name in client.calls}
    for thread in threads.values():
        thread.start()
    deadline = CLOCK.now() + ENDED_WITHIN
    for thread in threads.values():
        while thread.is_alive() and CLOCK.now() < deadline:
            thread.join(PAUSE)
    stuck = [name for name, thread in threads.items() if thread.is_alive()]
    assert not stuck, f"they go on after {ENDED_WITHIN} s, their limit is {TIMEOUT_MS} ms: {stuck}"
    assert came_to == {name: [expected] * ROUNDS for name, (_, expected) in client.calls.items()}


def _wait_until_all_work(client: Client, clients: dict[str, Any]) -> None:
    for name, it in clients.items():
        # A store is done if another client is at it, whose bytes may never come.
        works = partial(lambda it: client.store(it) and client.read(it), it)
        wait_until(works, WORKS_WITHIN, f"the client for `{name}` stores and reads")


def _failed(outcomes: list) -> int:
    """Number of keys whose daemon could not be reached."""
    return sum(isinstance(outcome, UnavailableError) for outcome in outcomes)
