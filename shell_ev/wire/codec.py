"""Reading bodies: one converter per dialect over one set of models, envelopes, and error bodies of every shape.

Lenient in all it reads and raising only :class:`Undecodable`, for a body that holds nothing of what was asked for.
Knows no HTTP beyond bytes.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from ..dialects import DIALECTS, ApiVersion, Dialect
from ..errors import ConfigurationError, one_line
from ..models.charging import ChargeSession, SessionError
from ..models.enums import EnvelopeStatus
from .results import FAILED, Decoded, Result, Undecodable
from .streaming import NotStreamable, Read, Scan, stream
from .structuring import UNEXPECTED, Inside, Structurer, fold, load, spellings
from .values import Unreadable, is_list, is_object, read_text

if TYPE_CHECKING:
    from .msgspec_decoder import Readers

#: Bodies from this size on are read item by item.
_LARGE = 64 * 1024


def _no_number(_: str) -> None:
    # NaN and Infinity are no JSON; a number nobody knows is None, and the rest of the body survives.
    return None


_decoder = json.JSONDecoder(parse_constant=_no_number)
_scan = cast("Scan", getattr(_decoder, "scan_once"))  # noqa: B009 - there in every Python, in no type stub


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig" if body.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError:
        # One broken name in a page of 500 must not cost the page.
        return body.decode("utf-8", "replace")


def parse_json(body: bytes) -> Any:
    """JSON out of bytes: UTF-8, a byte order mark allowed. Raises ValueError for anything else."""
    try:
        text = body.decode()
        document, end = _scan(text, 0)
        if end == len(text):
            return document  # json's own decode() does the same and costs 0.6 us more
    except (StopIteration, ValueError, RecursionError):
        pass
    try:
        return _decoder.decode(_text(body))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _folded(dialects: Iterable[Dialect], cls: type, field: str, part: int) -> frozenset[str]:
    """One part of the wire name of a session's field in these dialects."""
    return frozenset(fold(dialect.wire_name(cls, field).split(".")[part]) for dialect in dialects)


_FLAT = [dialect for dialect in DIALECTS.values() if dialect.flat_errors]
_NESTED = [dialect for dialect in DIALECTS.values() if not dialect.flat_errors]
_STATE = _folded(DIALECTS.values(), ChargeSession, "state", 0)
_STATUS = _folded(_NESTED, ChargeSession, "state", -1)
_ERROR = _folded(_NESTED, ChargeSession, "error", -1)
_CODE = _folded(_FLAT, SessionError, "code", -1)
_MESSAGE = _folded(_FLAT, SessionError, "message", -1)


def _flat_session(raw: dict[str, Any], code_key: str, message_key: str) -> dict[str, Any]:
    """A session with ``state`` and ``error`` as in its model, out of the shape of any dialect."""
    flat: dict[str, Any] = {}
    state: Any = None
    code: Any = None
    message: Any = None
    for key, value in raw.items():
        folded = fold(key)
        if folded in _STATE:
            state = value if value is not None else state
        elif folded in _CODE:
            code = value
        elif folded in _MESSAGE:
            message = value
        else:
            flat[key] = value
    error: Any = {code_key: code, message_key: message} if code is not None or message is not None else None
    if is_object(state):
        inner = {fold(key): value for key, value in state.items()}
        state = next((inner[key] for key in _STATUS if key in inner), None)
        nested = next((inner[key] for key in _ERROR if key in inner), None)
        error = nested if nested is not None else error
        if isinstance(error, str):
            error = {message_key: error}
    if state is not None:
        flat["state"] = state
    if error is not None:
        flat["error"] = error
    return flat


def _spell(dialect: Dialect, cls: type, name: str) -> str:
    if cls is ChargeSession and name in ("state", "error"):
        return name  # as _flat_session leaves it
    if cls is SessionError and dialect.flat_errors:
        return name
    return dialect.wire_name(cls, name)


@functools.cache
def structurer(version: ApiVersion) -> Structurer:
    """The converter of one dialect, built on first use."""
    dialect = DIALECTS[version]
    code_key, message_key = (_spell(dialect, SessionError, name) for name in ("code", "message"))
    return Structurer(
        functools.partial(_spell, dialect),
        prepare={ChargeSession: functools.partial(_flat_session, code_key=code_key, message_key=message_key)},
        inside={ChargeSession: Inside(("sessionState", "SessionState"), {"state": "status", "error": "error"})},
    )


class Engine(StrEnum):
    """What reads the bodies: ``CATTRS`` everywhere, ``MSGSPEC`` where the extra ``speed`` is installed."""

    CATTRS = "cattrs"
    MSGSPEC = "msgspec"


def engine(wanted: str | None = None) -> Engine:
    """The engine that a client made now would use; both give the same results.

    ``wanted`` is ``cattrs``, ``msgspec`` or ``auto`` (msgspec if it is installed), from the environment variable
    ``SHELL_EV_ENGINE`` unless given, ``auto`` if there is none. Raises ConfigurationError for anything else, and for
    msgspec where it is missing.
    """
    name = (os.environ.get("SHELL_EV_ENGINE") or "auto") if wanted is None else wanted
    name = name.strip().lower()
    if name not in ("auto", *Engine):
        raise ConfigurationError(f"SHELL_EV_ENGINE must be auto, cattrs or msgspec, not {one_line(repr(name), 40)}")
    if name == Engine.CATTRS:
        return Engine.CATTRS
    if importlib.util.find_spec("msgspec") is not None:
        return Engine.MSGSPEC
    if name == Engine.MSGSPEC:
        raise ConfigurationError("SHELL_EV_ENGINE asks for msgspec, which the extra shell_ev[speed] installs")
    return Engine.CATTRS


