"""The events of ``shell-ev charge`` and their views: a live panel on a terminal, plain lines, or JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from .. import ChargeSession, SessionState
from .output import Output, clock, is_terminal, json_value, print_errors_above, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .charge_flow import ChargeFlow, ChargeRequest


@attrs.frozen(kw_only=True)
class Event:
    """One event of a charge."""

    name: str
    """During the charge: ``starting``, ``accepted`` or ``met`` (its key has a charge already), ``state``, ``problem``,
    ``signal``, ``stopping``. At the end:
    ``stopped``, ``not-started`` (nothing was sent), ``ended`` (by itself), ``left-running``, ``failed`` (to start),
    ``pending`` or ``not-stopped``."""
    at: datetime
    card: str
    evse_id: str
    session_id: str | None = None
    """None until the start is accepted."""
    session: ChargeSession | None = None
    """The session when it was last polled."""
    elapsed: float | None = None
    """Seconds since the charge was seen started; None before that."""
    reason: str | None = None
    """Of ``signal``, ``stopping`` and ``left-running``: ``SIGINT``, ``stop-after``, ``error`` ..."""
    message: str | None = None
    """Details in words."""
    stop_command: str | None = None
    """Of ``left-running``: the command that stops the charge."""

    @property
    def state(self) -> SessionState | None:
        """State of the session when it was last polled."""
        return self.session.state if self.session is not None else None

    def to_json(self) -> dict[str, Any]:
        """One line of ``charge --json``. The keys are the same for every event."""
        return {
            "event": self.name,
            "at": self.at.isoformat(),
            "card": self.card,
            "evse_id": self.evse_id,
            "session_id": self.session_id,
            "state": json_value(self.state),
            "elapsed_seconds": None if self.elapsed is None else round(self.elapsed, 3),
            "reason": self.reason,
            "message": self.message,
            "stop_command": self.stop_command,
            "session": json_value(self.session),
        }


#: States in words for a driver beside the car.
_STATES = {
    SessionState.START_REQUESTED: "waiting for the station to start",
    SessionState.STARTED: "charging",
    SessionState.STOP_REQUESTED: "waiting for the station to stop",
    SessionState.STOPPED: "stopped",
    SessionState.FAILED_TO_START: "failed to start",
    SessionState.FAILED_TO_STOP: "failed to stop, still charging",
}
_SIGNALS = frozenset({"SIGINT", "SIGTERM", "SIGHUP"})
_REASONS = {
    "SIGINT": "Ctrl-C",
    "SIGTERM": "SIGTERM",
    "SIGHUP": "the terminal is closed (SIGHUP)",
    "stop-after": "the time of --stop-after is up",
    "error": "the charge cannot be followed any more",
    "gone": "the service does not know the session any more",
    "output": "the output is closed",
}
_FAILURES = {"failed": "failed to start", "pending": "not started in time", "not-stopped": "NOT STOPPED"}


def state_words(state: SessionState | None) -> str:
    """A state in words; an unknown one is the service's text."""
    if state is None:
        return "not seen yet"
    return _STATES.get(state) or printable(state.value)


def words(event: Event) -> str | None:
    """An event in one line; None for an event that another one has announced."""
    reason = _REASONS.get(event.reason or "", event.reason or "")
    more = f": {event.message}" if event.message else ""
    after = f" after {clock(event.elapsed)}" if event.elapsed is not None else ""
    match event.name:
        case "starting":
            text = f"starting a charge on {event.evse_id}"
        case "accepted":
            text = f"accepted, session {event.session_id}"
        case "met":
            text = f"{event.message}; session {event.session_id}"
        case "state":
            text = state_words(event.state)
        case "signal":
            text = f"{reason}{more}"
        case "stopping":
            if event.reason in _SIGNALS:
                return None  # the signal event has announced it
            text = f"stopping: {reason}"
        case "not-started":
            text = f"nothing was started{more}"
        case "stopped":
            text = f"stopped{after}{more}"
        case "ended":
            text = f"ended by itself{after}{more}"
        case "left-running":
            text = f"{reason}: left running on purpose"
        case "failed" | "pending" | "not-stopped":
            text = _FAILURES[event.name]  # the command's last line has the cause
        case _:
            text = f"{event.name}{more}"
    return printable(text)


def show_json(out: Output) -> Callable[[Event], None]:
    """A view of one JSON object a line."""
    return lambda event: out.record(event.to_json())


def show_plain(out: Output) -> Callable[[Event], None]:
    """A view of one line an event, with its time."""

    def show(event: Event) -> None:
        if (text := words(event)) is not None:
            out.text(f"{event.at:%H:%M:%S}  {text}", " " * 10)
        if event.stop_command is not None:
            out.line(_how_to_stop(event.stop_command))

    return show


def _how_to_stop(stop_command: str) -> str:
    return f"stop it with: {stop_command}"


_EVENTS_SHOWN = 6
_WIDEST = 78
#: Columns that the terminal's echo of Ctrl-C needs beside the panel.
_MARGIN = 4
_REFRESH = 0.5
#: Lines of the panel beside its events, and columns beside their text.
_FRAME_LINES, _FRAME_COLUMNS = 12, 18
#: Operation, request id and attempts in an error's text, which differ for each request.
_CALL = re.compile(r" \([^()]*\)")
_HINTS = {
    "not-started": "Nothing was started.",
    "stopped": "The charge is stopped.",
    "ended": "The charge is over.",
    "left-running": "The charge is still running.",
    "failed": "The charge did not start.",
    "pending": "The charge may start yet.",
    "not-stopped": "THE CAR MAY STILL BE CHARGING.",
}
_COLOURS: dict[SessionState | None, str] = {
    SessionState.STARTED: "green",
    SessionState.STOPPED: "bold",
    SessionState.FAILED_TO_START: "red",
    SessionState.FAILED_TO_STOP: "red",
}


