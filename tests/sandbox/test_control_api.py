"""The control API over a real socket: every route, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import pytest

from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_EVSES, Dialect, Sandbox

ROOT = "/_sandbox/v1"


@attrs.define
class Api:
    """Asks the control API of a sandbox."""

    url: str
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        sent = {} if body is None else {"json": body}
        async with self.http.request(method, self.url + ROOT + path, **sent, **options) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text else None

    async def good(self, method: str, path: str, body: Any = None) -> Any:
        status, document = await self.ask(method, path, body)
        assert status in (200, 204), document
        return document

    async def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str, str]:
        status, document = await self.ask(method, path, body, **options)
        assert set(document) == {"error"}
        return status, document["error"]["code"], document["error"]["message"]


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        yield Api(sandbox.url, http)


async def start(wire: Any, caller: Any, evse_id: str = EXAMPLE_EVSE) -> str:
    status, body, _ = await wire.ask(caller.start_call(Dialect.V2, EXAMPLE_CARD, evse_id))
    assert status == 202
    return str(json.loads(body)["data"][0]["sessionId"])


async def test_it_says_what_a_client_needs(api: Api, sandbox: Sandbox) -> None:
    about = await api.good("GET", "/")
    assert about["version"] == 1
    assert (about["url"], about["client_id"], about["client_secret"]) == (
        sandbox.url,
        sandbox.client_id,
        sandbox.client_secret,
    )
    assert "charging.start" in about["operations"]
    assert set(about["fault_kinds"]) >= {"drop", "reset", "truncate", "hang", "delay", "status", "garbage"}


class TestStations:
    async def test_stations_are_listed_with_their_evses(self, api: Api) -> None:
        found = await api.good("GET", "/stations")
        assert found["total"] == len(found["stations"]) == 14
        first = found["stations"][0]
        assert {"uid", "latitude", "longitude", "status", "evses", "city"} <= set(first)

    async def test_stations_are_found_by_a_word_and_paged(self, api: Api) -> None:
        found = await api.good("GET", "/stations?q=rotterdam")
        assert {station["city"] for station in found["stations"]} == {"Rotterdam"}
        found = await api.good("GET", "/stations?q=NL*TNM*E02003451*0")
        assert len(found["stations"]) == 1
        found = await api.good("GET", "/stations?offset=12&limit=5")
        assert (found["total"], len(found["stations"])) == (14, 2)

    async def test_one_station_is_shown_with_its_connectors(self, api: Api) -> None:
        station = await api.good("GET", "/stations/1")
        assert station["evses"][0]["connectors"][0]["max_power"] > 0

    async def test_a_status_that_is_set_shows_and_decides_starts(
        self, api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox
    ) -> None:
        answer = await api.good("PUT", f"/evses/{EXAMPLE_EVSE}/status", {"status": "Unavailable"})
        assert answer["status"] == "Unavailable"
        assert sandbox.evse_status(EXAMPLE_EVSE) == "Unavailable"
        _, body, _ = await wire.ask(type(caller.start_call(Dialect.V2))("GET", "/ev/v2/locations/1"))
        assert "Unavailable" in {evse["status"] for evse in json.loads(body)["data"][0]["evses"]}
        await start(wire, caller)
        clock.advance(20)
        assert sandbox.charges[0].error is not None
        assert sandbox.charges[0].error.code == "EvseOutOfService"
        await api.good("PUT", f"/evses/{EXAMPLE_EVSE}/status", {"status": None})
        await start(wire, caller)
        clock.advance(20)
        assert sandbox.charges[1].is_running
        assert (await api.good("GET", f"/evses/{EXAMPLE_EVSE}"))["charge"] == sandbox.charges[1].session_id

    async def test_an_evse_set_free_starts_although_the_seed_has_it_occupied(
        self, api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox
    ) -> None:
        occupied = "GB*SBG*E10000501*2"
        assert sandbox.evse_status(occupied) == "Occupied"
        await api.good("PUT", f"/evses/{occupied}/status", {"status": "Available"})
        await start(wire, caller, occupied)
        clock.advance(20)
        assert sandbox.charges[0].is_running

    async def test_a_failing_evse_fails_with_every_status(
        self, api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox
    ) -> None:
        evse_id = FAILING_EVSES["SessionInvalid"]
        await api.good("PUT", f"/evses/{evse_id}/status", {"status": "Available"})
        await start(wire, caller, evse_id)
        clock.advance(20)
        assert sandbox.charges[0].error is not None


class TestCharges:
    async def test_a_charge_is_listed_and_walks_through_its_states(
        self, api: Api, wire: Any, caller: Any, clock: Any
    ) -> None:
        session_id = await start(wire, caller)
        seen = [(await api.good("GET", f"/charges/{session_id}"))["state"]]
        clock.advance(20)
        seen.append((await api.good("GET", f"/charges/{session_id}"))["state"])
        await api.good("POST", f"/charges/{session_id}/end")
        listed = await api.good("GET", "/charges")
        seen.append(listed["charges"][0]["state"])
        assert seen == ["start-requested", "started", "stopped"]
        assert (await api.good("GET", "/charges?open=true"))["charges"] == []
        assert (await api.good("GET", "/charges?limit=0"))["charges"] == []

    async def test_a_charge_that_has_not_started_fails_to_start(
        self, api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox
    ) -> None:
        session_id = await start(wire, caller)
        clock.advance(5)
        failed = await api.good("POST", f"/charges/{session_id}/fail", {"code": "EvNotConnectedToEvse"})
        assert (failed["state"], failed["error"]["code"]) == ("failed-to-start", "EvNotConnectedToEvse")
        assert sandbox.service.book.on_evse(EXAMPLE_EVSE) is None

    async def test_a_charge_that_is_being_stopped_fails_to_stop(
        self, api: Api, wire: Any, caller: Any, clock: Any
    ) -> None:
        session_id = await start(wire, caller)
        clock.advance(25)
        await wire.ask(caller.stop_call(Dialect.V2, session_id))
        clock.advance(3)
        assert (await api.good("POST", f"/charges/{session_id}/fail"))["state"] == "failed-to-stop"

    async def test_a_charge_that_runs_fails_at_its_next_stop_alone(
        self, api: Api, wire: Any, caller: Any, clock: Any
    ) -> None:
        session_id = await start(wire, caller)
        clock.advance(20)
        answer = await api.good("POST", f"/charges/{session_id}/fail")
        assert (answer["state"], answer["next_stop_fails"]) == ("started", True)
        states = []
        for _ in range(2):
            await wire.ask(caller.stop_call(Dialect.V2, session_id))
            clock.advance(10)
            states.append((await api.good("GET", f"/charges/{session_id}"))["state"])
        assert states == ["failed-to-stop", "stopped"]

    async def test_a_charge_that_is_over_cannot_fail(self, api: Api, wire: Any, caller: Any, clock: Any) -> None:
        session_id = await start(wire, caller)
        await api.good("POST", f"/charges/{session_id}/end")
        status, code, message = await api.refused("POST", f"/charges/{session_id}/fail")
        assert (status, code) == (400, "bad-request")
        assert "is over: stopped" in message

    async def test_a_forgotten_charge_is_unknown_and_frees_its_evse(
        self, api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox
    ) -> None:
        session_id = await start(wire, caller)
        clock.advance(20)
        assert sandbox.evse_status(EXAMPLE_EVSE) == "Occupied"
        assert await api.good("DELETE", f"/charges/{session_id}") is None
        status, _, _ = await wire.ask(caller.retrieve_call(Dialect.V2, session_id))
        assert status == 404
        _, body, _ = await wire.ask(caller.active_call(Dialect.V2))
        assert json.loads(body)["data"] == []
        assert sandbox.evse_status(EXAMPLE_EVSE) == "Available"
        assert sandbox.charges == []

    async def test_stops_on_an_evse_are_made_to_fail(self, api: Api, wire: Any, caller: Any, clock: Any) -> None:
        await api.good("PUT", f"/evses/{EXAMPLE_EVSE}/failing-stops", {"times": 1})
        session_id = await start(wire, caller)
        clock.advance(20)
        await wire.ask(caller.stop_call(Dialect.V2, session_id))
        clock.advance(10)
        assert (await api.good("GET", f"/charges/{session_id}"))["state"] == "failed-to-stop"


class TestRequests:
    async def test_the_log_has_each_request_with_its_answer(self, api: Api, wire: Any, caller: Any) -> None:
        await start(wire, caller)
        log = await api.good("GET", "/requests")
        token, started = log["requests"]
        assert (token["number"], token["operation"], token["status"], token["dialect"]) == (1, "token", 200, None)
        assert (started["operation"], started["status"], started["dialect"]) == ("charging.start", 202, "v2")
        assert started["request_id"] == caller.request_id
        assert started["fault"] is None
        assert 0 <= started["duration"] < 5
        assert log["recorded"] == 2

    async def test_the_detail_has_both_bodies_and_no_secret(
        self, api: Api, wire: Any, caller: Any, sandbox: Sandbox
    ) -> None:
        await start(wire, caller)
        form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
        async with api.http.post(sandbox.url + "/v2/oauth/token", data=form) as reply:
            second = (await reply.json())["access_token"]
        details = [await api.good("GET", f"/requests/{number}") for number in (1, 2, 3)]
        text = json.dumps(details)
        assert EXAMPLE_EVSE in details[1]["body"]
        assert "sessionId" in details[1]["reply_body"]
        assert ["Authorization", "Bearer ***"] in details[1]["headers"]
        assert ["Authorization", "Basic ***"] in details[0]["headers"]
        assert "client_secret=***" in details[2]["body"]
        assert '"access_token": "***"' in details[2]["reply_body"]
        basic = aiohttp.encode_basic_auth(sandbox.client_id, sandbox.client_secret).split()[1]
        for secret in (wire.token, second, sandbox.client_secret, basic):
            assert secret not in text

    async def test_a_secret_in_a_query_or_a_stray_body_is_masked(self, api: Api, wire: Any, sandbox: Sandbox) -> None:
        await wire.fetch_token()
        url = f"{sandbox.url}/ev/v2/{wire.token}?key={wire.token}&other=%22{sandbox.client_secret}"
        async with api.http.post(url, data=b"<x>" + wire.token.encode()) as reply:
            assert reply.status == 404
        text = json.dumps(await api.good("GET", "/requests?detail=true"))
        assert wire.token not in text
        assert sandbox.client_secret not in text

    async def test_the_log_names_the_fault_and_the_lateness(
        self, api: Api, wire: Any, caller: Any, sandbox: Sandbox
    ) -> None:
        await wire.fetch_token()
        await api.good("POST", "/faults", {"operation": "charging.start", "fault": {"kind": "drop"}})
        with pytest.raises(aiohttp.ClientError):
            await start(wire, caller)
        request = (await api.good("GET", "/requests"))["requests"][-1]
        assert request["fault"] == {"kind": "drop", "after_effect": True}
        assert request["ending"] == "close"
        assert request["duration"] is None

    async def test_the_log_is_filtered(self, api: Api, wire: Any, caller: Any) -> None:
        await start(wire, caller)
        await wire.ask(caller.active_call(Dialect.V2))
        numbers = {}
        for query in ("operation=charging.start", "status=200", "after=2", "before=2", "limit=1"):
            found = (await api.good("GET", f"/requests?{query}"))["requests"]
            numbers[query] = [request["number"] for request in found]
        assert numbers == {
            "operation=charging.start": [2],
            "status=200": [1, 3],
            "after=2": [3],
            "before=2": [1],
            "limit=1": [3],
        }

    async def test_the_log_is_emptied_and_its_numbers_go_on(self, api: Api, wire: Any, caller: Any) -> None:
        await start(wire, caller)
        await api.good("DELETE", "/requests")
        await wire.ask(caller.active_call(Dialect.V2))
        assert [r["number"] for r in (await api.good("GET", "/requests"))["requests"]] == [3]
        assert (await api.refused("GET", "/requests/1"))[0] == 404


FAULTS: list[dict[str, Any]] = [
    {"kind": "drop", "after_effect": False},
    {"kind": "reset", "after_effect": True},
    {"kind": "truncate", "after_effect": True},
    {"kind": "hang", "after_effect": True},
    {"kind": "delay", "seconds": 2.5},
    {"kind": "status", "status": 503, "after_effect": True, "headers": {"Retry-After": "7"}},
    {"kind": "status", "status": 200, "after_effect": False, "content_type": "text/plain", "body": "hé"},
    {"kind": "garbage", "status": 200, "after_effect": True, "content_type": "text/html", "body_base64": "//4="},
    {"kind": "token_revoked"},
]


class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["kind"])
    async def test_a_fault_comes_back_as_it_was_laid(self, api: Api, fault: dict[str, Any]) -> None:
        body = {"operation": "charging.stop", "fault": fault, "times": 3, "after": 2}
        (waiting,) = (await api.good("POST", "/faults", body))["waiting"]
        expected = {"operation": "charging.stop", "faults": [fault], "times": 3, "after": 2, "probability": None}
        assert waiting == expected

    async def test_the_short_names_stand_for_their_status(self, api: Api) -> None:
        for fault in ({"kind": "rate_limit", "retry_after": 3}, {"kind": "unavailable"}):
            await api.good("POST", "/faults", {"operation": "*", "fault": fault})
        waiting = (await api.good("GET", "/faults"))["waiting"]
        assert [entry["faults"][0]["status"] for entry in waiting] == [429, 503]
        assert waiting[0]["faults"][0]["headers"] == {"Retry-After": "3"}

    async def test_standing_faults_and_chaos_are_listed_and_cleared(self, api: Api) -> None:
        await api.good("POST", "/faults", {"operation": "token", "fault": {"kind": "drop"}, "always": True})
        await api.good("POST", "/faults", {"operation": "charging.stop", "fault": {"kind": "drop"}})
        chaos = {"seed": 1, "probability": 0.5, "faults": [{"kind": "hang"}], "operations": ["charging.start"]}
        waiting = (await api.good("POST", "/faults/chaos", chaos))["waiting"]
        shown = [(entry["operation"], entry["times"], entry["probability"]) for entry in waiting]
        assert shown == [("charging.stop", 1, None), ("token", None, None), ("charging.start", None, 0.5)]
        left = (await api.good("DELETE", "/faults?operation=token"))["waiting"]
        assert len(left) == 2
        assert (await api.good("DELETE", "/faults"))["waiting"] == []

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ({"operation": "charging.start"}, "fault is missing"),
            ({"operation": "charging.begin", "fault": {"kind": "drop"}}, "unknown operation 'charging.begin'"),
            ({"operation": "*", "fault": {"kind": "explode"}}, "unknown kind of fault 'explode'"),
            ({"operation": "*", "fault": {"kind": "drop", "seconds": 1}}, "the fault drop has no seconds"),
            ({"operation": "*", "fault": "drop"}, "fault must be an object"),
            ({"operation": "*", "fault": {"kind": "delay", "seconds": -1}}, "seconds must be a number of at least 0"),
            ({"operation": "*", "fault": {"kind": "status", "status": 99}}, "status must be a whole number from 200"),
            (
                {"operation": "*", "fault": {"kind": "status", "headers": {"a": "b\r\nc: d"}}},
                "a must be one line of text",
            ),
            ({"operation": "*", "fault": {"kind": "drop", "after_effect": 1}}, "after_effect must be true or false"),
            ({"operation": "*", "fault": {"kind": "garbage", "body_base64": "%"}}, "body_base64 must be base64"),
            ({"operation": "*", "fault": {"kind": "drop"}, "times": 0}, "times must be a whole number of at least 1"),
            ({"operation": "*", "fault": {"kind": "drop"}, "tomes": 2}, "unknown keys tomes"),
        ],
    )
    async def test_a_fault_that_makes_no_sense_is_refused(
        self, api: Api, sandbox: Sandbox, body: dict[str, Any], says: str
    ) -> None:
        status, code, message = await api.refused("POST", "/faults", body)
        assert (status, code) == (400, "bad-request")
        assert says in message
        assert sandbox.faults.waiting() == ()


class TestClockTokensSettings:
    async def test_the_clock_is_set_paused_and_stepped(self) -> None:
        async with Sandbox(stations=0) as sandbox, aiohttp.ClientSession() as http:
            api = Api(sandbox.url, http)
            clock = await api.good("PATCH", "/clock", {"paused": True, "speed": 10})
            assert (clock["paused"], clock["speed"]) == (True, 10)
            stepped = await api.good("POST", "/clock/step", {"seconds": 90})
            assert stepped["now"] - clock["now"] == pytest.approx(90)
            assert sandbox.now() == stepped["now"]
            assert (await api.good("PATCH", "/clock", {"paused": False}))["paused"] is False

    async def test_a_clock_that_was_given_stays_with_its_owner(self, api: Api) -> None:
        for method, path, body in (("PATCH", "/clock", {"paused": True}), ("POST", "/clock/step", {"seconds": 1})):
            status, code, message = await api.refused(method, path, body)
            assert (status, code) == (409, "not-possible")
            assert "move that clock" in message

    @pytest.mark.parametrize("body", [{"speed": 0}, {"speed": "fast"}, {"speed": True}, {"paused": 1}, {"tempo": 1}])
    async def test_a_clock_setting_that_makes_no_sense_is_refused(self, body: Any) -> None:
        async with Sandbox(stations=0) as sandbox, aiohttp.ClientSession() as http:
            assert (await Api(sandbox.url, http).refused("PATCH", "/clock", body))[0] == 400
            assert sandbox.clock.speed == 60

    async def test_tokens_are_counted_and_revoked(self, api: Api, wire: Any, caller: Any) -> None:
        await wire.fetch_token()
        assert await api.good("GET", "/tokens") == {"issued": 1, "live": 1}
        assert await api.good("DELETE", "/tokens") == {"issued": 1, "live": 0}
        status, _, _ = await wire.ask(caller.active_call(Dialect.V2))
        assert status == 401

    async def test_settings_are_changed_together_or_not_at_all(self, api: Api, sandbox: Sandbox) -> None:
        changed = await api.good("PATCH", "/settings", {"start_delay": 3, "sdk_1_1": True})
        assert (changed["start_delay"], changed["sdk_1_1"]) == (3, True)
        for body in ({"start_delay": 7, "stop_delay": -1}, {"start_delay": 7, "color": 1}, {"sdk_1_1": "yes"}):
            assert (await api.refused("PATCH", "/settings", body))[0] == 400
        assert (await api.refused("PATCH", "/settings", {"stop_delay": 1, "retrieve_state_key": "x"}))[0] == 400
        assert (sandbox.start_delay, sandbox.stop_delay) == (3, 10)


async def test_a_reset_brings_back_the_seed(api: Api, wire: Any, caller: Any, clock: Any, sandbox: Sandbox) -> None:
    first = await start(wire, caller)
    first_token = wire.token
    await api.good("PUT", f"/evses/{EXAMPLE_EVSE}/status", {"status": "Unknown"})
    await api.good("POST", "/faults", {"operation": "*", "fault": {"kind": "drop"}})
    await api.good("PATCH", "/settings", {"start_delay": 1, "sdk_1_1": True, "retrieve_state_key": "Sessionstate"})
    await api.good("POST", "/reset")
    assert (sandbox.charges, list(sandbox.requests), sandbox.faults.waiting()) == ([], [], ())
    assert (sandbox.start_delay, sandbox.sdk_1_1, sandbox.retrieve_state_key) == (20, False, "SessionState")
    assert sandbox.evse_status(EXAMPLE_EVSE) == "Available"
    status, _, _ = await wire.ask(caller.active_call(Dialect.V2))
    assert status == 401
    assert await wire.fetch_token() == first_token
    assert await start(wire, caller) == first


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nothing", 404),
            ("POST", "/stations", 405),
            ("GET", "/stations/999999", 404),
            ("GET", "/stations/x", 404),
            ("GET", "/evses/NL*X", 404),
            ("PUT", "/evses/NL*X/status", 404),
            ("POST", "/charges/x/end", 404),
            ("DELETE", "/charges/x", 404),
            ("GET", "/requests/77", 404),
            ("GET", "/requests?limit=many", 400),
            ("GET", "/stations?offset=-1", 400),
            ("DELETE", "/faults?operation=x", 400),
            ("POST", "/events", 405),
            ("GET", "/session", 405),
        ],
    )
    async def test_what_is_not_there_is_said(self, api: Api, method: str, path: str, status: int) -> None:
        found, _, message = await api.refused(method, path, {"status": "Occupied"} if method == "PUT" else None)
        assert found == status
        assert message.endswith(".")

    @pytest.mark.parametrize("status", ["Busy", 3, ["Occupied"], {}])
    async def test_a_status_that_does_not_exist_is_refused(self, api: Api, status: Any) -> None:
        found = await api.refused("PUT", f"/evses/{EXAMPLE_EVSE}/status", {"status": status})
        assert found[:2] == (400, "bad-request")

    @pytest.mark.parametrize("body", [b"{", b"[]", b"NaN", b'{"speed": Infinity}', b"\xff\xfe", b"[" * 100_000])
    async def test_a_body_that_is_no_json_object_is_refused(self, api: Api, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        status, code, _ = await api.refused("PATCH", "/clock", data=body, headers=headers)
        assert (status, code) == (400, "bad-request")

    async def test_an_unknown_path_under_the_folder_is_refused(self, api: Api) -> None:
        async with api.http.get(api.url + "/_sandbox/v2/charges") as reply:
            assert reply.status == 404
            assert "/_sandbox/v1" in await reply.text()

    async def test_the_control_api_leaves_no_trace_in_the_log(self, api: Api, sandbox: Sandbox) -> None:
        await api.good("GET", "/stations")
        assert list(sandbox.requests) == []


async def events(reply: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in reply.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


class TestEvents:
    async def test_a_charge_is_followed_from_start_to_stop(self, api: Api, wire: Any, caller: Any, clock: Any) -> None:
        async with api.http.get(api.url + ROOT + "/events") as reply:
            assert reply.headers["Content-Type"] == "text/event-stream"
            stream = events(reply)
            assert await anext(stream) == {}  # hello
            session_id = await start(wire, caller)
            seen = [await self.charge(stream)]
            clock.advance(20)
            seen.append(await self.charge(stream))
            await wire.ask(caller.stop_call(Dialect.V2, session_id))
            seen.append(await self.charge(stream))
            clock.advance(10)
            seen.append(await self.charge(stream))
        assert [state for state, _ in seen] == ["start-requested", "started", "stop-requested", "stopped"]
        assert [evse for _, evse in seen] == ["Available", "Occupied", "Occupied", "Available"]

    async def charge(self, stream: AsyncIterator[dict[str, Any]]) -> tuple[str, str]:
        async for document in stream:
            if "charges" in document:
                return document["charges"][0]["state"], document["evses"][0]["status"]
        raise AssertionError("the stream ended")

    async def test_everything_that_changes_is_sent(self, api: Api, wire: Any, caller: Any, sandbox: Sandbox) -> None:
        async with api.http.get(api.url + ROOT + "/events") as reply:
            stream = events(reply)
            await anext(stream)
            session_id = await start(wire, caller)
            sandbox.faults.add("*", sandbox_fault())
            sandbox.revoke_tokens()
            sandbox.start_delay = 4
            sandbox.set_evse_status("NL*TNM*E02003453*1", "Occupied")
            sandbox.forget_charge(session_id)
            merged: dict[str, Any] = {}
            while not {"faults", "tokens", "settings", "evses", "charges_forgotten", "requests"} <= set(merged):
                merged |= await anext(stream)
            sandbox.clear_requests()
            while "requests_cleared" not in merged:
                merged |= await anext(stream)
            sandbox.reset()
            while "reload" not in merged:
                merged |= await anext(stream)
        assert merged["charges_forgotten"] == [session_id]
        assert merged["settings"]["start_delay"] == 4
        assert merged["faults"][0]["faults"] == [{"kind": "drop", "after_effect": True}]

    async def test_a_reader_that_has_missed_too_much_is_asked_to_reload(self, sandbox: Sandbox) -> None:
        reader = sandbox._control_app._control.reader()
        assert reader.take() is None
        for _ in range(3_000):
            sandbox.service.journal.note("evse", EXAMPLE_EVSE)
        taken = reader.take()
        assert taken is not None
        assert taken["reload"] is True
        assert reader.take() is None

    async def test_many_requests_between_two_looks_are_counted_and_the_last_are_shown(
        self, sandbox: Sandbox, wire: Any, caller: Any
    ) -> None:
        await wire.fetch_token()
        reader = sandbox._control_app._control.reader()
        for _ in range(80):
            await wire.ask(caller.active_call(Dialect.V2))
        taken = reader.take()
        assert taken is not None
        assert (len(taken["requests"]), taken["requests_missed"]) == (50, 30)
        assert taken["requests"][-1]["number"] == 81

    async def test_many_charges_follow_over_several_documents(self, sandbox: Sandbox, clock: Any) -> None:
        for number in range(250):
            sandbox.service.book.start(f"card-{number}", f"NL*TNM*E{number:08d}*0", None, Dialect.V2, "x")
        service = sandbox.service
        service.locations.status = lambda evse_id: "Available"  # type: ignore[method-assign]
        reader = sandbox._control_app._control.reader()
        clock.advance(20)
        counts = []
        while (taken := reader.take()) is not None:
            counts.append(len(taken["charges"]))
        assert counts == [100, 100, 50]

    async def test_a_reader_that_leaves_frees_its_place(self, api: Api, sandbox: Sandbox) -> None:
        app = sandbox._control_app
        async with api.http.get(api.url + ROOT + "/events") as reply:
            await anext(events(reply))
            assert app._readers == 1
            reply.close()
        async with asyncio.timeout(10):
            while app._readers:
                await asyncio.sleep(0.01)

    async def test_readers_are_limited(self, api: Api, sandbox: Sandbox) -> None:
        sandbox._control_app._readers = 64
        assert (await api.refused("GET", "/events"))[:2] == (503, "too-many-readers")


def sandbox_fault() -> Any:
    from shell_ev.sandbox import Fault

    return Fault.drop()
