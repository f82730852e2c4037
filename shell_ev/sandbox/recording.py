"""The record of a request that was answered."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from shell_ev.sandbox.faults import Fault
from shell_ev.sandbox.records import Dialect, Ending


@attrs.frozen
class RecordedRequest:
    """A request the sandbox has answered, kept for assertions."""

    operation: str | None
    """Name such as `charging.start`; None when the path belongs to no operation."""
    dialect: Dialect | None
    """None for the token endpoint and for unknown paths."""
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    at: float
    """Sandbox time of arrival, unix seconds."""
    status: int
    """Status of the reply, whether or not a fault kept it from being sent."""
    ending: Ending
    number: int = 0
    """1 for the first request of a sandbox, counted on from there."""
    request_id: str = ""
    """RequestId of the answer: the one that was sent, or one that was made up for it; "" outside the operations."""
    fault: Fault | None = None
    """The fault that hit this request."""
    duration: float | None = 0.0
    """Real seconds from arrival to answer, the lateness of a fault included; None for no answer at all."""
    reply_body: bytes = b""
    """Body of the answer, its first 16 KiB."""
