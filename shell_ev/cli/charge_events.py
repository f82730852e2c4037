"""What happens to a charge that ``shell-ev charge`` holds, as events: their JSON shape and their words.

Knows nothing of how events come about or where they are shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from ..models.charging import ChargeSession
from ..models.enums import SessionState
from .output import printable
from .shapes import plain
from .values import clock


@attrs.frozen(kw_only=True)
class Event:
    """One thing that happened."""

    name: str
    """On the way: ``starting``, ``accepted``, ``state``, ``problem``, ``signal``, ``stopping``. The last one:
    ``stopped``, ``not-started`` (nothing was sent),
    ``ended`` (by itself), ``left-running``, ``failed`` (to start), ``pending`` or ``not-stopped``."""
    at: datetime
    card: str
    evse_id: str
    session_id: str | None = None
    """None until the start was accepted."""
    session: ChargeSession | None = None
    """As it was last seen."""
    elapsed: float | None = None
    """Seconds since the charge was seen started; None before that."""
    reason: str | None = None
    """Of ``signal``, ``stopping`` and ``left-running``: ``SIGINT``, ``stop-after``, ``error`` ..."""
    message: str | None = None
    """In words, where there is more to say."""
    stop_command: str | None = None
    """Of ``left-running``: what stops it."""

    @property
    def state(self) -> SessionState | None:
        """State of the session as it was last seen."""
        return self.session.state if self.session is not None else None


def event_shape(event: Event) -> dict[str, Any]:
    """One line of ``charge --json``; every event has every key."""
    return {
        "event": event.name,
        "at": event.at.isoformat(),
        "card": event.card,
        "evse_id": event.evse_id,
        "session_id": event.session_id,
        "state": plain(event.state),
        "elapsed_seconds": None if event.elapsed is None else round(event.elapsed, 3),
        "reason": event.reason,
        "message": event.message,
        "stop_command": event.stop_command,
        "session": plain(event.session),
    }


#: States in the words of somebody standing beside the car.
_WORDS = {
    SessionState.START_REQUESTED: "waiting for the station to start",
    SessionState.STARTED: "charging",
    SessionState.STOP_REQUESTED: "waiting for the station to stop",
    SessionState.STOPPED: "stopped",
    SessionState.FAILED_TO_START: "failed to start",
    SessionState.FAILED_TO_STOP: "failed to stop, still charging",
}

_SIGNALS = frozenset({"SIGINT", "SIGTERM", "SIGHUP"})
_BECAUSE = {
    "SIGINT": "Ctrl-C",
    "SIGTERM": "SIGTERM",
    "SIGHUP": "the terminal is gone (SIGHUP)",
    "stop-after": "the time of --stop-after is up",
    "error": "it cannot be followed any more",
    "gone": "the service does not know the session any more",
    "output": "nobody reads the output any more",
}


_LAST = {"failed": "failed to start", "pending": "not started in time", "not-stopped": "NOT STOPPED"}


def state_words(state: SessionState | None) -> str:
    """A state as a person would say it; one we do not know as it is."""
    if state is None:
        return "not seen yet"
    return _WORDS.get(state) or printable(state.value)


def words(event: Event) -> str | None:
    """An event in one line for a person; None for one that says nothing new to them."""
    because = _BECAUSE.get(event.reason or "", event.reason or "")
    more = f": {event.message}" if event.message else ""
    after = f" after {clock(event.elapsed)}" if event.elapsed is not None else ""
    match event.name:
        case "starting":
            text = f"asking for a charge on {event.evse_id}"
        case "accepted":
            text = f"accepted, session {event.session_id}"
        case "state":
            text = state_words(event.state)
        case "signal":
            text = f"{because}{more}"
        case "stopping":
            if event.reason in _SIGNALS:
                return None  # told when it came
            text = f"stopping: {because}"
        case "not-started":
            text = f"nothing was started{more}"
        case "stopped":
            text = f"stopped{after}{more}"
        case "ended":
            text = f"ended by itself{after}{more}"
        case "left-running":
            text = f"{because}: left running on purpose"
        case "failed" | "pending" | "not-stopped":
            text = _LAST[event.name]  # why is what the command's last line says
        case _:
            text = f"{event.name}{more}"
    return printable(text)
