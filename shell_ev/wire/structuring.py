"""From JSON objects to models: one straight-line function per class, and a tolerant reading for when that fails.

Good data takes the generated function alone. Anything odd raises :class:`Unreadable` there and is read again field by
field, so that whatever is intact survives and every problem gets its JSON path. Knows models and spellings; nothing
of envelopes or operations.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs
import cattrs

from ..models.enums import OpenEnum
from .leaves import (
    Unreadable,
    enum_reader,
    is_list,
    is_object,
    read_bool,
    read_datetime,
    read_float,
    read_int,
    read_text,
)

_LEAVES: dict[type, Callable[..., Any]] = {
    str: read_text,
    float: read_float,
    int: read_int,
    bool: read_bool,
    datetime: read_datetime,
}

Respell = Callable[[dict[str, Any]], dict[str, Any]]
Choose = Callable[[dict[str, Any]], type]


def fold(key: str) -> str:
    """A key without regard to case and separators, as the service itself seems to see keys."""
    return key.replace("_", "").replace("-", "").casefold()


@attrs.frozen
class Field:
    """How one field of a model is read."""

    name: str
    key: str
    target: Any
    """The type of one value: a leaf type, an enum, a model or a union of models."""
    many: bool
    required: bool


@attrs.frozen(kw_only=True)
class Shape:
    """How one model is read in one dialect."""

    cls: type
    fields: tuple[Field, ...]
    prepare: Respell | None
    """Flattens a shape that differs from the model's; gets and returns an object."""
    keys: frozenset[str]
    by_folded: Mapping[str, str]

    def spelled(self, value: Any) -> dict[str, Any]:
        """The object with the dialect's own keys, whatever case they came in. Raises Unreadable if it has none."""
        if not is_object(value):
            raise Unreadable("expected an object")
        raw = value if self.prepare is None else self.prepare(value)
        if self.keys.issuperset(raw):
            return raw
        respelled = dict(raw)
        for key in raw:
            if key not in self.keys:
                proper = self.by_folded.get(fold(key))
                if proper is not None and respelled.get(proper) is None:
                    respelled[proper] = raw[key]
        if self.keys.isdisjoint(respelled):
            # Somebody else's object: a model of Nones made from it would be a statement nobody made.
            raise Unreadable("an object with none of the expected keys")
        return respelled


