"""The names that a function accepts, those of its options included."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from shell_ev.options import option_names


def accepted(function: Callable[..., Any]) -> set[str]:
    """The names of all parameters but ``self``; in place of ``**options`` the keys of its TypedDict."""
    names = set(inspect.signature(function).parameters) - {"self"}
    if "options" in names:
        unpacked = typing.get_type_hints(inspect.unwrap(function))["options"]
        names = (names - {"options"}) | option_names(typing.get_args(unpacked)[0])
    return names
