"""``find``: one location by one of its ids, with tariffs by a second request, and no guess between several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from location_servers import AnswerServer, asked, saying

from shell_ev import AsyncShellEV, EvseId, ShellEV, StaticToken, ValidationError
from shell_ev.sandbox import Fault, Sandbox

Connect = Callable[..., AsyncShellEV]
EVSE = "NL*TNM*E02003451*0"
VERSIONS = ["v1-pascal", "v1", "v2"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_location_is_found_by_each_of_its_ids(sandbox: Sandbox, connect: Connect, version: str) -> None:
    ev = connect(version)
    one = await ev.locations.find(evse_id=EVSE)
    assert one is not None
    assert one.evse(EVSE) is not None
    assert one.external_id
    evse_external_id = one.evses[0].external_id
    assert await ev.locations.find(external_id=one.external_id) == one
    assert await ev.locations.find(evse_external_id=evse_external_id) == one
    assert await ev.locations.find(evse_id=EvseId.parse(EVSE)) == one
    assert len(asked(sandbox)) == 4


@pytest.mark.parametrize("version", VERSIONS)
async def test_no_location_is_none(sandbox: Sandbox, connect: Connect, version: str) -> None:
    assert await connect(version).locations.find(evse_id="NL*TNM*E99999999*9") is None
    assert await connect(version).locations.find(external_id="nowhere", timeout=5, max_retries=0) is None


async def test_with_a_provider_it_has_its_tariffs(sandbox: Sandbox, connect: Connect) -> None:
    ev = connect()
    plain = await ev.locations.find(evse_id=EVSE)
    priced = await ev.locations.find(evse_id=EVSE, provider_id="TNM")
    assert plain is not None
    assert priced is not None
    assert [c.tariffs for evse in plain.evses for c in evse.connectors] == [(), ()]
    assert all(c.tariffs for evse in priced.evses for c in evse.connectors)
    paths = [request.path for request in asked(sandbox)]
    assert paths == ["/ev/v2/locations", "/ev/v2/locations", f"/ev/v2/locations/{plain.uid}"]


async def test_a_location_that_is_removed_between_the_two_requests_is_none(sandbox: Sandbox, connect: Connect) -> None:
    sandbox.faults.add("locations.get", Fault.status(404))
    assert await connect().locations.find(evse_id=EVSE, provider_id="TNM") is None


def test_the_blocking_client_finds_too() -> None:
    with Sandbox(stations=0) as sandbox, ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
        found = ev.locations.find(evse_id=EVSE, provider_id="TNM")
        assert found is not None
        assert ev.locations.find(evse_id=f"{EVSE}9") is None


async def found_in(items: list[dict[str, Any]], **wanted: Any) -> Any:
    async with (
        AnswerServer(saying({"status": "SUCCESS", "data": items})) as server,
        AsyncShellEV(token_source=StaticToken("t"), base_url=server.url) as ev,
    ):
        found = await ev.locations.find(**wanted)
        return found and found.uid


async def test_several_locations_are_an_error_that_lists_them() -> None:
    items = [{"uid": "2", "externalId": "X"}, {"uid": "1", "externalId": "X"}, {"uid": "3", "externalId": "Y"}]
    with pytest.raises(ValidationError) as caught:
        await found_in(items, external_id="X")
    assert str(caught.value) == "locations.find: location_external_id: several locations have the id 'X': uids 1, 2"


async def test_the_same_location_twice_is_one() -> None:
    assert await found_in([{"uid": "1", "externalId": "X"}] * 2, external_id="X") == "1"


async def test_a_service_that_does_not_filter_finds_nothing_that_is_not_there() -> None:
    items = [{"uid": str(uid), "externalId": f"X{uid}"} for uid in range(5)]
    assert await found_in(items, external_id="X") is None
    assert await found_in(items, external_id="x3") == "3"
    assert await found_in(items, evse_id=EVSE) is None


@pytest.mark.parametrize(
    ("wanted", "count"), [({}, 0), ({"external_id": "a", "evse_id": EVSE}, 2), ({"provider_id": "TNM"}, 0)]
)
async def test_one_id_exactly_is_needed(sandbox: Sandbox, connect: Connect, wanted: Any, count: int) -> None:
    with pytest.raises(ValidationError) as caught:
        await connect().locations.find(**wanted)
    assert caught.value.faults == (f"exactly one of external_id, evse_id and evse_external_id is needed, not {count}",)
    assert asked(sandbox) == []


async def test_a_provider_in_v1_pascal_is_refused_before_anything_is_sent(sandbox: Sandbox, connect: Connect) -> None:
    with pytest.raises(ValidationError, match="provider_id does not exist in v1-pascal"):
        await connect("v1-pascal").locations.find(evse_id=EVSE, provider_id="TNM")
    assert asked(sandbox) == []


async def test_an_option_that_does_not_exist_is_a_type_error_at_the_call(connect: Connect) -> None:
    with pytest.raises(TypeError, match="evse"):
        connect().locations.find(evse="x")  # type: ignore[call-arg]
