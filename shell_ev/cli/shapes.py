"""The models as JSON values, one shape each: numbers stay numbers, zero stays zero, None is null. Knows no command."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import attrs


def plain(value: Any) -> Any:
    """A model, or whatever a model holds, as what JSON knows: field names as keys, times in ISO 8601."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        # NaN fails the comparison, an infinity too: JSON has neither.
        return value if abs(value) <= sys.float_info.max else None
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: plain(item) for key, item in items}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return {name: plain(getattr(value, name)) for name in _fields(value)}


_known: dict[Any, tuple[str, ...]] = {}


def _fields(model: Any) -> tuple[str, ...]:
    kind = cast("Any", type(model))
    if kind not in _known:
        _known[kind] = tuple(field.name for field in attrs.fields(kind))
    return _known[kind]
