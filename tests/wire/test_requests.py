"""What goes over the wire: the four charging operations in three dialects and the token call, against a real server.

Every expectation is written out from the wire contract, sections 1 to 4; none is computed by the code under test.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shell_ev import AsyncShellEV, ClientCredentials, EmaId, EvseId, SessionState, StaticToken
from shell_ev.sandbox import Sandbox

REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
SESSION_ID = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"
TOKEN = "the-token"


@attrs.frozen(kw_only=True)
class Arrived:
    """A request as the server saw it."""

    method: str
    raw_path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


class Recorder:
    """A server that notes every request and gives each path its answer."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw_path, _, raw_query = request.raw_path.partition("?")
        self.arrived.append(
            Arrived(
                method=request.method,
                raw_path=raw_path,
                query=parse_qsl(raw_query, keep_blank_values=True, strict_parsing=bool(raw_query)),
                headers=dict(request.headers),
                body=await request.read(),
            )
        )
        status, document = self.answers.get(raw_path, (200, {"requestId": REQUEST_ID, "status": "SUCCESS", "data": []}))
        return web.json_response(document, status=status, headers={"Set-Cookie": "session=1; Path=/"})


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", recorder.handle)
    async with TestServer(app) as server:
        recorder.url = str(server.make_url("/")).rstrip("/")
        yield recorder


STARTED = {"requestId": REQUEST_ID, "status": "SUCCESS", "data": [{"sessionId": SESSION_ID}]}
FOUND = {"requestId": REQUEST_ID, "status": "SUCCESS", "data": [{"id": SESSION_ID}]}
START_ARGUMENTS = ("NL-TNM-C00122045-K", "NL*TNM*E02003451*0")

#: version, operation, arguments, answer, method, raw path, decoded query, JSON body (None: no body at all)
TABLE = [
    (
        "v1-pascal", "start", START_ARGUMENTS, STARTED,
        "POST", "/ev/v1/charge-session/start", [],
        {"EvChargeNumber": "NL-TNM-C00122045-K", "EvseId": "NL*TNM*E02003451*0"},
    ),
    (
        "v1", "start", START_ARGUMENTS, STARTED,
        "POST", "/ev/v1/charge-session/start", [],
        {"evChargeNumber": "NL-TNM-C00122045-K", "evseId": "NL*TNM*E02003451*0"},
    ),
    (
        "v2", "start", START_ARGUMENTS, STARTED,
        "POST", "/ev/v2/charge-session/start", [],
        {"evChargeNumber": "NL-TNM-C00122045-K", "evseId": "NL*TNM*E02003451*0"},
    ),
    (
        "v1-pascal", "stop", (SESSION_ID,), {"RequestId": REQUEST_ID, "Status": "SUCCESS"},
        "POST", "/ev/v1/charge-session/stop/c3e332f0-1bb2-4f50-a96b-e075bbb71e68", [],
        {"SesssionId": "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"},
    ),
    (
        "v1", "stop", (SESSION_ID,), {"requestId": REQUEST_ID, "status": "SUCCESS"},
        "POST", "/ev/v1/charge-session/stop", [("sessionId", "c3e332f0-1bb2-4f50-a96b-e075bbb71e68")], None,
    ),
    (
        "v2", "stop", (SESSION_ID,), {"requestId": REQUEST_ID, "status": "SUCCESS"},
        "POST", "/ev/v2/charge-session/stop", [("sessionId", "c3e332f0-1bb2-4f50-a96b-e075bbb71e68")], None,
    ),
    (
        "v1-pascal", "retrieve", (SESSION_ID,), FOUND,
        "GET", "/ev/v1/charge-session/retrieve/c3e332f0-1bb2-4f50-a96b-e075bbb71e68",
        [("SessionId", "c3e332f0-1bb2-4f50-a96b-e075bbb71e68")], None,
    ),
    (
        "v1", "retrieve", (SESSION_ID,), FOUND,
        "GET", "/ev/v1/charge-session/retrieve", [("sessionId", "c3e332f0-1bb2-4f50-a96b-e075bbb71e68")], None,
    ),
    (
        "v2", "retrieve", (SESSION_ID,), FOUND,
        "GET", "/ev/v2/charge-session/retrieve", [("sessionId", "c3e332f0-1bb2-4f50-a96b-e075bbb71e68")], None,
    ),
    (
        "v1-pascal", "active", ("NL-TNM-C0216599X-A",), None,
        "GET", "/ev/v1/charge-session/active", [("EmaId", "NL-TNM-C0216599X-A")], None,
    ),
    (
        "v1", "active", ("NL-TNM-C0216599X-A",), None,
        "GET", "/ev/v1/charge-session/active", [("emaId", "NL-TNM-C0216599X-A")], None,
    ),
    (
        "v2", "active", ("NL-TNM-C0216599X-A",), None,
        "GET", "/ev/v2/charge-session/active", [("emaId", "NL-TNM-C0216599X-A")], None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "operation", "arguments", "answer", "method", "path", "query", "body"),
    TABLE,
    ids=[f"{row[0]} {row[1]}" for row in TABLE],
)
async def test_the_request_is_the_one_of_the_contract(
    recorder: Recorder,
    version: str,
    operation: str,
    arguments: tuple[str, ...],
    answer: Any,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    body: dict[str, str] | None,
) -> None:
    if answer is not None:
        recorder.answers[path] = (200, answer)
    async with AsyncShellEV(token_source=StaticToken(TOKEN), base_url=recorder.url, api_version=version) as ev:
        await getattr(ev.charging, operation)(*arguments, request_id=REQUEST_ID)
        await getattr(ev.charging, operation)(*arguments, request_id=REQUEST_ID)  # would bring the cookie back

    assert len(recorder.arrived) == 2
    assert recorder.arrived[0] == recorder.arrived[1]
    request = recorder.arrived[1]
    assert (request.method, request.raw_path) == (method, path)
    assert request.query == query
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers.pop("requestid") == REQUEST_ID
    assert headers.pop("authorization") == "Bearer the-token"
    assert headers.pop("accept") == "application/json"
    assert re.fullmatch(r"shell_ev/\S+ Python/3\.\d+", headers.pop("user-agent"))
    assert recorder.url.endswith(headers.pop("host"))
    assert "gzip" in headers.pop("accept-encoding")
    if body is not None:
        assert json.loads(request.body) == body
        assert headers.pop("content-type") == "application/json"
        assert headers.pop("content-length") == str(len(request.body))
    else:
        assert request.body == b""
        if method == "POST":
            assert headers.pop("content-length") == "0"
    assert headers == {}, "nothing else goes out: no cookie, no content type without content"


