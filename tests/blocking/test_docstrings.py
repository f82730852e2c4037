"""``help()`` on the blocking client reads as plain calls."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from shell_ev import sync

CLASSES = [
    value
    for value in vars(sync).values()
    if isinstance(value, type) and issubclass(value, sync.Blocking) and value is not sync.Blocking
]


def methods() -> Iterator[Any]:
    for cls in CLASSES:
        for name, method in vars(cls).items():
            if callable(method) and not name.startswith("_"):
                yield pytest.param(method, id=f"{cls.__name__}.{name}")


@pytest.mark.parametrize("method", list(methods()))
def test_a_blocking_method_is_documented_without_await(method: Any) -> None:
    text = inspect.getdoc(method)
    assert text
    assert not re.search(r"\bawait|\basync (with|for|def)\b|coroutine", text), text


@pytest.mark.parametrize("cls", CLASSES)
def test_a_blocking_class_is_documented_without_await(cls: type) -> None:
    assert not re.search(r"\bawait|\basync (with|for|def)\b", inspect.getdoc(cls) or "")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Use ``async with ev.charge(...)``.", "Use ``with ev.charge(...)``."),
        ("``data = await ev.charging.start(card, evse)``", "``data = ev.charging.start(card, evse)``"),
        (":class:`AsyncCharge`", ":class:`Charge`"),
        ("``async for`` over the pages", "``for`` over the pages"),
        ("AsyncIterable", "AsyncIterable"),
        (None, None),
    ],
)
def test_what_becomes_of_a_docstring(text: str | None, plain: str | None) -> None:
    assert sync.blocking_docstring(text) == plain
