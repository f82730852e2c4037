"""The adversary itself: what it scripts happens, and its records are the truth."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest

from .raw_server import (
    ODD_IDS,
    Fault,
    RawServer,
    date,
    drop_before_effect,
    extra_data,
    forbidden,
    garbage,
    gateway_404,
    half_answer,
    half_head,
    hang_after_effect,
    late_effect,
    lose_answer_after_effect,
    reset_after_effect,
    service_404,
    too_many,
    unavailable_after_effect,
)
from .support import CARD, EVSE, SESSION, now, virtual

START = {"evChargeNumber": CARD, "evseId": EVSE}


class Caller:
    """A plain HTTP client, so that the server is tested without the library."""

    def __init__(self, server: RawServer) -> None:
        self._server = server
        self._http = aiohttp.ClientSession(base_url=server.url, headers={"RequestId": SESSION})

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self._http.request(method, f"/ev/v2/charge-session/{path}", **options) as answer:
            text = await answer.text()
            self.headers = answer.headers
            return answer.status, json.loads(text) if text else None

    async def start(self) -> Any:
        return (await self.ask("POST", "start", json=START))[1]["data"][0]["sessionId"]

    async def active(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", "active", params={"emaId": CARD}))[1]["data"]
        return found


@virtual
async def test_a_charge_is_started_shown_stopped_and_recorded(server: RawServer) -> None:
    async with Caller(server) as caller:
        session_id = await caller.start()
        (shown,) = await caller.active()
        assert shown["SessionState"] == {"status": "start-requested"}
        await asyncio.sleep(3)
        status, body = await caller.ask("GET", "retrieve", params={"sessionId": session_id})
        assert (status, body["requestId"]) == (200, SESSION)
        assert body["data"][0]["sessionState"] == {"status": "Started"}
        assert (await caller.ask("POST", "stop", params={"sessionId": session_id}))[0] == 202
        await asyncio.sleep(3)
        assert (await caller.ask("POST", "stop", params={"sessionId": session_id}))[0] == 404
        (shown,) = await caller.active()
    assert shown["SessionState"] == {"status": "stopped"}
    (session,) = server.own_sessions()
    assert session.owner == SESSION
    assert session.stopped_by == [SESSION]
    assert server.running() == []
    assert [seen.carried_out for seen in server.seen("stop")] == [True, False]


@pytest.mark.parametrize(
    ("fault", "carried_out"),
    [
        (lose_answer_after_effect, 1),
        (drop_before_effect, 0),
        (reset_after_effect, 1),
        (half_answer, 1),
        (half_head, 1),
        (garbage, 1),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
@virtual
async def test_no_whole_answer_comes(fault: Fault, carried_out: int, server: RawServer) -> None:
    server.script("start", fault)
    async with Caller(server) as caller:
        with pytest.raises(aiohttp.ClientError):
            await caller.start()
        await caller.start()
    assert len(server.own_sessions()) == carried_out + 1
    assert server.seen("start")[0].answered_at is None


@virtual
async def test_a_hanging_answer_never_comes_though_the_start_is_carried_out(server: RawServer) -> None:
    server.script("start", hang_after_effect)
    async with Caller(server) as caller:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await caller.start()
    assert len(server.own_sessions()) == 1


@virtual
async def test_a_late_effect_comes_after_the_client_has_left(server: RawServer) -> None:
    server.script("start", late_effect(20))
    async with Caller(server) as caller:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await caller.start()
    assert server.own_sessions() == []
    await asyncio.sleep(20)
    assert len(server.own_sessions()) == 1


@virtual
async def test_failures_are_worded_by_the_service_or_by_a_gateway(server: RawServer) -> None:
    server.script("start", unavailable_after_effect(3), too_many(2), forbidden)
    server.script("active", service_404, gateway_404)
    async with Caller(server) as caller:
        status, body = await caller.ask("POST", "start", json=START)
        assert (status, body, caller.headers["Retry-After"]) == (503, {"message": body["message"]}, "3")
        status, body = await caller.ask("POST", "start", json=START)
        assert (status, body["status"], body["requestId"]) == (429, "FAILED", SESSION)
        assert (await caller.ask("POST", "start", json=START))[0] == 403
        status, body = await caller.ask("GET", "active", params={"emaId": CARD})
        assert (status, body["errors"][0]["code"]) == (404, "E0038")
        status, body = await caller.ask("GET", "active", params={"emaId": CARD})
        assert status == 404
        assert "errors" not in body
    assert len(server.own_sessions()) == 1


@virtual
async def test_bytes_after_an_answer_stay_on_the_connection(server: RawServer) -> None:
    server.script("active", extra_data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /ev/v2/charge-session/active?emaId=x HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(1)
    received = await reader.read(65536)
    writer.close()
    assert received.count(b"HTTP/1.1 200 OK") == 2


@virtual
async def test_foreign_sessions_and_listings_are_as_scripted(server: RawServer) -> None:
    server.foreign(CARD, EVSE, began=-30, copies=2, id="dup")
    server.foreign(CARD, EVSE, began=-90, ended=-80, id="over")
    server.foreign(CARD, EVSE, shown_from=now() + 50, id="late")
    server.foreign(CARD, EVSE, without=frozenset({"startedAt"}), id="timeless")
    server.listing_delay = 10
    async with Caller(server) as caller:
        await caller.start()
        shown = await caller.active()
        assert [session["id"] for session in shown] == ["dup", "dup", "over", "timeless"]
        assert shown[2]["SessionState"] == {"status": "stopped"}
        assert "startedAt" not in shown[3]
        await asyncio.sleep(60)
        assert len(await caller.active()) == 6
    assert len(server.running()) == 1
    assert len(server.running(own=False)) == 4


@virtual
async def test_clocks_can_be_off(server: RawServer) -> None:
    server.date_offset, server.service_offset = -120, 3600
    async with Caller(server) as caller:
        await caller.start()
        (shown,) = await caller.active()
        assert shown["startedAt"].startswith("2023-11-14T23:")
        assert caller.headers["Date"] == "Tue, 14 Nov 2023 22:28:00 GMT"
        server.script("active", date(None), date("yesterday"))
        await caller.active()
        assert "Date" not in caller.headers
        await caller.active()
        assert caller.headers["Date"] == "yesterday"


@pytest.mark.parametrize("form", ODD_IDS)
@virtual
async def test_odd_ids_are_found_again(form: str, server: RawServer) -> None:
    server.new_session = lambda _: {"id": ODD_IDS[form]()}
    async with Caller(server) as caller:
        session_id = str(await caller.start())
        encoded = quote(session_id, safe="")
        url = aiohttp.client.URL(f"{server.url}/ev/v2/charge-session/retrieve?sessionId={encoded}", encoded=True)
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            assert answer.status == 200
        async with aiohttp.ClientSession() as http:
            url = aiohttp.client.URL(
                f"{server.url}/ev/v1/charge-session/retrieve/{encoded}?SessionId={encoded}", encoded=True
            )
            async with http.get(url) as answer:
                body = await answer.json()
    assert (body["Status"], body["Data"][0]["SessionState"]) == ("SUCCESS", "start-requested")


@virtual
async def test_v1_pascal_is_spoken(server: RawServer) -> None:
    async with aiohttp.ClientSession(base_url=server.url) as http:
        body = {"EvChargeNumber": CARD, "EvseId": EVSE}
        async with http.post("/ev/v1/charge-session/start", json=body, headers={"RequestId": str(uuid4())}) as answer:
            started = await answer.json()
        async with http.get("/ev/v1/charge-session/active", params={"EmaId": CARD}) as answer:
            listed = await answer.json()
    assert listed["Data"][0]["Id"] == started["Data"][0]["SessionId"]
    assert listed["Data"][0]["SessionState"] == "start-requested"


@virtual
async def test_the_records_name_the_client_of_each_token(server: RawServer) -> None:
    async with aiohttp.ClientSession(base_url=server.url) as http:
        async with http.post(
            "/v2/oauth/token", headers={"Authorization": "Basic b25lOnM="}, data={"grant_type": "x"}
        ) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "RequestId": SESSION}
        async with http.post("/ev/v2/charge-session/start", json=START, headers=headers):
            pass
    assert [session.client for session in server.sessions] == ["one"]


def test_a_misspelled_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="activ'"):
        RawServer().script("activ", gateway_404)
