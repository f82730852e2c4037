"""Models of locations, tariffs and markers: their shape, and the conveniences on them."""

from __future__ import annotations

import copy
import math
import pickle
import re
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shell_ev.errors import ValidationError
from shell_ev.models import locations, markers, tariffs
from shell_ev.models.enums import AuthorizationMethod, ConnectorType, EvseStatus, PriceComponentType, WeekDay
from shell_ev.models.locations import Connector, Coordinates, ElectricalProperties, Evse, Location, OpeningHours
from shell_ev.models.markers import MultiLocationMarker, SingleLocationMarker, UnknownLocationMarker
from shell_ev.models.tariffs import ElementTariff, FlatTariff, PriceComponent, TariffElement, TariffRestrictions

MODULES = (locations, tariffs, markers)
MODELS: list[Any] = [
    cls
    for module in MODULES
    for cls in vars(module).values()
    if isinstance(cls, type) and attrs.has(cls) and cls.__module__ == module.__name__
]


# The shape


def _allowed(annotation: Any) -> bool:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return len(args) == 2 and type(None) in args and all(a is type(None) or _allowed(a) for a in args)
    if origin is tuple:
        return len(args) == 2 and args[1] is Ellipsis and _allowed(args[0])
    return annotation in (str, float, int, bool, datetime) or attrs.has(annotation) or issubclass(annotation, StrEnum)


def test_the_models_are_all_there() -> None:
    assert {cls.__name__ for cls in MODELS} == {
        *("Coordinates", "Address", "Accessibility", "OpeningHours", "ElectricalProperties", "Connector", "Evse"),
        *("Location", "FlatTariff", "ElementTariff", "PowerRange", "TariffAltText", "TariffElement", "PriceComponent"),
        *("TariffRestrictions", "SingleLocationMarker", "MultiLocationMarker", "UnknownLocationMarker"),
    }


@pytest.mark.parametrize("cls", MODELS)
def test_every_model_is_optional_frozen_hashable_and_copies(cls: Any) -> None:
    empty = cls()
    for field in attrs.fields(cls):
        if field.name not in ("marker_type", "raw"):
            assert getattr(empty, field.name) in (None, ()), field.name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(empty, field.name, None)
    assert empty == cls()
    assert hash(empty) == hash(cls())
    assert pickle.loads(pickle.dumps(empty)) == empty
    assert copy.deepcopy(empty) == empty
    with pytest.raises(TypeError):
        cls("positional")


@pytest.mark.parametrize("cls", MODELS)
def test_the_converter_can_read_every_annotation(cls: Any) -> None:
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        hint = hints[field.name]
        assert hint == Mapping[str, Any] if field.name == "raw" else _allowed(hint), (field.name, hint)


@pytest.mark.parametrize("module", MODULES)
def test_every_field_says_what_it_is(module: types.ModuleType) -> None:
    lines = Path(str(module.__file__)).read_text("utf-8").splitlines()
    fields = [n for n, line in enumerate(lines) if re.match(r"    [a-z][a-z_]*: ", line)]
    assert fields
    assert [lines[n] for n in fields if not lines[n + 1].startswith('    """')] == []


CONTRACT = {
    # Contract section 5, the union of G1 and G2, wire names.
    "Location": "uid externalId coordinates operatorName address accessibility evses openingHours updated "
    "operatorComment locationType operatorId openTwentyFourSeven",
    "Coordinates": "latitude longitude",
    "Address": "streetAndNumber postalCode city country",
    "Accessibility": "status remark",
    "Evse": "uid externalId evseId status connectors authorizationMethods updated deleted physicalReference",
    "Connector": "uid externalId connectorType electricalProperties fixedCable tariff tariffs updated updatedBy "
    "deleted",
    "ElectricalProperties": "powerType voltage amperage maxElectricPower",
    "OpeningHours": "weekDay startTime endTime",
    "FlatTariff": "startFee perMinute perKWh currency updated updatedBy structure",
    "ElementTariff": "tariffId tariffType powerRange internalId operatorId providerId currency tariffAltText minPrice "
    "maxPrice elements startDateTime endDateTime lastUpdated createdBy",
    "PowerRange": "min max",
    "TariffAltText": "language text",
    "TariffElement": "priceComponents restrictions",
    "PriceComponent": "type stepSize price vat",
    "TariffRestrictions": "startTime endTime startDate endDate minKwh maxKwh minCurrent maxCurrent minPower maxPower "
    "minDuration maxDuration dayOfWeek",
    "SingleLocationMarker": "markerType uniqueKey status coordinates evseCount maxPower geoHash locationUid "
    "authorizationMethods operatorId locationCount operatorName",
    "MultiLocationMarker": "markerType uniqueKey coordinates locationCount evseCount maxPower geoHash operatorName",
}


