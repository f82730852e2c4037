"""The extra ``speed``: decodes clean bodies with msgspec, and declines every other one."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import msgspec

from ..dialects import DIALECTS, ApiVersion
from ..models.charging import ChargeSession, SessionError
from ..models.enums import EnvelopeStatus, SessionErrorCode, SessionState
from .codegen import define, sealing
from .results import FAILED, Decoded, Result
from .structuring import Field, Shape, open_enum, spellings
from .values import DATETIME, is_list, quick_datetime

#: A time with its zone, read in C: a tenth off a page of locations. One without is a matter for the tolerant reading.
_ANNOTATED: Any = Annotated
_MOMENT = _ANNOTATED[DATETIME[0], msgspec.Meta(tz=True)]

Shared = dict[bytes, Any]
"""What was read of one body so far, by its wording: the very bytes, so that 0, 0.0 and -0.0 stay what they are."""
Copy = Callable[[Any, Shared], Any]
"""Makes a model out of its struct."""


class Declined(ValueError):
    """Not what the contract promises: for the tolerant reading."""


class _Error(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    code: SessionErrorCode | None = None
    message: str | None = None


class _State(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    status: str | None = None
    error: _Error | str | None = None


class Structs:
    """The structs of one answer in one dialect, one item or a page of ``many``; models in ``repeated`` are shared.

    Sharing pays from a handful of locations on: a page of 500 full ones in half the time, a single one in 1.5 times.
    So do structs that the collector counts: those let go while the models are made count against them, and it runs less
    often (5 % of such a page). For one item they only cost, 3 % of a session.
    """

    def __init__(
        self, version: ApiVersion, shape_of: Callable[[type], Shape], *, many: bool, repeated: frozenset[type]
    ) -> None:
        self._dialect = DIALECTS[version]
        self._shape_of = shape_of
        self._many = many
        self._repeated = repeated
        # msgspec does not read a time without a zone, or in the American order.
        self._moment: Any = _MOMENT if self._dialect.zoned_times else str
        self._known: dict[type, tuple[type, Copy]] = {}

    def target(self, model: Any) -> tuple[Any, Copy]:
        """The type that msgspec reads for a model, and the way from there to the model."""
        if model is ChargeSession:
            return self._session()
        if not isinstance(model, type):  # a union: of markers, the unknown one last
            single, multi = (self._structure(cls, tagged=True) for cls in typing.get_args(model)[:-1])
            copies: dict[type, Copy] = dict((single, multi))
            return single[0] | multi[0], lambda marker, shared: copies[type(marker)](marker, shared)
        return self._structure(model)

    def struct(self, name: str, fields: list[Any], renamed: dict[str, str], **options: Any) -> type:
        """A struct that refuses what it does not know."""
        return msgspec.defstruct(
            name,
            fields,
            rename=renamed,
            kw_only=True,
            forbid_unknown_fields=True,
            module=__name__,
            gc=self._many,
            **options,
        )

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
            fields.append((field.name, hint) if field.required else (field.name, _or_none(hint), None))
            lines += copied
        struct = self.struct(cls.__name__, fields, {field.name: field.key for field in shape.fields}, **tag)
        copy = define(cls, "s, shared", [*lines, *sealing(cls, values, names)], names)
        known = self._known[cls] = struct, copy
        return known

    def _field(self, field: Field, value: str, names: dict[str, Any]) -> tuple[Any, list[str], str]:
        """The type of one field, the lines that prepare its value, and the expression that is the value."""
        target, source = field.target, f"s.{field.name}"
        if isinstance(target, type) and attrs.has(target):
            if target in self._repeated:
                return msgspec.Raw, self._read_once(field, value, names), value
            target, names[f"copy{value}"] = self._structure(target)
            lines = [f"{value} = {source}"]
            if field.many:
                # A loop and no map(): calls between Python functions are the cheap ones, 0.1 us a list.
                lines += [
                    "some = []",
                    f"for one in {value} or (): some.append(copy{value}(one, shared))",
                    f"{value} = tuple(some)",
                ]
                return list.__class_getitem__(target), lines, value
            lines.append(f"if {value} is not None: {value} = copy{value}({value}, shared)")
            return target, lines, value
        if field.many:
            if open_enum(target) is None:
                raise TypeError(f"no list of {target} is known")
            # A single value stands for a list of one, as G1 sends authorizationMethods.
            lines = [
                f"{value} = {source}",
                f"if type({value}) is not tuple: {value} = () if {value} is None else ({value},)",
            ]
            return tuple.__class_getitem__((target, ...)) | target, lines, value
        if target in DATETIME:
            return self._moment, [], self._moment_out_of(source)
        if field.name in self._dialect.numeric_ids:
            lines = [f"{value} = {source}", f"if type({value}) is int: {value} = str({value})"]
            return str | int, lines, value
        return target, [], source

    def _read_once(self, field: Field, value: str, names: dict[str, Any]) -> list[str]:
        """The lines for a field whose JSON is left as it is, and read unless the same was read before in this body."""
        target, copy = self._structure(field.target)
        decode = decoder((list.__class_getitem__(target) if field.many else target) | None)

        def read(text: msgspec.Raw, shared: Shared) -> Any:
            found = decode(text)
            if field.many:
                return tuple([copy(item, shared) for item in found or ()])
            return None if found is None else copy(found, shared)

        names[f"read{value}"] = read
        mark = f"{field.target.__name__}{'s' if field.many else ''} ".encode()
        return [
            f"if (raw := s.{field.name}) is None: {value} = {'()' if field.many else None}",
            f"elif ({value} := shared.get(text := {mark!r} + raw)) is None:",
            f"    {value} = shared[text] = read{value}(raw, shared)",
        ]

    def _moment_out_of(self, source: str) -> str:
        return source if self._moment is _MOMENT else f"None if {source} is None else moment({source})"

    def _session(self) -> tuple[type, Copy]:
        """A session as the wire nests it; the flat model is what ``codec`` makes of it, rule by rule."""
        flat = [field for field in self._shape_of(ChargeSession).fields if field.name not in ("state", "error")]
        renamed = {field.name: field.key for field in flat}
        fields: list[Any] = [
            (field.name, (self._moment if field.target in DATETIME else str) | None, None) for field in flat
        ]
        state = self._dialect.wire_name(ChargeSession, "state").partition(".")[0]
        # The documentation itself writes the key in these three ways.
        for index, key in enumerate((state[0].lower() + state[1:], state[0].upper() + state[1:], state.capitalize())):
            fields.append((f"state_{index}", _State | str | None, None))
            renamed[f"state_{index}"] = key
        if self._dialect.flat_errors:
            fields += [("code", SessionErrorCode | None, None), ("message", str | None, None)]
            renamed |= {name: self._dialect.wire_name(SessionError, name) for name in ("code", "message")}
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
        if self._dialect.flat_errors:
            names["Error"] = SessionError
            lines += [
                "if error is None and (s.code is not None or s.message is not None):",
                "    error = Error(code=s.code, message=s.message)",
            ]
        values: dict[str, str] = {}
        for field in flat:
            source = f"s.{field.name}"
            values[field.name] = self._moment_out_of(source) if field.target in DATETIME else source
        lines += sealing(ChargeSession, {**values, "state": "state", "error": "error"}, names)
        return self.struct("ChargeSession", fields, renamed), define(ChargeSession, "s, _", lines, names)


def decoder(target: Any) -> Callable[[Any], Any]:
    """What reads bytes as that type."""
    return msgspec.json.Decoder(target).decode


def _or_none(hint: Any) -> Any:
    # Raw takes anything, null as well, and refuses to be part of a union.
    return hint if hint is msgspec.Raw else hint | None


def _the_state(struct: Any) -> Any:
    states = [state for state in (struct.state_0, struct.state_1, struct.state_2) if state is not None]
    if len(states) > 1:
        raise Declined("two states")
    return states[0] if states else None


def _told(error: _Error | str) -> SessionError:
    if isinstance(error, str):
        return SessionError(message=error)
    return SessionError(code=error.code, message=error.message)


Reader = Callable[[bytes], Decoded | None]
"""Reads a body; None if anything about it is out of the ordinary."""

_REFUSED = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_new = object.__new__


class Readers(dict[Result, Reader]):
    """What reads the clean answers of one dialect, each built on first use."""

    def __init__(self, version: ApiVersion, shape_of: Callable[[type], Shape]) -> None:
        super().__init__()
        self._version = version
        self._shape_of = shape_of

    def __missing__(self, asked: Result) -> Reader:
        reader = self[asked] = self._reader(asked)
        return reader

    def _reader(self, asked: Result) -> Reader:
        if asked.count == "nothing":
            # The envelope alone is asked for, and whatever is in it is ignored: nothing to be gained.
            return _refuse
        one = asked.count == "one"
        structs = Structs(self._version, self._shape_of, many=not one, repeated=asked.repeated)
        target, copy = structs.target(asked.model)
        dialect = DIALECTS[self._version]
        if asked.of_locations and dialect.bare_locations:
            return _bare(decoder(_one_or_many(target)), copy, one)
        envelope = structs.struct(
            "Envelope",
            [
                ("request_id", str | None, None),
                ("status", EnvelopeStatus | None, None),
                ("data", _one_or_many(target) | None, None),
            ],
            {name: dialect.spell(name) for name in ("request_id", "status", "data")},
        )
        return _enveloped(decoder(envelope), copy, one)


def _enveloped(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Reader:
    def read(body: bytes) -> Decoded | None:
        try:
            opened = decode(body)
            data, status = opened.data, opened.status
            answer = _new(Decoded)  # its fields set here, and not by its __init__: 0.1 us off a session
            if one and status is not FAILED and data.__class__ is list and len(data) == 1:
                answer.data = copy(data[0], {})  # nearly always
            elif status is FAILED:
                answer.data = None
            elif data is None and status is None and opened.request_id is None:
                return None  # no envelope
            else:
                answer.data = _copied(data, copy, one)
        except _REFUSED:
            return None
        answer.request_id = opened.request_id
        answer.status = status
        answer.problems = ()
        return answer

    return read


def _bare(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Reader:
    def read(body: bytes) -> Decoded | None:
        try:
            return Decoded(_copied(decode(body), copy, one), None, None, ())
        except _REFUSED:
            return None

    return read


def _refuse(_: bytes) -> None:
    return None


def _copied(data: Any, copy: Copy, one: bool) -> Any:
    shared: Shared = {}
    if not is_list(data):
        if data is None and one:
            raise Declined("nothing there")
        return () if data is None else copy(data, shared) if one else (copy(data, shared),)
    if one:
        if len(data) != 1:
            raise Declined("not one item")
        return copy(data[0], shared)
    # Struct by struct in place: each is let go as soon as its model stands.
    for index, item in enumerate(data):
        data[index] = copy(item, shared)
    return tuple(data)


def _one_or_many(target: Any) -> Any:
    return list.__class_getitem__(target) | target
