"""The table of operations: for each dialect the method, the path and the place of each argument on the wire."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote, urlencode

from ..dialects import DIALECTS, ApiVersion, camel

Place = Literal["body", "query", "path"]


# Records inside the library are named tuples: attrs compiles each class at import, 0.35 ms.
class Argument(NamedTuple):
    """Where one argument is sent. One that is sent twice has two entries."""

    name: str
    place: Place
    wire_name: str
    """Letters only: a query has it without percent-encoding."""


class Route(NamedTuple):
    """One operation in one dialect. With an argument in the body, a JSON body is sent, even an empty one."""

    method: str
    path: str
    arguments: tuple[Argument, ...]
    names: frozenset[str] = frozenset()
    """Those of the arguments."""


class Operation(NamedTuple):
    """One operation of the service in all dialects."""

    name: str
    """``group.method``, as in errors and logs."""
    repeatable: bool
    """Whether it may be sent again when it is not known to have failed. A start or stop may not."""
    routes: Mapping[ApiVersion, Route]


def wire_text(value: object) -> str:
    """A value as text: lower-case booleans, ISO 8601 times, numbers without an exponent."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        text = float.__repr__(value)  # a subclass, such as numpy's, has a repr of its own
        if "e" not in text:
            return text
        from decimal import Decimal  # 0.7 ms, and rarely needed

        return format(Decimal(text), "f")
    return str(value)


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """Percent-encoded. Cached: a poll repeats the same id."""
    return quote(text, safe="")


def _pairs(name: str, value: object) -> list[str]:
    if isinstance(value, (tuple, list)):
        items: Sequence[object] = cast("Sequence[object]", value)
        return [f"{name}%5B{index}%5D={_quoted(wire_text(item))}" for index, item in enumerate(items)]
    return [f"{name}={_quoted(wire_text(value))}"]


def build(route: Route, arguments: Mapping[str, Any]) -> tuple[str, bytes | None]:
    """Put the arguments into their places. None is left out; zero, False and the empty text are sent.

    Args:
        route: The operation in one dialect.
        arguments: Values by argument name.

    Returns:
        The path with its query, percent-encoded, and the JSON body if the operation has one.
    """
    path = route.path
    query: list[str] = []
    body: dict[str, Any] | None = None
    for name, place, wire_name in route.arguments:
        value = arguments.get(name)
        if place == "body":
            body = {} if body is None else body
            if value is not None:
                body[wire_name] = value
        elif value is None:
            continue
        elif place == "path":
            path = path.replace("{" + wire_name + "}", _quoted(wire_text(value)))
        elif type(value) is str:
            query.append(f"{wire_name}={_quoted(value)}")
        else:
            query += _pairs(wire_name, value)
    if query:
        path = f"{path}?{'&'.join(query)}"
    if body is None:
        return path, None
    return path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _arguments(place: Place, names: str, spell: Callable[[str], str]) -> tuple[Argument, ...]:
    """``name`` or ``name=wireName``, separated by spaces."""
    pairs = (text.partition("=") for text in names.split())
    return tuple(Argument(name, place, wire_name or spell(name)) for name, _, wire_name in pairs)


_Cell = tuple[str, str, str, str]
_V1_PASCAL, _V1, _V2 = ApiVersion.V1_PASCAL, ApiVersion.V1, ApiVersion.V2


def _cell(path: str, *, in_path: str = "", query: str = "", body: str = "") -> _Cell:
    """A cell of the table: the end of the path, then the names of the arguments by place."""
    return path, in_path, query, body


def _operation(name: str, method: str, cells: Mapping[ApiVersion, _Cell], *, repeatable: bool) -> Operation:
    """A row of the table: one cell for each dialect."""
    routes: dict[ApiVersion, Route] = {}
    charging = name.startswith("charging.")
    for version, (path, in_path, query, body) in cells.items():
        dialect = DIALECTS[version]
        spell = dialect.spell if charging else camel
        arguments = (
            *_arguments("path", in_path, str),
            *_arguments("body", body, spell),
            *_arguments("query", query, spell),
        )
        routes[version] = Route(
            method,
            (dialect.charging_path if charging else dialect.locations_path) + path,
            arguments,
            frozenset(argument.name for argument in arguments),
        )
    return Operation(name, repeatable, routes)


