"""The table: operation x API version -> method, path, where each argument goes, whether it may be repeated.

Holds what contract sections 4 and 5 say of requests. Knows nothing of tokens, tries or answers' contents.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote, urlencode

from ..dialects import ApiVersion

Place = Literal["body", "query", "path"]


# What stays inside is a named tuple, or made without ``==`` and ``repr``: what attrs writes for a class is compiled at
# every import, 0.35 ms with everything, and more than twenty such classes would be built on the way to a first answer.
class Argument(NamedTuple):
    """One argument's seat on the wire. An argument that travels twice has two seats."""

    name: str
    place: Place
    wire_name: str
    """Plain letters: it goes into a query as it is."""


class Route(NamedTuple):
    """How one operation travels in one dialect. With a seat in the body a JSON body goes out, however empty."""

    method: str
    path: str
    arguments: tuple[Argument, ...]

    @property
    def names(self) -> frozenset[str]:
        """The arguments this dialect has for the operation."""
        return frozenset(argument.name for argument in self.arguments)


class Operation(NamedTuple):
    """One thing the service does, whatever the dialect."""

    name: str
    """``group.method``, as errors and logs name it."""
    repeatable: bool
    """Whether sending it twice does no more than sending it once. A start or stop that may have arrived is not."""
    routes: Mapping[ApiVersion, Route]


def wire_text(value: object) -> str:
    """One value as the query spells it: lower-case booleans, ISO 8601 times, numbers without an exponent."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        text = float.__repr__(value)  # a subclass, numpy's say, prints itself otherwise
        if "e" not in text:
            return text
        from decimal import Decimal  # 0.7 ms, for a number that hardly anybody has

        return format(Decimal(text), "f")
    return str(value)


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """Percent-encoded. Remembered: a session that is followed is asked for again and again (0.5 us worked out)."""
    return quote(text, safe="")


def _pairs(name: str, value: object) -> list[str]:
    if isinstance(value, (tuple, list)):
        items: Sequence[object] = cast("Sequence[object]", value)
        return [f"{name}%5B{index}%5D={_quoted(wire_text(item))}" for index, item in enumerate(items)]
    return [f"{name}={_quoted(wire_text(value))}"]


def build(route: Route, arguments: Mapping[str, Any]) -> tuple[str, bytes | None]:
    """Put arguments into their seats: path with query, already encoded, and the JSON body if there is one.

    None is left out; zero, False and the empty text are sent.
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


def camel(name: str) -> str:
    """``evse_id`` as ``evseId``."""
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _seats(place: Place, names: str, spell: Callable[[str], str] = camel) -> tuple[Argument, ...]:
    return tuple(Argument(name, place, spell(name)) for name in names.split())


def pascal(name: str) -> str:
    """``evse_id`` as ``EvseId``."""
    return "".join(word.capitalize() for word in name.split("_"))


def _charging(version: str, method: str, operation: str, place: Place, names: str) -> Route:
    return Route(method=method, path=f"/ev/{version}/charge-session/{operation}", arguments=_seats(place, names))


def _charging_routes(method: str, operation: str, place: Place, names: str, pascal: Route) -> dict[ApiVersion, Route]:
    return {
        ApiVersion.V1_PASCAL: pascal,
        ApiVersion.V1: _charging("v1", method, operation, place, names),
        ApiVersion.V2: _charging("v2", method, operation, place, names),
    }


_SESSION_IN_PATH = Argument("session_id", "path", "uuid")

START = Operation(
    name="charging.start",
    repeatable=False,
    routes=_charging_routes(
        "POST",
        "start",
        "body",
        "ev_charge_number evse_id",
        Route(
            method="POST",
            path="/ev/v1/charge-session/start",
            arguments=_seats("body", "ev_charge_number evse_id", pascal),
        ),
    ),
)
STOP = Operation(
    name="charging.stop",
    repeatable=False,
    routes=_charging_routes(
        "POST",
        "stop",
        "query",
        "session_id",
        Route(
            method="POST",
            path="/ev/v1/charge-session/stop/{uuid}",
            # Three s: so the contract spells the key.
            arguments=(_SESSION_IN_PATH, Argument("session_id", "body", "SesssionId")),
        ),
    ),
)
RETRIEVE = Operation(
    name="charging.retrieve",
    repeatable=True,
    routes=_charging_routes(
        "GET",
        "retrieve",
        "query",
        "session_id",
        Route(
            method="GET",
            path="/ev/v1/charge-session/retrieve/{uuid}",
            arguments=(_SESSION_IN_PATH, Argument("session_id", "query", "SessionId")),
        ),
    ),
)
ACTIVE = Operation(
    name="charging.active",
    repeatable=True,
    routes=_charging_routes(
        "GET",
        "active",
        "query",
        "ema_id",
        Route(
            method="GET",
            path="/ev/v1/charge-session/active",
            arguments=_seats("query", "ema_id", pascal),
        ),
    ),
)

# Orders are those of contract section 5, so that recorded requests can be compared as text.
_FILTERS = "evse_status connector_types connector_min_power authorization_methods with_operator_name"
_IDS = "location_external_id evse_id evse_external_id operator_name"
_COUNTRIES = " country exclude_country"


def _location_routes(suffix: str, names: str, *, later: str = _COUNTRIES) -> dict[ApiVersion, Route]:
    in_path = (Argument("uid", "path", "id"),) if "{id}" in suffix else ()

    def route(path: str, arguments: str) -> Route:
        return Route(method="GET", path=path + suffix, arguments=in_path + _seats("query", arguments))

    return {
        ApiVersion.V1_PASCAL: route("/locations/v1/ev", names),
        ApiVersion.V1: route("/ev/v1/locations", names + later),
        ApiVersion.V2: route("/ev/v2/locations", names + later),
    }


LOCATIONS_LIST = Operation(
    name="locations.list",
    repeatable=True,
    routes=_location_routes(
        "", f"{_FILTERS} evse_id location_external_id evse_external_id page_number per_page updated_since"
    ),
)
LOCATIONS_GET = Operation(
    name="locations.get",
    repeatable=True,
    routes=_location_routes("/{id}", "", later="provider_id since"),
)
LOCATIONS_NEARBY = Operation(
    name="locations.nearby",
    repeatable=True,
    routes=_location_routes("/nearby", f"latitude longitude limit {_IDS} {_FILTERS} with_max_power"),
)
LOCATIONS_MARKERS = Operation(
    name="locations.markers",
    repeatable=True,
    routes=_location_routes("/markers", f"west south east north zoom {_FILTERS} with_max_power {_IDS}"),
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
