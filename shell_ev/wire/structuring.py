"""From JSON objects to models: one straight-line function per class, and a tolerant reading for when that fails.

Good data takes the generated function alone. Anything odd raises :class:`Unreadable` there and is read again field by
field, so that whatever is intact survives and every problem gets its JSON path. Knows models and spellings; nothing
of envelopes or operations.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import attrs

from ..models.enums import OpenEnum
from .codegen import define, sealing
from .values import (
    DATETIME,
    Unreadable,
    datetime_lines,
    enum_reader,
    is_list,
    is_object,
    quick_datetime,
    read_bool,
    read_datetime,
    read_float,
    read_int,
    read_text,
)

if TYPE_CHECKING:
    import cattrs

_LEAVES: dict[type, Callable[..., Any]] = {
    str: read_text,
    float: read_float,
    int: read_int,
    bool: read_bool,
    DATETIME[0]: read_datetime,
}

_EXACT: Final = 2**53
_MOST_SPELLINGS: Final = 256
#: What a reader raises at a value that is not as promised; the tolerant reading takes over.
UNEXPECTED = (Unreadable, TypeError, ValueError, KeyError, AttributeError)

Respell = Callable[[dict[str, Any]], dict[str, Any]]
Choose = Callable[[dict[str, Any]], type]


@functools.lru_cache(maxsize=1024)
def fold(key: str) -> str:
    """A key without regard to case and separators, as the service itself seems to see keys.

    Remembered: the same few keys come again and again (120 ns worked out, 60 ns remembered).
    """
    return key.replace("_", "").replace("-", "").casefold()


class Field(NamedTuple):
    """How one field of a model is read."""

    name: str
    key: str
    target: Any
    """The type of one value: a leaf type, an enum, a model or a union of models."""
    many: bool
    required: bool


class Inside(NamedTuple):
    """Fields that the wire keeps in an object of their own: under one of ``keys``, the model's names to the wire's.

    For the straight way only, and worth 1 us a session; anything else about such an object is for ``prepare``.
    """

    keys: tuple[str, ...]
    fields: Mapping[str, str]


class Shape(NamedTuple):
    """How one model is read in one dialect."""

    cls: type
    fields: tuple[Field, ...]
    prepare: Respell | None
    """Flattens a shape that differs from the model's; gets and returns an object."""
    inside: Inside | None
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


def load() -> None:
    """Import what a converter takes (7 ms): before the first request that may leave a charge behind."""
    import cattrs as _  # noqa: F401


class _Hooks(dict[Any, Callable[..., Any]]):
    """What reads a type, worked out when it is first asked for."""

    def __init__(self, resolve: Callable[[Any], Callable[..., Any]]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, target: Any) -> Callable[..., Any]:
        hook = self[target] = self._resolve(target)
        return hook