@pytest.mark.parametrize("cls", [cls for cls in MODELS if cls is not UnknownLocationMarker])
def test_the_fields_are_those_of_the_contract(cls: Any) -> None:
    wire = CONTRACT[cls.__name__].replace("KWh", "Kwh").split()
    snake = {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in wire}
    assert {field.name for field in attrs.fields(cls)} == snake


def test_markers_are_distinguished() -> None:
    assert SingleLocationMarker().marker_type == "SingleLocation"
    assert MultiLocationMarker().marker_type == "MultiLocation"
    unknown = UnknownLocationMarker(marker_type="Cluster", raw={"markerType": "Cluster", "items": [1]})
    assert unknown == UnknownLocationMarker(marker_type="Cluster", raw={"markerType": "Cluster", "items": [1]})
    assert unknown != UnknownLocationMarker(marker_type="Cluster", raw={})
    assert len({unknown, unknown}) == 1
    assert UnknownLocationMarker().raw is not UnknownLocationMarker().raw
    assert set(typing.get_args(markers.LocationMarker)) == {type(m) for m in (SingleLocationMarker(), unknown)} | {
        MultiLocationMarker
    }


# Tariffs: zero is free, None is unknown


@pytest.mark.parametrize(
    ("tariff", "free"),
    [
        (FlatTariff(), None),
        (FlatTariff(start_fee=0, per_minute=0, per_kwh=0), True),
        (FlatTariff(start_fee=0, per_minute=0.0), None),
        (FlatTariff(per_kwh=0.35), False),
        (FlatTariff(start_fee=0, per_minute=0, per_kwh=0.35), False),
        (ElementTariff(), None),
        (ElementTariff(min_price=0), None),
        (ElementTariff(min_price=1), False),
        (ElementTariff(min_price=0, elements=(TariffElement(price_components=(PriceComponent(price=0),)),)), True),
        (ElementTariff(elements=(TariffElement(price_components=(PriceComponent(price=0),)),)), None),
        (ElementTariff(min_price=0, elements=(TariffElement(price_components=(PriceComponent(),)),)), None),
        (ElementTariff(min_price=0, elements=(TariffElement(),)), None),
        (ElementTariff(elements=(TariffElement(price_components=(PriceComponent(price=0.3),)),)), False),
        (
            # Free only at times: the second element has a price.
            ElementTariff(
                min_price=0,
                elements=(
                    TariffElement(
                        price_components=(PriceComponent(type=PriceComponentType.ENERGY, price=0),),
                        restrictions=TariffRestrictions(max_duration=0),
                    ),
                    TariffElement(price_components=(PriceComponent(price=0), PriceComponent(price=0.1))),
                ),
            ),
            False,
        ),
    ],
)
def test_is_free(tariff: tariffs.Tariff, free: bool | None) -> None:
    assert tariff.is_free is free


# Power and finding an EVSE


def connector(kw: float | None = None, kind: ConnectorType | None = None, deleted: str | None = None) -> Connector:
    return Connector(
        connector_type=kind, electrical_properties=ElectricalProperties(max_electric_power=kw), deleted=deleted
    )


def test_power_is_that_of_the_strongest_connector_that_is_still_there() -> None:
    assert Connector().max_power_kw is None
    assert connector().max_power_kw is None
    assert connector(0).max_power_kw == 0
    assert connector(math.nan).max_power_kw is None
    assert connector(math.inf).max_power_kw is None
    assert connector(10**400).max_power_kw is None
    assert Connector(electrical_properties=ElectricalProperties(voltage=400, amperage=32)).max_power_kw is None
    evse = Evse(connectors=(connector(), connector(22), connector(11), connector(350, deleted="10/06/2021 10:44:24")))
    assert evse.max_power_kw == 22
    assert Evse(connectors=(connector(),)).max_power_kw is None
    gone = Evse(connectors=(connector(300),), deleted="yes")
    assert Location(evses=(Evse(), evse, gone)).max_power_kw == 22
    assert Location(evses=(Evse(connectors=(connector(0),)),)).max_power_kw == 0
    assert Location().max_power_kw is None
    assert (evse.is_deleted, gone.is_deleted, Evse(deleted="").is_deleted) == (False, True, False)


