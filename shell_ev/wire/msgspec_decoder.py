"""The msgspec decoder of the extra ``speed``: decodes documented bodies, and declines every other one.

A declined body is decoded by cattrs, and so is every answer with a model that msgspec cannot be set up for.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import attrs
import msgspec

from ..dialects import Dialect
from ..models.charging import ChargeSession, SessionError
from ..models.enums import EnvelopeStatus, SessionErrorCode, SessionState
from .codegen import FunctionBuilder
from .results import FAILED, Decoded, Result
from .structuring import Field, Shape, open_enum, spellings
from .values import DATETIME, is_list, quick_datetime

#: A time with its zone, which msgspec reads itself.
_ANNOTATED: Any = Annotated
_ZONED = _ANNOTATED[DATETIME[0], msgspec.Meta(tz=True)]
_LEAVES = (str, float, int, bool)

Shared = dict[bytes, Any]
"""What was read of one body so far, by its bytes: 0, 0.0 and -0.0 stay what they are."""
Copy = Callable[[Any, Shared], Any]
"""Makes a model out of its struct."""
Read = Callable[[bytes], Decoded | None]
"""Decodes a body; None if it is not as documented."""


class Declined(ValueError):
    """A body that is not as documented."""


class Unsupported(TypeError):
    """A model that msgspec cannot be set up for."""


class MsgspecDecoder(dict[Result, Read]):
    """The decoders of one dialect, each made when it is first needed."""

    def __init__(self, dialect: Dialect, shape_of: Callable[[type], Shape]) -> None:
        super().__init__()
        self._dialect = dialect
        self._shape_of = shape_of

    def __missing__(self, result: Result) -> Read:
        try:
            read = self._reader(result)
        except TypeError:  # ours, or msgspec's own for a type that it does not take
            read = _decline
        self[result] = read
        return read

    def _reader(self, result: Result) -> Read:
        if result.count == "nothing":
            # The envelope alone: nothing to be gained.
            return _decline
        one = result.count == "one"
        structs = _Structs(self._dialect, self._shape_of, many=not one, repeated=result.repeated)
        target, copy = structs.target(result.model)
        if result.of_locations and self._dialect.bare_locations:
            return _read_bare(_decoder(_one_or_many(target)), copy, one)
        envelope = structs.struct(
            "Envelope",
            [
                ("request_id", str | None, None),
                ("status", EnvelopeStatus | None, None),
                ("data", _one_or_many(target) | None, None),
            ],
            {name: self._dialect.spell(name) for name in ("request_id", "status", "data")},
        )
        return _read_envelope(_decoder(envelope), copy, one)


class _Structs:
    """The structs of one answer, one item or a page of ``many``; models in ``repeated`` are shared.

    Sharing and structs with ``gc`` halve the time of a page of 500 full locations, and cost half of a single one.
    """

    def __init__(
        self, dialect: Dialect, shape_of: Callable[[type], Shape], *, many: bool, repeated: frozenset[type]
    ) -> None:
        self._dialect = dialect
        self._shape_of = shape_of
        self._many = many
        self._repeated = repeated
        # msgspec does not read a time without a zone, or in the American order.
        self._moment: Any = _ZONED if dialect.zoned_times else str
        self._known: dict[type, tuple[type, Copy]] = {}

    def target(self, model: Any) -> tuple[Any, Copy]:
        """The type that msgspec reads for an item of the answer, and the function that makes the model of it."""
        if model is ChargeSession:
            return self._session()
        if isinstance(model, type):
            return self._structure(model, is_item=True)
        # A union with a tag. The last model is that of unknown tags.
        copies: dict[type, Copy] = dict(self._structure(cls, tagged=True) for cls in typing.get_args(model)[:-1])
        union: Any = typing.Union[tuple(copies)]  # noqa: UP007 - made at run time
        return union, lambda item, shared: copies[type(item)](item, shared)

    def struct(self, name: str, fields: list[Any], renamed: Mapping[str, str], **options: Any) -> type:
        """A struct that refuses unknown keys."""
        return msgspec.defstruct(
            name,
            fields,
            rename=dict(renamed),
            kw_only=True,
            forbid_unknown_fields=True,
            module=__name__,
            gc=self._many,
            **options,
        )

    def _structure(self, cls: type, *, tagged: bool = False, is_item: bool = False) -> tuple[type, Copy]:
        known = self._known.get(cls)
        if known is not None:
            return known
        if not attrs.has(cls):
            raise Unsupported(f"{cls} is no model")
        shape = self._shape_of(cls)
        builder = FunctionBuilder(cls.__name__, "s, shared")
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        values: dict[str, str] = {}
        tag: dict[str, Any] = {}
        for index, field in enumerate(shape.fields):
            if tagged and index == 0:
                tag = {"tag_field": field.key, "tag": attrs.fields(cls)[0].default}
                values[field.name] = repr(tag["tag"])
                continue
            hint, values[field.name] = self._field(builder, field, f"v{index}")
            fields.append((field.name, hint) if field.required else (field.name, _or_none(hint), None))
        struct = self.struct(cls.__name__, fields, {field.name: field.key for field in shape.fields}, **tag)
        if is_item:
            _decline_empty(builder, shape, values)
        builder.return_model(cls, values)
        known = self._known[cls] = struct, builder.build()
        return known

    def _field(self, builder: FunctionBuilder, field: Field, value: str) -> tuple[Any, str]:
        """The type of one field and the expression of its value. Lines that it needs are appended."""
        target, source = field.target, f"s.{field.name}"
        if isinstance(target, type) and attrs.has(target):
            if target in self._repeated:
                self._add_read_once(builder, field, value)
                return msgspec.Raw, value
            struct, copy = self._structure(target)
            builder.add(f"{value} = {source}")
            if not field.many:
                builder.add(f"if {value} is not None: {value} = {builder.use(copy, 'copy')}({value}, shared)")
                return struct, value
            # A loop and not map(): calls between Python functions are cheaper.
            builder.add(
                "some = []",
                f"for one in {value} or (): some.append({builder.use(copy, 'copy')}(one, shared))",
                f"{value} = tuple(some)",
            )
            return list.__class_getitem__(struct), value
        if field.many:
            if target not in _LEAVES and open_enum(target) is None:
                raise Unsupported(f"a list of {target}")
            # A single value is a list of one, as the first dialects send authorizationMethods.
            builder.add(
                f"{value} = {source}",
                f"if type({value}) is not tuple: {value} = () if {value} is None else ({value},)",
            )
            return tuple.__class_getitem__((target, ...)) | target, value
        if target in DATETIME:
            return self._moment, self._moment_of(builder, source)
        if target not in _LEAVES and open_enum(target) is None:
            raise Unsupported(f"{target}")
        if field.name in self._dialect.numeric_ids:
            builder.add(f"{value} = {source}", f"if type({value}) is int: {value} = str({value})")
            return str | int, value
        return target, source

    def _add_read_once(self, builder: FunctionBuilder, field: Field, value: str) -> None:
        """Append the lines for a field that is read once for equal bytes in one body."""
        target, copy = self._structure(field.target)
        decode = _decoder((list.__class_getitem__(target) if field.many else target) | None)

        def read(text: msgspec.Raw, shared: Shared) -> Any:
            found = decode(text)
            if field.many:
                return tuple([copy(item, shared) for item in found or ()])
            return None if found is None else copy(found, shared)

        mark = f"{field.target.__name__}{'s' if field.many else ''} ".encode()
        builder.add(
            f"if (raw := s.{field.name}) is None: {value} = {'()' if field.many else None}",
            f"elif ({value} := shared.get(text := {mark!r} + raw)) is None:",
            f"    {value} = shared[text] = {builder.use(read, 'read')}(raw, shared)",
        )

    def _moment_of(self, builder: FunctionBuilder, source: str) -> str:
        if self._moment is _ZONED:
            return source
        return f"(None if {source} is None else {builder.use(quick_datetime, 'moment')}({source}))"

    def _session(self) -> tuple[type, Copy]:
        """A session with its state as the dialect sends it."""
        dialect, shape = self._dialect, self._shape_of(ChargeSession)
        plain = [field for field in shape.fields if field.name not in ("state", "error")]
        renamed = {field.name: field.key for field in plain}
        builder = FunctionBuilder("ChargeSession", "s, shared")
        values = {"state": "state", "error": "error"}
        fields: list[Any] = []
        for index, field in enumerate(plain):
            hint, values[field.name] = self._field(builder, field, f"v{index}")
            fields.append((field.name, _or_none(hint), None))
        state, *status = dialect.wire_name(ChargeSession, "state").split(".")
        error = dialect.wire_name(ChargeSession, "error").rpartition(".")[2]
        codes = {name: dialect.wire_name(SessionError, name) for name in ("code", "message")}
        optional: list[Any] = [("code", SessionErrorCode | None, None), ("message", str | None, None)]
        error_struct = self.struct("Error", optional, {} if dialect.flat_errors else codes)
        state_struct = self.struct(
            "State",
            [("status", str | None, None), ("error", error_struct | str | None, None)],
            {"status": status[0] if status else "status", "error": error},
        )
        # The documentation itself writes the key in these three ways.
        keys = (state[0].lower() + state[1:], state[0].upper() + state[1:], state.capitalize())
        for index, key in enumerate(keys):
            fields.append((f"state_{index}", state_struct | str | None, None))
            renamed[f"state_{index}"] = key
        if dialect.flat_errors:
            fields += optional
            renamed |= codes
        # The state as text and not as an enum: the service's spelling is not the documented one.
        builder.add(
            "state, error = s.state_0, None",
            "if state is None or s.state_1 is not None or s.state_2 is not None:",
            f"    state = {builder.use(_only_state)}(s)",
            f"if type(state) is {builder.use(state_struct)}:",
            f"    if state.error is not None: error = {builder.use(_error)}(state.error)",
            "    state = state.status",
            f"if state is not None: state = {builder.use(spellings(SessionState))}[state]",
        )
        if dialect.flat_errors:
            builder.add("if error is None and (s.code is not None or s.message is not None):")
            builder.add(f"    error = {builder.use(SessionError)}(code=s.code, message=s.message)")
        _decline_empty(builder, shape, values)
        builder.return_model(ChargeSession, values)
        return self.struct("ChargeSession", fields, renamed), builder.build()


def _decline_empty(builder: FunctionBuilder, shape: Shape, values: Mapping[str, str]) -> None:
    """Append the line that leaves an item without a value to cattrs, which names it a problem."""
    none = [f"not {values[field.name]}" if field.many else f"{values[field.name]} is None" for field in shape.fields]
    builder.add(f"if {' and '.join(none)}: raise {builder.use(Declined)}('no value')")


def _decoder(target: Any) -> Callable[[Any], Any]:
    return msgspec.json.Decoder(target).decode


def _or_none(hint: Any) -> Any:
    # Raw takes null as well, and cannot be part of a union.
    return hint if hint is msgspec.Raw else hint | None


def _only_state(struct: Any) -> Any:
    states = [state for state in (struct.state_0, struct.state_1, struct.state_2) if state is not None]
    if len(states) > 1:
        raise Declined("two states")
    return states[0] if states else None


def _error(error: Any) -> SessionError:
    if isinstance(error, str):
        return SessionError(message=error)
    return SessionError(code=error.code, message=error.message)


_REFUSED = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)


def _read_envelope(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Read:
    def read(body: bytes) -> Decoded | None:
        try:
            opened = decode(body)
            data, status = opened.data, opened.status
            if status is FAILED:
                return Decoded(None, opened.request_id, status, ())
            if data is None and status is None and opened.request_id is None:
                return None  # no envelope
            return Decoded(_models(data, copy, one), opened.request_id, status, ())
        except _REFUSED:
            return None

    return read


def _read_bare(decode: Callable[[bytes], Any], copy: Copy, one: bool) -> Read:
    def read(body: bytes) -> Decoded | None:
        try:
            return Decoded(_models(decode(body), copy, one), None, None, ())
        except _REFUSED:
            return None

    return read


def _decline(_: bytes) -> None:
    return None


def _models(data: Any, copy: Copy, one: bool) -> Any:
    """The models of the data of an answer."""
    shared: Shared = {}
    if not is_list(data):
        if data is None and one:
            raise Declined("nothing there")
        return () if data is None else copy(data, shared) if one else (copy(data, shared),)
    if one:
        if len(data) != 1:
            raise Declined("not one item")
        return copy(data[0], shared)
    # In place: each struct is freed as soon as its model stands.
    for index, item in enumerate(data):
        data[index] = copy(item, shared)
    return tuple(data)


def _one_or_many(target: Any) -> Any:
    return list.__class_getitem__(target) | target