@functools.cache
def _fast_readers(version: ApiVersion) -> Readers:
    from .msgspec_decoder import Readers

    return Readers(version, structurer(version).shape)


class Codec:
    """Reads the answers of one dialect. ``engine`` is chosen as :func:`engine` says unless given."""

    def __init__(self, version: ApiVersion, wanted: str | None = None) -> None:
        self.version = version
        self.engine = engine(wanted)
        self._structurer = structurer(version)
        self._fast = _fast_readers(version) if self.engine is Engine.MSGSPEC else None
        load()

    def decode(self, result: Result, body: bytes) -> Decoded:
        """An answer to an operation. Raises :class:`Undecodable` if what was asked for is not in it."""
        if self._fast is not None:
            clean = self._fast[result](body)
            if clean is not None:
                return clean
        problems: list[str] = []
        try:
            many = result.count == "many" and len(body) >= _LARGE
            document = self._document(result, body, problems) if many else parse_json(body)
        except ValueError as reason:
            raise Undecodable([f"$: not JSON ({reason})" if body.strip() else "$: the body is empty"]) from None
        items, path, request_id, status = self._open(result, document)
        if status is FAILED:
            return Decoded(None, request_id, status, ())
        data: Any = None
        if result.count == "many":
            data = self._several(result.model, items, path, problems)
            if not data and problems:
                raise Undecodable(problems)
        elif result.count == "one":
            data = self._first(result.model, items, path, problems)
        return Decoded(data, request_id, status, tuple(problems) if problems else ())

    def _document(self, result: Result, body: bytes, problems: list[str]) -> Any:
        """The parsed body, a large list in it read on the way, see ``streaming``."""

        def read(items: Iterator[Any], path: str) -> tuple[Any, ...]:
            return self._structurer.read_each(result.model, items, path, problems)

        try:
            return stream(_text(body), _scan, read)
        except NotStreamable:
            problems.clear()
        return parse_json(body)

    def _several(self, model: Any, items: Any, path: str, problems: list[str]) -> tuple[Any, ...]:
        if isinstance(items, Read):
            return tuple(items)
        return self._structurer.read_many(model, items, path, problems) if items is not None else ()

    def _first(self, model: Any, items: Any, path: str, problems: list[str]) -> Any:
        if is_list(items) and len(items) == 1:
            try:
                return self._structurer.hooks[model](items[0])  # nearly always
            except UNEXPECTED:
                pass
        found = self._several(model, items, path, problems)
        if not found:
            raise Undecodable(problems or [f"{path}: nothing there"])
        if len(found) > 1:
            problems.append(f"{path}: {len(found)} items where one was expected, the first was taken")
        return next(iter(found))

    def _open(self, result: Result, document: Any) -> tuple[Any, str, str | None, EnvelopeStatus | None]:
        """The data with its path, and the envelope around it, in whatever capitalisation; or the bare answer."""
        if is_object(document) and document and _ENVELOPE.issuperset(document):
            # As V1 and V2 spell it, which is nearly always.
            request_id, status = document.get("requestId"), document.get("status")
            if type(request_id) is not str:
                request_id = _text_or_none(request_id)
            verdict = _statuses[status] if type(status) is str else _status(status)
            return document.get("data"), "$.data", request_id, verdict
        if (is_list(document) or isinstance(document, Read)) and result.count != "nothing":
            # Without the envelope around it a list still is the data.
            return document, "$", None, None
        if not is_object(document):
            raise Undecodable(["$: expected an object or a list"])
        envelope: dict[str, tuple[str, Any]] = {}
        for name, value in document.items():
            envelope.setdefault(fold(name), (name, value))
        if "data" not in envelope and "requestid" not in envelope:
            verdict = _status(envelope["status"][1]) if "status" in envelope else None
            bare = result.of_locations and DIALECTS[self.version].bare_locations
            if bare and (verdict is None or not verdict.is_known):
                return document, "$", None, None  # its status is its own: an EVSE's, say
            if "status" not in envelope:
                raise Undecodable(["$: neither data nor status nor a request id"])
        name, data = envelope.get("data", ("data", None))
        request_id = _text_or_none(envelope.get("requestid", ("", None))[1])
        return data, f"$.{name}", request_id, _status(envelope.get("status", ("", None))[1])


_ENVELOPE = frozenset(("requestId", "status", "data"))
_statuses: Mapping[str, Any] = spellings(EnvelopeStatus)


def _status(value: Any) -> EnvelopeStatus | None:
    text = value if type(value) is str else _text_or_none(value)
    return None if text is None else _statuses[text]


def _text_or_none(value: Any) -> str | None:
    if type(value) is str:
        return value
    try:
        return None if value is None else read_text(value)
    except Unreadable:
        return None
