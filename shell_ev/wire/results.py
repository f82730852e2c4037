"""What an operation answers with, and a decoded answer."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from ..models.charging import ChargeSession, StartedSession
from ..models.enums import EnvelopeStatus

#: The status of an envelope that makes an answer a failure.
FAILED: Final = EnvelopeStatus.FAILED


class Undecodable(ValueError):
    """A body that does not hold what was asked for. ``problems`` say where, as JSON paths."""

    def __init__(self, problems: list[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("; ".join(problems))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Result:
    """What an operation answers with: which model, and how many of it."""

    model: Any
    count: Literal["one", "many", "nothing"]
    of_locations: bool = False
    """Whether it comes without an envelope where the dialect says so of locations."""
    is_empty_at_404: bool = False
    """Whether a 404 in the service's own envelope is an empty list."""
    repeated: frozenset[type] = frozenset()
    """Models in it without an id. Their JSON repeats word for word in one answer."""


@attrs.define
class Decoded:
    """A decoded answer."""

    data: Any
    request_id: str | None
    status: EnvelopeStatus | None
    problems: tuple[str, ...]


SESSION = Result(model=ChargeSession, count="one")
SESSIONS = Result(model=ChargeSession, count="many", is_empty_at_404=True)
STARTED = Result(model=StartedSession, count="one")
NOTHING = Result(model=None, count="nothing")