class Panel:
    """The live panel: card, EVSE, session, state, elapsed time, and the last events."""

    def __init__(self, out: Output, request: ChargeRequest) -> None:
        from rich.live import Live

        self._request = request
        self._console = out.console()
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._events: deque[tuple[Event, int]] = deque(maxlen=_EVENTS_SHOWN)
        """Events with the number of times that each was repeated."""
        self._last: Event | None = None
        self._flow: ChargeFlow | None = None

    @contextlib.contextmanager
    def drawn(self) -> Generator[None]:
        """Draw the panel for a block. The last picture stays on the terminal."""
        self._live.start()
        try:
            with print_errors_above(lambda line: self._console.print(line, soft_wrap=True)):
                yield
        finally:
            # The terminal may be closed.
            with contextlib.suppress(OSError):
                self._live.stop()
                if self._last is not None and self._last.stop_command is not None:
                    # Below the frame, to be copied; on a line of its own where it is narrow.
                    text = _how_to_stop(self._last.stop_command)
                    if len(text) > self._console.width:
                        text = text.replace(": ", ":\n", 1)
                    self._console.print(text, soft_wrap=True)

    def show(self, event: Event) -> None:
        """Add an event and redraw."""
        self._last = event
        if words(event) is not None:
            count = 1
            if self._events and _is_same_problem(self._events[-1][0], event):
                count += self._events.pop()[1]
            self._events.append((event, count))
        self._draw()

    async def keep_redrawing(self, flow: ChargeFlow) -> None:
        """Redraw at intervals, to update the elapsed time."""
        self._flow = flow
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(_REFRESH)
                self._draw()

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        from rich import box
        from rich.console import Group
        from rich.panel import Panel as Frame
        from rich.table import Table
        from rich.text import Text

        facts, events = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
        for column in (facts, events):
            column.add_column(style="dim", no_wrap=True)
            column.add_column(overflow="fold")
        for name, value in self._facts():
            facts.add_row(name, value)
        for moment, text in self._rows():
            events.add_row(moment, Text(text))
        return Frame(
            Group(facts, Text(), events, Text(), Text(self._hint(), style="dim")),
            title="shell-ev charge",
            title_align="left",
            box=box.ROUNDED,
            border_style="bold red" if self._last is not None and self._last.name == "not-stopped" else "none",
            width=min(_WIDEST, self._console.width - _MARGIN),
        )

    def _rows(self) -> list[tuple[str, str]]:
        """Times and texts of the last events, as many as fit below the facts."""
        room = self._console.height - _FRAME_LINES
        width = max(1, min(_WIDEST, self._console.width - _MARGIN) - _FRAME_COLUMNS)
        rows: list[tuple[str, str]] = []
        for event, count in reversed(self._events):
            text = f"{words(event)}{f' ({count} times)' if count > 1 else ''}"
            room -= -(-len(text) // width)
            if rows and room < 0:
                break
            rows.append((f"{event.at:%H:%M:%S}", text))
        return rows[::-1]

    def _facts(self) -> Iterator[tuple[str, RenderableType]]:
        from rich.text import Text

        charge = self._flow.charge if self._flow is not None else None
        state = charge.state if charge is not None else None
        shown = state_words(state) if charge is not None else "starting"
        yield "State", Text(shown, style=_COLOURS.get(state, "yellow"))
        yield "Elapsed", Text(self._elapsed())
        if (checked := self._checked_ago()) is not None:
            yield "Checked", Text(f"{checked:.0f} s ago")
        yield "EVSE", Text(printable(self._request.evse_id))
        yield "Card", Text(printable(self._request.card))
        yield "Session", Text(printable(charge.session_id) if charge is not None else "-")

    def _checked_ago(self) -> float | None:
        """Seconds since the session was last seen, while the charge runs."""
        flow = self._flow
        if flow is None or (self._last is not None and self._last.name in _HINTS):
            return None
        return flow.checked_ago

    def _elapsed(self) -> str:
        last = self._last
        over = last is not None and last.name in ("stopped", "ended")
        elapsed = last.elapsed if over and last is not None else self._flow.elapsed if self._flow is not None else None
        if elapsed is None:
            return "-"
        if over or self._request.stop_after is None:
            return clock(elapsed)
        return f"{clock(elapsed)}, stops at {clock(self._request.stop_after)}"

    def _hint(self) -> str:
        name = self._last.name if self._last is not None else ""
        if name in _HINTS:
            return _HINTS[name]
        if name in ("signal", "stopping"):
            return "Stopping, please wait. Ctrl-C ends at once."
        return "Ctrl-C leaves it running." if self._request.keep_running else "Ctrl-C stops the charge."


def _is_same_problem(one: Event, other: Event) -> bool:
    if not one.name == other.name == "problem":
        return False
    return _CALL.sub("", one.message or "") == _CALL.sub("", other.message or "")


@contextlib.contextmanager
def viewed(out: Output, request: ChargeRequest) -> Generator[tuple[Callable[[Event], None], Panel | None]]:
    """The view that fits the output, as a function that shows an event, and the panel if the view is one."""
    if out.json:
        yield show_json(out), None
    elif not is_terminal(sys.stdout):
        yield show_plain(out), None
    else:
        panel = Panel(out, request)
        with panel.drawn():
            yield panel.show, panel
