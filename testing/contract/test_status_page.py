"""The status page in headless Chromium, against a daemon at work and at rest."""

import http.client
import json
import signal
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect

from browser import PHONE, Visit, chromium
from daemon import Daemon, wait_until

WITH_CURVE = """
    [cache]
    curve_memory_max = "8MiB"
"""
SCRIPT = "<script>alert(1)</script>"
BUCKETS = 60
SOON = 60.0
# The script asks for the page and for the history each 5 s.
TURN_MS = 5000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def pictures(request) -> str | None:
    return request.config.getoption("screenshots")


class Load:
    """A client that stores, leases, reads and misses until it is told to stop."""

    def __init__(self, daemon: Daemon) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, path, body=body)
        return self._connection.getresponse().read()

    def turn(self, number: int) -> None:
        """One object of a bucket: stored, leased, read, and another one missed."""
        bucket = urllib.parse.quote(f"bucket-{number % BUCKETS}", safe="")
        path = f"/v1/kv/{bucket}/{number}"
        self.ask("PUT", path, bytes(4096 * (1 + number % BUCKETS)))
        lease = json.loads(self.ask("POST", f"{path}/leases?timeout_ms=1000&ttl_s=30"))
        self.ask("GET", path)
        self.ask("POST", f"/v1/leases/{lease['id']}/release")
        self.ask("POST", f"/v1/kv/{bucket}/absent/leases?timeout_ms=1000&ttl_s=30")

    def _run(self) -> None:
        number = BUCKETS
        while not self._stop.wait(0.01):
            self.turn(number)
            number += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        yield
        self._stop.set()
        self._thread.join()


@pytest.fixture
def loaded(make_daemon) -> tuple[Daemon, Load]:
    """A daemon with some buckets, one of which has a hostile name."""
    daemon = make_daemon("32MiB", WITH_CURVE)
    load = Load(daemon)
    for number in range(BUCKETS):
        load.turn(number)
    load.ask("PUT", f"/v1/kv/{urllib.parse.quote(SCRIPT, safe='')}/k", b"bytes")
    return daemon, load


def _stats(daemon: Daemon) -> dict:
    return json.loads(daemon.fetch("/v1/stats"))


def _is_current(visit: Visit, stats: dict) -> bool:
    return visit.value("#hit-count") == str(stats["hits"])


def test_the_page_follows_a_daemon_at_work_and_has_its_values_at_rest(browser, loaded, pictures):
    daemon, load = loaded
    with Visit(browser, daemon, color_scheme="light") as visit:
        with load.running():
            before = visit.value("#hit-count")
            figure = visit.page.locator("#hit-count data")
            expect(figure).not_to_have_attribute("value", before, timeout=SOON * 1000)
            # Two samples make a line; the daemon takes one each 5 s.
            visit.page.wait_for_timeout(2 * TURN_MS)
            charts = visit.page.locator("figure[data-chart]")
            expect(charts).to_have_count(9)
            for chart in charts.all():
                expect(chart.locator("canvas")).to_be_visible()
            assert not visit.is_cut()
            visit.page.set_viewport_size({"width": 1280, "height": 1900})
            visit.picture(pictures, "status-page-light", full=False)
        stats = _stats(daemon)
        wait_until(lambda: _follows(visit, stats), SOON, "the page has the values of the state")
        assert visit.value("#miss-count") == str(stats["misses"])
        assert visit.page.locator("#summary code").inner_text() == stats["epoch"]
        assert visit.values("#tiers")[:3] == _texts(stats, "objects", "allocated", "capacity")
        free = _texts(stats, "allocated", "writing", "quarantined", "free")
        assert visit.values("#space")[:8:2] == free
        rows = visit.page.locator("#bucket-rows tr").all()
        shown = {row.locator("th").inner_text(): _bucket(row) for row in rows}
        known = {b["bucket"]: [str(b["objects"]), str(b["stored"])] for b in stats["buckets"]}
        assert len(shown) == 25 and shown.items() <= known.items()
        smallest = min(int(stored) for _, stored in shown.values())
        assert sum(int(stored) > smallest for _, stored in known.values()) < 25, "the largest"
        assert visit.complaints == []


