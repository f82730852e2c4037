"""Decoding of bodies: JSON, the envelope, and the choice between msgspec and cattrs."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..dialects import DIALECTS, ApiVersion, Dialect
from ..errors import ConfigurationError, one_line
from ..models.charging import ChargeSession, SessionError
from ..models.enums import EnvelopeStatus
from .results import FAILED, Decoded, Result, Undecodable
from .structuring import Change, Structurer, fold, spellings
from .values import Unreadable, is_list, is_object, read_text

if TYPE_CHECKING:
    from .msgspec_decoder import MsgspecDecoder


def _no_number(_: str) -> None:
    # NaN and Infinity are not JSON. As None they do not cost the rest of the body.
    return None


_json = json.JSONDecoder(parse_constant=_no_number)


def parse_json(body: bytes) -> Any:
    """JSON in UTF-8, with or without a byte order mark. Raises ValueError for anything else."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        # One broken name in a page of 500 must not cost the page.
        text = body.decode(errors="replace")
    try:
        try:
            document, end = _json.raw_decode(text)
            if end == len(text):
                return document
        except ValueError:
            pass  # white space or a byte order mark before it, or no JSON
        return _json.decode(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _folded(dialects: Iterable[Dialect], cls: type, field: str, part: int) -> frozenset[str]:
    """One part of the wire name of a session's field in these dialects."""
    return frozenset(fold(dialect.wire_name(cls, field).split(".")[part]) for dialect in dialects)


def _spell(dialect: Dialect, cls: type, name: str) -> str:
    if cls is ChargeSession and name in ("state", "error"):
        return name  # as _SessionShape leaves it
    if cls is SessionError and dialect.flat_errors:
        return name
    return dialect.wire_name(cls, name)


class _SessionShape:
    """Changes a session of any dialect into the shape of its model: ``state`` and ``error`` side by side."""

    def __init__(self, dialect: Dialect) -> None:
        self._code_key, self._message_key = (_spell(dialect, SessionError, name) for name in ("code", "message"))
        flat = [dialect for dialect in DIALECTS.values() if dialect.flat_errors]
        nested = [dialect for dialect in DIALECTS.values() if not dialect.flat_errors]
        outer = {
            "state": _folded(DIALECTS.values(), ChargeSession, "state", 0),
            "code": _folded(flat, SessionError, "code", -1),
            "message": _folded(flat, SessionError, "message", -1),
        }
        inner = {
            "state": _folded(nested, ChargeSession, "state", -1),
            "error": _folded(nested, ChargeSession, "error", -1),
        }
        self._outer = functools.lru_cache(maxsize=256)(functools.partial(_role, outer))
        self._inner = functools.lru_cache(maxsize=256)(functools.partial(_role, inner))

    def __call__(self, raw: dict[str, Any]) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key, value in raw.items():
            role = self._outer(key)
            if role is None:
                flat[key] = value
            elif value is not None or role != "state":
                found[role] = value
        code, message, state = map(found.get, ("code", "message", "state"))
        error: Any = None
        if code is not None or message is not None:
            error = {self._code_key: code, self._message_key: message}
        if is_object(state):
            inside: dict[str | None, Any] = {self._inner(key): value for key, value in state.items()}
            state = inside.get("state")
            nested = inside.get("error")
            if isinstance(nested, str):
                nested = {self._message_key: nested}
            error = nested if nested is not None else error
        if state is not None:
            flat["state"] = state
        if error is not None:
            flat["error"] = error
        return flat


def _role(keys: Mapping[str, frozenset[str]], key: str) -> str | None:
    """What a key stands for, in any case."""
    return next((role for role, folded in keys.items() if fold(key) in folded), None)


@functools.cache
def structurer(dialect: Dialect) -> Structurer:
    """The cattrs decoder of one dialect."""
    spell = functools.partial(_spell, dialect)
    change = Change(_SessionShape(dialect), {"state": dialect.wire_name(ChargeSession, "state")})
    return Structurer(spell, {ChargeSession: change})


class Engine(StrEnum):
    """The decoder of bodies: ``CATTRS`` is always there, ``MSGSPEC`` with the extra ``speed``."""

    CATTRS = "cattrs"
    MSGSPEC = "msgspec"


def engine(wanted: str | None = None) -> Engine:
    """The decoder that a new client uses. Both give the same results.

    Args:
        wanted: ``cattrs``, ``msgspec``, or ``auto`` for msgspec if it is installed. The environment variable
            ``SHELL_EV_ENGINE`` if left out, ``auto`` if that is empty.

    Returns:
        The decoder.

    Raises:
        ConfigurationError: There is no such decoder, or msgspec is not installed.
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
def _msgspec_decoder(dialect: Dialect) -> MsgspecDecoder:
    from .msgspec_decoder import MsgspecDecoder

    return MsgspecDecoder(dialect, structurer(dialect).shape)


class Codec:
    """Decodes the answers of one dialect.

    Args:
        version: The dialect.
        wanted: The decoder, as for :func:`engine`.
    """

    def __init__(self, version: ApiVersion, wanted: str | None = None) -> None:
        self.engine: Engine = engine(wanted)
        self._dialect = DIALECTS[version]
        self._read = structurer(self._dialect).read_many
        keys = [self._dialect.spell(name) for name in ("request_id", "status", "data")]
        self._request_id_key, self._status_key, self._data_key = keys
        self._envelope_keys = frozenset(keys)
        self._data_path = f"$.{self._data_key}"
        self._fast = _msgspec_decoder(self._dialect) if self.engine is Engine.MSGSPEC else None

    def decode(self, result: Result, body: bytes) -> Decoded:
        """Decode the answer to an operation.

        Args:
            result: What the operation answers with.
            body: The body of the answer.

        Returns:
            The data, with the JSON paths of what could not be read.

        Raises:
            Undecodable: The body does not hold what was asked for.
        """
        if self._fast is not None:
            clean = self._fast[result](body)
            if clean is not None:
                return clean
        try:
            document = parse_json(body)
        except ValueError as reason:
            raise Undecodable([f"$: not JSON ({reason})" if body.strip() else "$: the body is empty"]) from None
        items, path, request_id, status = self._open(result, document)
        if status is FAILED:
            return Decoded(None, request_id, status, ())
        problems: list[str] = []
        data: Any = None
        if result.count != "nothing":
            data = self._read(result.model, items, path, problems, True) if items is not None else ()
            if not data and (problems or result.count == "one"):
                raise Undecodable(problems or [f"{path}: nothing there"])
            if result.count == "one":
                if len(data) > 1:
                    problems.append(f"{path}: {len(data)} items where one was expected, the first was taken")
                data = data[0]
        return Decoded(data, request_id, status, tuple(problems))

    def _open(self, result: Result, document: Any) -> tuple[Any, str, str | None, EnvelopeStatus | None]:
        """The data and its path, the request id and the status; from an envelope in any case, or from a bare answer."""
        if is_object(document) and len(document) == 3 and self._envelope_keys.issuperset(document):
            # As the dialect documents it, a tenth faster.
            request_id, status = document[self._request_id_key], document[self._status_key]
            if type(request_id) is str and type(status) is str:
                return document[self._data_key], self._data_path, request_id, _statuses[status]
        if is_list(document) and result.count != "nothing":
            # A list is the data, whether the dialect has envelopes or not.
            return document, "$", None, None
        if not is_object(document):
            raise Undecodable(["$: expected an object or a list"])
        envelope: dict[str, tuple[str, Any]] = {}
        for name, value in document.items():
            envelope.setdefault(fold(name), (name, value))
        status = _status(envelope["status"][1]) if "status" in envelope else None
        if "data" not in envelope and "requestid" not in envelope:
            bare = result.of_locations and self._dialect.bare_locations
            if bare and (status is None or not status.is_known):
                return document, "$", None, None  # its status is that of an EVSE, for example
            if "status" not in envelope:
                raise Undecodable(["$: neither data nor status nor a request id"])
        name, data = envelope.get("data", ("data", None))
        return data, f"$.{name}", _text_or_none(envelope.get("requestid", ("", None))[1]), status


_statuses: Mapping[str, Any] = spellings(EnvelopeStatus)


def _status(value: Any) -> EnvelopeStatus | None:
    text = _text_or_none(value)
    return None if text is None else _statuses[text]


def _text_or_none(value: Any) -> str | None:
    if type(value) is str:
        return value
    try:
        return None if value is None else read_text(value)
    except Unreadable:
        return None
