"""A real browser on a real sandbox: Debian's Chromium, driven by Playwright, with nothing but this page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from console_page import Console

from shell_ev.sandbox import Sandbox

CHROMIUM = os.environ.get("CONSOLE_CHROMIUM") or shutil.which("chromium") or ""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium; a module has one, and its event loop is gone at the end of the module."""
    playwright = pytest.importorskip("playwright.sync_api")
    assert CHROMIUM, "no Chromium: apt-get install chromium, or name it in CONSOLE_CHROMIUM"
    with playwright.sync_playwright() as running:
        folder = tmp_path_factory.mktemp("downloads")
        launched = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, downloads_path=str(folder))
        yield launched
        launched.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in a thread; its clock stands still unless the page moves it."""
    with Sandbox(stations=300) as running:
        running.clock.pause()
        yield running


@pytest.fixture
def console(browser: Any, sandbox: Sandbox) -> Iterator[Console]:
    """The page of that sandbox, open. A complaint of the browser fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = Console(context.new_page(), sandbox)
    opened.open()
    yield opened
    context.close()
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(sandbox.console_url + "/")] == []


@pytest.fixture
def axe() -> str:
    """The source of axe-core."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
