"""What can go wrong with one request, each as one value to script. Knows no sockets and no clock."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs


class Ending(StrEnum):
    """What becomes of the connection after the answer, or in place of it."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


class Envelope(StrEnum):
    """Who words an answer that is a failure."""

    SERVICE = "service"
    GATEWAY = "gateway"
    HTML = "html"
    EMPTY = "empty"


@attrs.frozen(kw_only=True)
class Fault:
    """One deviation from the right answer. Combine them with :meth:`but`."""

    name: str = "none"
    effect: bool = True
    """Whether the request is carried out."""
    effect_after: float = 0.0
    """Seconds until it is, whether the client waits for it or not."""
    answer_after: float = 0.0
    """Seconds until the answer is sent, counted from the effect."""
    share: float = 1.0
    """How much of the answer's bytes is sent: 0 for none of it."""
    ending: Ending = Ending.KEEP
    status: int | None = None
    """A failure in place of the answer, worded as ``envelope`` says."""
    envelope: Envelope = Envelope.SERVICE
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes | None = None
    """In place of the right body."""
    raw: bytes | None = None
    """In place of the whole answer, status line included."""
    data: Any = None
    """In place of the envelope's ``data``."""
    drop_data: bool = False
    """Whether the envelope comes without ``data``."""
    request_id: str | None = None
    """Echoed in place of the request's own; "" for none."""
    extra: bytes = b""
    """Bytes after the end of the answer, on the same connection."""
    extra_after: float = 0.0
    """Seconds until those are sent."""

    def but(self, **changes: Any) -> Fault:
        """The same with changes."""
        return attrs.evolve(self, **changes)


nothing = Fault()

# No answer at all. "after" is after the effect: the request was carried out.
drop_before_effect = Fault(name="drop before", effect=False, share=0.0, ending=Ending.CLOSE)
lose_answer_after_effect = Fault(name="drop after", share=0.0, ending=Ending.CLOSE)
reset_before_effect = Fault(name="reset before", effect=False, share=0.0, ending=Ending.RESET)
reset_after_effect = Fault(name="reset after", share=0.0, ending=Ending.RESET)
hang_before_effect = Fault(name="hang before", effect=False, share=0.0, ending=Ending.HANG)
hang_after_effect = Fault(name="hang after", share=0.0, ending=Ending.HANG)

# Half of one, or what is none.
half_answer = Fault(name="half an answer", share=0.75, ending=Ending.CLOSE)
half_head = Fault(name="half a head", share=0.05, ending=Ending.CLOSE)
half_answer_hangs = Fault(name="half an answer, then silence", share=0.75, ending=Ending.HANG)
garbage = Fault(name="garbage", raw=b"\x00\x16\x03\x01 no HTTP at all\r\n\r\n", ending=Ending.CLOSE)
unreadable = Fault(name="unreadable 200", body=b'{"requestId": "', headers={"Content-Type": "application/json"})
html_page = Fault(name="HTML with 200", body=b"<html>sign in</html>", headers={"Content-Type": "text/html"})


def status(
    code: int,
    *,
    after_effect: bool,
    retry_after: float | None = None,
    envelope: Envelope = Envelope.SERVICE,
) -> Fault:
    """An answer with that status, before or after the request is carried out."""
    when = "after" if after_effect else "before"
    wait = "" if retry_after is None else f" Retry-After {retry_after:g}"
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Fault(name=f"{code}{wait} {when}", effect=after_effect, status=code, envelope=envelope, headers=headers)


def unavailable_after_effect(retry_after: float | None = 2.0) -> Fault:
    """503 although the request was carried out."""
    return status(503, after_effect=True, retry_after=retry_after, envelope=Envelope.GATEWAY)


def unavailable_before_effect(retry_after: float | None = 2.0) -> Fault:
    """503, nothing was carried out."""
    return status(503, after_effect=False, retry_after=retry_after, envelope=Envelope.GATEWAY)


def too_many(retry_after: float | None = 1.0) -> Fault:
    """429, nothing was carried out."""
    return status(429, after_effect=False, retry_after=retry_after)


unauthorized = status(401, after_effect=False)
forbidden = status(403, after_effect=False)
service_404 = status(404, after_effect=False).but(name="404 of the service")
gateway_404 = status(404, after_effect=False, envelope=Envelope.GATEWAY).but(name="404 of a gateway")


def slow(seconds: float) -> Fault:
    """Carried out at once, answered late."""
    return Fault(name=f"answer after {seconds:g} s", answer_after=seconds)


def late_effect(seconds: float) -> Fault:
    """No answer, and carried out only later."""
    return Fault(name=f"no answer, effect after {seconds:g} s", effect_after=seconds, share=0.0, ending=Ending.HANG)


def echoes(request_id: str) -> Fault:
    """Carried out, and answered with another RequestId; "" for none."""
    return Fault(name="echoes another RequestId", request_id=request_id)


def answer_of_another(session_id: Any, request_id: str = "0badc0de-0000-4000-8000-000000000000") -> Fault:
    """Carried out, but what is answered belongs to another's start: its RequestId and its session."""
    return Fault(name="answer of another", request_id=request_id, data=[{"sessionId": session_id}])


def extra_data(content: bytes, after: float = 0.0) -> Fault:
    """The right answer, and then unasked bytes on the same connection."""
    return Fault(name="extra data", extra=content, extra_after=after)


def date(value: str | None) -> Fault:
    """The right answer with that Date header; None for none."""
    return Fault(name="Date", headers={"Date": "" if value is None else value})
