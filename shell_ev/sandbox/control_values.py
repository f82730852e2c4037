"""Values of a call of the control API: the body, its keys, and arguments of the query.

A ValueError or KeyError says what is wrong; `control.py` makes an answer of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from shell_ev.sandbox.access import Refused

Body = dict[str, Any]


def read_body(content_type: str | None, body: bytes) -> Body:
    """Read the body of a call, {} when there is none.

    Raises:
        Refused: It is not a JSON object.
    """
    if not body:
        return {}
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        # A page of another origin can make a browser send other types without asking first.
        raise Refused(415, "json-only", "The body must be sent as application/json.")
    try:
        document: Any = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "bad-request", "The body is not JSON.") from None
    if not isinstance(document, dict):
        raise Refused(400, "bad-request", "The body must be a JSON object.")
    return cast("Body", document)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def known(kind: str, key: str, find: Callable[[str], Any]) -> Any:
    """Return what `find` finds; the KeyError of a thing that does not exist names its kind."""
    try:
        return find(key)
    except KeyError:
        raise KeyError(f"{kind} {key!r}") from None


def only(body: Body, *keys: str, required: tuple[str, ...] = ()) -> None:
    """Refuse unknown and missing keys of a body."""
    unknown, missing = sorted(set(body) - set(keys)), [name for name in required if name not in body]
    if unknown:
        raise ValueError(f"unknown keys {', '.join(unknown)}; known are {', '.join(keys)}")
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")


def an_object(value: Any, name: str) -> Body:
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise ValueError(f'{name} must be an object such as {{"kind": "drop"}}')
    return cast("Body", value)


def a_text(value: Any, name: str) -> str:
    """Return a value that must be a text."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def a_list(value: Any, name: str) -> list[Any]:
    """Return a value that must be a list."""
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list")
    return cast("list[object]", value)


def a_number(value: Any, name: str) -> float:
    """Return a value that must be a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number")
    return value


def an_integer(value: Any, name: str, least: int | None = None) -> int:
    """Return a value that must be a whole number, of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise ValueError(f"{name} must be a whole number" + ("" if least is None else f" of at least {least}"))
    return value


def whole_argument(query: dict[str, str], name: str, default: int) -> int:
    """Return a whole number of the query, or the default."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise ValueError(f"{name} must be a whole number of at least 0")
    return int(text)