class Structurer:
    """One cattrs converter with this library's hooks: lenient leaves, generated classes, tolerant second reading."""

    def __init__(
        self,
        spell: Callable[[type, str], str],
        *,
        prepare: Mapping[type, Respell] | None = None,
        inside: Mapping[type, Inside] | None = None,
    ) -> None:
        self._spell = spell
        self._prepare = prepare or {}
        self._inside = inside or {}
        self._unions: dict[Any, Choose] = {}
        self._shapes: dict[type, Shape] = {}
        #: cattrs' hook for a type, resolved once. Every hook here is called with the value alone.
        self.hooks = _Hooks(self._resolve)

    @functools.cached_property
    def converter(self) -> cattrs.Converter:
        """Built when it is first asked for a hook: where ``speed`` reads all there is, nobody asks."""
        import cattrs

        converter = cattrs.Converter(detailed_validation=False)
        for leaf, reader in _LEAVES.items():
            converter.register_structure_hook(leaf, reader)
        converter.register_structure_hook_factory(attrs.has, self._compile)
        return converter

    def read(self, cls: Any, value: Any, path: str, problems: list[str]) -> Any:
        """``value`` as ``cls``. What cannot be read is noted in ``problems``; raises Unreadable if nothing can."""
        try:
            return self.hooks[cls](value)
        except UNEXPECTED:
            return self._tolerant(cls, value, path, problems)

    def _resolve(self, target: Any) -> Callable[..., Any]:
        if vocabulary := open_enum(target):
            # cattrs would resolve a text enum as text before it asks any factory: name each class.
            self.converter.register_structure_hook(vocabulary, enum_reader(vocabulary))
        elif _is_union(target):
            choose = self._unions[target] = _told_apart(target)
            self.converter.register_structure_hook(target, self._union_hook(choose))
        return cast("Callable[..., Any]", self.converter.get_structure_hook(target))

    def _union_hook(self, choose: Choose) -> Callable[..., Any]:
        def structure_union(value: Any, _: Any = None) -> Any:
            if not is_object(value):
                raise Unreadable("expected an object")
            return self.hooks[choose(value)](value)

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
                inside=self._inside.get(cls),
                keys=frozenset(keys),
                by_folded={fold(key): key for key in keys},
            )
        return known

    def _field(self, cls: type, attribute: attrs.Attribute[Any], hint: Any) -> Field:
        many, target = False, hint
        if _is_union(target):
            inner = [arg for arg in typing.get_args(target) if arg is not type(None)]
            if len(inner) == 1:
                target = inner[0]
        if typing.get_origin(target) is tuple:
            many, target = True, typing.get_args(target)[0]
        if isinstance(target, type) and issubclass(target, DATETIME):
            target = DATETIME[0]
        return Field(attribute.name, self._spell(cls, attribute.name), target, many, attribute.default is attrs.NOTHING)

    def _compile(self, cls: type) -> Callable[[Any, Any], Any]:
        """The straight-line function for one class: no dispatch per value, and a call only where a value is odd."""
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback
        names: dict[str, Any] = {
            "spelled": shape.spelled,
            "known": shape.keys.issuperset,
            "Unreadable": Unreadable,
        }
        lines = _opening(shape, names)
        for index, field in enumerate(shape.fields):
            value = f"v{index}"
            if shape.inside is None or field.name not in shape.inside.fields:
                lines.append(f"{value} = get({field.key!r})")
            if field.required:
                lines.append(f"if {value} is None: raise Unreadable({field.key!r})")
            lines += _reading(field, value, self.hooks[field.target], names, index)
        lines += sealing(cls, {field.name: f"v{index}" for index, field in enumerate(shape.fields)}, names)
        return define(cls, "o, _=None", lines, names)

    def _tolerant(self, cls: Any, value: Any, path: str, problems: list[str]) -> Any:
        if cls in self._unions and is_object(value):
            cls = self._unions[cls](value)
        if not attrs.has(cls):
            return self.hooks[cls](value)
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback(value)
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
        if is_list(value):
            return self.read_each(cls, value, path, problems)
        try:
            return (self.hooks[cls](value),)
        except UNEXPECTED:
            return self._second_reading(cls, value, path, problems)

    def read_each(self, cls: Any, items: Iterable[Any], path: str, problems: list[str]) -> tuple[Any, ...]:
        """As :meth:`read_many`, for items that may come one by one."""
        kept: list[Any] = []
        hook = self.hooks[cls]
        for index, item in enumerate(items):
            try:
                kept.append(hook(item))
            except UNEXPECTED:
                kept += self._second_reading(cls, item, f"{path}[{index}]", problems)
        return tuple(kept)

    def _second_reading(self, cls: Any, value: Any, path: str, problems: list[str]) -> tuple[Any, ...]:
        try:
            return (self._tolerant(cls, value, path, problems),)
        except (Unreadable, TypeError, ValueError) as reason:
            problems.append(f"{path}: {reason}")
            return ()


class Spellings(dict[Any, OpenEnum]):
    """The members of a vocabulary by every spelling met so far: working another one out costs 3 us, this 30 ns.

    The service writes ``Started`` where its contract says ``started``. Only members the contract knows are remembered,
    and no more than :data:`_MOST_SPELLINGS`.
    """

    def __init__(self, vocabulary: type[OpenEnum]) -> None:
        super().__init__({member.value: member for member in vocabulary})
        self._read = enum_reader(vocabulary)

    def __missing__(self, value: Any) -> OpenEnum:
        member = self._read(value)
        if type(value) is str and member.is_known and len(self) < _MOST_SPELLINGS:
            self[value] = member
        return member


spellings = functools.cache(Spellings)


