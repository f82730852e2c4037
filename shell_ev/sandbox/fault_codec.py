"""Faults as JSON: a name and its parameters, as the class methods of `Fault` have them."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, cast

from shell_ev.sandbox.faults import Fault, FaultKind
from shell_ev.sandbox.records import Ending

Parameters = dict[str, Any]

KINDS: dict[str, tuple[str, Parameters]] = {
    "drop": ("The connection is closed without an answer.", {"after_effect": True}),
    "reset": ("The connection is reset (TCP RST) without an answer.", {"after_effect": True}),
    "truncate": ("Half of the answer is sent, then the connection is closed.", {"after_effect": True}),
    "hang": ("The answer never comes.", {"after_effect": True}),
    "delay": ("The answer is late by that many real seconds.", {"seconds": 5.0}),
    "status": (
        "The answer has this status and the dialect's own error body, or the body given.",
        {"status": 500, "after_effect": False, "headers": {}, "body": None, "content_type": "application/json"},
    ),
    "rate_limit": ("The answer is 429 with this Retry-After.", {"retry_after": 1, "after_effect": False}),
    "unavailable": (
        "The answer is 503, with Retry-After when one is given.", {"retry_after": None, "after_effect": False}
    ),
    "garbage": (
        "The answer is no JSON of the contract, as from a proxy on the way.",
        {"body": "<html><body><h1>It works!</h1></body></html>", "status": 200, "content_type": "text/html",
         "after_effect": True},
    ),
    "token_revoked": ("The token of the call is revoked, so that the call is refused with 401.", {}),
}  # fmt: skip
"""Name -> what happens, and its parameters with their defaults. `after_effect`: the call does its work first."""

_ENDINGS = {Ending.CLOSE: "drop", Ending.RESET: "reset", Ending.TRUNCATED: "truncate", Ending.HANG: "hang"}
_ENCODED = "body_base64"


def fault_document(fault: Fault) -> dict[str, Any]:
    """Describe a fault so that `read_fault` builds the same one."""
    if fault.kind is FaultKind.TOKEN_REVOKED:
        return {"kind": "token_revoked"}
    if fault.kind is FaultKind.DELAY:
        return {"kind": "delay", "seconds": fault.seconds}
    if fault.kind is FaultKind.CONNECTION:
        return {"kind": _ENDINGS[fault.ending], "after_effect": fault.after_effect}
    document: dict[str, Any] = {"kind": "garbage" if fault.kind is FaultKind.GARBAGE else "status"}
    document |= {"status": fault.status_code, "after_effect": fault.after_effect}
    if fault.headers:
        document["headers"] = dict(fault.headers)
    if fault.body is not None:
        document["content_type"] = fault.content_type
        try:
            document["body"] = fault.body.decode()
        except UnicodeDecodeError:
            document[_ENCODED] = base64.b64encode(fault.body).decode()
    return document


def read_fault(document: Mapping[str, Any]) -> Fault:
    """Build a fault.

    Args:
        document: `kind` and its parameters, see `KINDS`; a body that is no text goes in `body_base64`.

    Raises:
        ValueError: There is no such kind, or a parameter is unknown or of the wrong type.
    """
    given = dict(document)
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind of fault {kind!r}; known are {', '.join(KINDS)}")
    known = KINDS[kind][1]
    if "body" in known and _ENCODED in given:
        given["body"] = _decoded(given.pop(_ENCODED))
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"the fault {kind} has no {', '.join(unknown)}; it has {', '.join(known) or 'no parameter'}")
    for name, value in given.items():
        given[name] = _checked(name, value)
    build = getattr(Fault, kind)
    fault: Fault = build(**given)
    return fault


def _checked(name: str, value: Any) -> Any:
    if name == "after_effect":
        if not isinstance(value, bool):
            raise ValueError("after_effect must be true or false")
    elif name == "seconds":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError("seconds must be a number of at least 0")
    elif name == "status":
        if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
            raise ValueError("status must be a whole number from 200 to 599")
    elif name == "retry_after":
        if isinstance(value, bool) or not isinstance(value, (int, float, str, type(None))):
            raise ValueError("retry_after must be a number, a text or null")
        if isinstance(value, str):
            _line(value, name)
    elif name == "headers":
        _headers(value)
    elif name == "content_type":
        _line(value, name)
    elif isinstance(value, str):
        return value.encode()
    elif not isinstance(value, (bytes, type(None))):
        raise ValueError("body must be a text or null")
    return value


def _headers(value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("headers must be an object of texts")
    for name, text in cast("dict[str, object]", value).items():
        _line(name, "the name of a header")
        _line(text, name)


def _line(value: Any, name: str) -> None:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} must be one line of text")


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError("body_base64 must be base64") from error
