"""Three ways to show a charge: a live panel on a terminal, plain lines elsewhere, JSON lines for machines.

They show what they are told; they decide nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from ..models.enums import SessionState
from .charge_events import Event, event_shape, state_words, words
from .output import Output, is_terminal, lines_go_above, printable
from .values import clock

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .charge_flow import ChargeFlow, Wish

_EVENTS_SHOWN = 6
_WIDEST = 78
#: Room that the terminal's echo of Ctrl-C needs beside the panel, or it would break the last line in two.
_MARGIN = 4
_REFRESH = 0.5
#: Lines of the panel beside its events, and columns beside their words.
_FRAME_LINES, _FRAME_COLUMNS = 11, 18
#: Operation, request and tries of an error: no two requests have the same.
_CALL = re.compile(r" \([^()]*\)")
_AFTER = {
    "not-started": "Nothing was started.",
    "stopped": "The charge is stopped.",
    "ended": "The charge is over.",
    "left-running": "The charge goes on.",
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


def show_json(out: Output) -> Callable[[Event], None]:
    """One JSON object a line."""
    return lambda event: out.document(event_shape(event))


def show_plain(out: Output) -> Callable[[Event], None]:
    """One line an event, with its time."""

    def show(event: Event) -> None:
        if (text := words(event)) is not None:
            out.line(f"{event.at:%H:%M:%S}  {text}")
        if event.stop_command is not None:
            out.line(_how_to_stop(event.stop_command))

    return show


def _how_to_stop(stop_command: str) -> str:
    return f"stop it with: {stop_command}"


class Panel:
    """The live panel: what is charged where, its state and for how long, and the last events."""

    def __init__(self, out: Output, wish: Wish) -> None:
        from rich.live import Live

        self._wish = wish
        self._console = out.console()
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._events: deque[tuple[Event, int]] = deque(maxlen=_EVENTS_SHOWN)
        """Each with how often it came in a row."""
        self._last: Event | None = None
        self._flow: ChargeFlow | None = None

    @contextlib.contextmanager
    def drawn(self) -> Generator[None]:
        """Draw it, and leave the last picture standing."""
        self._live.start()
        try:
            with lines_go_above(lambda line: self._console.print(line, soft_wrap=True)):
                yield
        finally:
            # The terminal may be gone by now.
            with contextlib.suppress(OSError):
                self._live.stop()
                if self._last is not None and self._last.stop_command is not None:
                    # Below the frame and on a line of its own, to be copied.
                    self._console.print(_how_to_stop(self._last.stop_command), soft_wrap=True)

    def show(self, event: Event) -> None:
        """Take in an event."""
        self._last = event
        if words(event) is not None:
            count = 1
            if self._events and _same_problem(self._events[-1][0], event):
                count += self._events.pop()[1]
            self._events.append((event, count))
        self._draw()

    async def keep_fresh(self, flow: ChargeFlow) -> None:
        """Redraw while the time passes."""
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
        """Times and words of the last events that leave state and session on the screen."""
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
        yield "EVSE", Text(printable(self._wish.evse_id))
        yield "Card", Text(printable(self._wish.card))
        yield "Session", Text(charge.session_id if charge is not None else "-")

    def _elapsed(self) -> str:
        last = self._last
        over = last is not None and last.name in ("stopped", "ended")
        elapsed = last.elapsed if over and last is not None else self._flow.elapsed if self._flow is not None else None
        if elapsed is None:
            return "-"
        if over or self._wish.stop_after is None:
            return clock(elapsed)
        return f"{clock(elapsed)}, stops at {clock(self._wish.stop_after)}"

    def _hint(self) -> str:
        name = self._last.name if self._last is not None else ""
        if name in _AFTER:
            return _AFTER[name]
        if name in ("signal", "stopping"):
            return "Stopping; wait until it is seen stopped. Ctrl-C gives up on it."
        return "Ctrl-C leaves it running." if self._wish.keep_running else "Ctrl-C stops the charge."


def _same_problem(one: Event, other: Event) -> bool:
    if not one.name == other.name == "problem":
        return False
    return _CALL.sub("", one.message or "") == _CALL.sub("", other.message or "")


@contextlib.contextmanager
def viewed(out: Output, wish: Wish) -> Generator[tuple[Callable[[Event], None], Panel | None]]:
    """The view that fits the output: how to show an event, and the panel if it is one."""
    if out.json:
        yield show_json(out), None
    elif not is_terminal(sys.stdout):
        yield show_plain(out), None
    else:
        panel = Panel(out, wish)
        with panel.drawn():
            yield panel.show, panel
