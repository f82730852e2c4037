"""Invalid arguments of the location operations are refused; and their documentation is complete."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import types
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signatures import accepted

from shell_ev import geojson, options
from shell_ev.dialects import DIALECTS, ApiVersion
from shell_ev.endpoints import locations
from shell_ev.endpoints import validation as location_checks
from shell_ev.endpoints.locations import MAX_PER_PAGE, AsyncLocations
from shell_ev.endpoints.validation import LocationChecks
from shell_ev.errors import ValidationError
from shell_ev.identifiers import EmaId, EvseId
from shell_ev.models import locations as location_models
from shell_ev.models import markers, tariffs
from shell_ev.models.enums import AuthorizationMethod, ConnectorType, EvseStatus, PowerType
from shell_ev.wire.operations import (
    LOCATIONS_GET,
    LOCATIONS_LIST,
    LOCATIONS_MARKERS,
    LOCATIONS_NEARBY,
    Operation,
    build,
    versions_with,
)

PASCAL, V1, V2 = ApiVersion.V1_PASCAL, ApiVersion.V1, ApiVersion.V2
OPERATIONS = (LOCATIONS_LIST, LOCATIONS_GET, LOCATIONS_NEARBY, LOCATIONS_MARKERS)


def checked(operation: Operation = LOCATIONS_LIST, version: ApiVersion = V2, **given: object) -> dict[str, Any]:
    """The filters as they travel; ValidationError if one is refused."""
    checks = LocationChecks(operation, version)
    arguments = checks.filters(given)
    checks.raise_if_any()
    return arguments


def faults(operation: Operation = LOCATIONS_LIST, version: ApiVersion = V2, **given: object) -> tuple[str, ...]:
    """What is refused of the filters."""
    with pytest.raises(ValidationError) as caught:
        checked(operation, version, **given)
    assert caught.value.operation == operation.name
    return caught.value.faults


# The documented arguments by dialect

COMMON = """evse_status connector_types connector_min_power authorization_methods with_operator_name
            evse_id location_external_id evse_external_id"""
HAVE = {
    LOCATIONS_LIST.name: f"{COMMON} page_number per_page updated_since",
    LOCATIONS_GET.name: "uid",
    LOCATIONS_NEARBY.name: f"{COMMON} latitude longitude limit with_max_power operator_name",
    LOCATIONS_MARKERS.name: f"{COMMON} west south east north zoom with_max_power operator_name",
}
LATER = {operation.name: "country exclude_country" for operation in OPERATIONS} | {"locations.get": "provider_id since"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_has_the_documented_arguments_in_each_dialect(operation: Operation) -> None:
    old, new = set(HAVE[operation.name].split()), set(LATER[operation.name].split())
    assert operation.routes[PASCAL].names == old
    assert operation.routes[V1].names == operation.routes[V2].names == old | new
    assert operation.repeatable
    assert {route.method for route in operation.routes.values()} == {"GET"}
    for name in new:
        assert versions_with(operation, name) == (V1, V2)
        assert faults(operation, PASCAL, **{name: "NLD"}) == (
            f"{name} does not exist in v1-pascal; v1 and v2 have it",
        )  # fmt: skip
        # What does not exist is said once; what is wrong with it besides does not matter.
        assert len(faults(operation, PASCAL, **{name: object()})) == 1
        assert checked(operation, PASCAL, **{name: None}) == {}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_method_takes_the_arguments_of_its_operation(operation: Operation) -> None:
    method = getattr(AsyncLocations, operation.name.partition(".")[2])
    own = accepted(method) - {"request_id", "timeout", "max_retries", "headers"}
    assert own == operation.routes[V2].names
    if operation is LOCATIONS_LIST:
        assert accepted(AsyncLocations.iterate) - {"timeout", "max_retries", "headers", "limit", "prefetch"} == own - {
            "page_number"
        }


# Enums

ENUMS: list[tuple[str, Any]] = [
    ("evse_status", EvseStatus),
    ("connector_types", ConnectorType),
    ("authorization_methods", AuthorizationMethod),
]


@pytest.mark.parametrize(("name", "enum"), ENUMS)
def test_an_enum_filter_takes_members_and_texts_in_any_case_and_sequence(name: str, enum: Any) -> None:
    for member in enum:
        for form in (member, member.value, member.value.upper(), member.value.lower(), f" {member.value}_"):
            assert checked(**{name: form}) == {name: member.value}
            assert type(checked(**{name: form})[name]) is str
    values = [member.value for member in enum]
    for several in (list(enum), tuple(values), deque(enum), [value.lower() for value in values]):
        assert checked(**{name: several}) == {name: tuple(values)}
    for unordered in (set(enum), frozenset(values)):
        assert checked(**{name: unordered}) == {name: tuple(sorted(values))}
    assert checked(**{name: [values[0]]}) == {name: (values[0],)}
    assert checked(**{name: None}) == {}


@pytest.mark.parametrize(("name", "enum"), ENUMS)
@pytest.mark.parametrize("empty", [[], (), set(), frozenset(), deque()])
def test_an_empty_sequence_of_a_filter_is_refused(name: str, enum: Any, empty: Any) -> None:
    assert faults(**{name: empty}) == (f"{name} is an empty sequence; leave it out to not filter by it",)


@pytest.mark.parametrize(("name", "enum"), ENUMS)
@pytest.mark.parametrize(
    "bad", ["", "CCS3", "NLD", PowerType.DC, 3, True, b"Type2", bytearray(b"x"), object(), {"a": 1}]
)
def test_a_word_that_is_no_member_is_refused(name: str, enum: Any, bad: Any) -> None:
    (fault,) = faults(**{name: bad})
    assert fault.startswith(f"{name} must be ")
    if isinstance(bad, str):
        assert all(member.value in fault for member in enum)


def test_a_generator_is_refused_rather_than_used_up() -> None:
    assert faults(connector_types=(kind for kind in ConnectorType)) == (
        "connector_types must be a text or a sequence of texts, not generator",
    )


def test_every_bad_item_of_a_sequence_is_a_fault() -> None:
    kinds, countries = ["Type2", "CCS3", 3, None, ["Type2"]], ["NLD", "QQ", "", 3, None, "NLDX", "N1D"]
    found = faults(connector_types=kinds, country=countries)
    assert len(found) == 4 + 6
    assert sum(fault.startswith("connector_types must be ") for fault in found) == 4


# Countries


def test_countries_are_alpha_3_codes() -> None:
    for name in ("country", "exclude_country"):
        assert checked(**{name: "nld"}) == {name: ("NLD",)}
        assert checked(**{name: ["NLD", "Bel"]}) == {name: ("NLD", "BEL")}
        assert checked(**{name: {"NLD", "BEL"}}) == {name: ("BEL", "NLD")}
        assert checked(**{name: "nl"}) == {name: ("NLD",)}
        assert checked(**{name: ["NL", "NLD", "be", "UK", "XK"]}) == {name: ("NLD", "BEL", "GBR", "XKX")}
        assert faults(**{name: []}) == (f"{name} is an empty sequence; leave it out to not filter by it",)
        for bad in ("QQ", "N1", "", "NLDX", "N1D", "NLD,BEL", " NLD", "NLD\n", "ＮＬＤ", "ſſſ", b"NLD", 528):
            assert len(faults(**{name: bad})) == 1, bad


# Flags, numbers, times, texts


@pytest.mark.parametrize("name", ["with_operator_name", "with_max_power"])
def test_a_flag_is_true_or_false(name: str) -> None:
    for flag in (True, False):
        assert checked(LOCATIONS_NEARBY, **{name: flag}) == {name: flag}
    for bad in (0, 1, "true", "", [], 1.0):
        assert len(faults(LOCATIONS_NEARBY, **{name: bad})) == 1


def test_a_power_is_a_number_of_kw_from_zero() -> None:
    for good in (0, 0.0, 11, 22.5, 1e300):
        assert checked(connector_min_power=good) == {"connector_min_power": good}
    for bad in (-0.1, float("nan"), float("inf"), True, "11", Decimal(11), 10**400, [11], 1j):
        (fault,) = faults(connector_min_power=bad)
        assert "connector_min_power must be a number of at least 0 (kW)" in fault


@pytest.mark.parametrize(
    ("name", "bound"),
    [("latitude", 90), ("longitude", 180), ("west", 180), ("east", 180), ("south", 90), ("north", 90)],
)
def test_degrees_are_numbers_within_their_bounds(name: str, bound: int) -> None:
    for version in ApiVersion:
        for good in (bound, -bound, 0, -0.0, 1e-9, bound - 1e-9):
            checks, arguments = LocationChecks(LOCATIONS_NEARBY, version), dict[str, Any]()
            checks.degrees(arguments, name, good, bound)
            assert (checks.faults, arguments) == ([], {name: good})
        for bad in (bound + 1e-9, -bound - 1, float("nan"), float("inf"), None, "5", True, 10**400, Decimal(5)):
            checks, arguments = LocationChecks(LOCATIONS_NEARBY, version), {}
            checks.degrees(arguments, name, bad, bound)
            assert arguments == {}
            assert len(checks.faults) == 1
            assert f"{name} must be a number from -{bound} to {bound} (degrees)" in checks.faults[0]


def test_a_page_is_a_whole_number_within_its_bounds() -> None:
    def fault(value: object, high: int | None) -> list[str]:
        checks, arguments = LocationChecks(LOCATIONS_LIST, V2), dict[str, Any]()
        checks.whole_number(arguments, "per_page", value, 1, high)
        assert bool(arguments) is not (bool(checks.faults) or value is None)
        return checks.faults

    for good in (None, 1, 500):
        assert fault(good, MAX_PER_PAGE) == []
    for bad in (0, 501, -1, 1.0, "1", True, float("nan")):
        assert fault(bad, MAX_PER_PAGE) == [f"per_page must be a whole number from 1 to 500, not {bad!r}"]
    assert fault(10**9, None) == []
    assert fault(0, None) == ["per_page must be a whole number of at least 1, not 0"]
    assert [DIALECTS[version].max_per_page for version in (PASCAL, V1, V2)] == [None, 500, 500]
    assert [DIALECTS[version].max_nearby for version in (PASCAL, V1, V2)] == [None, 100, 100]


def test_a_zoom_level_is_a_whole_number_from_1_to_20() -> None:
    def zoom(value: object) -> str | None:
        checks, arguments = LocationChecks(LOCATIONS_MARKERS, V2), dict[str, Any]()
        checks.zoom(arguments, value)
        assert len(checks.faults) == ("zoom" not in arguments)
        return arguments.get("zoom")

    for level in range(1, 21):
        assert zoom(level) == zoom(str(level)) == str(level)
    for bad in (0, 21, -1, "0", "21", "", "007", "015999", "1.5", " 5", "٥", 5.0, True, None, "city", b"5"):
        assert zoom(bad) is None


def test_a_view_must_not_be_upside_down() -> None:
    def view(south: object, north: object) -> list[str]:
        checks, arguments = LocationChecks(LOCATIONS_MARKERS, V2), dict[str, Any]()
        checks.degrees(arguments, "south", south, 90)
        checks.degrees(arguments, "north", north, 90)
        checks.south_of(arguments)
        return checks.faults

    assert view(50, 53) == view(50, 50.0) == []
    assert view(53.5, 50) == ["south (53.5) lies north of north (50)"]
    for south, north in [(10**400, 5), ("a", 5), (None, None), (91, 5), (5, float("nan"))]:
        assert all("must be a number" in fault for fault in view(south, north))


@pytest.mark.parametrize(("operation", "name"), [(LOCATIONS_LIST, "updated_since"), (LOCATIONS_GET, "since")])
def test_a_time_is_an_aware_datetime_or_a_text(operation: Operation, name: str) -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, when: datetime | None) -> None:
            return None

    for good in (
        datetime(2021, 10, 6, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        "2021-10-06T10:44:24Z",
        "10/06/2021 10:44:24",
        "",
    ):
        assert checked(operation, **{name: good}) == {name: good}
    for naive in (datetime(2021, 10, 6), datetime(2021, 10, 6, tzinfo=Nowhere())):
        assert faults(operation, **{name: naive}) == (
            f"{name} must be an aware datetime: without a zone the moment is not known",
        )
    for bad in (date(2021, 10, 6), 1633509864, 1.5, ["2021"], True, b"2021"):
        assert faults(operation, **{name: bad}) == (
            f"{name} must be an aware datetime or text, not {type(bad).__name__}",
        )


TEXTS = ("evse_id", "location_external_id", "evse_external_id", "operator_name")


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_sent_as_they_are(name: str) -> None:
    for good in ("", " ", "NL*TNM*E1", "no EVSE id at all", "é€😀", "\0", "x" * 10_000):
        assert checked(LOCATIONS_NEARBY, **{name: good}) == {name: good}
    for bad in (3, True, b"x", ["x"], object()):
        (fault,) = faults(LOCATIONS_NEARBY, **{name: bad})
        assert f"{name} must be text" in fault
    assert "surrogate" in faults(LOCATIONS_NEARBY, **{name: "\ud800"})[0]


def test_an_evse_id_object_is_sent_as_its_text() -> None:
    assert checked(evse_id=EvseId.parse("nl*tnm*e02003451*0")) == {"evse_id": "NL*TNM*E02003451*0"}
    assert checked(evse_id=EmaId.parse("NL-TNM-C00122045-K")) == {"evse_id": "NL-TNM-C00122045-K"}


def test_a_uid_is_one_segment_of_the_path() -> None:
    def fault(value: object) -> list[str]:
        checks = LocationChecks(LOCATIONS_GET, V2)
        checks.path_segment("uid", value)
        return checks.faults

    for good in ("1", "a/b", "..x", "...", "%2e%2e", " ", "é", "Nearby", "nearby/", "\0"):
        assert fault(good) == []
    for bad in (".", "..", "nearby", "markers"):
        assert fault(bad) == [f"uid must not be {bad!r}: as a path segment it names another resource"]
    for nothing in ("", None, 10, b"1", "\udfff"):
        assert len(fault(nothing)) == 1


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.one_of(st.text(max_size=4), st.integers(), st.none()), max_size=3),
    st.sets(st.text(max_size=4), max_size=3),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([*EvseStatus, *ConnectorType, "NLD", "Available", 10**400, object(), ("Type2",)]),
)


@given(st.sampled_from(OPERATIONS), st.sampled_from(list(ApiVersion)), st.data())
def test_any_argument_is_either_sent_or_refused(operation: Operation, version: ApiVersion, data: st.DataObject) -> None:
    names = sorted(operation.routes[V2].names)
    given = data.draw(st.dictionaries(st.sampled_from(names), junk, max_size=6))
    checks = LocationChecks(operation, version)
    arguments = dict[str, Any]()
    for name, bound in (("latitude", 90), ("longitude", 180), ("south", 90), ("north", 90)):
        if name in given:
            checks.degrees(arguments, name, given.pop(name), bound)
    if "limit" in given:
        checks.whole_number(arguments, "limit", given.pop("limit"), 1, checks.dialect.max_nearby)
    if "zoom" in given:
        checks.zoom(arguments, given.pop("zoom"))
    checks.south_of(arguments)
    arguments |= checks.filters(given)
    if checks.faults:
        with pytest.raises(ValidationError) as caught:
            checks.raise_if_any()
        assert all("\n" not in fault and len(fault) <= 300 for fault in caught.value.faults)
        return
    path, _ = build(operation.routes[version], arguments)
    assert path.isascii()
    assert not re.search(r"\s", path)


# The documentation

ROOMS: list[types.ModuleType] = [locations, location_checks, location_models, tariffs, markers, geojson]


def _public(room: types.ModuleType) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, thing in vars(room).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != room.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            found.append((name, thing))
        if inspect.isclass(thing):
            found += [
                (f"{name}.{inner}", part.fget if isinstance(part, property) else part)
                for inner, part in vars(thing).items()
                if not inner.startswith("_") and (inspect.isfunction(part) or isinstance(part, property))
            ]
    return found


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_everything_public_is_documented(room: types.ModuleType) -> None:
    assert room.__doc__
    things = [(name, thing) for name, thing in _public(room) if name != "TextSink.write"]
    assert things
    assert [name for name, thing in things if len((thing.__doc__ or "").strip()) < 15] == []


METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(AsyncLocations, name) for name in ("list", "iterate", "get", "nearby", "markers")
}


@pytest.mark.parametrize("name", METHODS)
def test_the_docstring_of_a_method_has_args_returns_and_raises(name: str) -> None:
    text = inspect.getdoc(METHODS[name]) or ""
    sections = re.split(r"^(Args|Returns|Yields|Raises):$", text, flags=re.M)
    assert sections[1::2] == ["Args", "Yields" if name == "iterate" else "Returns", "Raises"]
    for parameter in inspect.signature(METHODS[name]).parameters:
        assert parameter == "self" or re.search(rf"^ +(\*\*)?{parameter}: ", sections[2], re.M), parameter


def test_every_option_has_a_docstring() -> None:
    classes = [node for node in ast.parse(inspect.getsource(options)).body if isinstance(node, ast.ClassDef)]
    pairs = [(node.name, *pair) for node in classes for pair in itertools.pairwise([*node.body, None])]
    fields = [(name, field.target, text) for name, field, text in pairs if isinstance(field, ast.AnnAssign)]
    assert len(fields) > 30
    undocumented = [(name, ast.unparse(field)) for name, field, text in fields if not isinstance(text, ast.Expr)]
    assert undocumented == []


UNITS = {
    "voltage": "in V",
    "amperage": "in A",
    "max_electric_power": "in kW",
    "max_power": "kW",
    "min_power": "kW",
    "latitude": "Degrees north",
    "longitude": "Degrees east",
    "start_fee": "``currency``",
    "per_minute": "``currency``",
    "per_kwh": "``currency``",
    "min_price": "``currency``",
    "max_price": "``currency``",
    "price": "currency",
    "vat": "percent",
    "step_size": "seconds for TIME, kWh for ENERGY",
    "min_kwh": "kWh",
    "max_kwh": "kWh",
    "min_current": "in A",
    "max_current": "in A",
    "min_duration": "seconds",
    "max_duration": "seconds",
    "min": "kW",
    "max": "kW",
    "evse_count": "Number",
    "location_count": "Number",
}


@pytest.mark.parametrize("room", [location_models, tariffs, markers], ids=lambda room: room.__name__)
def test_every_number_has_its_unit(room: types.ModuleType) -> None:
    source = inspect.getsource(room)
    for name, cls in vars(room).items():
        if not (inspect.isclass(cls) and attrs.has(cls) and cls.__module__ == room.__name__):
            continue
        for field in attrs.fields(cls):
            if str(field.type).startswith(("float", "int")):
                body = source.split(f"class {name}(")[1]
                match = re.search(rf'\n    {field.name}: [^\n]*\n    """(.*?)"""', body, re.DOTALL)
                assert match, (name, field.name)
                assert UNITS[field.name] in match.group(1), (name, field.name)
