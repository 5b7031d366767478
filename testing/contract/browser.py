"""Headless Chromium on a page of the daemon, and what it must not do there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from daemon import Daemon

# Debian's package has it there. Root runs it in these tests, which its sandbox refuses.
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}

# The most that a page may take to show something, in milliseconds.
SHOWN_WITHIN_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block."""
    expect.set_options(timeout=SHOWN_WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page of the daemon in a window of its own, with all that it did wrong."""

    def __init__(self, browser: Browser, daemon: Daemon, path: str = "/", **options: object):
        """`options` are those of a browser's context, such as `color_scheme`."""
        self.origin = f"http://127.0.0.1:{daemon.port}"
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**{"viewport": WIDE, **options})
        self.context.set_default_timeout(SHOWN_WITHIN_MS)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("response", lambda reply: self._answered(reply.url, reply.status))
        self.page.goto(self.origin + path)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def value(self, selector: str) -> str | None:
        """The exact value of the first figure within an element."""
        return self.page.locator(f"{selector} data").first.get_attribute("value")

    def values(self, selector: str) -> list[str]:
        """The exact values of all figures within an element."""
        figures = self.page.locator(f"{selector} data").all()
        return [figure.get_attribute("value") or "" for figure in figures]

    def violations(self) -> list[str]:
        """The rules of axe-core that the page breaks, with the elements."""
        axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        # The page's policy allows no script but the daemon's: this one comes from the debugger.
        self.page.evaluate(axe)
        found = self.page.evaluate("axe.run().then(result => result.violations)")
        return [json.dumps([rule["id"], [n["html"] for n in rule["nodes"]]]) for rule in found]

    def is_cut(self) -> bool:
        """Whether the page is wider than its window, or a chart than its place."""
        wider = "part => part.scrollWidth > part.clientWidth"
        parts = "[document.documentElement, ...document.querySelectorAll('.plot')]"
        return self.page.evaluate(f"{parts}.some({wider})")

    def picture(self, folder: str | None, name: str, full: bool) -> None:
        """Writes a screenshot, if there is a folder for it."""
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=full)

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith(f"{self.origin}/"):
            self.complaints.append(f"asks another place: {url}")

    def _answered(self, url: str, status: int) -> None:
        if status >= 400:
            self.complaints.append(f"{status} for {url}")