START = _operation(
    "charging.start",
    "POST",
    {
        _V1_PASCAL: _cell("/start", body="ev_charge_number evse_id"),
        _V1: _cell("/start", body="ev_charge_number evse_id"),
        _V2: _cell("/start", body="ev_charge_number evse_id"),
    },
    repeatable=False,
)
STOP = _operation(
    "charging.stop",
    "POST",
    {
        # Three s: the service spells it so.
        _V1_PASCAL: _cell("/stop/{uuid}", in_path="uuid", body="session_id=SesssionId"),
        _V1: _cell("/stop", query="session_id"),
        _V2: _cell("/stop", query="session_id"),
    },
    repeatable=False,
)
RETRIEVE = _operation(
    "charging.retrieve",
    "GET",
    {
        _V1_PASCAL: _cell("/retrieve/{uuid}", in_path="uuid", query="session_id"),
        _V1: _cell("/retrieve", query="session_id"),
        _V2: _cell("/retrieve", query="session_id"),
    },
    repeatable=True,
)
ACTIVE = _operation(
    "charging.active",
    "GET",
    {
        _V1_PASCAL: _cell("/active", query="ema_id"),
        _V1: _cell("/active", query="ema_id"),
        _V2: _cell("/active", query="ema_id"),
    },
    repeatable=True,
)

# The order of the arguments is that of the official SDKs, so that recorded requests can be compared as text.
_FILTERS = "evse_status connector_types connector_min_power authorization_methods with_operator_name"
_IDS = "location_external_id evse_id evse_external_id operator_name"
_LIST = f"{_FILTERS} evse_id location_external_id evse_external_id page_number per_page updated_since"
_NEARBY = f"latitude longitude limit {_IDS} {_FILTERS} with_max_power"
_MARKERS = f"west south east north zoom {_FILTERS} with_max_power {_IDS}"
_COUNTRIES = " country exclude_country"

LOCATIONS_LIST = _operation(
    "locations.list",
    "GET",
    {
        _V1_PASCAL: _cell("", query=_LIST),
        _V1: _cell("", query=_LIST + _COUNTRIES),
        _V2: _cell("", query=_LIST + _COUNTRIES),
    },
    repeatable=True,
)
LOCATIONS_GET = _operation(
    "locations.get",
    "GET",
    {
        _V1_PASCAL: _cell("/{id}", in_path="uid=id"),
        _V1: _cell("/{id}", in_path="uid=id", query="provider_id since"),
        _V2: _cell("/{id}", in_path="uid=id", query="provider_id since"),
    },
    repeatable=True,
)
LOCATIONS_NEARBY = _operation(
    "locations.nearby",
    "GET",
    {
        _V1_PASCAL: _cell("/nearby", query=_NEARBY),
        _V1: _cell("/nearby", query=_NEARBY + _COUNTRIES),
        _V2: _cell("/nearby", query=_NEARBY + _COUNTRIES),
    },
    repeatable=True,
)
LOCATIONS_MARKERS = _operation(
    "locations.markers",
    "GET",
    {
        _V1_PASCAL: _cell("/markers", query=_MARKERS),
        _V1: _cell("/markers", query=_MARKERS + _COUNTRIES),
        _V2: _cell("/markers", query=_MARKERS + _COUNTRIES),
    },
    repeatable=True,
)

OPERATIONS = (
    START,
    STOP,
    RETRIEVE,
    ACTIVE,
    LOCATIONS_LIST,
    LOCATIONS_GET,
    LOCATIONS_NEARBY,
    LOCATIONS_MARKERS,
)


def versions_with(operation: Operation, argument: str) -> tuple[ApiVersion, ...]:
    """The dialects that have this argument for this operation."""
    return tuple(version for version, route in operation.routes.items() if argument in route.names)


def form_body(fields: Mapping[str, str]) -> bytes:
    """A form body, percent-encoded as UTF-8."""
    return urlencode(fields).encode("ascii")
