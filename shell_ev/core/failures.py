"""Builds the error of a call from the answer that is a failure, or from none. Pure; building one never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import (
    ApiError,
    CallDetails,
    ConnectError,
    OutcomeUnknownError,
    RequestFailedError,
    RequestTimeoutError,
    ResponseDecodeError,
    TransportError,
    error_class_for,
    one_line,
)
from ..models.response import Headers
from ..redaction import Secrets
from ..wire.error_bodies import read_error_body

if TYPE_CHECKING:
    from .call import Call, Reply, SendFailure

_EXCERPT: Final = 200
_DOUBT: Final = "; it may have taken effect"
#: The longest chain of causes that is kept.
_CAUSES: Final = 10


def _details(call: Call) -> CallDetails:
    return {
        "operation": call.name,
        "request_id": call.request_id,
        "attempts": call.attempts,
        "arguments": call.arguments,
        "sent_at": call.sent_at,
    }


def _tail(call: Call) -> str:
    attempts = "1 attempt" if call.attempts == 1 else f"{call.attempts} attempts"
    return f"({call.name}, request {call.request_id or '-'}, {attempts})"


def api_error(
    call: Call,
    secrets: Secrets,
    reply: Reply,
    retry_after: float | None,
    *,
    outcome_unknown: bool,
    show_body: bool = True,
) -> ApiError:
    """The error for the status of an answer, or for FAILED in a 2xx envelope.

    Args:
        call: The call that was answered.
        secrets: What the error must not show.
        reply: The answer.
        retry_after: Seconds the service asked to wait.
        outcome_unknown: Whether a start or stop may have taken effect.
        show_body: Whether the error may hold and quote the body: not that of a token endpoint.
    """
    body = secrets.redact(reply.body) if show_body else b""
    headers = secrets.redact_headers(reply.headers)
    said = read_error_body(reply.body, secrets.mask)
    failed = 200 <= reply.status <= 299
    kind = RequestFailedError if failed else error_class_for(reply.status)
    words = " ".join(part for part in (said.code, said.message) if part)
    if not words:
        words = _without_words(reply, headers, body)
    verdict = "the service answered FAILED" if failed else f"status {reply.status}"
    details = _details(call)
    details["request_id"] = said.request_id or call.request_id
    return kind(
        f"{verdict}: {one_line(words, 200)}{_DOUBT if outcome_unknown else ''} {_tail(call)}",
        outcome_unknown,
        status_code=reply.status,
        code=said.code,
        message=said.message,
        errors=said.errors,
        headers=headers,
        body=body,
        retry_after=retry_after,
        **details,
    )


def _without_words(reply: Reply, headers: Headers, body: bytes) -> str:
    if 300 <= reply.status <= 399:
        return f"a redirect to {headers.get('Location', 'nowhere')!r}, which is not followed; is base_url right?"
    if not reply.body:
        return "an empty body"
    words = f"a body of {headers.get('Content-Type', 'unknown type')} that says nothing known"
    return f"{words}: {body[:80].decode('utf-8', 'replace')!r}" if body else words


def decode_error(call: Call, secrets: Secrets, reply: Reply, problems: tuple[str, ...]) -> ResponseDecodeError:
    """The error for a 2xx answer that cannot be read. A start or stop may have taken effect all the same."""
    body = secrets.redact(reply.body)
    headers = secrets.redact_headers(reply.headers)
    problems = tuple(one_line(secrets.mask(problem)) for problem in problems)
    content_type = headers.get("Content-Type")
    doubt = "" if call.repeatable else _DOUBT
    return ResponseDecodeError(
        f"status {reply.status} with a body that cannot be read: {'; '.join(problems[:3])}{doubt} {_tail(call)}",
        not call.repeatable,
        status_code=reply.status,
        content_type=None if content_type is None else one_line(content_type),
        excerpt=one_line(body[: _EXCERPT * 2].decode("utf-8", "replace"), _EXCERPT),
        problems=problems,
        headers=headers,
        body=body,
        **_details(call),
    )


def not_ours(call: Call, secrets: Secrets, echoed: str) -> OutcomeUnknownError:
    """The error for a start or stop that was answered with another request's RequestId."""
    return OutcomeUnknownError(
        f"the answer belongs to another request ({one_line(secrets.mask(echoed), 60)}){_DOUBT} {_tail(call)}",
        **_details(call),
    )


def unanswered(call: Call, problem: SendFailure) -> TransportError:
    """The error for a request that got no whole answer."""
    if problem.sent and not call.repeatable:
        return OutcomeUnknownError(
            f"the request was sent and no answer came: {problem.reason}{_DOUBT} {_tail(call)}", **_details(call)
        )
    kind: type[TransportError] = TransportError
    if problem.timed_out:
        kind = RequestTimeoutError
    elif not problem.sent:
        kind = ConnectError
    return kind(f"{problem.reason} {_tail(call)}", request_sent=problem.sent, **_details(call))


def printable_cause(error: BaseException | None, secrets: Secrets) -> BaseException | None:
    """The part of a chain of errors that a report may show: no secret in a text, an attribute or a traceback's frames.

    aiohttp's errors are left out: they hold the request with its headers and the password of a proxy.
    """
    chain: list[BaseException] = []
    while error is not None and len(chain) < _CAUSES:
        following = error.__cause__ or error.__context__
        if isinstance(error, Exception) and not type(error).__module__.startswith("aiohttp"):
            shown = _shown(error)
            if secrets.mask_all(shown) != shown:
                break
            chain.append(error.with_traceback(None))
        error = following
    below: BaseException | None = None
    for link in reversed(chain):
        link.__cause__, link.__context__ = below, None
        below = link
    return below


def _shown(error: BaseException) -> str:
    try:
        return f"{error!s} {error!r}"
    except Exception:
        return type(error).__name__
