"""From an answer that is no success, or from none, to the error that says so. Pure; never raises while building one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

import attrs

from ..errors import (
    ApiError,
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
from ..wire.error_bodies import read_error_body

if TYPE_CHECKING:
    from .call import Reply, SendFailure

_MASK = "***"
#: The least part of a secret that is hidden: shorter ones are in many a word, and worth nothing.
_PIECE: Final = 12
#: How much of a text is looked through for such parts; less of it is shown.
_TORN: Final = 1000
#: As ``html.escape`` does it, whose module brings 2,231 names of characters along (1 ms).
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_EXCERPT = 200


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CallFacts:
    """What an error tells of the call it ended."""

    operation: str
    request_id: str
    attempts: int
    repeatable: bool
    secrets: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    sent_at: datetime | None = None

    def mask(self, text: str) -> str:
        """``text`` without this call's token or secret."""
        for secret in self.secrets:
            for spelling in _spellings(secret):
                text = text.replace(spelling, _MASK)
        return text

    def mask_torn(self, text: str) -> str:
        """As :meth:`mask`, for a text that others may have cut, the network too: what is left of a secret is masked."""
        text = self.mask(text)[:_TORN]
        for spelling in (spelling for secret in self.secrets for spelling in _spellings(secret)):
            start = 0
            while start + _PIECE <= len(text):
                end = start + _PIECE
                if text[start:end] not in spelling:
                    start += 1
                    continue
                while end < len(text) and text[start : end + 1] in spelling:
                    end += 1
                text = text[:start] + _MASK + text[end:]
                start += len(_MASK)
        return text

    def redact(self, raw: bytes) -> bytes:
        """``raw`` without this call's token or secret: a gateway may echo the request into its error page."""
        for secret in self.secrets:
            for spelling in _spellings(secret):
                raw = raw.replace(spelling.encode(), _MASK.encode())
        return raw

    def redacted(self, headers: Headers) -> Headers:
        """The same for headers."""
        return Headers(tuple((name, self.redact(value)) for name, value in headers.raw))

    @property
    def tail(self) -> str:
        """The end of an error's text."""
        tries = "1 try" if self.attempts == 1 else f"{self.attempts} tries"
        return f"({self.operation}, request {self.request_id or '-'}, {tries})"


def _spellings(secret: str) -> list[str]:
    """How a secret comes back: as it is, or escaped for JSON (also as .NET and PHP do), a URL or HTML."""
    escaped = json.dumps(secret)[1:-1]
    forms = {
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escaped.replace("/", "\\/"),
        escaped.replace("+", "\\u002B"),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        secret.translate(_HTML),
    }
    return sorted(forms, key=len, reverse=True)


def api_error(facts: CallFacts, reply: Reply, retry_after: float | None, *, outcome_unknown: bool) -> ApiError:
    """The error that stands for the answer's status, or for FAILED in a 2xx envelope."""
    body = facts.redact(reply.body)
    headers = facts.redacted(reply.headers)
    said = read_error_body(body, facts.mask)
    failed = 200 <= reply.status <= 299
    kind = RequestFailedError if failed else error_class_for(reply.status)
    words = " ".join(part for part in (said.code, said.message) if part)
    if not words:
        words = _without_words(reply.status, headers, body)
    verdict = "the service answered FAILED" if failed else f"status {reply.status}"
    doubt = "; it may have taken effect" if outcome_unknown else ""
    return kind(
        f"{verdict}: {one_line(words, 200)}{doubt} {facts.tail}",
        status_code=reply.status,
        operation=facts.operation,
        code=said.code,
        message=said.message,
        errors=said.errors,
        request_id=said.request_id or facts.request_id,
        headers=headers,
        body=body,
        attempts=facts.attempts,
        retry_after=retry_after,
        outcome_unknown=outcome_unknown,
        arguments=facts.arguments,
        sent_at=facts.sent_at,
    )


def _without_words(status: int, headers: Headers, body: bytes) -> str:
    if 300 <= status <= 399:
        return f"a redirect to {headers.get('Location', 'nowhere')!r}, which is not followed; is base_url right?"
    if not body:
        return "an empty body"
    kind = headers.get("Content-Type", "unknown type")
    return f"a body of {kind} that says nothing known: {body[:80].decode('utf-8', 'replace')!r}"


def decode_error(facts: CallFacts, reply: Reply, problems: tuple[str, ...]) -> ResponseDecodeError:
    """The error for a 2xx answer that cannot be read; a start or stop may have taken effect all the same."""
    body = facts.redact(reply.body)
    headers = facts.redacted(reply.headers)
    problems = tuple(facts.mask(problem) for problem in problems)
    doubt = "; it may have taken effect" if not facts.repeatable else ""
    return ResponseDecodeError(
        f"status {reply.status} with a body that cannot be read: {'; '.join(problems[:3])}{doubt} {facts.tail}",
        status_code=reply.status,
        operation=facts.operation,
        request_id=facts.request_id,
        content_type=headers.get("Content-Type"),
        excerpt=one_line(body[: _EXCERPT * 2].decode("utf-8", "replace"), _EXCERPT),
        problems=problems,
        headers=headers,
        body=body,
        attempts=facts.attempts,
        outcome_unknown=not facts.repeatable,
        arguments=facts.arguments,
        sent_at=facts.sent_at,
    )


def unanswered(facts: CallFacts, problem: SendFailure) -> TransportError:
    """The error for a request that got no whole answer."""
    if problem.sent and not facts.repeatable:
        return OutcomeUnknownError(
            f"the request was sent and no answer came: {problem.reason}; it may have taken effect {facts.tail}",
            operation=facts.operation,
            request_id=facts.request_id,
            attempts=facts.attempts,
            arguments=facts.arguments,
            sent_at=facts.sent_at,
        )
    kind: type[TransportError] = TransportError
    if problem.timed_out:
        kind = RequestTimeoutError
    elif not problem.sent:
        kind = ConnectError
    return kind(
        f"{problem.reason} {facts.tail}",
        operation=facts.operation,
        request_id=facts.request_id,
        attempts=facts.attempts,
        request_sent=problem.sent,
    )
