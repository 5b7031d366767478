"""Fixtures, and the sentinel: a run of less than the whole suite fails.

A test that takes `in_process` or `multi_process` runs once for each kind of client, unless a
marker names the kinds: `@pytest.mark.only(STOCK)`. One that takes `in_process_of` or
`multi_process_of` names the kind with each client that it makes.
"""

import faulthandler
import os
from functools import partial
from pathlib import Path

# Read when LMCache is imported, which the modules below do.
os.environ["LMCACHE_TRACK_USAGE"] = "false"
os.environ.setdefault("LMCACHE_LOG_LEVEL", "CRITICAL")

import pytest
from kvlease import Connector, ConnectorSettings

import samples
from daemon import BINARY_VARIABLE, UNSCRUBBED, Daemon
from fake_daemon import FakeDaemon
from in_process import InProcess, host_memory
from multi_process import MultiProcess
from samples import KINDS

# Number of tests in the suite. A change that adds or removes a test edits this number too, so that
# no test disappears unnoticed.
EXPECTED_TESTS = 646

# The whole run ends after this many seconds, with the stacks of all threads, even if a hang
# keeps the tests' own alarms from being heard.
RUN_ENDS_WITHIN = 1500


def pytest_addoption(parser):
    parser.addoption(
        "--partial", action="store_true", help="allow a selection of tests: no expected number"
    )
    parser.addoption(
        "--screenshots", metavar="FOLDER", help="write the pictures of docs/status-page.md there"
    )


def pytest_configure(config):
    config.skipped_tests = []
    faulthandler.dump_traceback_later(RUN_ENDS_WITHIN, exit=True)


def pytest_unconfigure(config):
    faulthandler.cancel_dump_traceback_later()


def pytest_report_header(config):
    return f"kvlease: {_binary()}\nreplay with {samples.SEED_VARIABLE}={samples.SEED}"


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("kind", only.args if only else KINDS)


def pytest_collection_finish(session):
    found = len(session.items)
    if found != EXPECTED_TESTS and not session.config.getoption("partial"):
        raise pytest.UsageError(
            "the suite is not whole: run all of it, or change EXPECTED_TESTS, or pass --partial, "
            f"expected=`{EXPECTED_TESTS}` found=`{found}`"
        )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.skipped:
        item.config.skipped_tests.append(item.nodeid)


def pytest_sessionfinish(session):
    if session.config.skipped_tests:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for test in config.skipped_tests:
        terminalreporter.write_line(f"FAILED {test}: skipped, and no test here may be", red=True)


@pytest.fixture(scope="session")
def host():
    """LMCache's host memory for the in-process clients."""
    return host_memory()


@pytest.fixture(scope="session")
def shared_daemon_of(tmp_path_factory):
    """Daemons for tests that leave them as they found them but for more objects: one for each name.

    `shared_daemon_of("mixed")` is the one for clients of both kinds.
    """
    daemons: dict[str, Daemon] = {}

    def find(name: str) -> Daemon:
        if name not in daemons:
            daemons[name] = Daemon(_binary(), tmp_path_factory.mktemp(name), "512MiB", UNSCRUBBED)
            daemons[name].start()
        return daemons[name]

    yield find
    for daemon in daemons.values():
        daemon.destroy()


@pytest.fixture
def shared_daemon(kind, shared_daemon_of):
    """The one for clients of the kind that this run of the test is for."""
    return shared_daemon_of(kind)


@pytest.fixture
def make_daemon(tmp_path):
    """Starts daemons that end with the test: `make_daemon(capacity, config, variables)`."""
    daemons = []

    def make(capacity: str, config: str = "", variables: dict[str, str] | None = None) -> Daemon:
        daemons.append(Daemon(_binary(), tmp_path, capacity, config, variables))
        return daemons[-1].start()

    yield make
    for daemon in daemons:
        daemon.destroy()


@pytest.fixture
def fake_daemon():
    """A daemon with nothing but the three endpoints that the stock clients use."""
    daemon = FakeDaemon()
    try:
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture
def in_process_of(host):
    """Makes in-process clients that end with the test: `in_process_of(kind, daemon, **options)`."""
    clients = []

    def make(kind: str, daemon: Daemon, **options: object) -> InProcess:
        clients.append(InProcess(daemon, host, kind, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def multi_process_of():
    """Makes MP clients that end with the test: `multi_process_of(kind, daemon, **options)`."""
    clients = []

    def make(kind: str, daemon: Daemon, **options: object) -> MultiProcess:
        clients.append(MultiProcess(daemon, kind, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def connector_to():
    """Makes connectors that end with the test: `connector_to(daemon, **options)`."""
    connectors = []

    def make(daemon: Daemon | FakeDaemon, **options: object) -> Connector:
        options = {"shared_memory_name": daemon.segment, **options}
        url = f"kvlease://127.0.0.1:{daemon.port}"
        connectors.append(Connector(ConnectorSettings(url, **options)))
        return connectors[-1]

    yield make
    for connector in connectors:
        connector.close()


@pytest.fixture
def in_process(kind, in_process_of):
    """The same for clients of the kind that this run of the test is for."""
    return partial(in_process_of, kind)


@pytest.fixture
def multi_process(kind, multi_process_of):
    """The same for clients of the kind that this run of the test is for."""
    return partial(multi_process_of, kind)


def _binary() -> Path:
    binary = os.environ.get(BINARY_VARIABLE, "")
    if not os.access(binary, os.X_OK):
        raise pytest.UsageError(
            f"no daemon to test: start the suite with run.py, {BINARY_VARIABLE}=`{binary}`"
        )
    return Path(binary)
