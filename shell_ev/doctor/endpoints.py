"""The operations, one by one, through the library's own client: harmless reads only. Nothing is started or stopped."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import attrs

from ..client import AsyncShellEV
from ..errors import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    ResponseDecodeError,
    ShellEVError,
    TransportError,
    UnauthorizedError,
    one_line,
)
from ..identifiers import EmaId
from ..models.response import ApiResponse
from .answers import PORTAL, failure, foreign, no_answer
from .plan import Check, Trouble, Verdict, ok, skip, warn
from .token import NIL_SESSION

#: Of a country and a provider that do not exist: nobody's card.
NOBODY = EmaId("ZZ", "ZZZ", "C00000000")
_DAM_SQUARE = (52.3731, 4.8932)
#: What is tried, in this order.
OPERATIONS = (
    *("charging.retrieve", "charging.active"),
    *("locations.list", "locations.nearby", "locations.markers", "locations.get"),
)

Read: TypeAlias = Callable[[], Awaitable[ApiResponse[Any]]]


@attrs.define
class Endpoints:
    """The checks of the operations. Each sends one request, without a retry."""

    ev: AsyncShellEV
    slow: float
    """Seconds from which on an answer is called slow."""
    granted: bool
    """Whether the token comes fresh from the token endpoint, and not from a source of the caller's."""
    card: str | EmaId = NOBODY
    """Whose active sessions are asked for."""
    _location: str | None = attrs.field(default=None, init=False)

    def checks(self, needs: tuple[str, ...]) -> list[Check]:
        """One check for each operation."""
        ev = self.ev
        latitude, longitude = _DAM_SQUARE
        west, south, east, north = longitude - 0.01, latitude - 0.01, longitude + 0.01, latitude + 0.01
        reads: dict[str, Read] = {
            "charging.retrieve": lambda: ev.charging.retrieve(NIL_SESSION),
            "charging.active": lambda: ev.charging.active(self.card),
            "locations.list": self._first_location,
            "locations.nearby": lambda: ev.locations.nearby(latitude, longitude, limit=1),
            "locations.markers": lambda: ev.locations.markers(west=west, south=south, east=east, north=north, zoom=15),
        }
        checks = [Check(name, partial(self._read, read), needs) for name, read in reads.items()]
        checks.append(Check("locations.get", self._get, (*needs, "locations.list")))
        return checks

    async def _first_location(self) -> ApiResponse[Any]:
        response = await self.ev.locations.list(per_page=1)
        self._location = next((location.uid for location in response.data if location.uid), None)
        return response

    async def _get(self) -> Verdict:
        uid = self._location
        if uid is None:
            return skip("locations.list gave no location to ask for")
        return await self._read(lambda: self.ev.locations.get(uid))

    async def _read(self, read: Read) -> Verdict:
        began = time.monotonic()
        try:
            response = await read()
        except NotFoundError as error:
            if _from_the_gateway(error):
                raise _trouble(error, self.granted) from None
            return self._timed("it answers 404, nothing there", began)
        except BadRequestError as error:
            return warn(
                f"it answers 400 to what the doctor asks: {_words(error)} (request {error.request_id})",
                "The operation is there and takes the token. Is api_version right? If so, please report this.",
            )
        except TransportError as error:
            raise no_answer("it", error, self.ev.config.timeout.total) from None
        except ShellEVError as error:
            raise _trouble(error, self.granted) from None
        if response.problems:
            return warn(
                f"it answers, but {len(response.problems)} values cannot be read: {'; '.join(response.problems[:2])}",
                "Is api_version right? If so, please report this: the service says what the library does not know.",
            )
        return self._timed("it answers", began)

    def _timed(self, seen: str, began: float) -> Verdict:
        seconds = time.monotonic() - began
        if seconds >= self.slow:
            return warn(
                f"{seen}, but slowly: it took {seconds:.1f} s",
                "Slow by the network or the service; calls with a short timeout= may run out of time.",
            )
        return ok(f"{seen} ({seconds * 1000:.0f} ms)")


def _words(error: ApiError) -> str:
    return one_line(" ".join(part for part in (error.code, error.message) if part) or "no words", 120)


def _from_the_gateway(error: NotFoundError) -> bool:
    """Whether the platform in front of the API said it (no such path), not the API (no such thing)."""
    # Its fault codes are dotted: messaging.adaptors.http.flow.ApplicationNotFound. The API's are like E0038.
    return "." in (error.code or "") or foreign(error.status_code, error.headers) is not None


def _trouble(error: ShellEVError, granted: bool) -> Trouble:
    if isinstance(error, ResponseDecodeError):
        came = foreign(error.status_code, error.headers)
        if came is not None or error.excerpt.startswith("<"):
            return Trouble(f"it answers {came or f'{error.status_code} with markup instead of JSON'}", PORTAL)
        return Trouble(
            f"it answers {error.status_code} with a body that cannot be read: {'; '.join(error.problems[:2])}",
            "Is api_version right? If so, please report this.",
        )
    if not isinstance(error, ApiError):
        return Trouble(str(error), "Correct what was given to the doctor.")
    if error.code is None and foreign(error.status_code, error.headers) is not None:
        return failure("it", error)
    request = f"{_words(error)} (request {error.request_id})"
    if isinstance(error, (NotFoundError, MethodNotAllowedError)):
        return Trouble(
            f"the host does not know this operation: {error.status_code} {request}",
            "Check base_url (scheme and host alone) and api_version: another version has other paths.",
        )
    if isinstance(error, UnauthorizedError) and not granted:
        return Trouble(
            f"refused with 401: {request}",
            "The token that your token source gives is over, or not for this API: give a fresh one.",
        )
    if isinstance(error, (UnauthorizedError, ForbiddenError)):
        return Trouble(
            f"refused with {error.status_code} although the token is fresh: {request}",
            "Your product does not include this operation: ask Shell to add it. If every operation says so, the token "
            "comes from another environment than the API: check environment, base_url and token_url.",
        )
    return failure("it", error)
