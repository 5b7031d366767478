"""Programs with a native client that end, fork or are killed while they use it.

Each has the daemon as its first argument. `programs.py` runs them; what needs LMCache imports it
itself, since some of them do without.
"""

import asyncio
import faulthandler
import json
import os
import select
import signal
import threading
import time
from contextlib import suppress

# What a program writes when a test may go on, and when all of its children have ended well.
READY = "ready"
FORKED = "forked"
SIZE = 1 << 20
OBJECTS = 24
# Objects of the MP client that the tests have stored: `samples.mp_key(number, "old")`.
OLD = [f"old@00000000@0@{number:032x}" for number in range(OBJECTS)]
HOST_MEMORY_GIB = 0.1
# No call in a forked child takes this long, in seconds, or it hangs.
CALL_WITHIN = 60.0
FORKS = 3
FORKS_OFTEN = 40
# Memory that must live as long as its program: a call uses it until its operation has ended.
KEPT: list[object] = []


def _in_process(daemon):
    from in_process import InProcess, host_memory
    from samples import NATIVE

    return InProcess(daemon, host_memory(HOST_MEMORY_GIB), NATIVE)


def _multi_process(daemon, **options: object):
    from multi_process import MultiProcess
    from samples import NATIVE

    return MultiProcess(daemon, NATIVE, **options)


def _url(daemon) -> str:
    return f"kvlease://127.0.0.1:{daemon.port}"


def _native_client(daemon):
    """The MP client, and a thread that drains it as LMCache's adapter does."""
    from kvlease.lmcache import NativeClient

    client = NativeClient(_url(daemon), shared_memory_name=daemon.segment)

    def drain() -> None:
        poller = select.poll()
        poller.register(client.event_fd(), select.POLLIN)
        while True:
            if poller.poll(500):
                client.drain_completions()

    threading.Thread(target=drain, daemon=True).start()
    return client


def _ready() -> None:
    print(READY, flush=True)


def exits_in_process(daemon, number: int) -> None:
    """Ends with puts, gets and lookups of the in-process connector under way."""
    from samples import in_process_key, payload

    client = _in_process(daemon)
    keys = [in_process_key(n, f"exit {number}") for n in range(OBJECTS)]
    old = [in_process_key(n, "old") for n in range(OBJECTS)]
    memory = [client.memory(payload(SIZE, n)) for n in range(OBJECTS)]
    connector = client.connector
    KEPT.append(client)
    client.submit(connector.batched_put(keys, memory))
    client.submit(connector.batched_get(old))
    client.submit(connector.batched_async_contains("", old))
    # Where in its work the program ends differs from run to run.
    time.sleep(0.002 * (number % 16))


def exits_in_mp(daemon, number: int) -> None:
    """Ends with stores, loads and lookups of the MP client under way."""
    client = _native_client(daemon)
    keys = [f"exit {number} {n}" for n in range(OBJECTS)]
    client.submit_batch_set(keys, [bytes(SIZE) for _ in range(OBJECTS)])
    client.submit_batch_exists(OLD)
    client.submit_batch_get(OLD, [bytearray(SIZE) for _ in range(OBJECTS)])
    time.sleep(0.002 * (number % 16))


def exits_blocking(daemon, number: int) -> None:
    """Ends while threads are inside of blocking calls."""
    from kvlease import ClosedError, Connector, ConnectorSettings

    settings = ConnectorSettings(_url(daemon), shared_memory_name=daemon.segment)
    connector = Connector(settings)

    def work(thread: int) -> None:
        with suppress(ClosedError):
            while True:
                connector.put(f"exit {number} {thread} {time.monotonic()}", bytes(SIZE))
                connector.get("absent")
                connector.exists("absent")

    for thread in range(4):
        threading.Thread(target=work, args=[thread], daemon=True).start()
    time.sleep(0.002 * (number % 16))


def exits_with_an_exception(daemon, number: int) -> None:
    """Ends with operations under way, by an uncaught exception."""
    exits_in_mp(daemon, number)
    exits_blocking(daemon, number)
    raise SystemExit(7)


def holds_leases(daemon) -> None:
    """Holds leases until it is killed."""
    from samples import mp_key

    client = _multi_process(daemon, lease_ttl_ms=3000)
    assert client.lookup([mp_key(n, "old") for n in range(OBJECTS)]) == [True] * OBJECTS
    _ready()
    time.sleep(600)


def reads_for_ever(daemon, ttl: float) -> None:
    """Reads repeatedly, with short leases; fails at the first wrong byte.

    A test stops and continues it, so that leases end in the middle of a copy.
    """
    from in_process import InProcess, host_memory
    from samples import NATIVE, in_process_key, payload

    host = host_memory(HOST_MEMORY_GIB)
    client = InProcess(daemon, host, NATIVE, lease_ttl_s=ttl)
    keys = [in_process_key(n, "stopped") for n in range(4)]
    contents = [payload(4 * SIZE, "stopped", n) for n in range(4)]
    assert client.put_all(keys, contents) == len(keys)
    ended = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: ended.set())
    _ready()
    reads = hits = 0
    while not ended.is_set():
        for found, content in zip(client.get_all(keys), contents, strict=True):
            if found not in (None, content):
                print("wrong bytes", flush=True)
                os._exit(3)
            reads += 1
            hits += found is not None
    print(json.dumps({"reads": reads, "hits": hits}), flush=True)