@pytest.mark.parametrize("version", ["v1-pascal", "v1", "v2"])
async def test_the_header_spelling_is_the_contracts(recorder: Recorder, version: str) -> None:
    async with AsyncShellEV(token_source=StaticToken(TOKEN), base_url=recorder.url, api_version=version) as ev:
        await ev.charging.active("NL-TNM-C0216599X-A", request_id=REQUEST_ID)
    assert recorder.arrived[0].headers["RequestId"] == REQUEST_ID


@pytest.mark.parametrize("version", ["v1-pascal", "v1", "v2"])
async def test_text_of_any_kind_arrives_as_it_was_given(recorder: Recorder, version: str) -> None:
    number, evse = 'caf\u00e9 "quoted" \\ \U0001f50c', "NL*TNM*E02003451*0 &?#%2F+"
    recorder.answers[f"/ev/{'v2' if version == 'v2' else 'v1'}/charge-session/start"] = (200, STARTED)
    async with AsyncShellEV(token_source=StaticToken(TOKEN), base_url=recorder.url, api_version=version) as ev:
        await ev.charging.start(number, evse)
        await ev.charging.active("NL&TNM=C0+?#%2F\u00e9")
    start, active = recorder.arrived
    assert list(json.loads(start.body).values()) == [number, evse]
    assert [value for _, value in active.query] == ["NL&TNM=C0+?#%2F\u00e9"]


async def test_ids_may_be_given_as_objects(recorder: Recorder) -> None:
    recorder.answers["/ev/v2/charge-session/start"] = (200, STARTED)
    async with AsyncShellEV(token_source=StaticToken(TOKEN), base_url=recorder.url) as ev:
        await ev.charging.start(EmaId.parse("NL-TNM-C00122045-K"), EvseId.parse("NL*TNM*E02003451*0"))
        await ev.charging.stop(uuid.UUID(SESSION_ID), request_id=uuid.UUID(REQUEST_ID))
    start, stop = recorder.arrived
    assert json.loads(start.body) == {"evChargeNumber": "NL-TNM-C00122045-K", "evseId": "NL*TNM*E02003451*0"}
    assert stop.query == [("sessionId", SESSION_ID)]
    assert stop.headers["RequestId"] == REQUEST_ID


async def test_without_a_request_id_every_call_gets_one_of_its_own(recorder: Recorder) -> None:
    async with AsyncShellEV(token_source=StaticToken(TOKEN), base_url=recorder.url) as ev:
        for _ in range(20):
            await ev.charging.active("NL-TNM-C0216599X-A")
    ids = {request.headers["RequestId"] for request in recorder.arrived}
    assert len(ids) == 20
    for text in ids:
        assert str(uuid.UUID(text)) == text
        assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (4, uuid.RFC_4122)


