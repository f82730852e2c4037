"""Reads the body of a failure in any of its shapes. Never raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import attrs

from ..errors import ErrorDetail, one_line
from .codec import parse_json
from .structuring import fold
from .values import Unreadable, is_list, is_object, read_text

#: The fields that are read: a short secret that is one of these names is no reason to lose them.
_NAMES: Final = frozenset(
    (
        *("requestid", "fault", "faultstring", "detail", "errorcode", "errors", "details", "code", "message", "error"),
        *("errordescription", "title", "description", "additionalinfo"),
    )
)


class ErrorBody(NamedTuple):
    """What could be read of an error body; everything may be missing."""

    code: str | None = None
    message: str | None = None
    errors: tuple[ErrorDetail, ...] = ()
    request_id: str | None = None


def read_error_body(body: bytes, mask: Callable[[str], str] = str) -> ErrorBody:
    """Read either dialect's envelope, the flat body of V1_PASCAL locations, a gateway fault or an OAuth error.

    Args:
        body: The body as it was received.
        mask: Applied to every text: only the decoded text shows a secret that JSON had escaped. Names of fields stay.

    Returns:
        What could be read. Every text is one printable line.
    """
    try:
        return _read(_cleaned(parse_json(body), mask))
    except Exception:
        # The status counts with any body. The raw bytes are kept.
        return ErrorBody()


def read_oauth_error(body: bytes) -> str | None:
    """The error code of an OAuth error, in the field ``error`` or, as gateways spell it, ``ErrorCode``; lower case."""
    try:
        document = parse_json(body)
        fields = _folded(document) if is_object(document) else {}
        # Both spellings have a field "error"; where there is an error code, that one is its description.
        text = _text(fields.get("errorcode")) or _text(fields.get("error"))
        return None if text is None else one_line(text, None).lower()
    except Exception:
        return None


def is_service_envelope(body: bytes) -> bool:
    """Whether an error body is the envelope of the service: what stands before it answers in other words.

    The envelope has a list of errors, each an object, and a RequestId or a status.
    """
    try:
        document = parse_json(body)
    except ValueError:
        return False
    if not is_object(document):
        return False
    envelope = _folded(document)
    errors = envelope.get("errors")
    has_errors = is_list(errors) and len(errors) > 0 and all(is_object(item) for item in errors)
    status = _text(envelope.get("status"))
    return has_errors and ("requestid" in envelope or (status is not None and status.upper() == "FAILED"))


def _cleaned(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return one_line(mask(value), None)
    if is_list(value):
        return [_cleaned(item, mask) for item in value]
    if is_object(value):
        return {_cleaned_name(key, mask): _cleaned(item, mask) for key, item in value.items()}
    return value


def _cleaned_name(name: str, mask: Callable[[str], str]) -> str:
    return name if fold(name) in _NAMES else one_line(mask(name), None)


def _read(document: Any) -> ErrorBody:
    if is_list(document):
        details = _details(document)
        return ErrorBody(code=_first(details, "code"), message=_message(details), errors=details)
    if not is_object(document):
        return ErrorBody()
    body = _folded(document)
    request_id = _text(body.get("requestid"))
    fault = body.get("fault")
    if is_object(fault):
        inner = _folded(fault)
        detail = inner.get("detail")
        code = _text(_folded(detail).get("errorcode")) if is_object(detail) else None
        return ErrorBody(code=code, message=_text(inner.get("faultstring")), request_id=request_id)
    details = _details(body.get("errors"))
    top = _texts(body.get("details"))
    if top:
        # The 500 of G1.3 and G2 lists its details beside the errors, every other status inside each error.
        head = details[0] if details else ErrorDetail()
        details = (attrs.evolve(head, details=head.details + top), *details[1:])
    code = _first(details, "code") or _text(body.get("code")) or _text(body.get("errorcode"))
    message = _message(details) or _text(body.get("message"))
    if message is None and code is None:
        code, message = _text(body.get("error")), _text(body.get("errordescription"))
    elif message is None:
        message = _text(body.get("errordescription")) or _text(body.get("error"))
    return ErrorBody(code=code, message=message, errors=details, request_id=request_id)


def _folded(raw: dict[str, Any]) -> dict[str, Any]:
    return {fold(key): value for key, value in raw.items()}


def _details(value: Any) -> tuple[ErrorDetail, ...]:
    if value is None:
        return ()
    items = value if is_list(value) else [value]
    return tuple(detail for detail in map(_detail, items) if detail is not None)


def _detail(item: Any) -> ErrorDetail | None:
    if not is_object(item):
        text = _text(item)
        return None if text is None else ErrorDetail(message=text)
    raw = _folded(item)
    info = raw.get("additionalinfo")
    return ErrorDetail(
        code=_text(raw.get("code")),
        message=_pick(raw, "message", "title"),
        description=_pick(raw, "description", "detail"),
        details=_texts(raw.get("details")),
        additional_info={key: _text(value) for key, value in info.items()} if is_object(info) else None,
    )


def _pick(raw: dict[str, Any], *names: str) -> str | None:
    return next((text for name in names if (text := _text(raw.get(name))) is not None), None)


def _texts(value: Any) -> tuple[str, ...]:
    items = value if is_list(value) else [value]
    return tuple(text for text in map(_text, items) if text is not None)


def _text(value: Any) -> str | None:
    try:
        return None if value is None else read_text(value)
    except Unreadable:
        return None


def _first(details: tuple[ErrorDetail, ...], name: str) -> str | None:
    return next((value for detail in details if (value := getattr(detail, name)) is not None), None)


def _message(details: tuple[ErrorDetail, ...]) -> str | None:
    return (
        _first(details, "message")
        or _first(details, "description")
        or next((detail.details[0] for detail in details if detail.details), None)
    )
