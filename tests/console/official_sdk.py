"""Runs one generation of the official SDK against a sandbox and prints what came of it. Needs that SDK alone.

The hosts of the SDK are fixed, so its table of them is pointed at the sandbox; nothing else about it is changed.
Usage: python official_sdk.py URL
"""

from __future__ import annotations

import builtins
import json
import sys
import urllib.parse
import urllib.request
from typing import Any

from apimatic_core.types.union_types.union_type_context import UnionTypeContext

# The module of locations in 1.0.0 uses this name without an import: as published it cannot be loaded.
builtins.Context = UnionTypeContext  # type: ignore[attr-defined]

from shellev.configuration import Configuration, Environment, Server  # noqa: E402
from shellev.http.auth.o_auth_2 import ClientCredentialsAuthCredentials  # noqa: E402
from shellev.shellev_client import ShellevClient  # noqa: E402

URL = sys.argv[1].rstrip("/")
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
CARD, EVSE, UNKNOWN_EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0", "NL*TNM*E99999999*9"
UNKNOWN_SESSION = "00000000-0000-4000-8000-000000000000"
V1_0 = not hasattr(Server, "ACCESS_TOKEN_SERVER") and not hasattr(Server, "OAUTH_SERVER")
V2 = hasattr(Server, "OAUTH_SERVER")


