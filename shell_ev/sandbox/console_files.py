"""The files of the console as they are served: bytes, type and headers."""

from __future__ import annotations

import functools
from importlib import resources

import attrs

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

SAFE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Go with every answer of the console and of the control API."""

FOLDER = "/_sandbox/console/"


@attrs.frozen
class ConsoleFile:
    """One file."""

    body: bytes
    content_type: str


@functools.cache
def console_files() -> dict[str, ConsoleFile]:
    """Return every file of the console by its path; the page itself is at `/`."""
    found: dict[str, ConsoleFile] = {}
    for item in resources.files("shell_ev.sandbox").joinpath("console").iterdir():
        kind = _TYPES.get(item.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if item.name == "index.html" else FOLDER + item.name
            found[path] = ConsoleFile(item.read_bytes(), kind)
    return found
