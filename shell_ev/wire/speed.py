"""The extra ``speed``: reading clean bodies with msgspec, typed and without a dictionary in between.

Takes exactly what the contract promises, spelled as the contract spells it, and nothing else: an unknown key or marker,
another spelling, a wrong type, a date nobody can read, and :meth:`FastReader.read` gives None, whereupon the body is
read the tolerant way from the start. So leniency, problems and results are those of ``codec`` alone; this room
can only be faster. tests/unit/test_engines.py compares the two.

msgspec fills structs, which know the wire's names and refuse unknown keys; the models are then copied out of them.
Imported only when msgspec is there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import attrs
import msgspec

from ..config import ApiVersion
from ..models.charging import ChargeSession, SessionError
from ..models.enums import EnvelopeStatus, SessionErrorCode, SessionState
from ..models.markers import LocationMarker, MultiLocationMarker, SingleLocationMarker
from .codec import FAILED, Decoded, Result
from .drafts import define, sealing
from .leaves import is_list
from .structuring import Field, Shape, open_enum, quick_datetime, spellings

#: Ids that are numbers on the wire of V1_PASCAL and V1 and text in V2.
_NUMBERED = frozenset({"uid", "location_uid"})
#: The states of a session come under one of these keys, and sometimes beside others of no value.
_STATE_KEYS = ("sessionState", "SessionState", "Sessionstate")

#: A time with its zone, read in C: a tenth off a page of locations. One without is a matter for the tolerant reading.
_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]

Copy = Callable[[Any], Any]


class _Odd(ValueError):
    """Not what the contract promises: for the tolerant reading."""


class _Error(msgspec.Struct, forbid_unknown_fields=True):
    code: SessionErrorCode | None = None
    message: str | None = None


class _State(msgspec.Struct, forbid_unknown_fields=True):
    status: str | None = None
    error: _Error | str | None = None


class FastReader:
    """Reads clean answers of one dialect."""

    def __init__(self, version: ApiVersion, shape_of: Callable[[type], Shape]) -> None:
        self._version = version
        self._shape_of = shape_of
        # V1_PASCAL documents times without a zone and in the American order, which msgspec does not read.
        self._moment: Any = str if version is ApiVersion.V1_PASCAL else _MOMENT
        self._known: dict[type, tuple[type, Copy]] = {}
        self._readers: dict[Result, Callable[[bytes], Decoded]] = {}

    def read(self, asked: Result, body: bytes) -> Decoded | None:
        """The answer, or None if anything about it is out of the ordinary."""
        reader = self._readers.get(asked)
        if reader is None:
            reader = self._readers[asked] = self._reader(asked)
        try:
            return reader(body)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return None

    def _reader(self, asked: Result) -> Callable[[bytes], Decoded]:
        if asked.count == "nothing":
            # The envelope alone is asked for, and whatever is in it is ignored: nothing to be gained.
            return _refuse
        target, copy = self._target(asked.model)
        one = asked.count == "one"
        if asked.bare_in is self._version:
            return self._bare(target, copy, one)
        spell = str.capitalize if self._version is ApiVersion.V1_PASCAL else str.lower
        envelope = _struct(
            "Envelope",
            [
                ("request_id", str | None, None),
                ("status", EnvelopeStatus | None, None),
                ("data", _one_or_many(target) | None, None),
            ],
            {"request_id": f"{spell('request')}Id", "status": spell("status"), "data": spell("data")},
        )
        decode = _decoder(envelope)

        def read(body: bytes) -> Decoded:
            opened = decode(body)
            data, status, request_id = opened.data, opened.status, opened.request_id
            if one and status is not FAILED and data.__class__ is list and len(data) == 1:
                return Decoded(copy(data[0]), request_id, status, ())  # nearly always
            if status is FAILED:
                return Decoded(None, request_id, status, ())
            if data is None and status is None and request_id is None:
                raise _Odd("no envelope")
            return Decoded(_copied(data, copy, one), request_id, status, ())

        return read

    def _bare(self, target: Any, copy: Copy, one: bool) -> Callable[[bytes], Decoded]:
        decode = _decoder(_one_or_many(target))

        def read(body: bytes) -> Decoded:
            return Decoded(_copied(decode(body), copy, one), None, None, ())

        return read

    def _target(self, model: Any) -> tuple[Any, Copy]:
        """The type that msgspec reads for a model, and the way from there to the model."""
        if model is ChargeSession:
            return self._session()
        if model == LocationMarker:
            single, multi = (self._structure(cls, tagged=True) for cls in (SingleLocationMarker, MultiLocationMarker))
            copies: dict[type, Copy] = dict((single, multi))
            return single[0] | multi[0], lambda marker: copies[type(marker)](marker)
        return self._structure(model)

    def _structure(self, cls: type, *, tagged: bool = False) -> tuple[type, Copy]:
        known = self._known.get(cls)
        if known is not None:
            return known
        shape = self._shape_of(cls)
        names: dict[str, Any] = {"moment": quick_datetime}
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        values: dict[str, str] = {}
        lines: list[str] = []
        tag: dict[str, Any] = {}
        for index, field in enumerate(shape.fields):
            if tagged and field.name == "marker_type":
                tag = {"tag_field": field.key, "tag": cls.__name__.removesuffix("Marker")}
                values[field.name] = repr(tag["tag"])
                continue
            hint, copied, values[field.name] = self._field(field, f"v{index}", names)
            fields.append((field.name, hint) if field.required else (field.name, hint | None, None))
            lines += copied
        struct = _struct(cls.__name__, fields, {field.name: field.key for field in shape.fields}, **tag)
        copy = define(cls, "s", [*lines, *sealing(cls, values, names)], names)
        known = self._known[cls] = struct, copy
        return known

    def _field(self, field: Field, value: str, names: dict[str, Any]) -> tuple[Any, list[str], str]:
        """The type of one field, the lines that prepare its value, and the expression that is the value."""
        target, source = field.target, f"s.{field.name}"
        if isinstance(target, type) and attrs.has(target):
            target, copy = self._structure(target)
            names[f"copy{value}"] = copy
            if field.many:
                lines = [f"{value} = {source}", f"{value} = tuple(map(copy{value}, {value})) if {value} else ()"]
                return list.__class_getitem__(target), lines, value
            return target, [f"{value} = {source}", f"if {value} is not None: {value} = copy{value}({value})"], value
        if field.many:
            if open_enum(target) is None:
                raise TypeError(f"no list of {target} is known")
            # A single value stands for a list of one, as G1 sends authorizationMethods.
            lines = [
                f"{value} = {source}",
                f"if type({value}) is not tuple: {value} = () if {value} is None else ({value},)",
            ]
            return tuple.__class_getitem__((target, ...)) | target, lines, value
        if target is datetime:
            return self._moment, [], self._moment_out_of(source)
        if field.name in _NUMBERED:
            lines = [f"{value} = {source}", f"if type({value}) is int: {value} = str({value})"]
            return str | int, lines, value
        return target, [], source

    def _moment_out_of(self, source: str) -> str:
        return source if self._moment is _MOMENT else f"None if {source} is None else moment({source})"

    def _session(self) -> tuple[type, Copy]:
        """A session as the wire nests it; the flat model is what ``codec`` makes of it, rule by rule."""
        flat = [field for field in self._shape_of(ChargeSession).fields if field.name not in ("state", "error")]
        renamed = {field.name: field.key for field in flat}
        fields: list[Any] = [
            (field.name, (self._moment if field.target is datetime else str) | None, None) for field in flat
        ]
        for index, key in enumerate(_STATE_KEYS):
            fields.append((f"state_{index}", _State | str | None, None))
            renamed[f"state_{index}"] = key
        pascal = self._version is ApiVersion.V1_PASCAL
        if pascal:
            fields += [("code", SessionErrorCode | None, None), ("message", str | None, None)]
            renamed |= {"code": "SessionCode", "message": "SessionMessage"}
        names: dict[str, Any] = {"moment": quick_datetime, "State": _State, "the_state": _the_state, "told": _told}
        names["known"] = spellings(SessionState)
        lines = [
            "state, error = s.state_0, None",
            "if state is None or s.state_1 is not None or s.state_2 is not None: state = the_state(s)",
            "if type(state) is State:",
            "    if state.error is not None: error = told(state.error)",
            "    state = state.status",
            # As text and not as an enum: the service's own spelling differs from the contract's.
            "if state is not None: state = known[state]",
        ]
        if pascal:
            names["Error"] = SessionError
            lines += [
                "if error is None and (s.code is not None or s.message is not None):",
                "    error = Error(code=s.code, message=s.message)",
            ]
        values: dict[str, str] = {}
        for field in flat:
            source = f"s.{field.name}"
            values[field.name] = self._moment_out_of(source) if field.target is datetime else source
        lines += sealing(ChargeSession, {**values, "state": "state", "error": "error"}, names)
        return _struct("ChargeSession", fields, renamed), define(ChargeSession, "s", lines, names)


def _the_state(struct: Any) -> Any:
    states = [state for state in (struct.state_0, struct.state_1, struct.state_2) if state is not None]
    if len(states) > 1:
        raise _Odd("two states")
    return states[0] if states else None


def _told(error: _Error | str) -> SessionError:
    if isinstance(error, str):
        return SessionError(message=error)
    return SessionError(code=error.code, message=error.message)


def _struct(name: str, fields: list[Any], renamed: dict[str, str], **options: Any) -> type:
    # Not gc=False, tempting as it is: measured 1.2 x slower on a page of 500. Collected structs that are let go while
    # the models are made count against them, and the collector runs less often.
    return msgspec.defstruct(
        name, fields, rename=renamed, kw_only=True, forbid_unknown_fields=True, module=__name__, **options
    )


def _copied(data: Any, copy: Copy, one: bool) -> Any:
    if not is_list(data):
        if data is None and one:
            raise _Odd("nothing there")
        return () if data is None else copy(data) if one else (copy(data),)
    if one:
        if len(data) != 1:
            raise _Odd("not one item")
        return copy(data[0])
    # Struct by struct in place: each is let go as soon as its model stands.
    for index, item in enumerate(data):
        data[index] = copy(item)
    return tuple(data)


def _decoder(target: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(target).decode


def _one_or_many(target: Any) -> Any:
    return list.__class_getitem__(target) | target


def _refuse(_: bytes) -> Decoded:
    raise _Odd("not read here")
