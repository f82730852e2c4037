"""GeoJSON against RFC 7946: read back by a strict parser of its own, and by json."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import attrs
import geojson_pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shell_ev import geojson
from shell_ev.models.enums import (
    AccessibilityStatus,
    AuthorizationMethod,
    ConnectorType,
    EvseStatus,
    PriceComponentType,
    TariffType,
)
from shell_ev.models.locations import (
    Accessibility,
    Address,
    Connector,
    Coordinates,
    ElectricalProperties,
    Evse,
    Location,
)
from shell_ev.models.markers import MultiLocationMarker, SingleLocationMarker, UnknownLocationMarker
from shell_ev.models.tariffs import ElementTariff, FlatTariff, PriceComponent, TariffElement, TariffRestrictions


def _refuse(word: str) -> NoReturn:
    raise AssertionError(f"{word} is not JSON")


def read(text: str) -> dict[str, Any]:
    """Read a text as another program would, and hold it against the RFC."""
    assert text.isascii()
    data: dict[str, Any] = json.loads(text, parse_constant=_refuse)
    parsed: Any = geojson_pydantic.FeatureCollection.model_validate_json(text)
    assert len(parsed.features) == len(data["features"])
    assert set(data) == {"type", "features"}  # no crs
    for feature in data["features"]:
        assert set(feature) in ({"type", "geometry", "properties"}, {"type", "id", "geometry", "properties"})
        if feature["geometry"] is not None:
            longitude, latitude = feature["geometry"]["coordinates"]
            assert -180 <= longitude <= 180
            assert -90 <= latitude <= 90
        _finite(feature)
    return data


def _finite(value: Any) -> None:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _finite(part)
    elif isinstance(value, int | float):
        assert math.isfinite(float(value))


FLAT = FlatTariff(start_fee=0, per_minute=None, per_kwh=0.35, currency="EUR")
LOCATION = Location(
    uid="4242",
    external_id="ext",
    coordinates=Coordinates(latitude=52.1, longitude=4.3),
    operator_name="Café «Ladekönig»",
    operator_id="op",
    address=Address(street_and_number="Rijksweg 1", postal_code="1234 AB", city="Delft", country="NLD"),
    accessibility=Accessibility(status=AccessibilityStatus.FREE_PUBLIC),
    evses=(
        Evse(
            status=EvseStatus.OCCUPIED,
            connectors=(
                Connector(
                    connector_type=ConnectorType.TYPE_2_COMBO,
                    electrical_properties=ElectricalProperties(max_electric_power=150.0),
                    tariff=FLAT,
                ),
                Connector(connector_type=ConnectorType.TYPE_2, tariff=FLAT),
                Connector(connector_type=ConnectorType.TESLA, deleted="2021"),
            ),
            authorization_methods=(AuthorizationMethod.RFID_TOKEN, AuthorizationMethod.NEW_MOTION_APP),
        ),
        Evse(status=EvseStatus.AVAILABLE, authorization_methods=(AuthorizationMethod.RFID_TOKEN,)),
        Evse(status=EvseStatus.AVAILABLE, deleted="2021"),
    ),
    open_twenty_four_seven=False,
)


def test_a_location_in_full() -> None:
    assert geojson.feature(LOCATION) == {
        "type": "Feature",
        "id": "4242",
        "geometry": {"type": "Point", "coordinates": [4.3, 52.1]},
        "properties": {
            "kind": "location",
            "uid": "4242",
            "external_id": "ext",
            "operator_name": "Café «Ladekönig»",
            "operator_id": "op",
            "address": "Rijksweg 1, 1234 AB Delft, NLD",
            "street_and_number": "Rijksweg 1",
            "postal_code": "1234 AB",
            "city": "Delft",
            "country": "NLD",
            "location_type": None,
            "status": "Available",
            "evse_count": 2,
            "available_count": 1,
            "max_power_kw": 150.0,
            "connector_types": ["Type2", "Type2Combo"],
            "authorization_methods": ["NewMotionApp", "RFIDToken"],
            "accessibility": "FreePublic",
            "open_twenty_four_seven": False,
            "is_free": False,
            "tariffs": [{"currency": "EUR", "start_fee": 0, "per_minute": None, "per_kwh": 0.35}],
        },
    }
    assert read(geojson.dumps([LOCATION]))["features"] == [geojson.feature(LOCATION)]


def test_an_empty_location_is_unlocated_and_unknown() -> None:
    feature = geojson.feature(Location())
    assert "id" not in feature
    assert feature["geometry"] is None
    assert feature["properties"].keys() == geojson.feature(LOCATION)["properties"].keys()
    properties: dict[str, Any] = {k: v for k, v in feature["properties"].items() if v is not None}
    assert properties == {"kind": "location", "connector_types": [], "authorization_methods": [], "tariffs": []}


def test_an_empty_uid_is_no_id() -> None:
    feature = geojson.feature(Location(uid=""))
    assert "id" not in feature
    assert feature["properties"]["uid"] == ""


def test_element_tariffs_keep_zero_and_unknown_apart() -> None:
    tariff = ElementTariff(
        tariff_id="t",
        tariff_type=TariffType.DRIVER,
        currency="EUR",
        min_price=0,
        elements=(
            TariffElement(
                price_components=(PriceComponent(type=PriceComponentType.ENERGY, price=0, step_size=1),),
                restrictions=TariffRestrictions(min_duration=0),
            ),
        ),
    )
    location = Location(evses=(Evse(connectors=(Connector(tariffs=(tariff,)), Connector(tariffs=(tariff,)))),))
    properties = geojson.feature(location)["properties"]
    assert properties["is_free"] is True
    assert properties["tariffs"] == [
        {
            "tariff_id": "t",
            "tariff_type": "DRIVER",
            "currency": "EUR",
            "min_price": 0,
            "max_price": None,
            "elements": [
                {
                    "restricted": True,
                    "price_components": [{"type": "ENERGY", "price": 0, "vat": None, "step_size": 1}],
                }
            ],
        }
    ]
    read(geojson.dumps([location]))
    unknown = Location(evses=(Evse(connectors=(Connector(tariffs=(tariff,)), Connector())),))
    assert geojson.feature(unknown)["properties"]["is_free"] is None


@pytest.mark.parametrize(
    ("statuses", "status", "available"),
    [
        ([], None, None),
        ([None], None, None),
        (["Unknown"], "Unknown", None),
        (["Unknown", "Available"], "Available", 1),
        (["Occupied", "Occupied"], "Occupied", 0),
        (["Occupied", "Unavailable"], "Occupied", 0),
        (["Unavailable"], "Unavailable", 0),
        (["Unavailable", "Unknown"], "Unknown", 0),
        (["Occupied", None], "Unknown", 0),
        (["Reserved"], "Reserved", 0),
        (["Reserved", "Occupied"], "Unknown", 0),
    ],
)
def test_the_status_of_a_location(statuses: list[str | None], status: str | None, available: int | None) -> None:
    evses = tuple(Evse(status=None if text is None else EvseStatus(text)) for text in statuses)
    properties = geojson.feature(Location(evses=evses))["properties"]
    assert (properties["status"], properties["available_count"]) == (status, available)
    assert type(properties["status"]) in (str, type(None))


def test_counts_of_a_location_without_evses_left() -> None:
    properties = geojson.feature(Location(evses=(Evse(deleted="x", status=EvseStatus.AVAILABLE),)))["properties"]
    assert (properties["evse_count"], properties["available_count"], properties["status"]) == (0, None, None)


def test_markers() -> None:
    where = Coordinates(latitude=-33.0, longitude=151.0)
    single = SingleLocationMarker(
        location_uid="7",
        coordinates=where,
        status=EvseStatus.AVAILABLE,
        evse_count=0,
        max_power=22,
        authorization_methods=(AuthorizationMethod.RFID_TOKEN, AuthorizationMethod.PNC),
    )
    multi = MultiLocationMarker(unique_key="k", coordinates=where, location_count=3)
    unknown = UnknownLocationMarker(
        marker_type="Cluster", raw={"coordinates": {"latitude": 1, "longitude": 2}, "junk": math.nan}
    )
    features = read(geojson.dumps([single, multi, unknown]))["features"]
    assert [feature.get("id") for feature in features] == ["7", "k", None]
    assert [feature["geometry"]["coordinates"] for feature in features] == [[151.0, -33.0], [151.0, -33.0], [2, 1]]
    assert [feature["properties"]["kind"] for feature in features] == [
        "single_location",
        "multi_location",
        "unknown_marker",
    ]
    assert features[0]["properties"] == {
        "kind": "single_location",
        "marker_type": "SingleLocation",
        "uid": "7",
        "unique_key": None,
        "geo_hash": None,
        "operator_name": None,
        "operator_id": None,
        "status": "Available",
        "location_count": None,
        "evse_count": 0,
        "max_power_kw": 22,
        "authorization_methods": ["PnC", "RFIDToken"],
    }
    assert features[2]["properties"] == {"kind": "unknown_marker", "marker_type": "Cluster"}


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"coordinates": None},
        {"coordinates": "52,4"},
        {"coordinates": [4, 52]},
        {"coordinates": {"latitude": "52", "longitude": 4}},
        {"coordinates": {"latitude": 52, "longitude": True}},
        {"coordinates": {"latitude": 952, "longitude": 4}},
    ],
)
def test_an_unknown_marker_without_a_position(raw: dict[str, Any]) -> None:
    assert geojson.feature(UnknownLocationMarker(raw=raw))["geometry"] is None


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(None, 1), (1, None), (90.1, 0), (0, 180.1), (math.nan, 0), (0, -math.inf), (10**400, 0)],
)
def test_a_position_out_of_range_is_unlocated(latitude: float | None, longitude: float | None) -> None:
    item = attrs.evolve(LOCATION, coordinates=Coordinates(latitude=latitude, longitude=longitude))
    (feature,) = read(geojson.dumps([item]))["features"]
    assert feature["geometry"] is None
    assert feature["id"] == "4242"


@pytest.mark.parametrize("power", [math.nan, math.inf, -math.inf, 10**400])
def test_numbers_json_cannot_hold_become_null(power: float) -> None:
    tariff = FlatTariff(per_kwh=power)
    properties = ElectricalProperties(max_electric_power=power)
    items: list[geojson.Item] = [
        Location(evses=(Evse(connectors=(Connector(electrical_properties=properties, tariff=tariff),)),)),
        SingleLocationMarker(max_power=power),
    ]
    location, marker = (feature["properties"] for feature in read(geojson.dumps(items))["features"])
    assert location["max_power_kw"] is None
    assert location["tariffs"][0]["per_kwh"] is None
    assert marker["max_power_kw"] is None


def test_half_a_surrogate_pair_does_not_get_out() -> None:
    (feature,) = read(geojson.dumps([Location(uid="a\ud800", operator_name="\udfff😀")]))["features"]
    assert feature["id"] == "a?"
    assert feature["properties"]["operator_name"] == "?😀"


def test_the_order_of_connectors_does_not_show() -> None:
    connectors = tuple(
        Connector(connector_type=kind, tariff=FlatTariff(per_kwh=price, currency=currency))
        for kind, price, currency in [
            (ConnectorType.TYPE_2, 0.5, "EUR"),
            (ConnectorType("mcs"), 0.3, None),
            (ConnectorType.TESLA, 0, "EUR"),
        ]
    )
    one = Location(evses=(Evse(connectors=connectors),))
    other = Location(evses=(Evse(connectors=connectors[::-1]),))
    assert geojson.dumps([one]) == geojson.dumps([other])


def test_an_empty_collection() -> None:
    assert geojson.dumps([]) == '{"type":"FeatureCollection","features":[]}'
    assert read(geojson.dumps([])) == geojson.feature_collection([])


async def _aiter(items: list[geojson.Item]) -> AsyncIterator[geojson.Item]:
    for item in items:
        yield item


# Any model at all

numbers = st.none() | st.floats() | st.integers()
texts = st.none() | st.text(st.characters(exclude_categories=()), max_size=6)
coordinates = st.none() | st.builds(Coordinates, latitude=numbers, longitude=numbers)
statuses = st.none() | st.sampled_from(EvseStatus) | st.text(max_size=3).map(EvseStatus)
methods = st.lists(st.text(max_size=3).map(AuthorizationMethod), max_size=2).map(tuple)
flat_tariffs = st.builds(FlatTariff, start_fee=numbers, per_minute=numbers, per_kwh=numbers, currency=texts)
components = st.lists(st.builds(PriceComponent, price=numbers, vat=numbers, step_size=numbers), max_size=2).map(tuple)
elements = st.lists(st.builds(TariffElement, price_components=components), max_size=2).map(tuple)
element_tariffs = st.builds(ElementTariff, tariff_id=texts, min_price=numbers, max_price=numbers, elements=elements)
connectors = st.builds(
    Connector,
    connector_type=st.none() | st.text(max_size=3).map(ConnectorType),
    electrical_properties=st.none() | st.builds(ElectricalProperties, max_electric_power=numbers),
    tariff=st.none() | flat_tariffs,
    tariffs=st.lists(element_tariffs, max_size=1).map(tuple),
    deleted=texts,
)
evses = st.builds(
    Evse,
    status=statuses,
    connectors=st.lists(connectors, max_size=2).map(tuple),
    authorization_methods=methods,
    deleted=texts,
)
addresses = st.builds(Address, street_and_number=texts, postal_code=texts, city=texts, country=texts)
json_values = st.recursive(texts | numbers, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2))
items = st.one_of(
    st.builds(
        Location,
        uid=texts,
        coordinates=coordinates,
        operator_name=texts,
        address=st.none() | addresses,
        evses=st.lists(evses, max_size=2).map(tuple),
    ),
    st.builds(
        SingleLocationMarker,
        location_uid=texts,
        coordinates=coordinates,
        status=statuses,
        evse_count=st.none() | st.integers(),
        max_power=numbers,
        authorization_methods=methods,
    ),
    st.builds(MultiLocationMarker, unique_key=texts, coordinates=coordinates, max_power=numbers),
    st.builds(
        UnknownLocationMarker,
        marker_type=texts,
        raw=st.fixed_dictionaries(
            {}, optional={"coordinates": st.fixed_dictionaries({"latitude": json_values, "longitude": json_values})}
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(items, max_size=3))
async def test_for_all_items_the_text_is_geojson_and_every_way_gives_the_same(found: list[geojson.Item]) -> None:
    text = geojson.dumps(found)
    assert read(text)["features"] == geojson.feature_collection(found)["features"]
    assert "".join(geojson.stream(iter(found))) == text
    assert "".join([piece async for piece in geojson.astream(_aiter(found))]) == text
    file = io.StringIO()
    assert geojson.write(iter(found), file) == len(found)
    assert file.getvalue() == text


def test_streaming_holds_one_item_at_a_time() -> None:
    taken = 0

    def source() -> Iterator[geojson.Item]:
        nonlocal taken
        while True:
            taken += 1
            yield LOCATION

    pieces = geojson.stream(source())
    for expected in range(50):
        next(pieces)
        assert taken == expected


def test_streaming_takes_constant_memory() -> None:
    class Sink:
        size = 0

        def write(self, text: str) -> None:
            self.size += len(text)

    sink = Sink()
    tracemalloc.start()
    try:
        geojson.write((LOCATION for _ in range(3000)), sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.size > 1_500_000
    assert peak < 200_000


async def test_astream_asks_for_no_more_than_it_gives() -> None:
    taken = 0

    async def source() -> AsyncIterator[geojson.Item]:
        nonlocal taken
        while True:
            taken += 1
            yield LOCATION

    pieces = geojson.astream(source())
    for expected in range(20):
        await anext(pieces)
        assert taken == expected


def test_a_failing_source_is_not_hidden() -> None:
    def source() -> Iterator[geojson.Item]:
        yield LOCATION
        raise ConnectionError

    with pytest.raises(ConnectionError):
        geojson.dumps(source())


LIGHT = """
import sys, types
package = types.ModuleType("shell_ev")  # without what its __init__ imports
package.__path__ = [sys.argv[1]]
sys.modules["shell_ev"] = package
import shell_ev.geojson
print(sorted({"aiohttp", "cattrs", "backoff", "asyncio", "ssl"} & set(sys.modules)))
"""


def test_the_import_is_light() -> None:
    folder = str(Path(geojson.__file__).parent)
    ran = subprocess.run([sys.executable, "-c", LIGHT, folder], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
