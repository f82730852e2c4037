"""Checks through the library's own client: the token, then every operation that reads, and what each answer means."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import attrs

from ..client import AsyncShellEV
from ..core.auth import ClientCredentials
from ..errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    CredentialsRefusedError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTimeoutError,
    ResponseDecodeError,
    ShellEVError,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
    one_line,
)
from ..identifiers import EmaId
from ..models.response import ApiResponse
from ..options import Environment
from .plan import Check, CheckFailed, Verdict, ok, skip, warn
from .settings import Settings

#: A country and a provider that do not exist: no person's sessions are listed.
UNUSED_CARD = EmaId("ZZ", "ZZZ", "C00000000")
_NIL_SESSION = "00000000-0000-0000-0000-000000000000"
_DAM_SQUARE = (52.3731, 4.8932)
#: The operations that are tried, in this order.
OPERATIONS = (
    *("charging.retrieve", "charging.active"),
    *("locations.list", "locations.nearby", "locations.markers", "locations.get"),
)
#: The operation in the library's errors for a token request.
_TOKEN = "token"  # noqa: S105 - a name
_INTERCEPTED = (
    "Another server answers in the service's place. A captive portal: log in to the network first (open any page in a "
    "browser). A proxy or firewall: ask for an exception for this host. Or base_url is the URL of another site."
)
#: Headers with the id of a request in the service's logs.
_ID_HEADERS = ("requestid", "x-request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")

Read: TypeAlias = Callable[[], Awaitable[ApiResponse[Any]]]


async def check_token(ev: AsyncShellEV, settings: Settings, seconds: float) -> Verdict:
    """Whether a token is granted, by a call for a session that does not exist: every call fetches its token first."""
    try:
        # Longer than the token request's own limit: a silent token endpoint must not look like a silent API.
        await ev.charging.retrieve(_NIL_SESSION, timeout=2 * seconds + 1)
    except AuthenticationError as error:
        raise refused(error, settings) from None
    except ConfigurationError as error:
        raise CheckFailed(str(error), "Correct the options of the client.") from None
    except (ApiError, TransportError) as error:
        if error.operation == _TOKEN:
            raise _token_unavailable(error, seconds) from None
    except ShellEVError:
        pass  # the token was granted; the operation has a check of its own
    if not isinstance(settings.source, ClientCredentials):
        return ok(f"{type(settings.source).__name__} gives one")
    return ok("granted for these credentials")


def _token_unavailable(error: ApiError | TransportError, seconds: float) -> CheckFailed:
    if isinstance(error, TransportError):
        return _no_answer("the token endpoint", error, seconds)
    return _failure("the token endpoint", error)


def refused(error: AuthenticationError, settings: Settings) -> CheckFailed:
    """The fault behind a refusal of the token endpoint: credentials, environment, host or token source."""
    status = error.status_code
    if status is None:
        return CheckFailed(str(error), "Check the token source that was given to the client.")
    intercepted = _intercepted(status, error.headers)
    if intercepted is not None and error.error is None:
        return CheckFailed(f"the token endpoint answers {intercepted}", _INTERCEPTED)
    oauth = " - ".join(part for part in (error.error, error.error_description) if part)
    words = f"{status}{f': {oauth}' if oauth else ''}{_request_id(error.headers)}"
    if 200 <= status <= 299 or status in (404, 405):
        return CheckFailed(
            f"no token endpoint there: it answers {words}",
            f"Check {settings.where('base_url')}, {settings.where('token_url')} and {settings.where('api_version')}.",
        )
    if error.error == "invalid_scope":
        return CheckFailed(f"the scope is refused ({words})", "Correct scope=, or leave it out.")
    if error.error in ("unauthorized_client", "unsupported_grant_type") or (status == 403 and error.error is None):
        return CheckFailed(
            f"these credentials are known, but may not fetch a token ({words})",
            "Ask Shell whether your product is approved for this API, and whether this address may use it.",
        )
    if not isinstance(error, CredentialsRefusedError):
        return CheckFailed(
            f"the token endpoint gives no token and does not say that the credentials are wrong ({words})",
            "It may pass by itself: try again in a few minutes. If it stays, send Shell this report.",
        )
    which = _which(error.error_description)
    return CheckFailed(f"{which} is wrong: the token endpoint refuses it with {words}", _advice(settings))


def _which(description: str | None) -> str:
    """The wrong one of id and secret, if the endpoint names it; most do not, on purpose."""
    text = (description or "").lower().replace(" ", "").replace("_", "")
    if "secret" in text and "client" not in text.replace("clientsecret", ""):
        return "the client secret"
    if "clientid" in text and "secret" not in text:
        return "the client id"
    return "the client id or the client secret"


def _advice(settings: Settings) -> str:
    source, config = settings.source, settings.config
    if not isinstance(source, ClientCredentials) or config is None:
        return "Check the credentials of the token source."
    parts = [f"Check {settings.origin_of('client_id')} and {settings.origin_of('client_secret')} for a typo."]
    parts += _typos(source)
    if config.base_url is None and config.token_url is None:
        this = config.environment
        other = Environment.TEST if this is Environment.PRODUCTION else Environment.PRODUCTION
        parts.append(
            f"Credentials of one environment are not valid in the other: this is {this.value}; if they are for "
            f"{other.value}, set {settings.where('environment')}={other.value}."
        )
    else:
        parts.append(f"Are they credentials for {config.oauth_url}? Each environment has its own.")
    return " ".join(parts)


def _typos(source: ClientCredentials) -> list[str]:
    """Likely mistakes in the credentials, described without a character of them."""
    typos: list[str] = []
    for name, value in (("id", source.client_id), ("secret", source.client_secret)):
        if len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]:
            typos.append(f"The {name} begins and ends with a quotation mark.")
        elif not value.isascii() or not value.isprintable() or " " in value:
            typos.append(f"The {name} contains a space or an unusual character.")
    if source.client_id == source.client_secret:
        typos.append("The id and the secret are the same.")
    return typos


@attrs.define
class Operations:
    """The checks of the operations. Each sends one request, without a retry."""

    ev: AsyncShellEV
    slow: float
    """An answer that takes at least so many seconds is a warning."""
    fresh_token: bool
    """Whether the token was just granted; a token source of the caller may give an old one."""
    card: str | EmaId = UNUSED_CARD
    """The card to list active sessions for."""
    _location: str | None = attrs.field(default=None, init=False)

    def checks(self, needs: tuple[str, ...]) -> list[Check]:
        """One check for each operation."""
        ev = self.ev
        latitude, longitude = _DAM_SQUARE
        west, south, east, north = longitude - 0.01, latitude - 0.01, longitude + 0.01, latitude + 0.01
        reads: dict[str, Read] = {
            "charging.retrieve": lambda: ev.charging.retrieve(_NIL_SESSION),
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
            return skip("locations.list returned no location")
        return await self._read(lambda: self.ev.locations.get(uid))

    async def _read(self, read: Read) -> Verdict:
        began = time.monotonic()
        try:
            response = await read()
        except NotFoundError as error:
            if _is_from_gateway(error):
                raise _operation_failed(error, self.fresh_token) from None
            return self._timed("it answers 404, nothing there", began)
        except BadRequestError as error:
            return warn(
                f"it answers 400 to the doctor's request: {_words(error)} (request {error.request_id})",
                "The operation exists and accepts the token. Is api_version right? If so, please report this.",
            )
        except TransportError as error:
            raise _no_answer("it", error, self.ev.config.timeout.total) from None
        except ShellEVError as error:
            raise _operation_failed(error, self.fresh_token) from None
        if response.problems:
            return warn(
                f"it answers, but {len(response.problems)} values cannot be read: {'; '.join(response.problems[:2])}",
                "Is api_version right? If so, please report this: the answer differs from the API's description.",
            )
        return self._timed("it answers", began)

    def _timed(self, seen: str, began: float) -> Verdict:
        seconds = time.monotonic() - began
        if seconds >= self.slow:
            return warn(
                f"{seen}, but slowly: it took {seconds:.1f} s",
                "Network or service is slow; calls with a short timeout= may run out of time.",
            )
        return ok(f"{seen} ({seconds * 1000:.0f} ms)")


def _words(error: ApiError) -> str:
    return one_line(" ".join(part for part in (error.code, error.message) if part) or "no words", 120)


def _is_from_gateway(error: NotFoundError) -> bool:
    """Whether the 404 means that the path does not exist (gateway), not that the object does not exist (API)."""
    # Fault codes of the gateway have dots: messaging.adaptors.http.flow.ApplicationNotFound. The API's are like E0038.
    return "." in (error.code or "") or _intercepted(error.status_code, error.headers) is not None


def _operation_failed(error: ShellEVError, fresh_token: bool) -> CheckFailed:
    if isinstance(error, ResponseDecodeError):
        intercepted = _intercepted(error.status_code, error.headers)
        if intercepted is not None or error.excerpt.startswith("<"):
            answer = intercepted or f"{error.status_code} with markup instead of JSON"
            return CheckFailed(f"it answers {answer}", _INTERCEPTED)
        return CheckFailed(
            f"it answers {error.status_code} with a body that cannot be read: {'; '.join(error.problems[:2])}",
            "Is api_version right? If so, please report this.",
        )
    if not isinstance(error, ApiError):
        return CheckFailed(str(error), "Correct what was given to the doctor.")
    if error.code is None and _intercepted(error.status_code, error.headers) is not None:
        return _failure("it", error)
    request = f"{_words(error)} (request {error.request_id})"
    if isinstance(error, (NotFoundError, MethodNotAllowedError)):
        return CheckFailed(
            f"the host does not know this operation: {error.status_code} {request}",
            "Check base_url (scheme and host alone) and api_version: another version has other paths.",
        )
    if isinstance(error, UnauthorizedError) and not fresh_token:
        return CheckFailed(
            f"refused with 401: {request}",
            "The token of your token source has expired, or is not for this API: give a fresh one.",
        )
    if isinstance(error, (UnauthorizedError, ForbiddenError)):
        return CheckFailed(
            f"refused with {error.status_code} although the token is fresh: {request}",
            "Your product does not include this operation: ask Shell to add it. If every operation is refused, the "
            "token comes from another environment than the API: check environment, base_url and token_url.",
        )
    return _failure("it", error)


def _failure(subject: str, error: ApiError) -> CheckFailed:
    """A failure on the other side: rate limit, 5xx, an intercepted request, an unexpected status."""
    if isinstance(error, TooManyRequestsError):
        return _rate_limit(subject, error)
    intercepted = _intercepted(error.status_code, error.headers)
    if intercepted is not None and error.code is None:
        return CheckFailed(f"{subject} answers {intercepted}", _INTERCEPTED)
    words = " ".join(part for part in (error.code, error.message) if part)
    request = _request_of(error)
    seen = f"{subject} answers {error.status_code}{f': {one_line(words, 120)}' if words else ''}{request}"
    if not 500 <= error.status_code <= 599:
        return CheckFailed(seen, "This answer was not expected: please report it with this report.")
    wait = f" in {error.retry_after:g} s" if error.retry_after else " later"
    quote = "the request id" if request else "the time"
    return CheckFailed(
        seen,
        f"The fault is the service's, not yours. Try again{wait}; if it stays, report it to Shell with {quote}.",
    )


def _rate_limit(subject: str, error: ApiError) -> CheckFailed:
    wait = f" in {error.retry_after:g} s" if error.retry_after else " in a few minutes"
    return CheckFailed(
        f"{subject} answers 429: too many requests{_request_of(error)}",
        f"These credentials have reached their rate limit: try again{wait}, and check which other programs use them.",
    )


def _no_answer(subject: str, error: TransportError, seconds: float | None) -> CheckFailed:
    """A connection without a whole answer."""
    if isinstance(error, RequestTimeoutError) and seconds is not None:
        seen = f"{subject} accepts the connection and gives no answer within {seconds:g} s"
    else:
        seen = f"{subject} gives no whole answer: {str(error).partition(' (')[0]}"
    return CheckFailed(
        seen,
        "Try again; if it stays: a server that hangs or restarts, or a firewall or proxy that drops requests. Is the "
        "host in base_url the right one?",
    )


def _intercepted(status: int, headers: Mapping[str, str]) -> str | None:
    """An answer that cannot come from this service, such as a web page or a redirect, in words; else None."""
    if status == 511:
        return "511: this network requires a login first (captive portal)"
    if 300 <= status <= 399:
        target = urlsplit(headers.get("location", ""))
        where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
        return f"{status}, a redirect{where} (a captive portal, or not the API)"
    if "html" in headers.get("content-type", "").lower() and status < 500:
        return f"{status} with an HTML page instead of JSON (a captive portal or a proxy, not the API)"
    return None


def _request_of(error: ApiError) -> str:
    return f" (request {error.request_id})" if error.request_id else _request_id(error.headers)


def _request_id(headers: Mapping[str, str]) -> str:
    """The request id in the headers, in brackets; empty if there is none."""
    found = next((headers[name] for name in _ID_HEADERS if name in headers), None)
    return f" (request {one_line(found, 80)})" if found else ""
