"""Boxes, arrows and text as SVG. The colours are classes of site.css, which follow the light and the dark theme."""

from __future__ import annotations

from html import escape


class Drawing:
    """A picture in the making. Lengths are pixels of a picture that the page scales."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = width, height
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> None:
        """Write lines of text, the first one centred on ``y``."""
        for number, line in enumerate(text.split("\n")):
            self._parts.append(
                f'<text class="{kind}" x="{x}" y="{y + 5 + 17 * number}" text-anchor="{anchor}">{escape(line)}</text>'
            )

    def box(self, x: float, y: float, width: float, height: float, text: str, kind: str = "") -> None:
        """Draw a box with its text in the middle."""
        self._parts.append(f'<rect class="box {kind}" x="{x}" y="{y}" rx="7" width="{width}" height="{height}"/>')
        top = y + height / 2 - 8.5 * text.count("\n")
        self.text(x + width / 2, top, text, "name")

    def line(self, *points: tuple[float, float], kind: str = "") -> None:
        """Draw a line through points."""
        path = " ".join(f"{x},{y}" for x, y in points)
        self._parts.append(f'<polyline class="line {kind}" points="{path}"/>')

    def arrow(
        self,
        *points: tuple[float, float],
        label: str = "",
        kind: str = "",
        at: tuple[float, float] | None = None,
    ) -> None:
        """Draw an arrow through points, its label above the middle or where ``at`` is."""
        self.line(*points, kind=kind)
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1.0)
        ux, uy = (x1 - x0) / length * 9, (y1 - y0) / length * 9
        corners = (
            (x1, y1),
            (x1 - ux - uy / 2, y1 - uy + ux / 2),
            (x1 - ux + uy / 2, y1 - uy - ux / 2),
        )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._parts.append(f'<polygon class="head {kind}" points="{path}"/>')
        if label:
            (a, b), (c, d) = points[0], points[-1]
            self.text(*(at or ((a + c) / 2, (b + d) / 2 - 12)), label, "label")

    def cross(self, x: float, y: float) -> None:
        """Mark the place where something ends."""
        for sign in (1, -1):
            self.line((x - 8, y - 8 * sign), (x + 8, y + 8 * sign), kind="bad")

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """Draw a filled circle."""
        self._parts.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')

    def svg(self) -> str:
        """The picture."""
        width, height = self._size
        return (
            f'<svg class="drawing" role="img" viewBox="0 0 {width} {height}"'
            f' width="{width}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{escape(self._title)}</title>{''.join(self._parts)}</svg>"
        )
