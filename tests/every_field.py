"""Every field of a value as text, types and all: the models' own ``repr`` is one short line."""

from __future__ import annotations

from typing import Any

import attrs


def every_field(value: Any) -> str:
    """The ``repr`` of a value, models within it field by field."""
    if attrs.has(type(value)):
        fields = ", ".join(
            f"{field.name}={every_field(getattr(value, field.name))}" for field in attrs.fields(type(value))
        )
        return f"{type(value).__name__}({fields})"
    if isinstance(value, tuple):
        return f"({', '.join(map(every_field, value))},)"
    return repr(value)