async def test_headers_of_the_caller_and_a_suffix_of_the_user_agent_go_along(recorder: Recorder) -> None:
    async with AsyncShellEV(
        token_source=StaticToken(TOKEN), base_url=recorder.url + "/gateway/ev-api/", user_agent_suffix="my-app/1.2"
    ) as ev:
        await ev.charging.active("NL-TNM-C0216599X-A", headers={"X-Tenant": "blue"})
    (request,) = recorder.arrived
    assert request.headers["X-Tenant"] == "blue"
    assert request.headers["User-Agent"].endswith(" my-app/1.2")
    assert request.raw_path == "/gateway/ev-api/ev/v2/charge-session/active"


TOKEN_ANSWER = {"access_token": "granted", "token_type": "Bearer", "expires_in": "3600"}


@pytest.mark.parametrize(
    ("version", "path"),
    [("v1-pascal", "/v1/oauth/token"), ("v1", "/v1/oauth/token"), ("v2", "/v2/oauth/token")],
)
@pytest.mark.parametrize(
    ("scope", "form"),
    [
        (None, [("grant_type", "client_credentials")]),
        ("ev:read ev:start", [("grant_type", "client_credentials"), ("scope", "ev:read ev:start")]),
    ],
)
async def test_the_token_call_is_the_one_of_the_contract(
    recorder: Recorder, version: str, path: str, scope: str | None, form: list[tuple[str, str]]
) -> None:
    recorder.answers[path] = (200, TOKEN_ANSWER)
    credentials = ClientCredentials("my-client", "p\u00e4ss:w/rd+", scope)
    async with AsyncShellEV(token_source=credentials, base_url=recorder.url, api_version=version) as ev:
        await ev.charging.active("NL-TNM-C0216599X-A")
        await ev.charging.active("NL-TNM-C0216599X-A")
    token, first, second = recorder.arrived
    assert (token.method, token.raw_path, token.query) == ("POST", path, [])
    headers = {name.lower(): value for name, value in token.headers.items()}
    # base64 of the UTF-8 of "my-client:päss:w/rd+"
    assert headers["authorization"] == "Basic bXktY2xpZW50OnDDpHNzOncvcmQr"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["accept"] == "application/json"
    assert "requestid" not in headers
    assert "cookie" not in headers
    assert parse_qsl(token.body.decode(), strict_parsing=True) == form
    assert first.headers["Authorization"] == second.headers["Authorization"] == "Bearer granted"
    assert "Cookie" not in first.headers


async def test_a_token_url_of_the_callers_is_used_as_it_is(recorder: Recorder) -> None:
    recorder.answers["/login/v9/token"] = (200, TOKEN_ANSWER)
    async with AsyncShellEV("id", "secret", base_url=recorder.url, token_url=recorder.url + "/login/v9/token") as ev:
        await ev.charging.active("NL-TNM-C0216599X-A")
    assert [request.raw_path for request in recorder.arrived] == ["/login/v9/token", "/ev/v2/charge-session/active"]


@pytest.mark.parametrize("version", ["v1-pascal", "v1", "v2"])
async def test_a_whole_charge_against_the_sandbox_in_every_dialect(sandbox: Sandbox, version: str) -> None:
    """The sandbox checks requests by the contract and shares no code with the client."""
    sandbox.start_delay = sandbox.stop_delay = 0
    card, evse = START_ARGUMENTS
    async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version=version) as ev:
        started = await ev.charging.start(card, evse, request_id=REQUEST_ID)
        assert (started.status_code, started.request_id, started.attempts) == (202, REQUEST_ID, 1)
        found = await ev.charging.retrieve(started.data.session_id)
        assert (found.data.id, found.data.ema_id, found.data.evse_id) == (started.data.session_id, card, evse)
        assert found.data.state is SessionState.STARTED
        assert found.data.started_at is not None
        running = await ev.charging.active(card)
        assert [session.id for session in running.data] == [started.data.session_id]
        assert running.data[0].state is SessionState.STARTED
        stopped = await ev.charging.stop(started.data.session_id)
        assert stopped.data is None
        assert str(stopped.status) == "SUCCESS"
        ended = await ev.charging.retrieve(started.data.session_id)
        assert ended.data.state is SessionState.STOPPED
        assert ended.data.stopped_at is not None
        assert (await ev.charging.active(card)).data == ()
    assert {request.dialect for request in sandbox.requests if request.dialect} == {version}
    assert found.problems == running.problems == ended.problems == ()
