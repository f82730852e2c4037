"""The directives ``picture`` and ``recording``: pictures that are drawn when the site is built."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from html import escape
from typing import Any

from docutils import nodes
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from sphinx.util.docutils import SphinxDirective

from drawing import Drawing
from shell_ev import ShellEV
from shell_ev.sandbox import Sandbox


def states() -> Drawing:
    """The states of a charge, as the service names them."""
    draw = Drawing(760, 300, "The states of a charge")
    draw.box(10, 30, 150, 44, "START_REQUESTED")
    draw.box(230, 30, 110, 44, "STARTED", "good")
    draw.box(420, 30, 150, 44, "STOP_REQUESTED")
    draw.box(640, 30, 110, 44, "STOPPED", "over")
    draw.box(10, 200, 150, 44, "FAILED_TO_START", "bad")
    draw.box(420, 200, 150, 44, "FAILED_TO_STOP", "bad")
    draw.arrow((160, 52), (230, 52))
    draw.arrow((340, 52), (420, 52), label="stop")
    draw.arrow((570, 52), (640, 52))
    draw.arrow((85, 74), (85, 200))
    draw.text(96, 128, "no car, EVSE occupied,\ncard refused: nothing flows", "label", "start")
    draw.arrow((480, 74), (480, 200))
    draw.text(470, 136, "current still flows", "label", "end")
    draw.arrow((530, 200), (530, 74))
    draw.text(540, 136, "the library stops again", "label", "start")
    draw.arrow((285, 30), (285, 10), (695, 10), (695, 30))
    draw.text(490, 20, "car full or unplugged", "label")
    draw.text(
        380,
        276,
        "A change of state takes seconds or minutes; the station may answer late, or not at all.",
        "label",
    )
    return draw


def _lifelines(draw: Drawing, names: dict[str, int], bottom: int) -> None:
    for name, x in names.items():
        draw.line((x, 50), (x, bottom), kind="soft")
        draw.box(x - 65, 12, 130, 38, name)


def lost_start() -> Drawing:
    """A start of which the answer is lost, and its adoption."""
    draw = Drawing(760, 400, "A lost start and its adoption")
    app, ours, shell, station = 85, 285, 485, 675
    _lifelines(
        draw,
        {"application": app, "shell_ev": ours, "Shell": shell, "station": station},
        385,
    )
    draw.arrow((app, 85), (ours, 85), label="ev.charge(card, evse)")
    draw.arrow((ours, 120), (shell, 120), label="POST start")
    draw.arrow((shell, 150), (station, 150), label="start")
    draw.line((shell, 180), (390, 180), kind="bad")
    draw.cross(385, 180)
    draw.text(410, 200, "the answer is lost", "label", "start")
    draw.text(275, 225, "no second start", "label strong", "end")
    draw.arrow((ours, 250), (shell, 250), label="GET active (card)")
    draw.arrow((shell, 280), (ours, 280), label="nothing yet", kind="dashed")
    draw.arrow((ours, 315), (shell, 315), label="GET active (card)")
    draw.arrow((shell, 345), (ours, 345), label="session 4f1c: this EVSE, new", kind="dashed")
    draw.arrow((ours, 372), (app, 372), label="charge.adopted is True")
    return draw


def who_talks() -> Drawing:
    """Who talks to whom."""
    draw = Drawing(760, 210, "Who talks to whom")
    for x, name, kind in (
        (10, "your\napplication", ""),
        (165, "shell_ev", "good"),
        (320, "Shell\nRecharge", ""),
        (475, "operator\n(CPO)", ""),
        (630, "station\nEVSE, connector", ""),
    ):
        draw.box(x, 70, 120, 60, name, kind)
    draw.arrow((130, 100), (165, 100))
    draw.arrow((285, 90), (320, 90))
    draw.arrow((320, 112), (285, 112), kind="dashed")
    draw.arrow((440, 100), (475, 100))
    draw.arrow((595, 100), (630, 100))
    draw.text(147, 50, "Python", "label")
    draw.text(302, 50, "HTTPS, OAuth", "label")
    draw.text(457, 50, "OCPI", "label")
    draw.text(612, 50, "OCPP", "label")
    draw.line((10, 165), (285, 165), kind="soft")
    draw.text(147, 182, "your machine", "label")
    draw.line((320, 165), (750, 165), kind="soft")
    draw.text(535, 182, "each hop can be slow, or lose an answer", "label")
    return draw


def process_dies() -> Drawing:
    """What is left of a start when its process dies, and what recover() makes of it."""
    draw = Drawing(760, 330, "What happens when the process dies")
    draw.text(10, 20, "the process", "name", "start")
    draw.text(10, 96, "the journal", "name", "start")
    draw.text(10, 216, "recover(), in any process", "name", "start")
    draw.line((120, 45), (745, 45))
    moments = (
        (170, "token,\nbudget"),
        (330, "start is\nsent"),
        (510, "answer,\nsession id"),
        (680, "stopped"),
    )
    for x, name in moments:
        draw.dot(x, 45, 5, "good")
        draw.text(x, 62, name, "label")
    entries = (
        (120, 130, "waiting"),
        (260, 170, "sent"),
        (440, 170, "accepted"),
        (620, 125, "over"),
    )
    for x, width, name in entries:
        draw.box(x, 112, width, 38, name, "over" if name == "over" else "")
    ends = (
        (120, 130, "dropped:\nnothing was sent"),
        (260, 170, "looked for by card and\nEVSE: found, or unknown\nNever sent again"),
        (440, 170, 'on_crash="stop": stopped\non_crash="keep": listed,\nleft running'),
        (620, 125, "nothing to do"),
    )
    for x, width, name in ends:
        draw.arrow((x + width / 2, 150), (x + width / 2, 236), kind="dashed")
        draw.box(x, 236, width, 80, name)
    return draw


def entry_states() -> Drawing:
    """The states of an entry of the journal."""
    draw = Drawing(760, 300, "The states of an entry of the journal")
    draw.box(10, 90, 110, 44, "waiting")
    draw.box(230, 90, 110, 44, "sent")
    draw.box(450, 90, 110, 44, "accepted", "good")
    draw.box(640, 90, 110, 44, "over", "over")
    draw.box(230, 240, 110, 44, "unknown", "bad")
    draw.box(450, 240, 110, 44, "given_up")
    draw.arrow((120, 112), (230, 112))
    draw.text(175, 92, "written, sent", "label")
    draw.arrow((340, 112), (450, 112))
    draw.text(395, 92, "session id", "label")
    draw.arrow((560, 112), (640, 112))
    draw.text(600, 92, "ended", "label")
    draw.arrow((285, 90), (285, 30), (65, 30), (65, 90))
    draw.text(175, 14, "surely not sent: tried again", "label")
    draw.arrow((285, 134), (285, 240))
    draw.text(275, 178, "looked for,\nnot there", "label", "end")
    draw.arrow((340, 252), (480, 134))
    draw.text(390, 180, "found later,\nsettle()", "label", "end")
    draw.arrow((340, 270), (450, 270))
    draw.text(395, 286, "give_up()", "label")
    draw.arrow((520, 240), (520, 134))
    draw.text(530, 186, "settle()", "label", "start")
    return draw


def markers() -> Drawing:
    """The markers of a map of the Netherlands, out of the sandbox."""
    draw = Drawing(760, 430, "The markers of a map at zoom 8, from the sandbox")
    west, south, east, north = 3.2, 50.7, 7.3, 53.6
    with Sandbox() as sandbox:
        options = {
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
        }
        with ShellEV(base_url=sandbox.url, **options) as ev:
            found = ev.locations.markers(west=west, south=south, east=east, north=north, zoom=8).data
    for marker in found:
        if marker.coordinates is None:
            continue
        x = 20 + (marker.coordinates.longitude - west) / (east - west) * 720
        y = 400 - (marker.coordinates.latitude - south) / (north - south) * 380
        count = getattr(marker, "location_count", None) or 1
        draw.dot(x, y, min(4 + count**0.5, 22), "good" if count == 1 else "many")
        if count > 1:
            draw.text(x, y - 1, str(count), "label")
    draw.text(
        380,
        418,
        f"{len(found)} markers: a dot is one location, a number is that many close together",
        "label",
    )
    return draw


PICTURES: dict[str, Callable[[], Drawing]] = {
    "states": states,
    "lost-start": lost_start,
    "who-talks": who_talks,
    "process-dies": process_dies,
    "entry-states": entry_states,
    "markers": markers,
}


class Picture(SphinxDirective):
    """``picture`` NAME: one of the drawings above, with the content as its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw it into the page."""
        figure = nodes.container(classes=["picture"])
        svg = PICTURES[self.arguments[0]]().svg()
        figure += nodes.raw("", svg, format="html")
        if self.content:
            caption = nodes.container(classes=["picture-caption"])
            self.state.nested_parse(self.content, self.content_offset, caption)
            figure += caption
        return [figure]


_CHARACTER, _LINE, _COLUMNS = 8.4, 18, 60
#: The eight colours of a terminal, as the screen shows them on its dark ground.
_COLOURS = ("#8b949e", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#e6edf3")


def screen(text: Text) -> str:
    """Draw the screen of a terminal: each run of one style is a text of its own, as wide as its columns."""
    lines = text.wrap(Console(width=_COLUMNS), _COLUMNS)
    width, height = _COLUMNS * _CHARACTER + 24, len(lines) * _LINE + 24
    parts = [f'<rect class="screen" width="{width}" height="{height}" rx="8"/>']
    for row, line in enumerate(lines):
        column = 0
        for segment in line.render(Console(width=_COLUMNS)):
            style, written = segment.style, segment.text.rstrip("\n")
            if written.strip():
                number = style.color.number if style and style.color else None
                colour = _COLOURS[number % 8] if number is not None else _COLOURS[7]
                kind = " ".join(name for name in ("bold", "dim") if style and getattr(style, name))
                size = f'x="{12 + column * _CHARACTER:.1f}" y="{12 + row * _LINE + 13}"'
                length = f'textLength="{cell_len(written) * _CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs"'
                parts.append(f'<text class="{kind}" fill="{colour}" {size} {length}>{escape(written)}</text>')
            column += cell_len(written)
    head = f'<svg class="terminal" role="img" viewBox="0 0 {width} {height}" width="{width}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><title>{escape(text.plain)}</title>{"".join(parts)}</svg>'


class Recording(SphinxDirective):
    """``recording`` COMMAND: the screen after a command of ``shell-ev``, run against a sandbox of its own."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Run it and draw its screen, 60 columns wide."""
        words = self.arguments[0].split()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV_")}
        kept |= {"COLUMNS": "60", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        done = subprocess.run(  # noqa: S603 - the words stand on a page of ours
            [sys.executable, "-m", "shell_ev", *words[1:], "--sandbox"],
            env=kept,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        shown = Text(f"$ {' '.join(words)} --sandbox\n", style="bold")
        svg = screen(Text.assemble(shown, Text.from_ansi((done.stdout + done.stderr).rstrip())))
        figure = nodes.container(classes=["picture"])
        figure += nodes.raw("", svg, format="html")
        return [figure]


def setup(app: Any) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("picture", Picture)
    app.add_directive("recording", Recording)
    return {"parallel_read_safe": True}
