"""The console open in a browser, and the questions that a test has for it."""

from __future__ import annotations

from typing import Any

import attrs

from shell_ev import ShellEV
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, Sandbox


@attrs.define(slots=False)
class Console:
    """The open page, the sandbox behind it, and what the browser complained of or asked for."""

    page: Any
    sandbox: Sandbox
    complaints: list[str] = attrs.field(factory=list[str])
    asked: list[str] = attrs.field(factory=list[str])

    def __attrs_post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, url: str | None = None) -> None:
        self.page.goto((url or self.sandbox.console_url) + "/")
        self.page.wait_for_selector("#live[data-state=on]")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element holds a text."""
        self.page.locator(selector, has_text=text).first.wait_for(timeout=5_000)

    def client(self, **options: Any) -> ShellEV:
        settings: dict[str, Any] = {"max_retries": 0, "timeout": 5, "base_url": self.sandbox.url, **options}
        return ShellEV(self.sandbox.client_id, self.sandbox.client_secret, **settings)

    def start(self, evse_id: str = EXAMPLE_EVSE, card: str = EXAMPLE_CARD) -> str:
        with self.client() as ev:
            return str(ev.charging.start(card, evse_id).data.session_id)