def open_enum(target: Any) -> type[OpenEnum] | None:
    """The type, if it is one of our vocabularies."""
    return target if isinstance(target, type) and issubclass(target, OpenEnum) else None


def _is_union(target: Any) -> bool:
    return typing.get_origin(target) in (typing.Union, types.UnionType)


def _told_apart(union: Any) -> Choose:
    """How the models of a union are told apart: by the tag that stands first in each, whose default is its own name.

    The one without a name of its own takes whatever the others do not.
    """
    tags = {cls: attrs.fields(cls)[0] for cls in typing.get_args(union)}
    named: dict[str, type] = {fold(tag.default): cls for cls, tag in tags.items() if tag.default is not None}
    other: type = next(iter(tags.keys() - named.values()))
    (key,) = {fold(tag.name) for tag in tags.values()}

    def choose(raw: dict[str, Any]) -> type:
        name = next((value for sent, value in raw.items() if fold(sent) == key), None)
        return named.get(fold(name), other) if isinstance(name, str) else other

    return choose


def _opening(shape: Shape, names: dict[str, Any]) -> list[str]:
    """Source lines that make sure of the object's keys, and take out of it what stands in an object of its own."""
    if shape.inside is None:
        spelled = (
            "o = spelled(o)" if shape.prepare is not None else "if type(o) is not dict or not known(o): o = spelled(o)"
        )
        return [spelled, "get = o.get"]
    inner = {f"v{index}": field for index, field in enumerate(shape.fields) if field.name in shape.inside.fields}
    names["beside"] = (shape.keys - {field.key for field in inner.values()}).union(shape.inside.keys).issuperset
    names["within"] = frozenset(shape.inside.fields.values()).issuperset
    return [
        "p = None",
        "if type(o) is dict and beside(o):",
        *(f"    if (q := o.get({key!r})) is not None: p = q if p is None else o" for key in shape.inside.keys),
        "if type(p) is dict and within(p):",
        *(f"    {value} = p.get({shape.inside.fields[field.name]!r})" for value, field in inner.items()),
        "    get = o.get",
        "else:",
        "    o = spelled(o)",
        "    get = o.get",
        *(f"    {value} = get({field.key!r})" for value, field in inner.items()),
    ]


def _reading(field: Field, value: str, hook: Callable[..., Any], names: dict[str, Any], index: int) -> list[str]:
    """Source lines that turn the raw value, None or not, into the field's."""
    reader = f"read{index}"
    names[reader] = hook
    one, many = f"{reader}({value})", f"map({reader}, {value})"
    if field.target in DATETIME:
        names[reader] = quick_datetime
        if not field.many:
            return [f"if {value} is not None:", *(f"    {line}" for line in datetime_lines(value, names))]
    elif vocabulary := open_enum(field.target):
        # A look-up in place, 30 ns.
        known = f"known{index}"
        names[known] = spellings(vocabulary)
        one, many = f"{known}[{value}]", f"[{known}[i] for i in {value}]"
    if field.many:
        return [
            f"if {value} is None: {value} = ()",
            f"elif type({value}) is list: {value} = tuple({many})",
            f"else: {value} = ({one},)",
        ]
    if field.target in _LEAVES and field.target not in DATETIME:
        leaf = f"leaf{index}"
        names[leaf] = field.target
        # A number without a fraction is an int in JSON; 2**53 and below is the same number as a float.
        whole = [f"if type({value}) is int and -{_EXACT} <= {value} <= {_EXACT}: {value} = float({value})"]
        odd = f"if type({value}) is not {leaf} and {value} is not None: {value} = {one}"
        return [*whole, f"el{odd}"] if field.target is float else [odd]
    return [f"if {value} is not None: {value} = {one}"]


def _raw_class(shape: Shape) -> Callable[..., Any] | None:
    """A model that keeps the whole object, for shapes the library does not know; told by its ``raw`` field."""
    if "raw" not in {field.name for field in shape.fields}:
        return None
    tag = next(field for field in shape.fields if field.name != "raw")

    def keep(value: Any, _: Any = None) -> Any:
        if not is_object(value):
            raise Unreadable("expected an object")
        text = next((raw for key, raw in value.items() if fold(key) == fold(tag.key)), None)
        return shape.cls(**{tag.name: text if isinstance(text, str) else None, "raw": value})

    return keep