def forks(daemon) -> None:
    """Forks while the clients that LMCache made are busy; every child tries to use them."""
    from samples import in_process_key, mp_key, wire_key

    one, other = _in_process(daemon), _multi_process(daemon)
    old = [in_process_key(n, "old") for n in range(OBJECTS)]
    held = [mp_key(n, "old") for n in range(OBJECTS)]

    def work() -> None:
        assert None not in one.get_all(old[:4])
        assert None not in other.load(held[:4], [SIZE] * 4)

    def use() -> None:
        async def get():
            return await one.inner.get(old[0])

        # A failure of the in-process connector is a miss to LMCache.
        assert _bounded(lambda: asyncio.run(get())) is None
        assert not _bounded(lambda: one.inner.exists_sync(old[0]))
        assert not _bounded(lambda: one.inner.remove_sync(old[0]))
        _use_native_client(other.client, wire_key(held[0]))
        fresh = _multi_process(daemon)
        assert None not in fresh.load(held[:1], [SIZE])
        fresh.close()

    if _fork_while(work, use, FORKS):
        return
    assert other.lookup(held) == [True] * len(held)
    assert None not in other.load(held, [SIZE] * len(held))
    one.close()
    other.close()


def forks_often(daemon) -> None:
    """The same without LMCache, and many times."""
    from kvlease import Connector, ConnectorSettings

    settings = ConnectorSettings(_url(daemon), shared_memory_name=daemon.segment)
    connector, client = Connector(settings), _native_client(daemon)
    buffers = [bytearray(SIZE) for _ in range(4)]
    view = connector.view(OLD[0])

    def work() -> None:
        client.submit_batch_exists(OLD)
        client.submit_batch_get(OLD[:4], buffers)
        assert None not in connector.batched_get(OLD[:4])

    def use() -> None:
        _use_native_client(client, OLD[0])
        for call in (
            lambda: connector.get(OLD[0]),
            lambda: connector.exists(OLD[0]),
            lambda: connector.put("new", b"new"),
            lambda: connector.ping(),
            lambda: connector.view(OLD[0]),
            lambda: view.is_live,
            lambda: view.parts,
            lambda: memoryview(view),
        ):
            _assert_refused(_bounded(call))
        view.close()
        assert len(Connector(settings).get(OLD[0])) == SIZE

    if _fork_while(work, use, FORKS_OFTEN):
        return
    assert view.is_live and view.verify()
    view.close()
    client.close()
    connector.close()


def _fork_while(work, use, count: int) -> bool:
    """Forks while a thread works, and has every child use what it must not; whether it is one."""
    ended = threading.Event()

    def keep_busy() -> None:
        while not ended.is_set():
            work()

    busy = threading.Thread(target=keep_busy)
    busy.start()
    children = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            use()
            return True
        children.append(pid)
        time.sleep(0.01)
    statuses = [status_of(pid, 6 * CALL_WITHIN) for pid in children]
    assert busy.is_alive(), "the parent could not go on"
    ended.set()
    busy.join()
    assert statuses == [0] * count, statuses
    print(FORKED, flush=True)
    return False


def _use_native_client(client, key: str) -> None:
    """Makes every call on a client of the parent: each is refused, and none hangs."""
    _assert_refused(_bounded(lambda: client.submit_batch_exists([key])))
    _assert_refused(_bounded(lambda: client.submit_batch_get([key], [bytearray(SIZE)])))
    _assert_refused(_bounded(lambda: client.submit_batch_set([key], [b"new"])))
    _assert_refused(_bounded(client.drain_completions))
    # Nothing of the parent's is the child's to close; that need not be an error.
    _bounded(client.close)


def _assert_refused(result: object) -> None:
    assert isinstance(result, Exception) and "fork" in str(result), repr(result)


def _bounded(call):
    """The result or exception of the call; ends the process if the call hangs."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(call())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(CALL_WITHIN)
    if not result:
        print("a call hangs in the forked child", flush=True)
        faulthandler.dump_traceback()
        os._exit(4)
    return result[0]


def status_of(pid: int, within: float) -> int | None:
    """The exit status of a program; None, and its end, if it takes too long."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGABRT)
    os.waitpid(pid, 0)
    return None


PROGRAMS = {
    program.__name__: program
    for program in (
        exits_in_process,
        exits_in_mp,
        exits_blocking,
        exits_with_an_exception,
        holds_leases,
        reads_for_ever,
        forks,
        forks_often,
    )
}
WITHOUT_LMCACHE = (exits_in_mp, exits_blocking, exits_with_an_exception, forks_often)
