"""Bodies of the charging operations and errors, dialect by dialect, against the contract."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shell_ev.sandbox import Dialect, SandboxRequest, Service

UNKNOWN = "00000f7e-0000-0000-0000-000000000000"
CAMEL = [Dialect.V1, Dialect.V2]
MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def load(reply: Any) -> Any:
    assert dict(reply.headers)["Content-Type"] == "application/json"
    return json.loads(reply.body)


def test_pascal_bodies(caller: Any, clock: Any) -> None:
    pascal = Dialect.V1_PASCAL
    started = caller.ask(caller.start_call(pascal))
    document = load(started)
    session_id = document["Data"][0]["SessionId"]
    assert started.status == 202
    assert document == {"RequestId": caller.request_id, "Status": "SUCCESS", "Data": [{"SessionId": session_id}]}
    clock.advance(25)
    active = load(caller.ask(caller.active_call(pascal)))
    assert active["Status"] == "SUCCESS"
    (item,) = active["Data"]
    assert MILLISECONDS.fullmatch(item["StartedAt"])
    assert item == {
        "EmaId": caller.card,
        "EvseId": caller.evse,
        "Id": session_id,
        "StartedAt": "2024-06-19T07:37:17.985Z",
        "SessionState": "started",
        "SessionCode": None,
        "SessionMessage": None,
        "UserId": item["UserId"],
    }
    stopped = caller.ask(caller.stop_call(pascal, session_id))
    assert (stopped.status, load(stopped)) == (202, {"RequestId": caller.request_id, "Status": "SUCCESS"})
    clock.advance(10)
    (item,) = load(caller.ask(caller.retrieve_call(pascal, session_id)))["Data"]
    assert item["SessionState"] == "stopped"
    assert "Sessionstate" not in item
    assert MILLISECONDS.fullmatch(item["StoppedAt"])


def test_pascal_failure_has_code_and_message(caller: Any, clock: Any) -> None:
    session_id = caller.start(Dialect.V1_PASCAL, evse_id="NL*TNM*E02003462*1")
    clock.advance(20)
    (item,) = load(caller.ask(caller.retrieve_call(Dialect.V1_PASCAL, session_id)))["Data"]
    assert item["SessionState"] == "failed-to-start"
    assert item["SessionCode"] == "EvNotConnectedToEvse"
    assert item["SessionMessage"]
    assert item["StoppedAt"] is None
    assert "StartedAt" not in item


@pytest.mark.parametrize("dialect", CAMEL)
def test_camel_case_bodies(caller: Any, clock: Any, dialect: Dialect) -> None:
    started = caller.ask(caller.start_call(dialect))
    session_id = load(started)["data"][0]["sessionId"]
    assert started.status == 202
    assert load(started) == {
        "requestId": caller.request_id,
        "status": "SUCCESS",
        "data": [{"sessionId": session_id}],
    }
    clock.advance(25)
    (item,) = load(caller.ask(caller.active_call(dialect)))["data"]
    assert item == {
        "id": session_id,
        "userId": item["userId"],
        "emaId": caller.card,
        "evseId": caller.evse,
        "lastUpdated": "2024-06-19T07:37:17.985998Z",
        "startedAt": "2024-06-19T07:37:17.985998Z",
        "stoppedAt": None,
        "SessionState": {"status": "Started"},
    }
    stopped = caller.ask(caller.stop_call(dialect, session_id))
    assert (stopped.status, load(stopped)) == (202, {"requestId": caller.request_id, "status": "SUCCESS"})
    (item,) = load(caller.ask(caller.retrieve_call(dialect, session_id)))["data"]
    assert item["sessionState"] == {"status": "stop-requested"}
    assert "SessionState" not in item
    clock.advance(10)
    (item,) = load(caller.ask(caller.retrieve_call(dialect, session_id)))["data"]
    assert item["sessionState"] == {"status": "Stopped"}
    assert MICROSECONDS.fullmatch(item["stoppedAt"])


def test_shared_paths_are_distinguished_by_their_arguments(caller: Any, service: Service) -> None:
    for dialect in Dialect:
        caller.start(dialect)
        caller.ask(caller.active_call(dialect))
    recorded = [(request.operation, request.dialect) for request in list(service.requests)[1:]]
    assert recorded == [
        pair for dialect in Dialect for pair in (("charging.start", dialect), ("charging.active", dialect))
    ]


CODES = {
    Dialect.V1_PASCAL: {400: "E0001", 401: "E0006", 404: "E0005", 405: "E0007"},
    Dialect.V1: {400: "E0001", 401: "E0003", 404: "E0038", 405: "E0007"},
    Dialect.V2: {400: "E0001", 401: "E0003", 404: "E0038", 405: "E0007"},
}


def check_error(reply: Any, dialect: Dialect, status: int, request_id: str) -> None:
    document = load(reply)
    assert reply.status == status
    code = CODES[dialect][status]
    if dialect is Dialect.V1_PASCAL:
        assert set(document) == {"RequestId", "Status", "Errors"}
        (error,) = document["Errors"]
        assert set(error) == {"Code", "Title", "Detail", "AdditionalInfo"}
        assert (document["RequestId"], document["Status"], error["Code"]) == (request_id, "FAILED", code)
        assert 1 <= len(error["Title"]) <= 100
        assert 1 <= len(error["Detail"]) <= 250
        return
    assert set(document) == {"requestId", "status", "errors"}
    (error,) = document["errors"]
    assert set(error) == {"code", "message", "description", "details"}
    assert (document["requestId"], document["status"], error["code"]) == (request_id, "FAILED", code)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_what_is_unknown_is_404(caller: Any, dialect: Dialect) -> None:
    for asked in (
        caller.start_call(dialect, evse_id="NL*TNM*E99999999*9"),
        caller.stop_call(dialect, UNKNOWN),
        caller.retrieve_call(dialect, UNKNOWN),
    ):
        check_error(caller.ask(asked), dialect, 404, caller.request_id)
    described = caller.ask(caller.stop_call(dialect, UNKNOWN)).body.decode()
    assert "Session not found or Session has already been stopped" in described


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_wrong_method_is_405(caller: Any, dialect: Dialect) -> None:
    asked = caller.retrieve_call(dialect, UNKNOWN)
    reply = caller.ask(type(asked)("DELETE", asked.path, asked.query))
    check_error(reply, dialect, 405, caller.request_id)
    assert dict(reply.headers)["Allow"] == "GET"


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_bad_token_is_401(caller: Any, service: Service, clock: Any, dialect: Dialect) -> None:
    asked = caller.active_call(dialect)
    assert caller.ask(asked).status == 200
    for authorization in ("", "Bearer", "Bearer made-up", "Basic abc", "bogus"):
        check_error(caller.ask(asked, Authorization=authorization), dialect, 401, caller.request_id)
    clock.advance(3599)
    assert caller.ask(asked).status == 200
    clock.advance(1)
    check_error(caller.ask(asked), dialect, 401, caller.request_id)
    caller.headers["Authorization"] = f"Bearer {caller.fetch_token()}"
    assert caller.ask(asked).status == 200
    service.tokens.revoke_all()
    check_error(caller.ask(asked), dialect, 401, caller.request_id)


def test_start_has_a_code_of_its_own_for_401_in_pascal(caller: Any) -> None:
    reply = caller.ask(caller.start_call(Dialect.V1_PASCAL), Authorization="Bearer no")
    assert load(reply)["Errors"][0]["Code"] == "E0003"


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    "request_id", ["", "x", "123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}"]
)
def test_a_request_id_that_is_no_uuid_is_400(caller: Any, dialect: Dialect, request_id: str) -> None:
    reply = caller.ask(caller.active_call(dialect), RequestId=request_id)
    made_up = load(reply)["RequestId" if dialect is Dialect.V1_PASCAL else "requestId"]
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", made_up)
    check_error(reply, dialect, 400, made_up)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(("card", "evse_id"), [("", None), ("x" * 51, None), (None, "x" * 17), (None, "x" * 37)])
def test_a_start_out_of_bounds_is_400(
    caller: Any, service: Service, dialect: Dialect, card: str | None, evse_id: str | None
) -> None:
    asked = caller.start_call(
        dialect, caller.card if card is None else card, caller.evse if evse_id is None else evse_id
    )
    check_error(caller.ask(asked), dialect, 400, caller.request_id)
    assert service.charges == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"evChargeNumber": 7, "evseId": "NL*TNM*E02003451*0"}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_a_start_without_a_proper_body_is_400(caller: Any, service: Service, body: bytes) -> None:
    headers = {**caller.headers, "Content-Type": "application/json; charset=utf-8"}
    reply = service.handle(SandboxRequest("POST", "/ev/v2/charge-session/start", (), headers, body))
    check_error(reply, Dialect.V2, 400, caller.request_id)


def test_a_start_that_is_not_sent_as_json_is_400(caller: Any) -> None:
    reply = caller.ask(caller.start_call(Dialect.V2), **{"Content-Type": "text/plain"})
    check_error(reply, Dialect.V2, 400, caller.request_id)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    "session_id", ["x", "{c3e332f0-1bb2-4f50-a96b-e075bbb71e68}", "c3e332f01bb24f50a96be075bbb71e68"]
)
def test_a_session_id_that_is_no_uuid_is_400(caller: Any, dialect: Dialect, session_id: str) -> None:
    for build in (caller.stop_call, caller.retrieve_call):
        check_error(caller.ask(build(dialect, session_id)), dialect, 400, caller.request_id)


@pytest.mark.parametrize("dialect", CAMEL)
def test_missing_and_overlong_arguments_are_400(caller: Any, dialect: Dialect) -> None:
    for build in (caller.stop_call, caller.retrieve_call, caller.active_call):
        asked = build(dialect, UNKNOWN)
        check_error(caller.ask(type(asked)(asked.method, asked.path)), dialect, 400, caller.request_id)
    for card in ("x" * 13, "x" * 20):
        check_error(caller.ask(caller.active_call(dialect, card)), dialect, 400, caller.request_id)


def test_pascal_ids_have_to_agree(caller: Any) -> None:
    asked = caller.retrieve_call(Dialect.V1_PASCAL, UNKNOWN)
    other = type(asked)("GET", asked.path, (("SessionId", caller.request_id),))
    check_error(caller.ask(other), Dialect.V1_PASCAL, 400, caller.request_id)
    check_error(caller.ask(type(asked)("GET", asked.path)), Dialect.V1_PASCAL, 400, caller.request_id)
    asked = caller.stop_call(Dialect.V1_PASCAL, UNKNOWN)
    other = type(asked)("POST", asked.path, (), {"SesssionId": caller.request_id})
    check_error(caller.ask(other), Dialect.V1_PASCAL, 400, caller.request_id)
    three_s = type(asked)("POST", asked.path, (), {"SessionId": UNKNOWN})
    check_error(caller.ask(three_s), Dialect.V1_PASCAL, 400, caller.request_id)


def test_pascal_stop_may_leave_its_body_out_and_encode_its_path(caller: Any, clock: Any) -> None:
    session_id = caller.start(Dialect.V1_PASCAL)
    clock.advance(20)
    asked = caller.stop_call(Dialect.V1_PASCAL, session_id.replace("-", "%2D"))
    assert caller.ask(type(asked)("POST", asked.path)).status == 202


@pytest.mark.parametrize("path", ["/", "/ev/v3/locations", "/ev/v2/", "/ev/v2/locations/", "/ev/v2/locations/1/2"])
def test_an_unknown_path_meets_the_platform_in_front(caller: Any, path: str) -> None:
    reply = caller.get(path)
    assert reply.status == 404
    assert set(load(reply)) == {"fault"}


def test_header_names_in_any_case(caller: Any, service: Service) -> None:
    headers = {name.lower(): value for name, value in caller.headers.items()}
    asked = caller.active_call(Dialect.V2)
    assert service.handle(SandboxRequest("GET", asked.path, asked.query, headers)).status == 200


PATHS = st.sampled_from(
    [
        *(
            f"/ev/v{number}/charge-session/{name}"
            for number in (1, 2)
            for name in ("start", "stop", "retrieve", "active")
        ),
        *(f"/ev/v1/charge-session/{name}/{UNKNOWN}" for name in ("stop", "retrieve")),
        *(
            root + tail
            for root in ("/locations/v1/ev", "/ev/v2/locations")
            for tail in ("", "/1", "/nearby", "/markers")
        ),
    ]
)
NAMES = st.sampled_from(
    ["sessionId", "SessionId", "emaId", "EmaId", "perPage", "latitude", "longitude", "zoom", "country[0]", "since"]
)
SERVICE = Service(stations=0, token_clock=lambda: 0.0)


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=PATHS | st.text(max_size=30),
    query=st.lists(st.tuples(NAMES | st.text(max_size=5), st.text(max_size=20) | st.just("52")), max_size=5),
    body=st.binary(max_size=40)
    | st.dictionaries(st.text(max_size=8), st.none() | st.text()).map(json.dumps).map(str.encode),
)
def test_every_request_is_answered(method: str, path: str, query: list[tuple[str, str]], body: bytes) -> None:
    form = b"grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
    issued = SERVICE.handle(
        SandboxRequest("POST", "/v2/oauth/token", (), {"Content-Type": "application/x-www-form-urlencoded"}, form)
    )
    headers = {
        "Authorization": "Bearer " + json.loads(issued.body)["access_token"],
        "RequestId": UNKNOWN,
        "Content-Type": "application/json",
    }
    reply = SERVICE.handle(SandboxRequest(method, path, tuple(query), headers, body))
    assert reply.status in (200, 202, 400, 404, 405)
    json.loads(reply.body)
