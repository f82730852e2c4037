"""The cattrs decoder: JSON objects to models by one generated function per class, with a tolerant reading behind it.

The generated function reads documented data. Anything else raises there and is read again field by field, so that one
bad value never loses the others and every problem has its JSON path. cattrs is the registry of the functions.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import attrs
import cattrs

from ..models.enums import OpenEnum
from .codegen import FunctionBuilder
from .values import (
    DATETIME,
    Unreadable,
    add_datetime,
    enum_reader,
    is_object,
    quick_datetime,
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
    DATETIME[0]: read_datetime,
}

_EXACT: Final = 2**53
_MOST_SPELLINGS: Final = 256
#: What a reader raises for a value that is not as documented.
_UNEXPECTED = (Unreadable, TypeError, ValueError, KeyError, AttributeError)

Reader = Callable[..., Any]
"""Reads one value. It is called with the value alone."""
Respell = Callable[[dict[str, Any]], dict[str, Any]]
"""Changes an object into the shape of its model."""
Choose = Callable[[dict[str, Any]], type]


@functools.lru_cache(maxsize=1024)
def fold(key: str) -> str:
    """A key without case and separators. Cached: answers repeat the same few keys."""
    return key.replace("_", "").replace("-", "").casefold()


class Field(NamedTuple):
    """How one field of a model is read."""

    name: str
    key: str
    target: Any
    """The type of one value: a leaf type, an enum, a model or a union of models."""
    many: bool
    required: bool


class Change(NamedTuple):
    """How an object is changed into the shape of its model."""

    respell: Respell
    moved: Mapping[str, str]
    """The documented place of the fields that are not where the model has them: ``sessionState.status``."""


class Shape(NamedTuple):
    """How one model is read in one dialect."""

    cls: type
    fields: tuple[Field, ...]
    change: Change | None
    keys: frozenset[str]
    by_folded: Mapping[str, str]

    def spelled(self, value: Any) -> dict[str, Any]:
        """The object with the keys of the dialect, which may be sent in any case. Raises Unreadable without any."""
        if not is_object(value):
            raise Unreadable("expected an object")
        raw = value if self.change is None else self.change.respell(value)
        if self.keys.issuperset(raw):
            return raw
        respelled = dict(raw)
        for key in raw:
            if key not in self.keys:
                proper = self.by_folded.get(fold(key))
                if proper is not None and respelled.get(proper) is None:
                    respelled[proper] = raw[key]
        if self.keys.isdisjoint(respelled):
            # An object of another kind. A model of Nones would claim what was not sent.
            raise Unreadable("an object with none of the expected keys")
        return respelled

    def refuse_empty(self, raw: Mapping[str, Any]) -> None:
        """Raise Unreadable for an object in which no field has a value: a model of Nones is no item."""
        if all(raw.get(key) is None for key in self.keys):
            raise Unreadable("an object without a value")


class _Hooks(dict[Any, Reader]):
    """The reader of each type, made when it is first needed."""

    def __init__(self, resolve: Callable[[Any], Reader]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, target: Any) -> Reader:
        hook = self[target] = self._resolve(target)
        return hook


class Structurer:
    """One cattrs converter: lenient leaves, a generated function for each class, and a tolerant second reading."""

    def __init__(self, spell: Callable[[type, str], str], changes: Mapping[type, Change]) -> None:
        self._spell = spell
        self._changes = changes
        self._unions: dict[Any, Choose] = {}
        self._shapes: dict[type, Shape] = {}
        self._converter = cattrs.Converter(detailed_validation=False)
        for leaf, reader in _LEAVES.items():
            self._converter.register_structure_hook(leaf, reader)
        self._converter.register_structure_hook_factory(attrs.has, self._compile)
        #: The reader of each type.
        self.hooks: _Hooks = _Hooks(self._resolve)
        #: The reader of each type as an item of the answer, which must have a value: ``{}`` is no session.
        self._item_hooks = _Hooks(self._resolve_item)

    def _resolve(self, target: Any) -> Reader:
        if vocabulary := open_enum(target):
            # cattrs would read a text enum as text before it asks any factory.
            self._converter.register_structure_hook(vocabulary, enum_reader(vocabulary))
        elif _is_union(target):
            choose = self._unions[target] = _by_tag(target)
            for cls in typing.get_args(target):
                self.hooks[cls]
            self._converter.register_structure_hook(target, self._union_hook(choose))
        return cast("Reader", self._converter.get_structure_hook(target))

    def _resolve_item(self, target: Any) -> Reader:
        return self._compile(target, is_item=True) if attrs.has(target) else self.hooks[target]

    def _union_hook(self, choose: Choose) -> Reader:
        def structure_union(value: Any, _: Any = None) -> Any:
            if not is_object(value):
                raise Unreadable("expected an object")
            return self.hooks[choose(value)](value)

        return structure_union

    def shape(self, cls: type) -> Shape:
        """How a class is read in this dialect."""
        known = self._shapes.get(cls)
        if known is None:
            hints = typing.get_type_hints(cls)
            fields = tuple(self._field(cls, attribute, hints[attribute.name]) for attribute in attrs.fields(cls))
            keys = [field.key for field in fields]
            known = self._shapes[cls] = Shape(
                cls=cls,
                fields=fields,
                change=self._changes.get(cls),
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

    def _compile(self, cls: type, *, is_item: bool = False) -> Reader:
        """The straight-line function for one class: no dispatch per value, a call only for an unexpected one."""
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback
        builder = FunctionBuilder(cls.__name__, "o, _=None")
        unreadable = builder.use(Unreadable, "Unreadable")
        values = {field.name: f"v{index}" for index, field in enumerate(shape.fields)}
        moved: Mapping[str, str] = shape.change.moved if shape.change is not None else {}
        _add_opening(builder, shape, {values[name]: place for name, place in moved.items()}, is_item=is_item)
        for field in shape.fields:
            value = values[field.name]
            if field.name not in moved:
                builder.add(f"{value} = get({field.key!r})")
            if field.required:
                builder.add(f"if {value} is None: raise {unreadable}({field.key!r})")
            _add_reading(builder, field, value, self.hooks[field.target])
        builder.return_model(cls, values)
        return builder.build()

    def _tolerant(self, cls: Any, value: Any, path: str, problems: list[str], *, is_item: bool = False) -> Any:
        """Read an object field by field. Raises Unreadable if nothing in it can be read."""
        if cls in self._unions and is_object(value):
            cls = self._unions[cls](value)
        if not attrs.has(cls):
            return self.hooks[cls](value)
        shape = self.shape(cls)
        if fallback := _raw_class(shape):
            return fallback(value)
        raw = shape.spelled(value)
        if is_item:
            shape.refuse_empty(raw)
        arguments: dict[str, Any] = {}
        for field in shape.fields:
            found, where = raw.get(field.key), f"{path}.{field.key}"
            if found is None and not field.required:
                continue
            if field.many:
                arguments[field.name] = self.read_many(field.target, found, where, problems)
                continue
            try:
                arguments[field.name] = self._read(field.target, found, where, problems)
            except (Unreadable, TypeError, ValueError) as reason:
                if field.required:
                    raise Unreadable(f"{field.key}: {reason}") from None
                problems.append(f"{where}: {reason}")
        return cls(**arguments)

    def _read(self, cls: Any, value: Any, path: str, problems: list[str]) -> Any:
        try:
            return self.hooks[cls](value)
        except _UNEXPECTED:
            return self._tolerant(cls, value, path, problems)

    def read_many(self, cls: Any, value: Any, path: str, problems: list[str], is_item: bool = False) -> tuple[Any, ...]:
        """Every readable item of a list. A bad item is noted and left out; a single value is a list of one.

        Args:
            cls: Type of an item.
            value: The list.
            path: JSON path of the list.
            problems: What could not be read is appended here.
            is_item: Whether these are the items of the answer itself. One without a value is a problem, and the list
                is emptied: each is freed as soon as its model stands, which halves the time of a large page.

        Returns:
            The items that could be read.
        """
        hook = (self._item_hooks if is_item else self.hooks)[cls]
        kept: list[Any] = []
        items: list[Any] = value if type(value) is list else [value]  # pyright: ignore[reportUnknownVariableType]
        for index, item in enumerate(items):
            if is_item:
                items[index] = None
            try:
                kept.append(hook(item))
            except _UNEXPECTED:
                where = f"{path}[{index}]" if items is value else path
                try:
                    kept.append(self._tolerant(cls, item, where, problems, is_item=is_item))
                except (Unreadable, TypeError, ValueError) as reason:
                    problems.append(f"{where}: {reason}")
        return tuple(kept)


class Spellings(dict[Any, OpenEnum]):
    """The members of a vocabulary by every spelling so far: the service writes ``Started`` for ``started``.

    Working out a spelling takes 100 times as long as a look-up. Only known members are kept, 256 spellings at most.
    """

    def __init__(self, vocabulary: type[OpenEnum]) -> None:
        super().__init__({member.value: member for member in vocabulary})
        self._read = enum_reader(vocabulary)

    def __missing__(self, value: Any) -> OpenEnum:
        member = self._read(value)
        if type(value) is str and member.is_known and len(self) < _MOST_SPELLINGS:
            self[value] = member
        return member


spellings: Final = functools.cache(Spellings)


def open_enum(target: Any) -> type[OpenEnum] | None:
    """The type, if it is one of our vocabularies."""
    return target if isinstance(target, type) and issubclass(target, OpenEnum) else None


def _is_union(target: Any) -> bool:
    return typing.get_origin(target) in (typing.Union, types.UnionType)


def _by_tag(union: Any) -> Choose:
    """Chooses the model of a union by its first field, the tag. The default of the tag is the model's name on the wire.

    The model without such a default takes all other objects.
    """
    tags = {cls: attrs.fields(cls)[0] for cls in typing.get_args(union)}
    named: dict[str, type] = {fold(tag.default): cls for cls, tag in tags.items() if tag.default is not None}
    other: type = next(iter(tags.keys() - named.values()))
    (key,) = {fold(tag.name) for tag in tags.values()}

    def choose(raw: dict[str, Any]) -> type:
        name = next((value for sent, value in raw.items() if fold(sent) == key), None)
        return named.get(fold(name), other) if isinstance(name, str) else other

    return choose


def _add_opening(builder: FunctionBuilder, shape: Shape, moved: Mapping[str, str], *, is_item: bool) -> None:
    """Append the lines that make ``get`` out of the object ``o``, and the values of the fields in another place.

    An object as documented, in which each of those fields has a value, is read where it is: a third of the time.

    Args:
        builder: Of the reader.
        shape: Of the model.
        moved: Documented places by the names of the variables.
        is_item: Whether an object without a value is refused.
    """
    spelled, documented = builder.use(shape.spelled, "spelled"), set(shape.keys)
    usual: list[str] = []
    others: list[str] = []
    for value, place in moved.items():
        field = shape.fields[int(value[1:])]
        outer, _, inner = place.partition(".")
        documented = documented - {field.key} | {outer}
        source = f"o.get({outer!r})"
        if inner:
            usual += [f"type(inside := {source}) is dict", "len(inside) == 1"]
            source = f"inside.get({inner!r})"
        usual.append(f"type({value} := {source}) is str")
        others.append(f"{value} = get({field.key!r})")
    keys = builder.use(frozenset(documented), "keys")
    builder.add(
        f"if {' and '.join(['type(o) is dict', f'{keys}.issuperset(o)', *usual])}:",
        "    get = o.get",
        "else:",
        f"    o = {spelled}(o)",
        "    get = o.get",
        *(f"    {line}" for line in others),
    )
    if is_item:
        empty = [f"get({shape.fields[0].key!r}) is None", *(f"{value} is None" for value in moved)]
        builder.add(f"if {' and '.join(empty)}: {builder.use(shape.refuse_empty)}(o)")


def _add_reading(builder: FunctionBuilder, field: Field, value: str, hook: Reader) -> None:
    """Append the lines that turn the raw value, which may be None, into the field's."""
    if field.target in DATETIME and not field.many:
        builder.add(f"if {value} is not None:")
        add_datetime(builder, value, indent=1)
        return
    reader = builder.use(quick_datetime if field.target in DATETIME else hook, "read")
    one, many = f"{reader}({value})", f"map({reader}, {value})"
    if vocabulary := open_enum(field.target):
        # A look-up in place of a call.
        known = builder.use(spellings(vocabulary), "known")
        one, many = f"{known}[{value}]", f"[{known}[i] for i in {value}]"
    if field.many:
        builder.add(
            f"if {value} is None: {value} = ()",
            f"elif type({value}) is list: {value} = tuple({many})",
            f"else: {value} = ({one},)",
        )
    elif field.target is float:
        # An int has no fraction in JSON, and up to 2**53 is the same number. ``1e999`` is infinite: its own difference
        # is not zero.
        builder.add(
            f"if type({value}) is int and -{_EXACT} <= {value} <= {_EXACT}: {value} = float({value})",
            f"elif {value} is not None and (type({value}) is not float or {value} - {value} != 0): {value} = {one}",
        )
    elif field.target in _LEAVES:
        builder.add(f"if type({value}) is not {builder.use(field.target)} and {value} is not None: {value} = {one}")
    else:
        builder.add(f"if {value} is not None: {value} = {one}")


def _raw_class(shape: Shape) -> Reader | None:
    """The reader of a model that keeps the whole object in its field ``raw``."""
    if "raw" not in {field.name for field in shape.fields}:
        return None
    tag = next(field for field in shape.fields if field.name != "raw")

    def keep(value: Any, _: Any = None) -> Any:
        if not is_object(value):
            raise Unreadable("expected an object")
        text = next((raw for key, raw in value.items() if fold(key) == fold(tag.key)), None)
        return shape.cls(**{tag.name: text if isinstance(text, str) else None, "raw": value})

    return keep
