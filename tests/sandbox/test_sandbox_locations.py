"""The four location operations in the three dialects: fields, filters, paging, distance, markers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE, SESSION_MESSAGES, Dialect, Service
from shell_ev.sandbox.location_wire import geohash
from shell_ev.sandbox.named import NAMED_STATIONS
from shell_ev.sandbox.network import load_network

PASCAL, V1, V2 = Dialect.V1_PASCAL, Dialect.V1, Dialect.V2
G1X = [PASCAL, V1]
ROOTS = {PASCAL: "/locations/v1/ev", V1: "/ev/v1/locations", V2: "/ev/v2/locations"}
NETHERLANDS = {"west": "3.3", "east": "7.2", "south": "50.7", "north": "53.6"}

FIELDS = {"uid", "externalId", "coordinates", "operatorName", "address", "accessibility", "evses", "openingHours",
          "updated", "locationType"}  # fmt: skip
EVSE_FIELDS = {"uid", "externalId", "evseId", "status", "connectors", "authorizationMethods", "updated",
               "physicalReference"}  # fmt: skip
CONNECTOR_FIELDS = {"uid", "externalId", "connectorType", "electricalProperties"}
TARIFF_FIELDS = {"tariffId", "tariffType", "powerRange", "internalId", "operatorId", "providerId", "currency",
                 "tariffAltText", "minPrice", "maxPrice", "elements", "startDateTime", "endDateTime", "lastUpdated",
                 "createdBy"}  # fmt: skip


def evse_ids(stations: Any) -> list[str]:
    return [evse["evseId"] for station in stations for evse in station["evses"]]


def test_the_named_stations() -> None:
    evses = [evse for station in NAMED_STATIONS for evse in station.evses]
    assert len(NAMED_STATIONS) >= 12
    assert len(evses) >= 30
    assert len({evse.evse_id for evse in evses}) == len(evses)
    by_id = {evse.evse_id: evse for evse in evses}
    assert by_id[EXAMPLE_EVSE].status == "Available"
    assert by_id[FAILING_STOP_EVSE].failure_code is None
    assert set(FAILING_EVSES) == set(SESSION_MESSAGES)
    assert {code: by_id[evse_id].failure_code for code, evse_id in FAILING_EVSES.items()} == {
        code: code for code in FAILING_EVSES
    }


def test_the_generated_network_is_sound_and_follows_from_its_seed() -> None:
    network = load_network(7, 1500)
    assert len(network.stations) == len(NAMED_STATIONS) + 1500
    assert network.stations == load_network.__wrapped__(7, 1500).stations
    assert network.stations != load_network(8, 1500).stations
    evses = [evse for station in network.stations for evse in station.evses]
    connectors = [connector for evse in evses for connector in evse.connectors]
    for ids in (
        [station.number for station in network.stations],
        [station.external_id for station in network.stations],
        [evse.number for evse in evses],
        [evse.evse_id for evse in evses],
        [connector.number for connector in connectors],
    ):
        assert len(set(ids)) == len(ids)
    assert all(18 <= len(evse.evse_id) <= 36 for evse in evses)
    assert {len(station.evses) for station in network.stations} == set(range(1, 9))
    assert {len(evse.connectors) for evse in evses} == {1, 2, 3}
    assert {station.country for station in network.stations} == {"NLD", "BEL", "LUX", "DEU", "FRA", "GBR"}
    assert any(connector.tariff.is_free for connector in connectors)
    assert {connector.power_type for connector in connectors} == {"AC1Phase", "AC3Phase", "DC"}
    for station in network.stations:
        assert 43 < station.latitude < 57
        assert -6 < station.longitude < 15


@pytest.mark.parametrize("dialect", G1X)
def test_fields_of_g1(caller: Any, dialect: Dialect) -> None:
    stations = caller.locations(dialect, perPage="500")
    assert len(stations) == 214
    for station in stations:
        assert FIELDS <= set(station) <= FIELDS | {"operatorComment"}
        assert isinstance(station["uid"], int)
        assert set(station["accessibility"]) <= {"status", "remark"}
        assert station["openingHours"]
        for evse in station["evses"]:
            assert set(evse) == EVSE_FIELDS
            assert evse["authorizationMethods"] in ("NewMotionApp", "RFIDToken", "PnC")
            for connector in evse["connectors"]:
                assert set(connector) == CONNECTOR_FIELDS | {"fixedCable", "tariff", "updated", "updatedBy"}
                assert isinstance(connector["uid"], int)
                assert set(connector["tariff"]) == {"startFee", "perMinute", "perKWh", "currency", "updated",
                                                    "updatedBy", "structure"}  # fmt: skip


def test_fields_of_g2(caller: Any) -> None:
    for station in caller.locations(V2, perPage="500"):
        assert set(station) == FIELDS | {"operatorId", "openTwentyFourSeven"}
        assert isinstance(station["uid"], str)
        assert set(station["accessibility"]) == {"status"}
        assert station["openTwentyFourSeven"] is not bool(station["openingHours"])
        for evse in station["evses"]:
            assert set(evse) == EVSE_FIELDS
            assert isinstance(evse["authorizationMethods"], list)
            for connector in evse["connectors"]:
                assert set(connector) == CONNECTOR_FIELDS
                assert set(connector["electricalProperties"]) == {"powerType", "voltage", "amperage",
                                                                  "maxElectricPower"}  # fmt: skip


def test_envelopes(caller: Any) -> None:
    for tail, query in (("", {}), ("/1", {}), ("/nearby", {"latitude": "52", "longitude": "5"}),
                        ("/markers", {**NETHERLANDS, "zoom": "5"})):  # fmt: skip
        for dialect in (V1, V2):
            document = json.loads(caller.get(ROOTS[dialect] + tail, **query).body)
            assert set(document) == {"requestId", "status", "data"}
            assert (document["requestId"], document["status"]) == (caller.request_id, "SUCCESS")
            assert isinstance(document["data"], list)
        bare = json.loads(caller.get(ROOTS[PASCAL] + tail, **query).body)
        assert isinstance(bare, dict if tail in ("/1", "/nearby") else list)


def test_get_by_uid_and_its_tariffs(caller: Any) -> None:
    assert caller.locations(PASCAL, "/10")["uid"] == 10
    assert caller.locations(V1, "/10")[0]["uid"] == 10
    (plain,) = caller.locations(V2, "/10")
    assert set(plain["evses"][0]["connectors"][0]) == CONNECTOR_FIELDS
    (priced,) = caller.locations(V2, "/10", providerId="NL*TNM")
    tariff = priced["evses"][0]["connectors"][0]["tariffs"][0]
    assert set(tariff) == TARIFF_FIELDS
    assert tariff["providerId"] == "NL*TNM"
    assert tariff["powerRange"] == {"min": 0, "max": 150}
    kinds = [component["type"] for element in tariff["elements"] for component in element["priceComponents"]]
    assert kinds == ["ENERGY", "TIME", "PARKING_TIME"]
    (free,) = caller.locations(V2, "/4", providerId="NL*TNM")
    tariff = free["evses"][0]["connectors"][0]["tariffs"][0]
    assert (tariff["minPrice"], tariff["elements"][0]["priceComponents"][0]["price"]) == (0.0, 0.0)
    (fast,) = caller.locations(V2, "/3", providerId="NL*TNM")
    assert fast["evses"][0]["connectors"][0]["tariffs"][0]["tariffAltText"] is None


def test_both_generations_charge_the_same(caller: Any) -> None:
    """G1 by the minute, G2 by the hour, as OCPI counts time."""
    timed = 0
    for uid in [station["uid"] for station in caller.locations(V2, perPage="60")]:
        (old,), (new,) = caller.locations(V1, f"/{uid}"), caller.locations(V2, f"/{uid}", providerId="NL*TNM")
        for old_evse, new_evse in zip(old["evses"], new["evses"], strict=True):
            for flat, full in zip(old_evse["connectors"], new_evse["connectors"], strict=True):
                (tariff,) = full["tariffs"]
                prices = {
                    component["type"]: component["price"]
                    for element in tariff["elements"]
                    for component in element["priceComponents"]
                }
                assert prices["ENERGY"] == flat["tariff"]["perKWh"]
                assert prices.get("FLAT", 0) == flat["tariff"]["startFee"]
                assert prices.get("TIME", 0) == pytest.approx(flat["tariff"]["perMinute"] * 60)
                timed += "TIME" in prices
    assert timed


def test_get_since(caller: Any) -> None:
    assert len(caller.locations(V2, "/1", since="2024-06-19T00:00:00Z")) == 1
    assert caller.locations(V2, "/1", since="2024-06-20T00:00:00Z") == []
    assert caller.locations(PASCAL, "/1", since="2024-06-20T00:00:00Z")["uid"] == 1


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("uid", ["999999", "abc", "1.0", "-1", "%C2%B2", "..%2F1"])
def test_an_unknown_uid_is_404(caller: Any, dialect: Dialect, uid: str) -> None:
    reply = caller.get(f"{ROOTS[dialect]}/{uid}")
    document = json.loads(reply.body)
    assert reply.status == 404
    assert set(document) == ({"code", "message"} if dialect is PASCAL else {"requestId", "status", "errors"})


def test_pages_cover_the_network_once(caller: Any) -> None:
    uids = []
    for page in range(1, 9):
        items = caller.locations(V2, pageNumber=str(page), perPage="30")
        assert len(items) == (30 if page < 8 else 4)
        uids += [item["uid"] for item in items]
    assert len(set(uids)) == len(uids) == 214
    assert caller.locations(V2, pageNumber="9", perPage="30") == []


def test_filters(caller: Any) -> None:
    def found(**query: str) -> Any:
        return caller.locations(V2, perPage="500", **query)

    for status in ("Available", "Occupied", "Unavailable", "Unknown"):
        stations = found(evseStatus=status)
        assert stations
        assert all(status in [evse["status"] for evse in station["evses"]] for station in stations)
    for station in found(connectorTypes="TepcoCHAdeMO"):
        assert "TepcoCHAdeMO" in [
            connector["connectorType"] for evse in station["evses"] for connector in evse["connectors"]
        ]
    powers = [
        max(c["electricalProperties"]["maxElectricPower"] for evse in station["evses"] for c in evse["connectors"])
        for station in found(connectorMinPower="150")
    ]
    assert powers
    assert min(powers) >= 150
    assert all(
        any("PnC" in evse["authorizationMethods"] for evse in station["evses"])
        for station in found(authorizationMethods="PnC")
    )
    assert EXAMPLE_EVSE in evse_ids(found(evseId=EXAMPLE_EVSE))
    assert len(found(evseId=EXAMPLE_EVSE)) == 1
    assert found(evseId="NL*TNM*E99999999*9") == []
    assert [station["uid"] for station in found(locationExternalId="TNM-0000002")] == ["2"]
    assert [station["uid"] for station in found(evseExternalId="E02003452-3")] == ["2"]
    assert found(locationExternalId="TNM-0000002", evseId=EXAMPLE_EVSE) == []
    assert {station["uid"] for station in found(operatorName="nobody")} == {station["uid"] for station in found()}
    assert len(found(evseId="", connectorTypes="")) == 214
    assert "operatorName" not in found(withOperatorName="false")[0]


@pytest.mark.parametrize(
    "query",
    [
        (("country[0]", "NLD"), ("country[1]", "BEL")),
        (("country", "NLD"), ("country", "BEL")),
        (("country[]", "NLD"), ("country[]", "BEL")),
        (("excludeCountry[0]", "DEU"), ("excludeCountry[1]", "FRA"), ("excludeCountry[2]", "GBR"),
         ("excludeCountry[3]", "LUX")),
    ],
)  # fmt: skip
def test_countries(caller: Any, query: tuple[tuple[str, str], ...]) -> None:
    asked = type(caller.active_call(V2))
    reply = caller.ask(asked("GET", ROOTS[V2], (*query, ("perPage", "500"))))
    stations = json.loads(reply.body)["data"]
    assert {station["address"]["country"] for station in stations} == {"NLD", "BEL"}
    everywhere = json.loads(caller.ask(asked("GET", ROOTS[PASCAL], query)).body)
    assert len(everywhere) == 214


@pytest.mark.parametrize("moment", ["2025-01-01T00:00:00Z", "2025-01-01 00:00:00+00:00",
                                    "2025-01-01T01:00:00+01:00[Europe/Amsterdam]", "2025-01-01"])  # fmt: skip
def test_updated_since(caller: Any, clock: Any, moment: str) -> None:
    stations = caller.locations(V2, perPage="500", updatedSince=moment)
    assert 0 < len(stations) < 200
    assert min(station["updated"] for station in stations) >= "2025-01-01T00:00:00Z"
    clock.at = 1_735_689_700.0
    caller.headers["Authorization"] = f"Bearer {caller.fetch_token()}"
    caller.start()
    assert len(caller.locations(V2, perPage="500", updatedSince=moment)) == len(stations) + 1


BOUNDS = [
    ("", {"pageNumber": "0"}),
    ("", {"perPage": "0"}),
    ("", {"perPage": "501"}),
    ("", {"perPage": "2.5"}),
    ("/nearby", {"latitude": "90.1", "longitude": "5"}),
    ("/nearby", {"latitude": "52", "longitude": "-180.1"}),
    ("/nearby", {"latitude": "52", "longitude": "5", "limit": "101"}),
    ("/markers", {**NETHERLANDS, "west": "-181", "zoom": "5"}),
]
NONSENSE = [
    ("", {"perPage": "ten"}),
    ("", {"evseStatus": "available"}),
    ("", {"connectorTypes": "CCS"}),
    ("", {"authorizationMethods": "App"}),
    ("", {"withOperatorName": "True"}),
    ("", {"connectorMinPower": "nan"}),
    ("", {"updatedSince": "yesterday"}),
    ("/nearby", {"latitude": "52"}),
    ("/nearby", {"latitude": "north", "longitude": "5"}),
    ("/nearby", {"latitude": "inf", "longitude": "5"}),
    ("/markers", {**NETHERLANDS}),
    ("/markers", {**NETHERLANDS, "zoom": "city"}),
    ("/markers", {**NETHERLANDS, "south": "54", "zoom": "5"}),
]


@pytest.mark.parametrize(("tail", "query"), BOUNDS)
def test_numbers_out_of_bounds(caller: Any, tail: str, query: dict[str, str]) -> None:
    for dialect in (V1, V2):
        reply = caller.get(ROOTS[dialect] + tail, **query)
        assert reply.status == 400
        assert len(json.loads(reply.body)["errors"][0]["details"]) == 1
    # G1.0 documents no bounds; half a page is nonsense in any dialect.
    assert caller.get(ROOTS[PASCAL] + tail, **query).status == (400 if "2.5" in query.values() else 200)


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(("tail", "query"), NONSENSE)
def test_nonsense_is_400(caller: Any, dialect: Dialect, tail: str, query: dict[str, str]) -> None:
    assert caller.get(ROOTS[dialect] + tail, **query).status == 400


def test_all_problems_are_in_one_answer(caller: Any) -> None:
    reply = caller.get(ROOTS[V2] + "/nearby", latitude="91", limit="0", evseStatus="busy")
    assert len(json.loads(reply.body)["errors"][0]["details"]) == 4


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat1, lon1), (lat2, lon2) = ((math.radians(x), math.radians(y)) for x, y in (a, b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371 * math.asin(math.sqrt(h))


def test_nearby_is_sorted_by_distance(caller: Any) -> None:
    here = (51.5, 0.3)
    everything = caller.locations(V2, perPage="500")

    def distance(station: Any) -> float:
        return haversine(here, (station["coordinates"]["latitude"], station["coordinates"]["longitude"]))

    expected = [station["uid"] for station in sorted(everything, key=distance)]
    where = {"latitude": "51.5", "longitude": "0.3"}
    assert [station["uid"] for station in caller.locations(V2, "/nearby", **where)] == expected[:25]
    assert [station["uid"] for station in caller.locations(V1, "/nearby", **where, limit="100")] == [
        int(uid) for uid in expected[:100]
    ]
    assert caller.locations(PASCAL, "/nearby", **where)["uid"] == int(expected[0])
    operated = caller.locations(V2, "/nearby", **where, operatorName="Sandbox Laadnet", limit="5")
    assert {station["operatorName"] for station in operated} == {"Sandbox Laadnet"}
    assert caller.get(ROOTS[PASCAL] + "/nearby", **where, operatorName="nobody").status == 404


def test_single_markers_close_up(caller: Any) -> None:
    box = {"west": "4.8999", "east": "4.9007", "south": "52.3790", "north": "52.3792", "zoom": "17"}
    common = {"markerType", "status", "coordinates", "evseCount", "locationUid", "authorizationMethods"}
    for dialect in G1X:
        (marker,) = caller.locations(dialect, "/markers", **box)
        assert set(marker) == common | {"uniqueKey", "geoHash", "operatorId"}
        assert marker["locationUid"] == 1
    (marker,) = caller.locations(V2, "/markers", **box)
    assert set(marker) == common | {"locationCount"}
    (marker,) = caller.locations(V2, "/markers", **box, withOperatorName="true", withMaxPower="true")
    assert (marker["markerType"], marker["locationUid"], marker["operatorName"], marker["maxPower"]) == (
        "SingleLocation",
        "1",
        "Sandbox Laadnet",
        11.0,
    )


def test_markers_group_from_afar_and_lose_nothing(caller: Any) -> None:
    everything = caller.locations(V2, perPage="500", **{"country[0]": "NLD"})
    world = {"west": "-180", "east": "180", "south": "-90", "north": "90", "country[0]": "NLD"}
    for zoom in range(1, 21):
        markers = caller.locations(V2, "/markers", **world, zoom=str(zoom), withMaxPower="true")
        assert sum(marker["locationCount"] for marker in markers) == len(everything)
        assert sum(marker["evseCount"] for marker in markers) == len(evse_ids(everything))
        if zoom >= 14:
            assert {marker["markerType"] for marker in markers} == {"SingleLocation"}
    afar = caller.locations(V2, "/markers", **world, zoom="3")
    assert len(afar) < 10
    assert "MultiLocation" in {marker["markerType"] for marker in afar}
    (multi, *_) = caller.locations(V1, "/markers", **world, zoom="1", withMaxPower="true")
    assert set(multi) == {"markerType", "coordinates", "locationCount", "evseCount", "maxPower", "uniqueKey",
                          "geoHash"}  # fmt: skip


def test_a_box_over_the_date_line(caller: Any) -> None:
    box = {"south": "40", "north": "60", "zoom": "20"}
    around = caller.locations(V2, "/markers", west="5", east="-1", **box)
    between = caller.locations(V2, "/markers", west="-1", east="5", **box)
    assert around
    assert between
    assert len(around) + len(between) == 214


def test_an_evse_is_occupied_while_it_charges(caller: Any, service: Service, clock: Any) -> None:
    def status() -> list[Any]:
        found = []
        for dialect in Dialect:
            for stations in (
                caller.locations(dialect, evseId=EXAMPLE_EVSE),
                caller.locations(dialect, "/1"),
                caller.locations(dialect, "/nearby", latitude="52.3791", longitude="4.9003", limit="1"),
            ):
                station = stations[0] if isinstance(stations, list) else stations
                found.append(next(evse["status"] for evse in station["evses"] if evse["evseId"] == EXAMPLE_EVSE))
        return found

    assert set(status()) == {"Available"}
    session_id = caller.start()
    clock.advance(20)
    assert set(status()) == {"Occupied"}
    occupied = caller.locations(V2, evseStatus="Occupied", perPage="500")
    assert EXAMPLE_EVSE in evse_ids(occupied)
    assert occupied[0]["updated"] == "2024-06-19T07:37:17Z"
    caller.start(evse_id="NL*TNM*E02003451*1")
    clock.advance(20)
    box = {"west": "4.8999", "east": "4.9007", "south": "52.3790", "north": "52.3792", "zoom": "17"}
    assert caller.locations(V2, "/markers", **box)[0]["status"] == "Occupied"
    caller.stop(session_id)
    clock.advance(10)
    assert set(status()) == {"Available"}
    assert len(service.charges) == 2


def test_geohash() -> None:
    assert geohash(57.64911, 10.40744, 11) == "u4pruydqqvj"
