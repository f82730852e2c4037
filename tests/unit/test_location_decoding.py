"""Locations and markers out of JSON: whole and minimal objects in three dialects, and mutilated pages.

Documents are written from the tables of contract section 5, models as literals. Of a page that was damaged at random,
everything that was not touched must decode as before.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from every_field import every_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shell_ev.dialects import ApiVersion
from shell_ev.endpoints.locations import LOCATION, LOCATIONS, MARKERS
from shell_ev.models.enums import (
    AccessibilityStatus,
    AuthorizationMethod,
    ConnectorType,
    DayOfWeek,
    EnvelopeStatus,
    EvseStatus,
    PowerType,
    PriceComponentType,
    TariffType,
    UpdatedBy,
    WeekDay,
)
from shell_ev.models.locations import (
    Accessibility,
    Address,
    Connector,
    Coordinates,
    ElectricalProperties,
    Evse,
    Location,
    OpeningHours,
)
from shell_ev.models.markers import LocationMarker, MultiLocationMarker, SingleLocationMarker, UnknownLocationMarker
from shell_ev.models.tariffs import (
    ElementTariff,
    FlatTariff,
    PowerRange,
    PriceComponent,
    TariffAltText,
    TariffElement,
    TariffRestrictions,
)
from shell_ev.sandbox import Dialect
from shell_ev.sandbox.location_wire import Live, multi_marker, single_marker, station_document
from shell_ev.sandbox.network import load_network
from shell_ev.wire.codec import Codec
from shell_ev.wire.results import Decoded, Result, Undecodable

PASCAL, V1, V2 = ApiVersion.V1_PASCAL, ApiVersion.V1, ApiVersion.V2
VERSIONS = [PASCAL, V1, V2]
RID = "123e4567-e89b-12d3-a456-426614174000"


def decode(version: ApiVersion, result: Result, document: Any) -> Decoded:
    return Codec(version).decode(result, json.dumps(document).encode())


def answer(version: ApiVersion, *items: Any) -> Any:
    """Items as a dialect answers with them: bare, or in the envelope."""
    return list(items) if version is PASCAL else {"requestId": RID, "status": "SUCCESS", "data": list(items)}


def whole(version: ApiVersion, result: Result, *items: Any) -> Any:
    """The items of an answer that must be readable without a problem."""
    decoded = decode(version, result, answer(version, *items))
    assert decoded.problems == ()
    if version is PASCAL:
        assert (decoded.request_id, decoded.status) == (None, None)
    else:
        assert (decoded.request_id, decoded.status) == (RID, EnvelopeStatus.SUCCESS)
    return decoded.data


# Whole objects

G1_DOCUMENT = {
    "uid": 4711,
    "externalId": "TNM-0004711",
    "coordinates": {"latitude": 52.3791, "longitude": 4.9003},
    "operatorName": "Laadnet «Süd»",
    "address": {
        "streetAndNumber": "Voorbeeldkade 1",
        "postalCode": "1012 AB",
        "city": "Amsterdam",
        "country": "NLD",
    },
    "accessibility": {"status": "PayingPublic", "remark": "Behind the gate"},
    "evses": [
        {
            "uid": 47110,
            "externalId": "E1",
            "evseId": "NL*TNM*E02003451*0",
            "status": "Available",
            "connectors": [
                {
                    "uid": 471100,
                    "externalId": "C1",
                    "connectorType": "Type2",
                    "electricalProperties": {
                        "powerType": "AC3Phase",
                        "voltage": 230,
                        "amperage": 16,
                        "maxElectricPower": 11.0,
                    },
                    "fixedCable": False,
                    "tariff": {
                        "startFee": 0,
                        "perMinute": 0.0,
                        "perKWh": 0.39,
                        "currency": "EUR",
                        "updated": "10/06/2021 10:44:24",
                        "updatedBy": "TariffService",
                        "structure": "Default",
                    },
                    "updated": "10/06/2021 10:44:24",
                    "updatedBy": "Feed",
                    "deleted": "10/07/2021 10:44:24",
                }
            ],
            "authorizationMethods": "RFIDToken",
            "updated": "10/06/2021 10:44:24",
            "deleted": "10/07/2021 10:44:24",
            "physicalReference": "left",
        }
    ],
    "openingHours": [{"weekDay": "Sun", "startTime": "10:00", "endTime": "18:00"}],
    "updated": "10/06/2021 10:44:24",
    "operatorComment": "Ring the bell",
    "locationType": "OnStreet",
}
G1_LOCATION = Location(
    uid="4711",
    external_id="TNM-0004711",
    coordinates=Coordinates(latitude=52.3791, longitude=4.9003),
    operator_name="Laadnet «Süd»",
    address=Address(street_and_number="Voorbeeldkade 1", postal_code="1012 AB", city="Amsterdam", country="NLD"),
    accessibility=Accessibility(status=AccessibilityStatus.PAYING_PUBLIC, remark="Behind the gate"),
    evses=(
        Evse(
            uid="47110",
            external_id="E1",
            evse_id="NL*TNM*E02003451*0",
            status=EvseStatus.AVAILABLE,
            connectors=(
                Connector(
                    uid="471100",
                    external_id="C1",
                    connector_type=ConnectorType.TYPE_2,
                    electrical_properties=ElectricalProperties(
                        power_type=PowerType.AC_3_PHASE, voltage=230.0, amperage=16.0, max_electric_power=11.0
                    ),
                    fixed_cable=False,
                    tariff=FlatTariff(
                        start_fee=0.0,
                        per_minute=0.0,
                        per_kwh=0.39,
                        currency="EUR",
                        updated="10/06/2021 10:44:24",
                        updated_by=UpdatedBy.TARIFF_SERVICE,
                        structure="Default",
                    ),
                    updated="10/06/2021 10:44:24",
                    updated_by=UpdatedBy.FEED,
                    deleted="10/07/2021 10:44:24",
                ),
            ),
            authorization_methods=(AuthorizationMethod.RFID_TOKEN,),
            updated="10/06/2021 10:44:24",
            deleted="10/07/2021 10:44:24",
            physical_reference="left",
        ),
    ),
    opening_hours=(OpeningHours(week_day=WeekDay.SUN, start_time="10:00", end_time="18:00"),),
    updated="10/06/2021 10:44:24",
    operator_comment="Ring the bell",
    location_type="OnStreet",
)
G2_DOCUMENT = {
    "uid": "4711",
    "externalId": "TNM-0004711",
    "coordinates": {"latitude": -52.5, "longitude": 0},
    "operatorName": "Laadnet",
    "operatorId": "TNM",
    "address": {"streetAndNumber": "", "postalCode": "1012 AB", "city": "Amsterdam", "country": "NL"},
    "accessibility": {"status": "FreePublic"},
    "evses": [
        {
            "uid": "47110",
            "externalId": "E1",
            "evseId": "NL*TNM*E02003451*0",
            "status": "Occupied",
            "updated": "2024-06-19T07:36:57Z",
            "physicalReference": "1",
            "connectors": [
                {
                    "uid": "471100",
                    "externalId": "C1",
                    "connectorType": "Type2Combo",
                    "electricalProperties": {
                        "powerType": "DC",
                        "voltage": 400.0,
                        "amperage": 375.0,
                        "maxElectricPower": 150,
                    },
                    "tariffs": [
                        {
                            "tariffId": "TNM-1",
                            "tariffType": "DRIVER",
                            "powerRange": {"min": 0, "max": 150},
                            "internalId": "1",
                            "operatorId": "TNM",
                            "providerId": "NL*TNM",
                            "currency": "EUR",
                            "tariffAltText": [{"language": "en", "text": "Free at night"}],
                            "minPrice": 0,
                            "maxPrice": 0.74,
                            "elements": [
                                {
                                    "priceComponents": [
                                        {"type": "ENERGY", "stepSize": 1, "price": 0, "vat": 21},
                                        {"type": "PARKING_TIME", "stepSize": 60, "price": 0.1, "vat": 0},
                                    ],
                                    "restrictions": {
                                        "startTime": "22:00",
                                        "endTime": "06:00",
                                        "startDate": "2024-01-01",
                                        "endDate": "2024-12-31",
                                        "minKwh": 0,
                                        "maxKwh": 50.5,
                                        "minCurrent": 0,
                                        "maxCurrent": 32,
                                        "minPower": 0,
                                        "maxPower": 22.1,
                                        "minDuration": 0,
                                        "maxDuration": 3600,
                                        "dayOfWeek": ["MONDAY", "SUNDAY"],
                                    },
                                },
                                {"priceComponents": [{"type": "FLAT", "stepSize": 1, "price": 0.35, "vat": 21.0}]},
                            ],
                            "startDateTime": "2024-01-01T00:00:00Z",
                            "endDateTime": "2030-12-31T23:59:59.999999+01:00",
                            "lastUpdated": "2024-06-19T07:36:57",
                            "createdBy": "TariffService",
                        }
                    ],
                }
            ],
            "authorizationMethods": ["NewMotionApp", "RFIDToken", "PnC"],
        }
    ],
    "openingHours": [],
    "updated": "2024-06-19T07:36:57Z",
    "locationType": "ParkingGarage",
    "openTwentyFourSeven": True,
}
G2_LOCATION = Location(
    uid="4711",
    external_id="TNM-0004711",
    coordinates=Coordinates(latitude=-52.5, longitude=0.0),
    operator_name="Laadnet",
    operator_id="TNM",
    address=Address(street_and_number="", postal_code="1012 AB", city="Amsterdam", country="NL"),
    accessibility=Accessibility(status=AccessibilityStatus.FREE_PUBLIC),
    evses=(
        Evse(
            uid="47110",
            external_id="E1",
            evse_id="NL*TNM*E02003451*0",
            status=EvseStatus.OCCUPIED,
            updated="2024-06-19T07:36:57Z",
            physical_reference="1",
            connectors=(
                Connector(
                    uid="471100",
                    external_id="C1",
                    connector_type=ConnectorType.TYPE_2_COMBO,
                    electrical_properties=ElectricalProperties(
                        power_type=PowerType.DC, voltage=400.0, amperage=375.0, max_electric_power=150.0
                    ),
                    tariffs=(
                        ElementTariff(
                            tariff_id="TNM-1",
                            tariff_type=TariffType.DRIVER,
                            power_range=PowerRange(min=0.0, max=150.0),
                            internal_id="1",
                            operator_id="TNM",
                            provider_id="NL*TNM",
                            currency="EUR",
                            tariff_alt_text=(TariffAltText(language="en", text="Free at night"),),
                            min_price=0.0,
                            max_price=0.74,
                            elements=(
                                TariffElement(
                                    price_components=(
                                        PriceComponent(
                                            type=PriceComponentType.ENERGY, step_size=1.0, price=0.0, vat=21.0
                                        ),
                                        PriceComponent(
                                            type=PriceComponentType.PARKING_TIME, step_size=60.0, price=0.1, vat=0.0
                                        ),
                                    ),
                                    restrictions=TariffRestrictions(
                                        start_time="22:00",
                                        end_time="06:00",
                                        start_date="2024-01-01",
                                        end_date="2024-12-31",
                                        min_kwh=0.0,
                                        max_kwh=50.5,
                                        min_current=0.0,
                                        max_current=32.0,
                                        min_power=0.0,
                                        max_power=22.1,
                                        min_duration=0.0,
                                        max_duration=3600.0,
                                        day_of_week=(DayOfWeek.MONDAY, DayOfWeek.SUNDAY),
                                    ),
                                ),
                                TariffElement(
                                    price_components=(
                                        PriceComponent(
                                            type=PriceComponentType.FLAT, step_size=1.0, price=0.35, vat=21.0
                                        ),
                                    )
                                ),
                            ),
                            start_date_time=datetime(2024, 1, 1, tzinfo=UTC),
                            end_date_time=datetime(2030, 12, 31, 22, 59, 59, 999999, tzinfo=UTC),
                            last_updated=datetime(2024, 6, 19, 7, 36, 57, tzinfo=UTC),
                            created_by="TariffService",
                        ),
                    ),
                ),
            ),
            authorization_methods=(
                AuthorizationMethod.NEW_MOTION_APP,
                AuthorizationMethod.RFID_TOKEN,
                AuthorizationMethod.PNC,
            ),
        ),
    ),
    updated="2024-06-19T07:36:57Z",
    location_type="ParkingGarage",
    open_twenty_four_seven=True,
)
SAMPLES = {PASCAL: (G1_DOCUMENT, G1_LOCATION), V1: (G1_DOCUMENT, G1_LOCATION), V2: (G2_DOCUMENT, G2_LOCATION)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_location_with_every_field_is_decoded_completely(version: ApiVersion) -> None:
    document, location = SAMPLES[version]
    (found,) = whole(version, LOCATIONS, document)
    assert found == location
    assert whole(version, LOCATIONS, document, document) == (location, location)
    if version is PASCAL:
        # One location, bare: by id, and nearby as G1.0 documents it.
        assert decode(version, LOCATION, document) == Decoded(location, None, None, ())
        assert decode(version, LOCATIONS, document) == Decoded((location,), None, None, ())
    assert whole(version, LOCATION, document) == location
    # Numbers are floats whatever JSON wrote, so that models compare and print alike.
    assert type(found.coordinates.longitude) is float
    assert type(found.evses[0].connectors[0].electrical_properties.voltage) is float


@pytest.mark.parametrize("version", VERSIONS)
def test_every_documented_field_is_in_the_sample(version: ApiVersion) -> None:
    document, location = SAMPLES[version]

    def empty(model: Any, path: str) -> set[str]:
        found: set[str] = set()
        for field in attrs.fields(type(model)):
            value = getattr(model, field.name)
            if value in (None, ()) and not isinstance(value, float):
                found.add(f"{path}.{field.name}")
            for part in value if isinstance(value, tuple) else (value,):
                if attrs.has(type(part)):
                    found |= empty(part, f"{path}.{field.name}")
        return found

    g1 = {".operator_id", ".open_twenty_four_seven", ".evses.connectors.tariffs"}
    g2 = {".operator_comment", ".opening_hours", ".accessibility.remark", ".evses.deleted",
          ".evses.connectors.fixed_cable", ".evses.connectors.tariff", ".evses.connectors.updated",
          ".evses.connectors.updated_by", ".evses.connectors.deleted",
          ".evses.connectors.tariffs.elements.restrictions"}  # fmt: skip
    assert empty(location, "") == (g2 if version is V2 else g1)
    assert json.loads(json.dumps(document)) == document


MINIMAL: list[tuple[Any, Location]] = [
    ({"uid": "1"}, Location(uid="1")),
    ({"uid": 1}, Location(uid="1")),
    ({"uid": 0}, Location(uid="0")),
    ({"uid": 12345678901234567890}, Location(uid="12345678901234567890")),
    ({"uid": 42.0}, Location(uid="42")),
    ({"uid": None, "evses": None, "openingHours": None, "coordinates": None, "openTwentyFourSeven": False},
     Location(open_twenty_four_seven=False)),
    ({"uid": "", "externalId": ""}, Location(uid="", external_id="")),
    ({"evses": [], "openingHours": []}, Location()),
    ({"coordinates": {"latitude": None}, "address": {"city": None}, "accessibility": {"remark": None},
      "evses": [{"evseId": None}], "openingHours": [{"weekDay": None}]},
     Location(coordinates=Coordinates(), address=Address(), accessibility=Accessibility(), evses=(Evse(),),
              opening_hours=(OpeningHours(),))),
    ({"coordinates": {"latitude": 0, "longitude": 0}}, Location(coordinates=Coordinates(latitude=0, longitude=0))),
    ({"coordinates": {"latitude": "52.5", "longitude": 200}},
     Location(coordinates=Coordinates(latitude=52.5, longitude=200))),
    ({"openTwentyFourSeven": False}, Location(open_twenty_four_seven=False)),
    ({"evses": [{"connectors": [{"uid": None}], "authorizationMethods": []}]},
     Location(evses=(Evse(connectors=(Connector(),)),))),
    ({"evses": {"evseId": "x"}}, Location(evses=(Evse(evse_id="x"),))),
    ({"UID": 7, "External_Id": "e", "OPERATORNAME": "o"}, Location(uid="7", external_id="e", operator_name="o")),
    ({"uid": "1", "somethingNew": {"uid": 2}, "data": []}, Location(uid="1")),
    ({"locationType": "Lighthouse", "accessibility": {"status": "Members"}},
     Location(location_type="Lighthouse", accessibility=Accessibility(status=AccessibilityStatus("Members")))),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("document", "location"), MINIMAL)
def test_a_minimal_location(version: ApiVersion, document: Any, location: Location) -> None:
    assert whole(version, LOCATIONS, document) == (location,)
    assert whole(version, LOCATION, document) == location


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("RFIDToken", (AuthorizationMethod.RFID_TOKEN,)),
        ("rfidtoken", (AuthorizationMethod.RFID_TOKEN,)),
        (["PnC"], (AuthorizationMethod.PNC,)),
        (["PnC", "NewMotionApp"], (AuthorizationMethod.PNC, AuthorizationMethod.NEW_MOTION_APP)),
        ([], ()),
        (None, ()),
        ("Fingerprint", (AuthorizationMethod("Fingerprint"),)),
    ],
)
def test_authorization_methods_are_always_a_tuple(version: ApiVersion, sent: Any, read: tuple[Any, ...]) -> None:
    (location,) = whole(version, LOCATIONS, {"evses": [{"authorizationMethods": sent}]})
    assert location.evses[0].authorization_methods == read
    assert all(type(method) is AuthorizationMethod for method in location.evses[0].authorization_methods)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("sent", "read", "free"),
    [
        ({"startFee": 0, "perMinute": 0, "perKWh": 0}, (0.0, 0.0, 0.0), True),
        ({"startFee": 0, "perMinute": None, "perKWh": 0}, (0.0, None, 0.0), None),
        ({"perKWh": 0.0}, (None, None, 0.0), None),
        ({"perKwh": "0.00"}, (None, None, 0.0), None),
        ({"currency": None}, (None, None, None), None),
        ({"perKWh": -0.1}, (None, None, -0.1), False),
    ],
)
def test_a_price_of_zero_is_not_an_unknown_one(version: ApiVersion, sent: Any, read: Any, free: bool | None) -> None:
    (location,) = whole(version, LOCATIONS, {"evses": [{"connectors": [{"tariff": sent}]}]})
    tariff = location.evses[0].connectors[0].tariff
    assert (tariff.start_fee, tariff.per_minute, tariff.per_kwh) == read
    assert tariff.is_free is free


def test_a_price_of_zero_in_an_element_is_not_an_unknown_one() -> None:
    def tariff(price: Any, least: Any) -> ElementTariff:
        sent = {"minPrice": least, "elements": [{"priceComponents": [{"type": "ENERGY", "price": price}]}]}
        (location,) = whole(V2, LOCATIONS, {"evses": [{"connectors": [{"tariffs": [sent]}]}]})
        found: ElementTariff = location.evses[0].connectors[0].tariffs[0]
        return found

    assert tariff(0, 0).elements[0].price_components[0].price == 0.0
    assert tariff(None, 0).elements[0].price_components[0].price is None
    assert (tariff(0, 0).is_free, tariff(0, None).is_free, tariff(None, 0).is_free) == (True, None, None)
    assert tariff(0, 0).tariff_alt_text == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flat_and_an_element_tariff_are_both_kept(version: ApiVersion) -> None:
    sent = {"tariff": {"perKWh": 0.3}, "tariffs": [{"tariffId": "t", "tariffAltText": None}]}
    (location,) = whole(version, LOCATIONS, {"evses": [{"connectors": [sent]}]})
    (connector,) = location.evses[0].connectors
    assert connector.tariff == FlatTariff(per_kwh=0.3)
    assert connector.tariffs == (ElementTariff(tariff_id="t"),)


# Markers

G1_SINGLE = {
    "markerType": "SingleLocation",
    "uniqueKey": "S1",
    "status": "Available",
    "coordinates": {"latitude": 52.1, "longitude": 4.3},
    "evseCount": 2,
    "maxPower": 11.0,
    "geoHash": "u173z",
    "locationUid": 4711,
    "authorizationMethods": ["RFIDToken"],
    "operatorId": "TNM",
}
G1_MULTI = {
    "markerType": "MultiLocation",
    "uniqueKey": "M1",
    "coordinates": {"latitude": 52.1, "longitude": 4.3},
    "locationCount": 3.0,
    "evseCount": 0,
    "maxPower": 0,
    "geoHash": "u173z",
}
G2_SINGLE = {
    "status": "Unknown",
    "coordinates": {"latitude": 52.1, "longitude": 4.3},
    "evseCount": 2,
    "maxPower": 11,
    "locationCount": 1,
    "locationUid": "4711",
    "authorizationMethods": ["RFIDToken", "PnC"],
    "operatorName": "Laadnet",
    "markerType": "SingleLocation",
}
G2_MULTI = {
    "coordinates": {"latitude": 52.1, "longitude": 4.3},
    "locationCount": 3,
    "evseCount": 7,
    "maxPower": 300.0,
    "operatorName": "Laadnet",
    "markerType": "MultiLocation",
}
HERE = Coordinates(latitude=52.1, longitude=4.3)
MARKER_SAMPLES: list[tuple[list[ApiVersion], Any, LocationMarker]] = [
    (
        [PASCAL, V1],
        G1_SINGLE,
        SingleLocationMarker(
            unique_key="S1",
            status=EvseStatus.AVAILABLE,
            coordinates=HERE,
            evse_count=2,
            max_power=11.0,
            geo_hash="u173z",
            location_uid="4711",
            authorization_methods=(AuthorizationMethod.RFID_TOKEN,),
            operator_id="TNM",
        ),
    ),
    (
        [PASCAL, V1],
        G1_MULTI,
        MultiLocationMarker(
            unique_key="M1", coordinates=HERE, location_count=3, evse_count=0, max_power=0.0, geo_hash="u173z"
        ),
    ),
    (
        [V2],
        G2_SINGLE,
        SingleLocationMarker(
            status=EvseStatus.UNKNOWN,
            coordinates=HERE,
            evse_count=2,
            max_power=11.0,
            location_count=1,
            location_uid="4711",
            authorization_methods=(AuthorizationMethod.RFID_TOKEN, AuthorizationMethod.PNC),
            operator_name="Laadnet",
        ),
    ),
    (
        [V2],
        G2_MULTI,
        MultiLocationMarker(
            coordinates=HERE, location_count=3, evse_count=7, max_power=300.0, operator_name="Laadnet"
        ),
    ),
    (VERSIONS, {"markerType": "SingleLocation"}, SingleLocationMarker()),
    (VERSIONS, {"markerType": "MultiLocation"}, MultiLocationMarker()),
    (VERSIONS, {"markerType": "SingleLocation", "authorizationMethods": "PnC", "locationUid": 7.0},
     SingleLocationMarker(authorization_methods=(AuthorizationMethod.PNC,), location_uid="7")),
    (VERSIONS, {"MarkerType": "SINGLELOCATION", "Status": "occupied"},
     SingleLocationMarker(marker_type="SINGLELOCATION", status=EvseStatus.OCCUPIED)),
]  # fmt: skip
UNKNOWN_MARKERS = [
    {"markerType": "Cluster", "coordinates": {"latitude": 1, "longitude": 2}, "items": [{"uid": 1}, None]},
    {"markerType": "Cluster"},
    {"coordinates": {"latitude": 1, "longitude": 2}},
    {"markerType": None, "evseCount": 3},
    {"markerType": 7},
    {"markerType": {"name": "SingleLocation"}},
    {"entirely": "else"},
]


@pytest.mark.parametrize(("versions", "document", "marker"), MARKER_SAMPLES)
def test_a_marker_is_decoded_completely(versions: list[ApiVersion], document: Any, marker: LocationMarker) -> None:
    for version in versions:
        (found,) = whole(version, MARKERS, document)
        assert (type(found), found) == (type(marker), marker)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_marker_is_kept_among_others(version: ApiVersion) -> None:
    single, multi = (G2_SINGLE, G2_MULTI) if version is V2 else (G1_SINGLE, G1_MULTI)
    found = whole(version, MARKERS, single, *UNKNOWN_MARKERS, multi)
    assert isinstance(found[0], SingleLocationMarker)
    assert isinstance(found[-1], MultiLocationMarker)
    for marker, document in zip(found[1:-1], UNKNOWN_MARKERS, strict=True):
        tag = document.get("markerType")
        assert marker == UnknownLocationMarker(marker_type=tag if isinstance(tag, str) else None, raw=document)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bad_marker_does_not_cost_the_others(version: ApiVersion) -> None:
    items = [G2_MULTI, None, "x", 7, [], {**G2_SINGLE, "evseCount": "many", "coordinates": 5}]
    decoded = decode(version, MARKERS, answer(version, *items))
    multi, single = decoded.data
    assert multi.evse_count == 7
    assert (single.evse_count, single.coordinates, single.operator_name) == (None, None, "Laadnet")
    assert len(decoded.problems) == 6


# Envelopes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("result", [LOCATIONS, MARKERS])
def test_an_empty_answer_is_an_empty_tuple(version: ApiVersion, result: Result) -> None:
    assert whole(version, result) == ()
    for document in ({"requestId": RID, "status": "SUCCESS"}, {"status": "SUCCESS", "data": None}, []):
        assert decode(version, result, document).data == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_without_a_location_is_undecodable_for_get(version: ApiVersion) -> None:
    for document in (answer(version), {"status": "SUCCESS", "data": None}, {"status": "SUCCESS"}, [], [None]):
        with pytest.raises(Undecodable):
            decode(version, LOCATION, document)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_keys_of_an_envelope_are_read_in_any_case(version: ApiVersion) -> None:
    document, location = SAMPLES[version]
    for keys in (("requestId", "status", "data"), ("RequestId", "Status", "Data"), ("request_id", "STATUS", "DATA")):
        sent = dict(zip(keys, (RID, "Success", [document]), strict=True))
        assert decode(version, LOCATIONS, sent) == Decoded((location,), RID, EnvelopeStatus.SUCCESS, ())
        single = dict(zip(keys, (RID, "Success", document), strict=True))
        assert decode(version, LOCATION, single) == Decoded(location, RID, EnvelopeStatus.SUCCESS, ())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("result", [LOCATIONS, LOCATION, MARKERS])
def test_an_envelope_with_the_status_failed_has_no_data(version: ApiVersion, result: Result) -> None:
    for status in ("FAILED", "Failed", "failed"):
        decoded = decode(version, result, {"requestId": RID, "status": status, "data": "anything"})
        assert (decoded.status, decoded.data, decoded.request_id) == (EnvelopeStatus.FAILED, None, RID)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "body", [b"", b" ", b"<html>", b"7", b'"x"', b"null", b"{}", b'{"code":"E","message":"m"}', b"["]
)
def test_a_body_that_is_no_answer_is_undecodable(version: ApiVersion, body: bytes) -> None:
    for result in (LOCATIONS, LOCATION, MARKERS):
        # Every field of G1.0's bare objects is optional, and an unknown marker is whatever it is.
        if version is PASCAL and (body == b"{}" or (body.startswith(b"{") and result is MARKERS)):
            continue
        with pytest.raises(Undecodable) as caught:
            Codec(version).decode(result, body)
        assert caught.value.problems


# Damage at random

PAGE = 5
_network = load_network(2026, 40)
_chosen = [*_network.stations[:4], *_network.stations[-6:]]
_DIALECTS = {PASCAL: Dialect.V1_PASCAL, V1: Dialect.V1, V2: Dialect.V2}
LOCATION_POOL = {
    version: [station_document(station, dialect, provider_id="NL*TNM") for station in _chosen]
    for version, dialect in _DIALECTS.items()
}
MARKER_POOL = {
    version: [
        *(
            single_marker(station, dialect, Live({}, {}), with_operator_name=True, with_max_power=True)
            for station in _chosen[:6]
        ),
        *(
            multi_marker(_chosen[:count], dialect, with_operator_name=True, with_max_power=True)
            for count in range(2, 6)
        ),
    ]
    for version, dialect in _DIALECTS.items()
}
# Through JSON and back: the sandbox writes one list of hours for many stations, a damage must hit one of them.
POOLS: dict[str, tuple[Result, dict[ApiVersion, list[Any]]]] = {
    "locations": (LOCATIONS, json.loads(json.dumps(LOCATION_POOL))),
    "markers": (MARKERS, json.loads(json.dumps(MARKER_POOL))),
}

#: What no field of that kind can be read as. By key, as the sandbox spells it.
NUMBERS = {"latitude", "longitude", "voltage", "amperage", "maxElectricPower", "startFee", "perMinute", "perKWh", "min",
           "max", "minPrice", "maxPrice", "stepSize", "price", "vat", "minPower", "minDuration", "evseCount",
           "maxPower", "locationCount"}  # fmt: skip
MODELS = {"coordinates", "address", "accessibility", "electricalProperties", "tariff", "powerRange", "restrictions"}
LISTS = {"evses", "connectors", "tariffs", "openingHours", "elements", "priceComponents", "tariffAltText"}
WORD_LISTS = {"authorizationMethods", "dayOfWeek"}
TIMES = {"startDateTime", "endDateTime", "lastUpdated"}
ENUMS = {"connectorType", "powerType", "weekDay", "updatedBy", "tariffType", "type"}
BOOLEANS = {"openTwentyFourSeven", "fixedCable"}
ODD_TEXTS = [[], {}, ["x"], {"x": 1}]


def _unreadable(key: str) -> list[Any]:
    if key in NUMBERS:
        return ["many", True, [], {}, [1], "nan", "1e999", ""]
    if key in MODELS:
        return ["x", 7, True, [], [1], {"zzz": 1}]
    if key in LISTS:
        return ["x", 7, False, {"zzz": {"uid": 1}}, [None], [[]], ["x", 3.5]]
    if key in WORD_LISTS:
        return [{}, {"x": 1}, [[]], [{}, None]]
    if key in TIMES:
        return ["yesterday", 7, True, [], "2024-01-01", "2024-13-01T00:00:00Z", ""]
    if key in BOOLEANS:
        return ["maybe", 2, [], {}, ""]
    return ODD_TEXTS


Node = tuple[dict[str, Any], dict[str, Any]]


def _objects(broken: Any, clean: Any) -> list[Node]:
    """The objects in both documents that stand for the same model, the outer ones first."""
    if isinstance(broken, dict) and isinstance(clean, dict):
        found = [(broken, clean)]
        for key in clean:
            if key in broken:
                found += _objects(broken[key], clean[key])
        return found
    if isinstance(broken, list) and isinstance(clean, list) and len(broken) == len(clean):
        return [pair for one, other in zip(broken, clean, strict=True) for pair in _objects(one, other)]
    return []


def _delete(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    if len(clean) == 1:
        return False  # an object with nothing left in it is another question
    if draw(st.booleans()):
        del broken[key]
    else:
        broken[key] = None
    del clean[key]
    return False


def _make_unreadable(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    if len(clean) == 1:
        return False
    broken[key] = draw(st.sampled_from(_unreadable(key)))
    del clean[key]
    return True


def _respell(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in key)
    broken[
        draw(st.sampled_from([key.upper(), key.lower(), key[0].upper() + key[1:], snake, snake.replace("_", "-")]))
    ] = broken.pop(key)
    return False


def _add_strange_keys(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    broken[f"{key}Zzz"] = draw(st.sampled_from([None, 7, "x", [], {"uid": 1}, [[{}]]]))
    return False


def _insert_junk(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    if key not in LISTS or not isinstance(broken[key], list):
        return False
    place = draw(st.integers(0, len(broken[key])))
    broken[key].insert(place, draw(st.sampled_from([None, 7, "x", True, [], [1], {"zzz": 1}])))
    return True


def _unwrap(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    if key in LISTS | WORD_LISTS and isinstance(broken[key], list) and len(broken[key]) == 1:
        broken[key] = broken[key][0]
    return False


def _is_unknown(draw: Callable[[Any], Any], broken: dict[str, Any], clean: dict[str, Any], key: str) -> bool:
    if key in ENUMS:
        broken[key] = clean[key] = draw(st.sampled_from(["Brandnew", "x", "Type 9", "日"]))
    return False


DAMAGES = [_delete, _make_unreadable, _make_unreadable, _respell, _add_strange_keys, _insert_junk, _unwrap, _is_unknown]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", POOLS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_field_costs_only_itself(version: ApiVersion, kind: str, data: st.DataObject) -> None:
    """Every damage is done to one page, and what it costs is taken out of another by hand: both must read the same."""
    result, pools = POOLS[kind]
    pool = pools[version]
    picked = data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=1, max_size=PAGE), label="stations")
    broken, clean = [copy.deepcopy(pool[n]) for n in picked], [copy.deepcopy(pool[n]) for n in picked]
    noticed = False
    for _ in range(data.draw(st.integers(0, 8), label="damages")):
        objects = [
            (one, other)
            for one, other in _objects(broken, clean)
            if other and any(key in one and key != "markerType" for key in other)
        ]
        if not objects:
            break
        one, other = data.draw(st.sampled_from(range(len(objects))).map(objects.__getitem__))
        key = data.draw(st.sampled_from(sorted(key for key in other if key in one and key != "markerType")))
        noticed |= data.draw(st.sampled_from(DAMAGES))(data.draw, one, other, key)
    for _ in range(data.draw(st.integers(0, 3), label="junk items")):
        junk = data.draw(
            st.sampled_from([None, 7, "x", True, [], [[1]], *([{"zzz": 1}] if result is LOCATIONS else [])])
        )
        broken.insert(data.draw(st.integers(0, len(broken))), junk)
        noticed = True
    wanted = decode(version, result, answer(version, *clean))
    assert wanted.problems == ()
    found = decode(version, result, answer(version, *broken))
    assert found.data == wanted.data
    assert every_field(found.data) == every_field(wanted.data)  # 1 is not True is not 1.0
    assert (found.request_id, found.status) == (wanted.request_id, wanted.status)
    if not noticed:
        assert found.problems == ()


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**400, 10**401),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["Available", "NaN", "2024-01-01T00:00:00Z", "99/99/2024 10:00", "\ud800", "9" * 400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=4),
                st.sampled_from(["uid", "UID", "evses", "connectors", "status", "data", "markerType", "coordinates"]),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", POOLS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_in_one_item_leaves_the_other_items_intact(
    version: ApiVersion, kind: str, data: st.DataObject
) -> None:
    result, pools = POOLS[kind]
    pool = pools[version]
    before = decode(version, result, answer(version, *pool)).data
    page = copy.deepcopy(pool)
    hit = data.draw(st.integers(0, len(page) - 1))
    where: Any = page
    key: Any = hit
    while data.draw(st.booleans()):
        inner = where[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        where, key = inner, data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
    where[key] = data.draw(anything)
    found = list(decode(version, result, answer(version, *page)).data)
    untouched = [item for place, item in enumerate(before) if place != hit]
    if len(found) == len(before):
        del found[hit]
    assert found == untouched


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(document=anything, wrapped=st.booleans())
def test_no_document_raises_anything_but_undecodable(version: ApiVersion, document: Any, wrapped: bool) -> None:
    for result in (LOCATIONS, LOCATION, MARKERS):
        try:
            decoded = decode(version, result, {"status": "SUCCESS", "data": document} if wrapped else document)
        except Undecodable as error:
            assert error.problems  # noqa: PT017 - one of two good ends
        else:
            assert all(isinstance(problem, str) for problem in decoded.problems)
            hash(decoded.data)
            repr(decoded.data)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_truncated_or_altered_body_raises_nothing_but_undecodable(version: ApiVersion, data: st.DataObject) -> None:
    body = json.dumps(answer(version, SAMPLES[version][0])).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    broken = body[:start] + data.draw(st.binary(max_size=6)) + body[end:]
    for result in (LOCATIONS, LOCATION, MARKERS):
        try:
            Codec(version).decode(result, broken)
        except Undecodable as error:
            assert error.problems  # noqa: PT017
