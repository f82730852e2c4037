"""The site in Chromium: nothing is cut at two widths, and the search finds what people look for."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.servers

sync_api = pytest.importorskip("playwright.sync_api")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What sticks out of the page, or has to be scrolled inside of it. Drawings alone may be scrolled, for readable text.
CUT = """() => [...document.querySelectorAll("pre, table, .picture, img, dt.sig")].filter(e => e.closest("article"))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
                 || e.scrollWidth > e.clientWidth + 1 && !e.matches(".picture"))
    .map(e => e.tagName + ": " + e.textContent.slice(0, 60))"""


#: The smallest text of the drawings, in pixels of the screen.
SMALLEST = """() => Math.min(99, ...[...document.querySelectorAll("article .picture svg")]
    .map(e => 12 * e.getBoundingClientRect().width / e.viewBox.baseVal.width))"""


#: Calls of the reference without a list of their parameters. A model has its fields below it instead.
WITHOUT_PARAMETERS = """() => [...document.querySelectorAll("dl.py")].map(call => {
    const heading = call.querySelector(":scope > dt.sig");
    const names = [...heading.querySelectorAll(".sig-param > .n:first-of-type")].map(e => e.textContent);
    const lists = [...call.querySelectorAll(":scope > dd > dl.field-list > dt")].map(e => e.textContent);
    const fields = [...call.querySelectorAll(":scope > dd > dl.attribute > dt .sig-name")].map(e => e.textContent);
    const listed = lists.some(name => name.startsWith("Parameters")) || names.every(name => fields.includes(name));
    return listed ? null : heading.id;
}).filter(Boolean)"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    assert chromium, "no Chromium: apt-get install chromium"
    with sync_api.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.mark.parametrize("width", [1400, 400])
def test_no_code_table_or_picture_is_cut(browser: Any, address: str, site: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    cut = {}
    for path in sorted([*site.glob("*.html"), *site.glob("reference/*.html")]):
        page.goto(f"{address}/{path.relative_to(site).as_posix()}")
        if found := page.evaluate(CUT):
            cut[path.name] = found
        assert page.evaluate(SMALLEST) >= 9, path.name
    page.close()
    assert cut == {}


def test_every_call_of_the_reference_lists_its_parameters(browser: Any, address: str, site: Path) -> None:
    page = browser.new_page()
    missing, calls = {}, 0
    for path in sorted(site.glob("reference/*.html")):
        page.goto(f"{address}/reference/{path.name}")
        calls += page.locator("dl.py.function, dl.py.method").count()
        if found := page.evaluate(WITHOUT_PARAMETERS):
            missing[path.name] = found
    page.close()
    assert missing == {}
    assert calls > 100


@pytest.mark.parametrize("word", ["CCS", "pandas", "pagination", "webhook"])
def test_the_search_finds(browser: Any, address: str, word: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/search.html?q={word}")
    page.wait_for_selector("#search-results ul.search li a")
    titles = page.eval_on_selector_all("#search-results ul.search li > a", "all => all.map(one => one.textContent)")
    page.close()
    assert "Glossary and questions" in titles


def test_a_click_copies_the_code_without_its_prompt(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/getting-started.html")
    copied = page.eval_on_selector_all(
        "div.highlight-console button.copybtn, div.highlight-text button.copybtn", "all => all.length"
    )
    assert copied == page.locator("div.highlight-console").count() > 0
    page.close()