def control(method: str, path: str, body: Any = None) -> Any:
    """Ask the control API, as a test in any language does."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{URL}/_sandbox/v1{path}", data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as reply:
        text = reply.read()
    return json.loads(text) if text else None


def make_client() -> Any:
    about = control("GET", "/")
    credentials = ClientCredentialsAuthCredentials(about["client_id"], about["client_secret"])
    if V2:
        Configuration.environments[Environment.SIT] = {Server.OAUTH_SERVER: URL, Server.SHELL: f"{URL}/ev"}
        return ShellevClient(client_credentials_auth_credentials=credentials, environment=Environment.SIT)
    if V1_0:
        Configuration.environments[Environment.PRODUCTION] = {Server.DEFAULT: "http://{env}"}
        host = urllib.parse.urlsplit(URL).netloc
        client = ShellevClient(client_credentials_auth_credentials=credentials, env=host)
        token = client.bearer_auth.fetch_token()
        return ShellevClient(
            config=client.config.clone_with(
                client_credentials_auth_credentials=credentials.clone_with(o_auth_token=token)
            )
        )
    Configuration.environments[Environment.PRODUCTION] = {
        Server.DEFAULT: f"{URL}/ev/v1",
        Server.ACCESS_TOKEN_SERVER: f"{URL}/v1/oauth",
    }
    return ShellevClient(client_credentials_auth_credentials=credentials)


CLIENT = make_client()
CHARGING, LOCATIONS = CLIENT.charging, CLIENT.locations


def body(evse_id: str) -> Any:
    from shellev.models.chargesession_start_body import ChargesessionStartBody

    return ChargesessionStartBody(ev_charge_number=CARD, evse_id=evse_id)


def start(evse_id: str = EVSE) -> Any:
    return (CHARGING.start_charge_session if V1_0 else CHARGING.start)(REQUEST_ID, body=body(evse_id))


def stop(session_id: str) -> Any:
    if not V1_0:
        return CHARGING.stop(REQUEST_ID, session_id)
    from shellev.models.stop_charge_session_request_body_json import StopChargeSessionRequestBodyJson

    return CHARGING.stop_charge_session(REQUEST_ID, session_id, body=StopChargeSessionRequestBodyJson(session_id))


def retrieve(session_id: str) -> Any:
    if V1_0:
        return CHARGING.get_charge_session_retrieve(REQUEST_ID, session_id, session_id)
    return CHARGING.get_charge_session_retrieve(REQUEST_ID, session_id)


def active() -> Any:
    return CHARGING.active(CARD, REQUEST_ID) if V1_0 else CHARGING.active(REQUEST_ID, CARD)


def list_locations() -> Any:
    return (LOCATIONS.get_locations_list if V1_0 else LOCATIONS.get_ev_locations)(REQUEST_ID, page_number=1, per_page=5)


def get_location(uid: str = "1") -> Any:
    return (LOCATIONS.get_location_by_id if V1_0 else LOCATIONS.ev_locations_by_id)(REQUEST_ID, uid)


def nearby(latitude: float = 52.37) -> Any:
    return (LOCATIONS.get_nearby_locations if V1_0 else LOCATIONS.nearby_locations)(REQUEST_ID, latitude, 4.89)


def markers() -> Any:
    return (LOCATIONS.get_markers_list if V1_0 else LOCATIONS.locations_markers)(REQUEST_ID, 3.0, 50.0, 8.0, 54.0, "6")


def unwrapped(answer: Any) -> Any:
    """The decoded body, whether the SDK wraps it or not."""
    return answer.body if hasattr(answer, "status_code") and hasattr(answer, "body") else answer


def data(answer: Any) -> Any:
    return unwrapped(answer).data


def state(session: Any) -> str:
    found = session.session_state
    return str(found if isinstance(found, str) else found.status).lower()


def failure(call: Any, *arguments: Any) -> dict[str, Any]:
    """The exception of the SDK: its class, its status, and the first error it has read out of the body."""
    try:
        call(*arguments)
    except Exception as error:
        entries = getattr(error, "errors", None) or []
        first = entries[0] if entries else error
        text = getattr(first, "detail", None) or getattr(first, "description", None) or getattr(first, "message", None)
        return {
            "error": type(error).__name__,
            "status": getattr(error, "response_code", None),
            "code": getattr(first, "code", None),
            "text": str(text),
        }
    return {"error": None}


OPERATIONS: dict[str, Any] = {
    "charging.start": start,
    "charging.stop": lambda: stop(UNKNOWN_SESSION),
    "charging.retrieve": lambda: retrieve(UNKNOWN_SESSION),
    "charging.active": active,
    "locations.list": list_locations,
    "locations.get": get_location,
    "locations.nearby": nearby,
    "locations.markers": markers,
}


def documented(operation: str) -> tuple[int, ...]:
    if operation.startswith("locations.") and V1_0:
        return (400, 401, 404)
    if operation == "charging.active" and not V1_0:
        return ()
    return (400, 401, 404, 405, 429, 500, 503) if V1_0 else (400, 401, 404, 429, 500, 503)


def main() -> None:
    report: dict[str, Any] = {"states": []}
    control("PATCH", "/clock", {"paused": True})
    session_id = data(start())[0].session_id
    report["session_id_is_text"] = isinstance(session_id, str) and len(session_id) == 36
    report["states"].append(state(data(retrieve(session_id))[0]))
    control("POST", "/clock/step", {"seconds": 20})
    report["states"].append(state(data(retrieve(session_id))[0]))
    report["active"] = [state(session) for session in data(active())]
    report["request_id"] = unwrapped(active()).request_id
    stop(session_id)
    report["states"].append(state(data(retrieve(session_id))[0]))
    control("POST", "/clock/step", {"seconds": 10})
    report["states"].append(state(data(retrieve(session_id))[0]))
    report["active_after"] = len(data(active()) or [])

    listed, one, near, marked = (unwrapped(call()) for call in (list_locations, get_location, nearby, markers))
    if not V1_0:
        listed, one, near, marked = listed.data, one.data[0], near.data, marked.data
    near = near[0] if isinstance(near, list) else near
    report["locations"] = {
        "list": len(listed),
        "city": one.address.city,
        "evse": one.evses[0].evse_id,
        "near": near.address.city,
        "markers": len(marked) > 0 and hasattr(marked[0], "coordinates"),
    }

    report["refused"] = {
        "start on an unknown EVSE": failure(start, UNKNOWN_EVSE),
        "stop of an unknown session": failure(stop, UNKNOWN_SESSION),
        "retrieve of an unknown session": failure(retrieve, UNKNOWN_SESSION),
        "an unknown location": failure(get_location, "999999"),
    }
    report["errors"] = {}
    for operation, call in OPERATIONS.items():
        for status in documented(operation):
            control("POST", "/faults", {"operation": operation, "fault": {"kind": "status", "status": status}})
            report["errors"][f"{operation} {status}"] = failure(call)
    report["faults_left"] = len(control("GET", "/faults")["waiting"])
    print(json.dumps(report))


main()