def test_an_evse_is_found_by_its_id_however_it_is_written() -> None:
    first, second = Evse(evse_id="NL*TNM*E02003451*0"), Evse(evse_id="nltnme020034511")
    location = Location(evses=(Evse(), Evse(evse_id=""), Evse(evse_id="*"), first, second))
    for text in ("NL*TNM*E02003451*0", "nl*tnm*e02003451*0", "NLTNME020034510", " NL*TNM*E020034510 "):
        assert location.evse(text) is first
    assert location.evse("NL*TNM*E02003451*1") is second
    for text in ("", "*", " ", "NL*TNM*E02003451", "NL-TNM-E02003451-0"):
        assert location.evse(text) is None
    assert Location().evse("NL*TNM*E02003451*0") is None


def test_of_several_evses_the_living_and_the_exact_one_comes_first() -> None:
    gone = Evse(evse_id="NL*A*E1*23", deleted="x")
    loose = Evse(evse_id="NL*A*E12*3")
    exact = Evse(evse_id="NL*A*E1*23", uid="2")
    assert Location(evses=(gone, loose, exact)).evse("NL*A*E1*23") is exact
    assert Location(evses=(gone, loose)).evse("NL*A*E1*23") is loose
    assert Location(evses=(gone,)).evse("NL*A*E1*23") is gone


def test_available_evses() -> None:
    fast = Evse(
        uid="1",
        status=EvseStatus.AVAILABLE,
        connectors=(connector(150, ConnectorType.TYPE_2_COMBO), connector(22, ConnectorType.TYPE_2)),
    )
    blurry = Evse(uid="2", status=EvseStatus.AVAILABLE, connectors=(connector(None, ConnectorType.TYPE_2),))
    bare = Evse(uid="3", status=EvseStatus.AVAILABLE, authorization_methods=(AuthorizationMethod.PNC,))
    busy = attrs.evolve(fast, uid="4", status=EvseStatus.OCCUPIED)
    gone = attrs.evolve(fast, uid="5", deleted="2021")
    half = Evse(uid="6", status=EvseStatus.AVAILABLE, connectors=(connector(400, ConnectorType.TESLA, deleted="2021"),))
    strange = Evse(uid="7", status=EvseStatus("Reserved"))
    new = Evse(uid="8", status=EvseStatus("available"), connectors=(connector(1000, ConnectorType("MCS")),))
    location = Location(evses=(fast, blurry, bare, busy, gone, half, strange, Evse(), new))
    assert location.available_evses() == (fast, blurry, bare, half, new)
    assert location.available_evses(ConnectorType.TYPE_2) == (fast, blurry)
    assert location.available_evses("type2") == (fast, blurry)
    assert location.available_evses("type2", min_power_kw=22) == (fast,)
    assert location.available_evses("type2", min_power_kw=50) == ()  # 150 kW is on the other connector
    assert location.available_evses(min_power_kw=50) == (fast, new)
    assert location.available_evses(min_power_kw=0) == (fast, new)
    assert location.available_evses("Tesla") == ()
    assert location.available_evses("MCS") == (new,)
    assert Location().available_evses("Type2", 3) == ()
    with pytest.raises(ValidationError):
        Location().available_evses(min_power_kw=math.nan)


# Where


def at(latitude: float | None, longitude: float | None) -> Location:
    return Location(coordinates=Coordinates(latitude=latitude, longitude=longitude))


def test_lon_lat() -> None:
    assert Coordinates(latitude=52.1, longitude=4.3).lon_lat == (4.3, 52.1)
    assert Coordinates(latitude=0, longitude=0).lon_lat == (0, 0)
    assert Coordinates(latitude=-90, longitude=180).lon_lat == (180, -90)
    for latitude, longitude in [(None, 1), (1, None), (91, 0), (0, -180.1), (math.nan, 0), (0, math.inf)]:
        assert Coordinates(latitude=latitude, longitude=longitude).lon_lat is None


def test_distance() -> None:
    amsterdam = at(52.3676, 4.9041)
    assert amsterdam.distance_km(51.9244, 4.4777) == pytest.approx(57.3, abs=0.3)  # Rotterdam
    assert amsterdam.distance_km(52.3676, 4.9041) == 0
    assert at(0, 0).distance_km(0, 180) == pytest.approx(math.pi * 6371.0088)
    assert at(0, 179.9).distance_km(0, -179.9) == pytest.approx(22.24, abs=0.01)
    assert at(90, 0).distance_km(-90, 77) == pytest.approx(math.pi * 6371.0088)
    assert Location().distance_km(0, 0) is None
    assert at(95, 0).distance_km(0, 0) is None
    assert at(None, 0).distance_km(0, 0) is None


