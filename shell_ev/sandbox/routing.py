"""From method and path to operation and dialect."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import unquote

import attrs

from shell_ev.sandbox.records import Dialect, SandboxRequest


@attrs.frozen
class Route:
    """What a path stands for."""

    operation: str
    method: str
    dialect: Dialect | None
    shared: bool = False
    """True where G1.0 and G1.3 use the same path and only the arguments distinguish them."""


@attrs.define
class Call:
    """A request that belongs to an operation."""

    request: SandboxRequest
    operation: str
    method: str
    """The method of the operation, which may not be that of the request."""
    dialect: Dialect | None
    """None for the token endpoint, which belongs to no dialect."""
    target: str | None = None
    """Decoded last segment of the path, where the operation has one."""
    request_id: str = ""
    """What the answer carries."""
    request_id_is_good: bool = False
    """Whether the request carried that very id, as a UUID."""


_P, _V1, _V2 = Dialect.V1_PASCAL, Dialect.V1, Dialect.V2

_EXACT: dict[str, Route] = {
    "/v1/oauth/token": Route("token", "POST", None),
    "/v2/oauth/token": Route("token", "POST", None),
    "/ev/v1/charge-session/start": Route("charging.start", "POST", _V1, shared=True),
    "/ev/v1/charge-session/stop": Route("charging.stop", "POST", _V1),
    "/ev/v1/charge-session/retrieve": Route("charging.retrieve", "GET", _V1),
    "/ev/v1/charge-session/active": Route("charging.active", "GET", _V1, shared=True),
    "/ev/v2/charge-session/start": Route("charging.start", "POST", _V2),
    "/ev/v2/charge-session/stop": Route("charging.stop", "POST", _V2),
    "/ev/v2/charge-session/retrieve": Route("charging.retrieve", "GET", _V2),
    "/ev/v2/charge-session/active": Route("charging.active", "GET", _V2),
}
_TEMPLATES: dict[str, Route] = {
    "/ev/v1/charge-session/stop": Route("charging.stop", "POST", _P),
    "/ev/v1/charge-session/retrieve": Route("charging.retrieve", "GET", _P),
}
for _root, _dialect in (("/locations/v1/ev", _P), ("/ev/v1/locations", _V1), ("/ev/v2/locations", _V2)):
    _EXACT[_root] = Route("locations.list", "GET", _dialect)
    _EXACT[f"{_root}/nearby"] = Route("locations.nearby", "GET", _dialect)
    _EXACT[f"{_root}/markers"] = Route("locations.markers", "GET", _dialect)
    _TEMPLATES[_root] = Route("locations.get", "GET", _dialect)


def find_call(request: SandboxRequest, *, sdk_1_1: bool = False) -> Call | None:
    """Find the operation a request is meant for, None when its path belongs to none.

    Args:
        request: The request.
        sdk_1_1: Whether the paths of locations in G1.0 are asked by SDK 1.1.0 or 1.2.0, which expect G1.3 there.
    """
    call = _find(request)
    if sdk_1_1 and call is not None and call.dialect is _P and call.operation.startswith("locations."):
        call.dialect = _V1
    return call


def _find(request: SandboxRequest) -> Call | None:
    route = _EXACT.get(request.path)
    if route is not None:
        dialect = _P if route.shared and _speaks_pascal(route.operation, request) else route.dialect
        return Call(request, route.operation, route.method, dialect)
    root, _, segment = request.path.rpartition("/")
    route = _TEMPLATES.get(root)
    if route is None or not segment:
        return None
    return Call(request, route.operation, route.method, route.dialect, target=unquote(segment))


def json_object(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object, None when the body is anything else."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _speaks_pascal(operation: str, request: SandboxRequest) -> bool:
    if operation == "charging.active":
        return request.argument("EmaId") is not None
    document = json_object(request.body)
    return document is not None and ("EvChargeNumber" in document or "EvseId" in document)
