"""Fixtures, and the sentinel: a run that tests less than the whole suite is a failed run."""

import faulthandler
import os
from pathlib import Path

# Read when LMCache is imported, which the modules below do.
os.environ["LMCACHE_TRACK_USAGE"] = "false"
os.environ.setdefault("LMCACHE_LOG_LEVEL", "CRITICAL")

import pytest

import samples
from daemon import Daemon
from in_process import InProcess, host_memory
from multi_process import MultiProcess

# How many tests the suite has. Whoever adds or removes one changes this number too, so that no
# test disappears unnoticed.
EXPECTED_TESTS = 89

# Names the daemon under test; run.py sets it.
BINARY_VARIABLE = "KVLEASE_BIN"

# The whole run ends after this many seconds, with the stacks of all threads, even if a hang
# keeps the tests' own alarms from being heard.
RUN_ENDS_WITHIN = 1500


def pytest_addoption(parser):
    parser.addoption(
        "--partial", action="store_true", help="allow a selection of tests: no expected number"
    )


def pytest_configure(config):
    config.skipped_tests = []
    faulthandler.dump_traceback_later(RUN_ENDS_WITHIN, exit=True)


def pytest_unconfigure(config):
    faulthandler.cancel_dump_traceback_later()


def pytest_report_header(config):
    return f"kvlease: {_binary()}\nreplay with {samples.SEED_VARIABLE}={samples.SEED}"


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
def shared_daemon(tmp_path_factory):
    """A daemon for the tests that leave it as they found it but for more objects."""
    daemon = Daemon(_binary(), tmp_path_factory.mktemp("shared"), "1GiB")
    try:
        yield daemon.start()
    finally:
        daemon.destroy()


@pytest.fixture
def make_daemon(tmp_path):
    """Starts daemons that end with the test: `make_daemon(capacity, config)`."""
    daemons = []

    def make(capacity: str, config: str = "") -> Daemon:
        daemons.append(Daemon(_binary(), tmp_path, capacity, config))
        return daemons[-1].start()

    yield make
    for daemon in daemons:
        daemon.destroy()


@pytest.fixture
def in_process(host):
    """Makes in-process clients that end with the test: `in_process(daemon, **options)`."""
    clients = []

    def make(daemon: Daemon, **options: object) -> InProcess:
        clients.append(InProcess(daemon, host, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def multi_process():
    """Makes MP clients that end with the test: `multi_process(daemon, **options)`."""
    clients = []

    def make(daemon: Daemon, **options: object) -> MultiProcess:
        clients.append(MultiProcess(daemon, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def _binary() -> Path:
    binary = os.environ.get(BINARY_VARIABLE, "")
    if not os.access(binary, os.X_OK):
        raise pytest.UsageError(
            f"no daemon to test: start the suite with run.py, {BINARY_VARIABLE}=`{binary}`"
        )
    return Path(binary)
