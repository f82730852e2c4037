"""What happened in a sandbox, as text for the report of a failed test. Holds no token or secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..sandbox import Charge, Ending, RecordedRequest

_ENDINGS = {
    Ending.NORMAL: "",
    Ending.CLOSE: ", but the connection was closed instead",
    Ending.RESET: ", but the connection was reset instead",
    Ending.TRUNCATED: ", but broken off half-way",
    Ending.HANG: ", but never sent",
}


def story_of(requests: Sequence[RecordedRequest], charges: Sequence[Charge], *, since: float) -> str:
    """The requests in order, repeats of the same taken together, then the charges."""
    lines = ["requests that reached the sandbox:", *(_requests(requests, since) or ["  none"])]
    if charges:
        lines += ["charges:", *(line for charge in charges for line in _charge(charge, since))]
    return "\n".join(lines)


def _requests(requests: Sequence[RecordedRequest], since: float) -> list[str]:
    lines: list[str] = []
    for (what, answer), group in groupby(requests, key=lambda request: (_what(request), _answer(request))):
        times = [request.at - since for request in group]
        repeats = f"  ({len(times)} times until {times[-1]:.1f} s)" if len(times) > 1 else ""
        lines.append(f"  {times[0]:8.1f} s  {what:18} {answer}{repeats}")
    return lines


def _what(request: RecordedRequest) -> str:
    return request.operation or f"{request.method} {request.path}"


def _answer(request: RecordedRequest) -> str:
    return f"{request.status}{_ENDINGS[request.ending]}"


def _charge(charge: Charge, since: float) -> Iterator[str]:
    yield f"  {charge.session_id} on {charge.evse_id} for {charge.ema_id}"
    for change in charge.history:
        yield f"  {change.at - since:8.1f} s  {change.state.value}"
    if charge.error is not None:
        yield f"              {charge.error.code}: {charge.error.message}"
