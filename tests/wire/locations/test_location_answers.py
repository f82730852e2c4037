"""What comes back from get, nearby and markers, against the sandbox in three dialects, and what is done with it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import geojson_pydantic
import pytest
from location_servers import asked, saying

from shell_ev import (
    ApiResponse,
    AsyncShellEV,
    BadRequestError,
    ConnectorType,
    Coordinates,
    EnvelopeStatus,
    EvseId,
    EvseStatus,
    FlatTariff,
    Location,
    MultiLocationMarker,
    NotFoundError,
    RequestFailedError,
    ResponseDecodeError,
    SessionState,
    ShellEV,
    SingleLocationMarker,
    UnknownLocationMarker,
    geojson,
)
from shell_ev.sandbox import EXAMPLE_EVSE, Sandbox
from shell_ev.sandbox.named import NAMED_STATIONS
from shell_ev.sandbox.stations import Station

Connect = Callable[..., AsyncShellEV]

VERSIONS = ["v1-pascal", "v1", "v2"]
RID = "123e4567-e89b-12d3-a456-426614174000"
CARD = "NL-TNM-C00122045-K"
AMSTERDAM = (52.3791, 4.9003)  # the first of the named stations
EUROPE = {"west": -6, "south": 43, "east": 15, "north": 57}


def same(location: Location, station: Station) -> bool:
    """Whether a location is that station of the sandbox, field by field where all dialects have it."""
    return (
        location.uid == str(station.number)
        and location.external_id == station.external_id
        and location.coordinates == Coordinates(latitude=station.latitude, longitude=station.longitude)
        and location.max_power_kw == station.max_power
        and [evse.evse_id for evse in location.evses] == [evse.evse_id for evse in station.evses]
        and all(type(evse.authorization_methods) is tuple for evse in location.evses)
        and location.address is not None
        and (location.address.city, location.address.country) == (station.city, station.country)
    )


# The shape of an answer


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_answer_has_the_same_shape(sandbox: Sandbox, connect: Connect, version: str) -> None:
    locations = connect(version).locations
    answers: list[ApiResponse[Any]] = [
        await locations.list(per_page=3, request_id=RID),
        await locations.get("1", request_id=RID),
        await locations.nearby(*AMSTERDAM, request_id=RID),
        await locations.markers(**EUROPE, zoom=5, request_id=RID),
    ]
    for answer, request in zip(answers, asked(sandbox), strict=True):
        assert (answer.request_id, request.headers["RequestId"]) == (RID, RID)
        assert (answer.status_code, answer.attempts, answer.problems) == (200, 1, ())
        # The one difference: G1.0 has no envelope, and so no verdict in it.
        assert answer.status == (None if version == "v1-pascal" else EnvelopeStatus.SUCCESS)
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body)
        assert 0 < answer.elapsed < 10
    listed, single, near, markers = (answer.data for answer in answers)
    assert [type(data) for data in (listed, single, near, markers)] == [tuple, Location, tuple, tuple]
    assert {type(location) for location in (*listed, *near)} == {Location}
    assert len(near) == (1 if version == "v1-pascal" else 25)
    bare = json.loads(answers[0].body)
    assert isinstance(bare, list if version == "v1-pascal" else dict)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", ["list", "get", "nearby", "markers"])
async def test_a_failed_envelope_is_an_error(serve: Any, version: str, operation: str) -> None:
    errors = [{"code": "E0001", "message": "words", "description": "more", "details": ["a", "b"]}]
    _, client = await serve(saying({"requestId": RID, "status": "FAILED", "errors": errors}), version)
    arguments: dict[str, Any] = {
        "get": {"uid": "1"},
        "nearby": {"latitude": 0, "longitude": 0},
        "markers": {**EUROPE, "zoom": 5},
    }.get(operation, {})
    with pytest.raises(RequestFailedError) as caught:
        await getattr(client.locations, operation)(**arguments)
    error = caught.value
    assert (error.status_code, error.code, error.message, error.request_id) == (200, "E0001", "words", RID)
    assert error.operation == f"locations.{operation}"
    assert not error.outcome_unknown


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_answer_without_a_location_is_a_decode_error(serve: Any, version: str) -> None:
    for document in ([], {"status": "SUCCESS", "data": []}, {"status": "SUCCESS"}, [7], b"<html>", b""):
        _, client = await serve(saying(document), version)
        with pytest.raises(ResponseDecodeError) as caught:
            await client.locations.get("1")
        assert caught.value.problems
        assert not caught.value.outcome_unknown


async def test_bad_items_are_problems_and_cost_only_themselves(serve: Any) -> None:
    items = [{"uid": "1"}, None, {"uid": "2", "coordinates": {"latitude": "north", "longitude": 4}}]
    _, client = await serve(saying({"status": "SUCCESS", "data": items}))
    answer = await client.locations.list()
    assert answer.data == (Location(uid="1"), Location(uid="2", coordinates=Coordinates(longitude=4.0)))
    paths = [problem.partition(":")[0] for problem in answer.problems]
    assert paths == ["$.data[1]", "$.data[2].coordinates.latitude"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_of_the_service_has_its_class(sandbox: Sandbox, connect: Connect, version: str) -> None:
    client = connect(version)
    with pytest.raises(NotFoundError) as missing:
        await client.locations.get("999999")
    assert missing.value.message
    with pytest.raises(BadRequestError) as refused:
        await client.locations.list(updated_since="yesterday")
    assert "updatedSince" in str(refused.value.body)
    assert [request.status for request in asked(sandbox)] == [404, 400]


# get


@pytest.mark.parametrize("version", VERSIONS)
async def test_get_gives_one_location_with_its_tariffs(sandbox: Sandbox, connect: Connect, version: str) -> None:
    client = connect(version)
    for station in NAMED_STATIONS:
        location = (await client.locations.get(str(station.number))).data
        assert same(location, station)
        assert (await client.locations.get(location.uid or "")).data == location
    assert [request.path.rpartition("/")[2] for request in asked(sandbox)[::2]] == [str(n) for n in range(1, 15)]


@pytest.mark.parametrize("version", ["v1-pascal", "v1"])
async def test_flat_tariffs_have_their_prices(connect: Connect, version: str) -> None:
    locations = connect(version).locations
    priced = (await locations.get("1")).data.evses[0].connectors[0]
    assert priced.tariffs == ()
    assert priced.tariff == FlatTariff(
        start_fee=0.35,
        per_minute=0.0,
        per_kwh=0.39,
        currency="EUR",
        updated="06/19/2024 07:36:57",
        updated_by=priced.tariff.updated_by if priced.tariff else None,
        structure="Default",
    )
    assert priced.tariff.is_free is False
    free = (await locations.get("4")).data.evses[0].connectors[0].tariff
    assert free is not None
    assert (free.start_fee, free.per_minute, free.per_kwh, free.is_free) == (0.0, 0.0, 0.0, True)


async def test_element_tariffs_have_their_prices(connect: Connect) -> None:
    locations = connect().locations
    unpriced = (await locations.get("10")).data.evses[0].connectors[0]
    assert (unpriced.tariff, unpriced.tariffs) == (None, ())
    (tariff,) = (await locations.get("10", provider_id="NL*TNM")).data.evses[0].connectors[0].tariffs
    assert (tariff.provider_id, tariff.currency, tariff.is_free) == ("NL*TNM", "EUR", False)
    assert tariff.power_range is not None
    assert (tariff.power_range.min, tariff.power_range.max) == (0.0, 150.0)
    assert [[part.type for part in element.price_components] for element in tariff.elements] == [
        ["ENERGY"],
        ["TIME"],
        ["PARKING_TIME"],
    ]
    assert [element.restrictions is None for element in tariff.elements] == [True, False, False]
    assert tariff.elements[2].restrictions is not None
    assert tariff.elements[2].restrictions.min_power == 0.0
    assert tariff.start_date_time == datetime(2024, 1, 1, tzinfo=UTC)
    (free,) = (await locations.get("4", provider_id="NL*TNM")).data.evses[0].connectors[0].tariffs
    assert (free.min_price, free.elements[0].price_components[0].price, free.is_free) == (0.0, 0.0, True)
    with pytest.raises(ResponseDecodeError):
        await locations.get("1", since=datetime(2024, 6, 20, tzinfo=UTC))
    assert (await locations.get("1", since=datetime(2024, 6, 19, tzinfo=UTC))).data.uid == "1"


# nearby


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_nearby_is_nearest_first(sandbox: Sandbox, connect: Connect, version: str) -> None:
    client = connect(version)
    near = (await client.locations.nearby(*AMSTERDAM, limit=100)).data
    assert len(near) == 100
    assert near[0].uid == "1"
    distances = [location.distance_km(*AMSTERDAM) for location in near]
    assert None not in distances
    assert distances[0] == 0
    assert distances == sorted(distances, key=lambda km: km or 0.0)
    everything = [location async for location in client.locations.iterate()]
    nearest = sorted(everything, key=lambda location: location.distance_km(*AMSTERDAM) or 0.0)
    assert [location.uid for location in near] == [location.uid for location in nearest[:100]]
    assert len((await client.locations.nearby(*AMSTERDAM)).data) == 25
    foreign = (await client.locations.nearby(*AMSTERDAM, country="GBR", operator_name="Sandbox Charge UK")).data
    assert {location.operator_name for location in foreign} == {"Sandbox Charge UK"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_nearest_available_evse_is_found(connect: Connect, version: str) -> None:
    """What a driver wants, end to end: the nearest place with a free fast plug, and start there."""
    client = connect(version)
    kind, power = ConnectorType.TYPE_2_COMBO, 150
    near = (
        await client.locations.nearby(
            *AMSTERDAM, evse_status=EvseStatus.AVAILABLE, connector_types=kind, connector_min_power=power
        )
    ).data
    # The filters hold per location, not per connector: what is asked for may be on different ones.
    location, evse = next(
        (location, evse) for location in near for evse in location.available_evses(kind, min_power_kw=power)
    )
    assert evse.status is EvseStatus.AVAILABLE
    assert (evse.max_power_kw or 0) >= power
    assert location.evse((evse.evse_id or "").replace("*", "").lower()) is evse
    assert location.evse(EvseId.parse(evse.evse_id or "")) is evse
    assert location.is_open(datetime(2024, 6, 19, 12, tzinfo=UTC)) in (True, False)
    distance = location.distance_km(*AMSTERDAM)
    assert distance is not None
    assert distance < 100
    assert (await client.charging.start(CARD, evse.evse_id or "")).data.session_id


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_location_is_open_day_and_night(connect: Connect, version: str) -> None:
    at = datetime(2024, 6, 19, 3, tzinfo=UTC)
    locations = connect(version).locations
    assert (await locations.get("1")).data.is_open(at) is True  # a flag in G2, hours for every day in G1
    assert (await locations.get("2")).data.is_open(at) is False
    assert (await locations.get("2")).data.is_open(at.replace(hour=12)) is True


# markers


@pytest.mark.parametrize("version", VERSIONS)
async def test_markers_are_single_or_multiple(sandbox: Sandbox, connect: Connect, version: str) -> None:
    locations = connect(version).locations
    stations = sandbox.service.locations.network.stations
    from_afar = (await locations.markers(**EUROPE, zoom=4, with_max_power=True)).data
    close_up = (await locations.markers(**EUROPE, zoom=20, with_max_power=True, with_operator_name=True)).data
    assert {type(marker) for marker in from_afar} >= {MultiLocationMarker}
    assert {type(marker) for marker in close_up} == {SingleLocationMarker}
    assert sum(marker.evse_count or 0 for marker in from_afar if not isinstance(marker, UnknownLocationMarker)) == sum(
        len(station.evses) for station in stations
    )
    by_uid = {marker.location_uid: marker for marker in close_up if isinstance(marker, SingleLocationMarker)}
    assert set(by_uid) == {str(station.number) for station in stations}
    first = by_uid["1"]
    assert first.coordinates == Coordinates(latitude=AMSTERDAM[0], longitude=AMSTERDAM[1])
    assert (first.status, first.evse_count, first.max_power) == (EvseStatus.AVAILABLE, 2, 11.0)
    assert first.operator_name == ("Sandbox Laadnet" if version == "v2" else None)
    assert (await locations.get(first.location_uid or "")).data.uid == "1"


# GeoJSON of what really came


@pytest.mark.parametrize("version", VERSIONS)
async def test_pages_of_the_sandbox_become_geojson(connect: Connect, version: str) -> None:
    locations = connect(version).locations
    page = (await locations.list(per_page=500)).data
    markers = (await locations.markers(**EUROPE, zoom=8, with_max_power=True)).data
    for items in (page, markers, (*page, *markers)):
        text = geojson.dumps(items)
        collection: Any = geojson_pydantic.FeatureCollection.model_validate_json(text)
        assert len(collection.features) == len(items)
        for item, feature in zip(items, collection.features, strict=True):
            assert not isinstance(item, UnknownLocationMarker)
            assert item.coordinates is not None
            assert tuple(feature.geometry.coordinates) == item.coordinates.lon_lat
        file = io.StringIO()
        assert geojson.write(items, file) == len(items)
        assert file.getvalue() == text == geojson.dumps(items)
    ids = [feature.get("id") for feature in geojson.feature_collection(page)["features"]]
    assert ids == [location.uid for location in page]
    pieces = [piece async for piece in geojson.astream(locations.iterate(per_page=100))]
    assert "".join(pieces) == geojson.dumps(page)
    assert len(pieces) == len(page) + 2


# EVSE status


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_status_follows_a_running_charge(
    sandbox: Sandbox, clock: Any, connect: Connect, version: str
) -> None:
    client = connect(version)
    box = {"west": 4.8999, "south": 52.3790, "east": 4.9007, "north": 52.3792, "zoom": 17}

    async def statuses() -> set[EvseStatus | None]:
        single = (await client.locations.get("1")).data
        (listed,) = (await client.locations.list(evse_id=EXAMPLE_EVSE)).data
        near = (await client.locations.nearby(*AMSTERDAM, limit=1)).data[0]
        assert single == listed == near
        found = single.evse(EXAMPLE_EVSE)
        assert found is not None
        assert (found in single.available_evses()) is (found.status == EvseStatus.AVAILABLE)
        return {found.status}

    async def on_the_map() -> EvseStatus | None:
        (marker,) = (await client.locations.markers(**box)).data
        assert isinstance(marker, SingleLocationMarker)
        return marker.status

    assert await statuses() == {EvseStatus.AVAILABLE}
    before = (await client.locations.get("1")).data.updated
    session_id = (await client.charging.start(CARD, EXAMPLE_EVSE)).data.session_id
    assert await statuses() == {EvseStatus.AVAILABLE}  # accepted is not charging
    clock.advance(20)
    assert (await client.charging.retrieve(session_id)).data.state is SessionState.STARTED
    assert await statuses() == {EvseStatus.OCCUPIED}
    assert (await client.locations.get("1")).data.updated != before
    assert await on_the_map() == EvseStatus.AVAILABLE  # its neighbour is free
    neighbour = (await client.charging.start("NL-TNM-C00122046-X", "NL*TNM*E02003451*1")).data.session_id
    clock.advance(20)
    assert await on_the_map() == EvseStatus.OCCUPIED
    assert (await client.locations.get("1")).data.available_evses() == ()
    for session in (session_id, neighbour):
        await client.charging.stop(session)
    clock.advance(10)
    assert (await client.charging.retrieve(session_id)).data.state is SessionState.STOPPED
    assert await statuses() == {EvseStatus.AVAILABLE}
    assert await on_the_map() == EvseStatus.AVAILABLE
    if version != "v1-pascal":
        since = datetime.fromtimestamp(clock.at, UTC)
        changed = (await client.locations.list(updated_since=since, country="NLD")).data
        assert [location.uid for location in changed] == ["1"]


# Without await


@pytest.mark.parametrize("version", VERSIONS)
def test_every_location_operation_works_blocking(version: str) -> None:
    with (
        Sandbox(stations=100) as sandbox,
        ShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, api_version=version) as ev,
    ):
        assert len(ev.locations.list(per_page=7).data) == 7
        assert ev.locations.get("1").data.uid == "1"
        assert ev.locations.nearby(*AMSTERDAM, limit=3).data[0].uid == "1"
        assert ev.locations.markers(**EUROPE, zoom=20).data
        text = geojson.dumps(ev.locations.iterate(per_page=50))
        assert len(json.loads(text)["features"]) == 114
        with pytest.raises(NotFoundError):
            ev.locations.get("nowhere")
