"""What is true at the adversary: sessions over time, and what was asked. Times are seconds of its ``clock``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import attrs

from .faults import Fault

#: Ids that a service may give although the contract says UUID. Each has to be retrieved, followed and stopped.
ODD_IDS: dict[str, Callable[[], Any]] = {
    "braces": lambda: "{" + str(uuid4()) + "}",
    "without dashes": lambda: uuid4().hex,
    "upper case": lambda: str(uuid4()).upper(),
    "number": lambda: uuid4().int % 10**12 + 1,
    "slash": lambda: f"nl/tnm/{uuid4().hex[:8]}",
    "percent": lambda: f"50%25{uuid4().hex[:8]}%2F",
    "star": lambda: f"a*{uuid4().hex[:8]}*b",
    "space, plus, question mark": lambda: f"a b+c?d=1&e#{uuid4().hex[:8]}",
    "not ASCII": lambda: f"séance-{uuid4().hex[:8]}",
    "255 characters": lambda: "x" * 223 + uuid4().hex,
}
#: Ids that cannot be asked for again: a start answered with one has an unknown outcome.
IMPOSSIBLE_IDS: dict[str, Any] = {
    "null": None,
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "outer white space": " c3e332f0 ",
    "line break": "c3e332f0\r\nX-Evil: 1",
    "256 characters": "y" * 256,
    "EVSE id": "NL*TNM*E02003451*0",
    "object": {"id": 1},
}


@attrs.define(kw_only=True, eq=False)
class Session:
    """One charge session. ``owner`` is the RequestId of the start that made it; None for a foreign one."""

    id: Any
    card: str
    evse: str
    owner: str | None
    client: str | None
    began: float
    """When it was made."""
    start_delay: float = 0.0
    """Seconds from then until it has started."""
    stop_delay: float = 0.0
    """Seconds from a stop until it has stopped."""
    fails: bool = False
    """Whether it fails to start, after ``start_delay``."""
    shown_from: float = 0.0
    """Before that ``active`` and ``retrieve`` do not show it."""
    hidden_from: float = float("inf")
    """From then on ``active`` does not show it."""
    stale: float = 0.0
    """By how many seconds the state that is shown lags behind."""
    copies: int = 1
    """How often ``active`` lists it."""
    without: frozenset[str] = frozenset()
    """Fields that are not shown, by their V2 names."""
    fraction: bool = True
    """Whether its times carry fractions of a second."""
    shown_start: float | None = None
    """Shown as ``startedAt`` in place of the truth."""
    shown_evse: str | None = None
    """Shown as ``evseId`` in place of the truth."""
    stops: list[float] = attrs.field(factory=list)
    """When stops were carried out."""
    stopped_by: list[str | None] = attrs.field(factory=list)
    """RequestIds of those; None for the driver or the owner of a foreign session."""

    def state_at(self, moment: float) -> str:
        """The true state at a time."""
        started = self.began + self.start_delay
        stop = self.stops[0] if self.stops else float("inf")
        if self.fails:
            return "failed-to-start" if moment >= started else "start-requested"
        if moment >= stop:
            return "stopped" if moment >= stop + self.stop_delay else "stop-requested"
        return "started" if moment >= started else "start-requested"

    def ended_at(self) -> float | None:
        """When it ended or is going to; None without a stop."""
        if self.fails:
            return self.began + self.start_delay
        return self.stops[0] + self.stop_delay if self.stops else None

    def is_over(self, moment: float) -> bool:
        """Whether it has ended by then."""
        return self.state_at(moment) in ("stopped", "failed-to-start")

    def shown(self, moment: float, offset: float) -> dict[str, Any]:
        """As V2's ``active`` shows it, ``offset`` being how far the service's clock is ahead."""
        seen = max(self.began, moment - self.stale)
        state = self.state_at(seen)
        began = self.began if self.shown_start is None else self.shown_start
        fields: dict[str, Any] = {
            "id": self.id,
            "userId": "b9ae5f3c-5d0c-4b9a-8f5a-51a4fb0f0f10",
            "emaId": self.card,
            "evseId": self.shown_evse or self.evse,
            "lastUpdated": self._text(max([self.began, *(stop for stop in self.stops if stop <= seen)]) + offset),
            "startedAt": self._text(began + offset),
            "stoppedAt": None,
            "sessionState": {"status": state.capitalize() if state == "started" else state},
        }
        ended = self.ended_at()
        if state in ("stopped", "failed-to-start") and ended is not None:
            fields["stoppedAt"] = self._text(ended + offset)
        if state == "failed-to-start":
            fields["sessionState"]["error"] = {"code": "EvNotConnectedToEvse", "message": "no car"}
        return {name: value for name, value in fields.items() if name not in self.without}

    def _text(self, moment: float) -> str:
        text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds" if self.fraction else "seconds")
        return text.replace("+00:00", "Z")


@attrs.define(kw_only=True, eq=False)
class Seen:
    """One request that arrived, and what was done with it."""

    operation: str
    at: float
    connection: int
    client: str | None
    request_id: str | None
    card: str | None = None
    evse: str | None = None
    session_id: str | None = None
    headers: dict[str, str] = attrs.field(factory=dict, repr=False)
    path: str = ""
    fault: Fault = attrs.field(factory=Fault, repr=lambda fault: fault.name)
    carried_out: bool = False
    session: Session | None = attrs.field(default=None, repr=False)
    """Made by this start, or stopped by this stop."""
    listed: tuple[Session, ...] = attrs.field(default=(), repr=False)
    """What the right answer to this ``active`` shows."""
    status: int | None = None
    """Of the answer; None when there was none."""
    answered_at: float | None = None
    """When the whole answer was handed to the network; None when it was not."""
