"""The generations of the official SDKs: what each of them sends and reads that no page of the service mentions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shell_ev import AsyncShellEV, SessionState
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_STOP_EVSE, Dialect, Sandbox, SandboxReply, Service

LOCATIONS = "/locations/v1/ev"


def load(reply: SandboxReply) -> Any:
    return json.loads(reply.body)


def test_retrieve_of_g1_0_writes_the_state_where_its_sdks_read_it(caller: Any) -> None:
    session_id = caller.start(Dialect.V1_PASCAL)
    (item,) = load(caller.ask(caller.retrieve_call(Dialect.V1_PASCAL, session_id)))["Data"]
    assert item["SessionState"] == "start-requested"
    assert "Sessionstate" not in item


def test_retrieve_of_g1_0_writes_the_state_as_its_page_does_on_demand(caller: Any, service: Service) -> None:
    service.retrieve_state_key = "Sessionstate"
    session_id = caller.start(Dialect.V1_PASCAL)
    (item,) = load(caller.ask(caller.retrieve_call(Dialect.V1_PASCAL, session_id)))["Data"]
    assert item["Sessionstate"] == "start-requested"
    assert "SessionState" not in item
    (item,) = load(caller.ask(caller.active_call(Dialect.V1_PASCAL)))["Data"]
    assert item["SessionState"] == "start-requested"


def test_an_unknown_key_for_the_state_is_refused() -> None:
    with pytest.raises(ValueError, match="retrieve_state_key must be SessionState or Sessionstate, not 'state'"):
        Service(retrieve_state_key="state")


@pytest.mark.parametrize("key", ["SessionState", "Sessionstate"])
async def test_our_client_reads_the_state_under_both_keys(key: str) -> None:
    async with (
        Sandbox(stations=0, retrieve_state_key=key) as sandbox,
        AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version="v1-pascal") as ev,
    ):
        started = await ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
        found = await ev.charging.retrieve(started.data.session_id)
    assert found.data.state is SessionState.START_REQUESTED


@pytest.mark.parametrize("tail", ["", "/1", "/nearby", "/markers"])
def test_sdks_1_1_and_1_2_get_the_envelope_on_the_paths_of_g1_0(caller: Any, service: Service, tail: str) -> None:
    query = {"latitude": "52.4", "longitude": "4.9"} if tail == "/nearby" else {}
    if tail == "/markers":
        query = {"west": "-10", "south": "40", "east": "20", "north": "60", "zoom": "3"}
    bare = load(caller.get(LOCATIONS + tail, **query))
    service.sdk_1_1 = True
    wrapped = load(caller.get(LOCATIONS + tail, **query))
    assert set(wrapped) == {"requestId", "status", "data"}
    assert wrapped == load(caller.get("/ev/v1/locations" + tail, **query))
    first = wrapped["data"][0]
    assert first == (bare[0] if isinstance(bare, list) else bare)
    assert service.requests[-2].dialect is Dialect.V1


def test_sdks_1_1_and_1_2_get_the_errors_of_g1_3_on_the_paths_of_g1_0(caller: Any, service: Service) -> None:
    assert set(load(caller.get(LOCATIONS + "/99999"))) == {"code", "message"}
    service.sdk_1_1 = True
    assert set(load(caller.get(LOCATIONS + "/99999"))) == {"requestId", "status", "errors"}


def test_sdks_1_1_and_1_2_may_filter_by_country(caller: Any, service: Service) -> None:
    service.sdk_1_1 = True
    found = load(caller.get(LOCATIONS, **{"country[0]": "LUX"}))["data"]
    assert {item["address"]["country"] for item in found} == {"LUX"}


@pytest.mark.parametrize("dialect", Dialect)
def test_one_pair_of_double_quotes_around_the_request_id_is_taken_off(caller: Any, dialect: Dialect) -> None:
    reply = caller.ask(caller.start_call(dialect), RequestId=f'"{caller.request_id}"')
    assert reply.status == 202
    assert load(reply)["RequestId" if dialect is Dialect.V1_PASCAL else "requestId"] == caller.request_id


@pytest.mark.parametrize("header", ['""{}""', '"{}', '{}"', "'{}'", '"', '""'])
def test_other_quotes_around_the_request_id_are_refused(caller: Any, header: str) -> None:
    reply = caller.ask(caller.start_call(Dialect.V2), RequestId=header.format(caller.request_id))
    assert reply.status == 400
    assert "RequestId" in load(reply)["errors"][0]["description"]


def test_a_session_that_failed_to_stop_stays_active_and_holds_its_evse(caller: Any, clock: Any) -> None:
    session_id = caller.start(evse_id=FAILING_STOP_EVSE)
    clock.advance(20)
    caller.stop(session_id)
    clock.advance(10)
    assert caller.state(session_id) == "failed-to-stop"
    assert caller.active() == [session_id]
    second = caller.start(evse_id=FAILING_STOP_EVSE)
    clock.advance(20)
    assert caller.session(second)["sessionState"]["error"]["code"] == "EvseInUse"


def test_the_404_of_a_start_reads_as_the_page_of_its_generation(caller: Any) -> None:
    texts = {}
    for dialect in Dialect:
        reply = caller.ask(caller.start_call(dialect, evse_id="NL*TNM*E99999999*9"))
        assert reply.status == 404
        (error,) = load(reply)["Errors" if dialect is Dialect.V1_PASCAL else "errors"]
        texts[dialect] = error["Detail" if dialect is Dialect.V1_PASCAL else "description"]
    assert texts == {
        Dialect.V1_PASCAL: "Invalid charge token with given EmaId was not found.",
        Dialect.V1: "Location Not Found",
        Dialect.V2: "Location Not Found",
    }


def test_both_token_urls_serve_every_generation(caller: Any, service: Service) -> None:
    form = b"grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    from shell_ev.sandbox import SandboxRequest

    for path in ("/v1/oauth/token", "/v2/oauth/token"):
        assert service.handle(SandboxRequest("POST", path, (), headers, form)).status == 200