@pytest.mark.parametrize("where", [Location(), at(0, 0)])
def test_distance_refuses_what_is_no_position(where: Location) -> None:
    with pytest.raises(ValidationError) as caught:
        where.distance_km(math.nan, 181)
    assert len(caught.value.faults) == 2


latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_is_a_distance(lat_1: float, lon_1: float, lat_2: float, lon_2: float) -> None:
    there = at(lat_1, lon_1).distance_km(lat_2, lon_2)
    assert there is not None
    assert 0 <= there <= math.pi * 6371.0088 + 1e-6
    assert there == pytest.approx(at(lat_2, lon_2).distance_km(lat_1, lon_1), abs=1e-6)
    # The same by another formula: the angle between two vectors, by its tangent.
    a, b = ((math.radians(x), math.radians(y)) for x, y in ((lat_1, lon_1), (lat_2, lon_2)))
    u, v = ((math.cos(x) * math.cos(y), math.cos(x) * math.sin(y), math.sin(x)) for x, y in (a, b))
    cross = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    angle = math.atan2(math.hypot(*cross), sum(p * q for p, q in zip(u, v, strict=True)))
    assert there == pytest.approx(angle * 6371.0088, abs=1e-3)


# When

AMSTERDAM = timezone(timedelta(hours=2), "CEST")  # no time zone database needed
MONDAY = datetime(2024, 1, 1, tzinfo=AMSTERDAM)


def hours(*texts: str) -> Location:
    """``Mon 08:00-18:00`` and so on."""
    periods: list[OpeningHours] = []
    for text in texts:
        day, times = text.split(" ", 1)
        start, end = times.split("-")
        periods.append(OpeningHours(week_day=WeekDay(day), start_time=start, end_time=end))
    return Location(opening_hours=tuple(periods))


def moment(text: str) -> datetime:
    day, clock = text.split()
    return datetime.combine(
        MONDAY.date() + timedelta(days=list(WeekDay).index(WeekDay(day))),
        datetime.strptime(clock, "%H:%M:%S" if clock.count(":") == 2 else "%H:%M").time(),
        AMSTERDAM,
    )


@pytest.mark.parametrize(
    ("periods", "when", "answer"),
    [
        (["Mon 08:00-18:00"], "Mon 08:00", True),
        (["Mon 08:00-18:00"], "Mon 07:59:59", False),
        (["Mon 08:00-18:00"], "Mon 17:59:59", True),
        (["Mon 08:00-18:00"], "Mon 18:00", False),
        (["Mon 08:00:30-18:00:30"], "Mon 08:00:29", False),
        (["Mon 08:00:30-18:00:30"], "Mon 18:00:29", True),
        (["mon 8:00-18:00"], "Mon 08:00", True),
        (["Mon 08:00-18:00"], "Tue 12:00", False),  # not listed, so closed
        (["Mon 08:00-12:00", "Mon 13:00-18:00"], "Mon 12:30", False),
        (["Mon 08:00-12:00", "Mon 13:00-18:00"], "Mon 13:00", True),
        (["Fri 22:00-06:00"], "Fri 23:00", True),
        (["Fri 22:00-06:00"], "Sat 05:59:59", True),
        (["Fri 22:00-06:00"], "Sat 06:00", False),
        (["Fri 22:00-06:00"], "Fri 05:00", False),
        (["Sun 22:00-06:00"], "Mon 05:00", True),  # over the end of the week
        (["Mon 08:00-24:00"], "Mon 23:59:59", True),
        (["Mon 08:00-24:00:00"], "Tue 00:00", False),
        (["Mon 08:00-00:00"], "Mon 23:59:59", True),
        (["Mon 08:00-00:00"], "Tue 00:00", False),
        (["Mon 00:00-00:00"], "Mon 00:00", True),
        (["Mon 00:00-00:00"], "Mon 23:59:59", True),
        (["Mon 00:00-00:00"], "Tue 00:00", False),
        (["Mon 00:00-24:00"], "Mon 12:00", True),
        (["Mon 00:00-23:59"], "Mon 23:59:59", True),
        (["Mon 00:00-23:59:59"], "Mon 23:59:59", True),
        (["Mon 00:00-23:59"], "Tue 00:00", False),
        (["Mon 08:00-08:00"], "Tue 07:59", True),
        (["Mon 08:00-08:00"], "Mon 07:59", False),
        # What cannot be read.
        (["Mon noon-18:00"], "Mon 12:00", None),
        (["Mon noon-18:00"], "Tue 12:00", None),  # might run over midnight
        (["Mon noon-18:00"], "Wed 12:00", False),
        (["Mon noon-18:00", "Mon 10:00-14:00"], "Mon 12:00", True),
        (["Mon 10:00-14:00", "Mon noon-18:00"], "Mon 12:00", True),
        (["Mon noon-18:00", "Mon 10:00-11:00"], "Mon 12:00", None),
        (["Mon 10:00-11:00", "Mon noon-18:00"], "Mon 12:00", None),
        (["Mon 24:00-02:00"], "Mon 12:00", None),
        (["Mon 24:01-02:00"], "Mon 12:00", None),
        (["Mon 08:60-18:00"], "Mon 12:00", None),
        (["Mon 08:00-18:00:60"], "Mon 12:00", None),
        (["Mon -"], "Mon 12:00", None),
        (["Mon ٠٨:٠٠-18:00"], "Mon 12:00", None),
        (["Holiday 08:00-18:00"], "Mon 12:00", None),
        (["Holiday 08:00-18:00"], "Mon 19:00", False),
        (["Holiday 22:00-06:00"], "Mon 05:00", None),
        (["Holiday 08:00-18:00", "Mon 08:00-18:00"], "Mon 12:00", True),
    ],
)
def test_opening_hours(periods: list[str], when: str, answer: bool | None) -> None:
    assert hours(*periods).is_open(moment(when)) is answer


