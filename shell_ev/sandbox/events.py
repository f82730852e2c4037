"""The stream of events: what has changed since a reader last came, gathered into one document.

Every reader asks for it at its own pace, so the work of a request stays as it is, and a slow reader costs no memory:
what it has missed becomes one `reload`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from shell_ev.sandbox.service import Service
from shell_ev.sandbox.views import charge_document, request_summary

CHARGES_AT_ONCE = 100
"""Most charges in one document; the others follow in the next."""
REQUESTS_AT_ONCE = 50
"""Most requests in one document, the latest; `requests_missed` counts the others."""
WHOLE_TOPICS = ("faults", "tokens", "clock", "settings")
"""Topics that are sent whole when something about them has changed."""


class Reader:
    """One reader of the stream."""

    def __init__(self, service: Service, whole: Callable[[str], Any], secrets: Callable[[], tuple[str, ...]]) -> None:
        """Begin at this moment.

        Args:
            service: What is watched.
            whole: Returns the document of one of `WHOLE_TOPICS`.
            secrets: Returns what must not be shown.
        """
        self._service = service
        self._whole = whole
        self._secrets = secrets
        self._pending: dict[str, None] = {}
        self._due: list[tuple[float, str]] = []
        self._cursor = self._seen = 0
        self._begin()

    def take(self) -> dict[str, Any] | None:
        """Return what has changed since the last time, None when nothing has."""
        service, now = self._service, self._service.now()
        changes = service.journal.since(self._cursor)
        if changes is None or any(topic == "reset" for _, topic, _ in changes):
            self._begin()
            return {"now": now, "reload": True}
        evses: set[str] = set()
        document: dict[str, Any] = {}
        for number, topic, key in changes:
            self._cursor = number
            if topic == "charge":
                self._pending[key] = None
            elif topic == "evse":
                evses.add(key)
            elif topic == "requests":
                self._seen = min(self._seen, service.recorded)
                document["requests_cleared"] = True
            elif topic in WHOLE_TOPICS and topic not in document:
                document[topic] = self._whole(topic)
        while self._due and self._due[0][0] <= now:
            self._pending[heapq.heappop(self._due)[1]] = None
        if self._pending:
            self._take_charges(document, evses)
        if evses:
            document["evses"] = [{"evse_id": evse_id, "status": service.locations.status(evse_id)} for evse_id in evses]
        new = service.recorded - self._seen
        if new > 0:
            self._seen = service.recorded
            secrets = self._secrets()
            shown = list(service.requests)[-min(new, REQUESTS_AT_ONCE) :]
            document["requests"] = [request_summary(request, secrets) for request in shown]
            document["requests_missed"] = new - len(shown)
        if not document:
            return None
        document["now"] = now
        return document

    def _take_charges(self, document: dict[str, Any], evses: set[str]) -> None:
        shown: list[dict[str, Any]] = []
        gone: list[str] = []
        for session_id in list(self._pending)[:CHARGES_AT_ONCE]:
            del self._pending[session_id]
            charge = self._service.book.get(session_id)
            if charge is None:
                gone.append(session_id)
                continue
            shown.append(charge_document(charge))
            evses.add(charge.evse_id)
            self._plan(session_id, charge.next_change_at)
        if shown:
            document["charges"] = shown
        if gone:
            document["charges_forgotten"] = gone

    def _plan(self, session_id: str, at: float | None) -> None:
        if at is not None:
            heapq.heappush(self._due, (at, session_id))

    def _begin(self) -> None:
        self._cursor = self._service.journal.last
        self._seen = self._service.recorded
        self._pending.clear()
        self._due.clear()
        for charge in tuple(self._service.charges):
            self._plan(charge.session_id, charge.next_change_at)
