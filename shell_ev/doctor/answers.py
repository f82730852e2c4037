"""What an answer, or none, says about who is at fault: the set-up, the service, or something on the way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..errors import ApiError, RequestTimeoutError, TooManyRequestsError, TransportError, one_line
from .plan import Trouble

PORTAL = (
    "Something on the way answers in the service's place. A captive portal: log in to the network first (open any page "
    "in a browser). A proxy or firewall: ask for an exception for this host. Or base_url leads to another site."
)
#: Headers by which a service finds a request in its logs.
_IDS = ("requestid", "x-request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")


def foreign(status: int, headers: Mapping[str, str]) -> str | None:
    """What came, if it is nothing this service answers: a web page, a redirect; None if it may be the service."""
    if status == 511:
        return "511: this network wants a login first (captive portal)"
    if 300 <= status <= 399:
        target = urlsplit(headers.get("location", ""))
        where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
        return f"{status}, a redirect{where} (a captive portal, or not the API)"
    if "html" in headers.get("content-type", "").lower() and status < 500:
        return f"{status} with an HTML page instead of JSON (a captive portal or a proxy, not the API)"
    return None


def marks(headers: Mapping[str, str]) -> str:
    """The request id that the answer carries, in brackets; empty when there is none."""
    found = next((headers[name] for name in _IDS if name in headers), None)
    return f" (request {one_line(found, 80)})" if found else ""


def no_answer(who: str, error: TransportError, seconds: float | None) -> Trouble:
    """A connection stood, and no whole answer came over it."""
    if isinstance(error, RequestTimeoutError) and seconds is not None:
        seen = f"{who} takes the connection and gives no answer within {seconds:g} s"
    else:
        seen = f"{who} gives no whole answer: {str(error).partition(' (')[0]}"
    return Trouble(
        seen,
        "Try again; if it stays: a server that hangs or restarts, or a firewall or proxy that swallows requests. Is "
        "the host in base_url the right one?",
    )


def _rate_limit(who: str, error: ApiError) -> Trouble:
    wait = f" in {error.retry_after:g} s" if error.retry_after else " in a few minutes"
    return Trouble(
        f"{who} answers 429: too many requests{_id(error)}",
        f"These credentials have reached their rate limit: try again{wait}, and see who else uses them.",
    )


def failure(who: str, error: ApiError) -> Trouble:
    """An answer that is the fault of whoever gave it: rate limit, 5xx, a page from elsewhere, the unforeseen."""
    if isinstance(error, TooManyRequestsError):
        return _rate_limit(who, error)
    came = foreign(error.status_code, error.headers)
    if came is not None and error.code is None:
        return Trouble(f"{who} answers {came}", PORTAL)
    words = " ".join(part for part in (error.code, error.message) if part)
    seen = f"{who} answers {error.status_code}{f': {one_line(words, 120)}' if words else ''}{_id(error)}"
    if not 500 <= error.status_code <= 599:
        return Trouble(seen, "This answer was not expected: please report it with this report.")
    wait = f" in {error.retry_after:g} s" if error.retry_after else " later"
    quote = "the request id" if _id(error) else "the time"
    return Trouble(
        seen, f"The fault is the service's, not yours. Try again{wait}; if it stays, tell Shell and quote {quote}."
    )


def _id(error: ApiError) -> str:
    return f" (request {error.request_id})" if error.request_id else marks(error.headers)