@pytest.mark.parametrize("flag", [None, False])
def test_the_hours_decide_unless_the_flag_says_always(flag: bool | None) -> None:
    location = attrs.evolve(hours("Mon 08:00-18:00"), open_twenty_four_seven=flag)
    assert location.is_open(moment("Mon 12:00")) is True
    assert location.is_open(moment("Mon 19:00")) is False
    assert Location(open_twenty_four_seven=flag).is_open(MONDAY) is None
    assert attrs.evolve(location, open_twenty_four_seven=True).is_open(moment("Mon 19:00")) is True
    assert Location(open_twenty_four_seven=True).is_open(MONDAY) is True
    assert Location(opening_hours=(OpeningHours(),)).is_open(MONDAY) is None


def test_the_wall_clock_of_the_moment_counts() -> None:
    location = hours("Mon 08:00-18:00")
    utc = datetime(2024, 7, 1, 7, 0, tzinfo=UTC)  # a Monday, 09:00 in Amsterdam
    assert location.is_open(utc) is False
    assert location.is_open(utc.astimezone(AMSTERDAM)) is True
    assert location.is_open(utc.astimezone(timezone(timedelta(hours=-8)))) is False  # Sunday there


@pytest.mark.parametrize("location", [Location(), Location(open_twenty_four_seven=True), hours("Mon 08:00-18:00")])
def test_a_naive_moment_is_refused(location: Location) -> None:
    with pytest.raises(ValidationError, match="timezone-aware"):
        location.is_open(datetime(2024, 1, 1, 12))


minutes = st.integers(0, 24 * 60 - 2)  # 23:59 is read as midnight, see above


@given(
    st.lists(st.tuples(st.sampled_from(list(WeekDay)), minutes, minutes), min_size=1, max_size=6),
    st.integers(0, 7 * 24 * 60 - 1),
)
@example([(WeekDay.SUN, 22 * 60, 6 * 60)], 0)
def test_opening_hours_against_a_calendar(periods: list[tuple[WeekDay, int, int]], when: int) -> None:
    # Every period of last week, this week and the next as a span of real time.
    naive = datetime(2024, 1, 1)
    spans: list[tuple[datetime, datetime]] = []
    for day, start, end in periods:
        for week in (-1, 0, 1):
            midnight = naive + timedelta(weeks=week, days=list(WeekDay).index(day))
            closes = end if end > start else end + 24 * 60
            spans.append((midnight + timedelta(minutes=start), midnight + timedelta(minutes=closes)))
    asked = naive + timedelta(minutes=when)
    location = hours(*(f"{d} {s // 60:02}:{s % 60:02}-{e // 60:02}:{e % 60:02}" for d, s, e in periods))
    assert location.is_open(asked.replace(tzinfo=UTC)) is any(start <= asked < end for start, end in spans)


texts = st.none() | st.text(max_size=8) | st.sampled_from(["08:00", "24:00", "00:00", "23:59:59", "99:99"])


@given(
    st.lists(st.builds(OpeningHours, week_day=st.none() | st.text().map(WeekDay), start_time=texts, end_time=texts)),
    st.none() | st.booleans(),
    st.datetimes(timezones=st.just(UTC)),
)
def test_no_text_on_the_wire_breaks_it(periods: list[OpeningHours], flag: bool | None, when: datetime) -> None:
    location = Location(opening_hours=tuple(periods), open_twenty_four_seven=flag)
    assert location.is_open(when) in (True, False, None)