class Structurer:
    """One cattrs converter with this library's hooks: lenient leaves, generated classes, tolerant second reading."""

    def __init__(
        self,
        spell: Callable[[type, str], str],
        *,
        prepare: Mapping[type, Respell] | None = None,
        unions: Mapping[Any, Choose] | None = None,
    ) -> None:
        self._spell = spell
        self._prepare = prepare or {}
        self._unions = unions or {}
        self._shapes: dict[type, Shape] = {}
        self.converter = cattrs.Converter(detailed_validation=False)
        for leaf, reader in _LEAVES.items():
            self.converter.register_structure_hook(leaf, reader)
        for union, choose in self._unions.items():
            self.converter.register_structure_hook(union, self._union_hook(choose))
        self.converter.register_structure_hook_factory(attrs.has, self._compile)

    def read(self, cls: Any, value: Any, path: str, problems: list[str]) -> Any:
        """``value`` as ``cls``. What cannot be read is noted in ``problems``; raises Unreadable if nothing can."""
        try:
            return self._hook(cls)(value, cls)
        except (Unreadable, TypeError, ValueError, KeyError, AttributeError):
            return self._tolerant(cls, value, path, problems)

    def _hook(self, target: Any) -> Callable[..., Any]:
        if isinstance(target, type) and issubclass(target, OpenEnum) and target not in _LEAVES:
            # cattrs would resolve a text enum as text before it asks any factory: name each class.
            reader = enum_reader(target)
            self.converter.register_structure_hook(target, reader)
            return reader
        return self.converter.get_structure_hook(target)

    def _union_hook(self, choose: Choose) -> Callable[..., Any]:
        def structure_union(value: Any, _: Any) -> Any:
            if not is_object(value):
                raise Unreadable("expected an object")
            cls = choose(value)
            return self._hook(cls)(value, cls)

        return structure_union

    def shape(self, cls: type) -> Shape:
        """How ``cls`` is read here; worked out once."""
        known = self._shapes.get(cls)
        if known is None:
            hints = typing.get_type_hints(cls)
            fields = tuple(self._field(cls, attribute, hints[attribute.name]) for attribute in attrs.fields(cls))
            keys = [field.key for field in fields]
            known = self._shapes[cls] = Shape(
                cls=cls,
                fields=fields,
                prepare=self._prepare.get(cls),
                keys=frozenset(keys),
                by_folded={fold(key): key for key in keys},
            )
        return known

    def _field(self, cls: type, attribute: attrs.Attribute[Any], hint: Any) -> Field:
        many, target = False, hint
        if typing.get_origin(target) in (typing.Union, types.UnionType):
            inner = [arg for arg in typing.get_args(target) if arg is not type(None)]
            if len(inner) == 1:
                target = inner[0]
        if typing.get_origin(target) is tuple:
            many, target = True, typing.get_args(target)[0]
        return Field(attribute.name, self._spell(cls, attribute.name), target, many, attribute.default is attrs.NOTHING)

    def _compile(self, cls: type) -> Callable[[Any, Any], Any]:
        """The straight-line function for one class: no dispatch per value, and a call only where a value is odd."""
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback
        names: dict[str, Any] = {
            "cls": cls,
            "spelled": shape.spelled,
            "known": shape.keys.issuperset,
            "Unreadable": Unreadable,
        }
        lines = ["def structure(o, _):"]
        if shape.prepare is not None:
            lines.append("    o = spelled(o)")
        else:
            lines.append("    if type(o) is not dict or not known(o): o = spelled(o)")
        lines.append("    get = o.get")
        for index, field in enumerate(shape.fields):
            value, reader = f"v{index}", f"read{index}"
            names[reader] = self._hook(field.target)
            lines.append(f"    {value} = get({field.key!r})")
            if field.required:
                lines.append(f"    if {value} is None: raise Unreadable({field.key!r})")
            lines += [f"    {line}" for line in _reading(field, value, reader, names, index)]
        arguments = ", ".join(f"{field.name}=v{index}" for index, field in enumerate(shape.fields))
        lines.append(f"    return cls({arguments})")
        exec(compile("\n".join(lines), f"<shell_ev structure {cls.__name__}>", "exec"), names)  # noqa: S102 - source is our own field names
        structure: Callable[[Any, Any], Any] = names["structure"]
        return structure

    def _tolerant(self, cls: Any, value: Any, path: str, problems: list[str]) -> Any:
        if cls in self._unions and is_object(value):
            cls = self._unions[cls](value)
        if not attrs.has(cls):
            return self._hook(cls)(value, cls)
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback(value, cls)
        raw = shape.spelled(value)
        arguments: dict[str, Any] = {}
        for field in shape.fields:
            found, where = raw.get(field.key), f"{path}.{field.key}"
            if found is None and not field.required:
                continue
            if field.many:
                arguments[field.name] = self.read_many(field.target, found, where, problems)
                continue
            try:
                arguments[field.name] = self.read(field.target, found, where, problems)
            except (Unreadable, TypeError, ValueError) as reason:
                if field.required:
                    raise Unreadable(f"{field.key}: {reason}") from None
                problems.append(f"{where}: {reason}")
        return cls(**arguments)

    def read_many(self, cls: Any, value: Any, path: str, problems: list[str]) -> tuple[Any, ...]:
        """Every readable item of a list; a single value stands for a list of one; a bad item is noted and left out."""
        items = value if is_list(value) else [value]
        kept: list[Any] = []
        for index, item in enumerate(items):
            where = f"{path}[{index}]" if is_list(value) else path
            try:
                kept.append(self.read(cls, item, where, problems))
            except (Unreadable, TypeError, ValueError) as reason:
                problems.append(f"{where}: {reason}")
        return tuple(kept)


def _reading(field: Field, value: str, reader: str, names: dict[str, Any], index: int) -> list[str]:
    """Source lines that turn the raw value, None or not, into the field's."""
    if field.many:
        return [
            f"if {value} is None: {value} = ()",
            f"elif type({value}) is list: {value} = tuple([{reader}(i, None) for i in {value}])",
            f"else: {value} = ({reader}({value}, None),)",
        ]
    if field.target in _LEAVES and field.target is not datetime:
        leaf = f"leaf{index}"
        names[leaf] = field.target
        return [f"if {value} is not None and type({value}) is not {leaf}: {value} = {reader}({value})"]
    return [f"if {value} is not None: {value} = {reader}({value}, None)"]


def _raw_class(shape: Shape) -> Callable[[Any, Any], Any] | None:
    """A model that keeps the whole object, for shapes the library does not know; told by its ``raw`` field."""
    if "raw" not in {field.name for field in shape.fields}:
        return None
    tag = next(field for field in shape.fields if field.name != "raw")

    def keep(value: Any, _: Any) -> Any:
        if not is_object(value):
            raise Unreadable("expected an object")
        text = next((raw for key, raw in value.items() if fold(key) == fold(tag.key)), None)
        return shape.cls(**{tag.name: text if isinstance(text, str) else None, "raw": value})

    return keep
