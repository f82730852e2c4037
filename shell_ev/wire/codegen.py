"""Functions generated from source lines, and frozen models built fast: the one place that compiles code.

attrs sets each field of a frozen class through ``object.__setattr__``, a third of the time of a large page. A *draft*
is a subclass with the same slots that is not frozen: plain statements set its fields, then its ``__class__`` becomes
that of the model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import attrs


@functools.cache
def draft(cls: type) -> type | None:
    """The draft of a frozen model; None if the class does more on construction than to set its slots."""
    plain = (
        "__slots__" in vars(cls)
        and not any(hasattr(cls, name) for name in ("__attrs_pre_init__", "__attrs_post_init__"))
        and all(field.init and field.validator is None and field.converter is None for field in attrs.fields(cls))
    )
    if not plain:
        return None
    opened = type(
        f"{cls.__name__}Draft",
        (cls,),
        {
            "__slots__": (),
            "__module__": cls.__module__,
            "__init__": object.__init__,
            # Both: they share one slot of the type, and only object's own pair makes setting fast.
            "__setattr__": object.__setattr__,
            "__delattr__": object.__delattr__,
        },
    )
    try:
        probe = opened()
        probe.__class__ = cls
    except TypeError:  # an interpreter with another layout of the two
        return None
    return opened


class FunctionBuilder:
    """Builds one function from source lines. All text in them is ours: field names of models and names of variables."""

    def __init__(self, label: str, parameters: str) -> None:
        self._label = label
        self._parameters = parameters
        self._lines: list[str] = []
        self._objects: dict[str, Any] = {}

    def use(self, obj: Any, hint: str = "x") -> str:
        """Make an object available to the lines.

        Returns:
            The name of its variable.
        """
        name = f"_{hint}{len(self._objects)}"
        self._objects[name] = obj
        return name

    def add(self, *lines: str, indent: int = 0) -> None:
        """Append lines to the body."""
        self._lines += [f"{'    ' * (indent + 1)}{line}" for line in lines]

    def return_model(self, cls: type, values: Mapping[str, str]) -> None:
        """Append the lines that return an instance of a model; ``values`` are expressions by field."""
        model, opened = self.use(cls, "cls"), draft(cls)
        if opened is None:
            self.add(f"return {model}({', '.join(f'{name}={value}' for name, value in values.items())})")
            return
        self.add(f"m = {self.use(opened, 'draft')}()", *(f"m.{name} = {value}" for name, value in values.items()))
        self.add(f"m.__class__ = {model}", "return m")

    def build(self) -> Callable[..., Any]:
        """Compile the function."""
        source = "\n".join([f"def function({self._parameters}):", *self._lines])
        exec(compile(source, f"<shell_ev {self._label}>", "exec"), self._objects)  # noqa: S102 - see the class
        function: Callable[..., Any] = self._objects["function"]
        return function


def constructor(cls: Any) -> Callable[..., Any]:
    """A function that makes an instance of a frozen model out of all its fields, given by name."""
    names = [field.name for field in attrs.fields(cls)]
    builder = FunctionBuilder(cls.__name__, f"*, {', '.join(names)}")
    builder.return_model(cls, dict(zip(names, names, strict=True)))
    return builder.build()
