"""The documents' site: built without a warning, with links that lead somewhere, and a search."""

import http.server
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

from daemon import ROOT

BUILD = ROOT / "docs" / "site" / "build.py"
CHROMIUM = "chromium"
# Root runs it in these tests, which its sandbox refuses.
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


class Page(HTMLParser):
    """The links, anchors and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if "id" in named:
            self.anchors.add(named["id"])
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif "src" in named:
            self.loads.append(named["src"])
        elif tag == "link" and named.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(named["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, made anew; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, BUILD, folder], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def served(site) -> Iterator[str]:
    """The address of the site."""
    handler = partial(Silent, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Silent(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_every_document_is_a_page(site):
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("testing/*/README.md")]:
        page = site / path.relative_to(ROOT).with_suffix(".html")
        assert page.exists(), page


def test_every_link_within_the_site_leads_to_a_page_and_an_anchor(site, pages):
    checked, dead = 0, []
    for path, page in pages.items():
        for link in page.links + page.loads:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            place = path if not target else path.parent / urllib.parse.unquote(target.split("?")[0])
            place = place.resolve()
            checked += 1
            if not place.exists():
                dead.append((path.name, link))
            elif place in pages and anchor and anchor not in pages[place].anchors:
                dead.append((path.name, link))
    assert not dead, dead
    assert checked > 1000, "the pages have another form"


def test_the_site_loads_nothing_from_elsewhere(pages):
    for path, page in pages.items():
        strange = [load for load in page.loads if re.match(r"(https?:)?//", load)]
        assert not strange, (path, strange)


def test_links_to_folders_lead_to_a_list_of_their_files(site):
    listing = (site / "examples" / "kubernetes" / "index.html").read_text()
    assert "daemon.yaml" in listing


def test_the_search_finds_a_page_by_a_word_in_it(served):
    command = [CHROMIUM, *ARGUMENTS, "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{served}/search.html?q=quarantine"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    # The list of pages beside it has each page once, whatever is searched for.
    found = re.search(r'<ul[^>]* class="search">.*?</ul>', done.stdout, re.S)
    assert found, done.stdout[-2000:] + done.stderr
    assert 'href="docs/shared-memory.html' in found[0], found[0]
    assert 'href="docs/commands.html' not in found[0], found[0]


def test_a_document_with_a_link_to_nowhere_would_be_found(tmp_path):
    (tmp_path / "page.html").write_text('<a href="other.html#x">x</a><p id="y"></p>')
    page = Page(tmp_path / "page.html")
    assert page.links == ["other.html#x"] and page.anchors == {"", "y"}