def _follows(visit: Visit, stats: dict) -> bool:
    # The events of the browser come while it is waited for.
    visit.page.wait_for_timeout(100)
    return _is_current(visit, stats)


def _texts(stats: dict, *names: str) -> list[str]:
    return [str(stats[name]) for name in names]


def _bucket(row) -> list[str]:
    figures = row.locator("data").all()
    return [figure.get_attribute("value") for figure in figures[:2]]


def test_links_and_the_button_do_what_they_say(browser, loaded):
    daemon, load = loaded
    with Visit(browser, daemon) as visit:
        page = visit.page
        ranks = page.locator("#bucket-rows td:first-child")
        assert ranks.first.inner_text() == "1"
        page.click("#smaller")
        assert (ranks.first.inner_text(), ranks.last.inner_text()) == ("26", "50")
        page.click("#smaller")
        assert (ranks.first.inner_text(), ranks.last.inner_text()) == ("51", "61")
        assert page.locator("#bucket-rows th").last.inner_text() == SCRIPT
        expect(page.locator("#smaller")).to_have_count(0)
        page.click("#larger")
        page.click("#larger")
        assert ranks.first.inner_text() == "1"
        page.click("#span-day")
        assert "span=day" in page.url
        assert page.locator("#span-day").get_attribute("aria-current") == "true"
        assert page.locator("#history-rows tr").count() == 1
        page.click("#configuration summary")
        expect(page.locator("#configuration pre")).to_be_visible()
        assert 'curve_memory_max = "8MiB"' in page.locator("#configuration pre").inner_text()
        page.click("nav a[href='#events']")
        assert page.locator("#event-rows tr").count() == 20
        page.click("#pause")
        assert page.locator("#pause").get_attribute("aria-pressed") == "true"
        page.wait_for_load_state("networkidle")
        asked = len(visit.requests)
        page.wait_for_timeout(2 * TURN_MS)
        assert len(visit.requests) == asked, "nothing is asked for while updates pause"
        load.turn(BUCKETS)
        page.click("#pause")
        hits = str(_stats(daemon)["hits"])
        expect(page.locator("#hit-count data")).to_have_attribute("value", hits)
        assert visit.complaints == []


def test_the_page_is_accessible_in_light_and_dark_and_on_a_phone(browser, loaded, pictures):
    daemon, load = loaded
    with load.running():
        for scheme, window, name in [
            ("light", None, None),
            ("dark", None, "status-page-dark"),
            ("light", PHONE, "status-page-narrow"),
        ]:
            options = {"viewport": window} if window else {}
            with Visit(browser, daemon, color_scheme=scheme, **options) as visit:
                expect(visit.page.locator("figure[data-chart=ratio] canvas")).to_be_visible()
                assert visit.violations() == [], (scheme, window)
                assert not visit.is_cut(), (scheme, window)
                dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
                assert visit.complaints == []
                if name:
                    visit.page.wait_for_timeout(2 * TURN_MS)
                    visit.picture(pictures, name, full=False)


def test_the_page_is_complete_without_a_script(browser, loaded):
    daemon, _ = loaded
    with Visit(browser, daemon, java_script_enabled=False) as visit:
        stats = _stats(daemon)
        assert visit.value("#hit-count") == str(stats["hits"])
        assert visit.page.locator("noscript").inner_text().startswith("Without a script")
        assert visit.page.locator("#pause").is_hidden()
        assert visit.page.locator("figure").first.is_hidden()
        assert visit.page.locator("#history-rows tr").count() >= 1
        assert visit.page.locator("#curve-rows tr").count() >= 2
        visit.page.click("#smaller")
        assert visit.page.locator("#bucket-rows td").first.inner_text() == "26"
        assert visit.complaints == []


def test_a_page_that_is_open_outlives_its_daemon(browser, loaded):
    daemon, _ = loaded
    with Visit(browser, daemon) as visit:
        epoch = visit.page.locator("#summary code")
        first = epoch.inner_text()
        daemon.end(signal.SIGKILL)
        trouble = visit.page.locator("#trouble")
        expect(trouble).to_contain_text("No update")
        daemon.start()
        expect(trouble).to_be_empty()
        expect(epoch).not_to_have_text(first)
        assert visit.value("#tiers") == str(_stats(daemon)["objects"]), "all were restored"
