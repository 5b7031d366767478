"""The option for pictures, and the sentinel: a test that is skipped fails the run."""

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--pictures", metavar="FOLDER", help="write the pictures of the documents there"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and no test here may be: {report.longrepr}"
