"""What goes over the wire for every argument of every location operation in every dialect (contract section 5).

Names, paths, orders and values are written from the contract, not read from the library's own table.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from location_servers import asked, saying

from shell_ev import ApiError, AsyncShellEV, AuthorizationMethod, ConnectorType, EvseId, EvseStatus, ValidationError
from shell_ev.sandbox import Sandbox

Connect = Callable[..., AsyncShellEV]
Pairs = list[tuple[str, str]]

ROOTS = {"v1-pascal": "/locations/v1/ev", "v1": "/ev/v1/locations", "v2": "/ev/v2/locations"}
VERSIONS = list(ROOTS)
LATER = ["v1", "v2"]

#: Arguments an operation cannot do without, and how they travel.
NEEDED: dict[str, tuple[dict[str, Any], Pairs]] = {
    "list": ({}, []),
    "nearby": ({"latitude": 52.5, "longitude": -4.25}, [("latitude", "52.5"), ("longitude", "-4.25")]),
    "markers": (
        {"west": -4.5, "south": 50, "east": 7.25, "north": 53.0, "zoom": 10},
        [("west", "-4.5"), ("south", "50"), ("east", "7.25"), ("north", "53.0"), ("zoom", "10")],
    ),
}
TAILS = {"list": "", "nearby": "/nearby", "markers": "/markers"}

ENUM_TEXTS = {
    "evse_status": ("evseStatus", EvseStatus, "Available Occupied Unavailable Unknown"),
    "connector_types": (
        "connectorTypes",
        ConnectorType,
        "Avcon Domestic Industrial2PDc IndustrialPneAc Industrial3PEAc Industrial3PENAc Type1 Type1Combo Type2 "
        "Type2Combo Type3 LPI Nema520 SAEJ1772 SPI TepcoCHAdeMO Tesla Unspecified",
    ),
    "authorization_methods": ("authorizationMethods", AuthorizationMethod, "NewMotionApp RFIDToken PnC"),
}


class OddFloat(float):
    """Prints as numpy's numbers do."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)})"


def _enum_cases() -> list[tuple[str, Any, Pairs]]:
    cases: list[tuple[str, Any, Pairs]] = []
    for name, (wire, enum, texts) in ENUM_TEXTS.items():
        words = texts.split()
        for word in words:
            cases += [(name, form, [(wire, word)]) for form in (word, word.upper(), word.lower(), enum(word))]
        first, second = words[:2]
        both = [(f"{wire}[0]", first), (f"{wire}[1]", second)]
        cases += [
            (name, [first, second], both),
            (name, (first.lower(), enum(second)), both),
            (name, {second, first}, both),  # the order of a set is no order: sorted
            (name, frozenset({enum(first), second.upper()}), both),
            (name, [first], [(f"{wire}[0]", first)]),
            (name, words, [(f"{wire}[{index}]", word) for index, word in enumerate(words)]),
        ]
    return cases


UNEXPECTED = "a b+c&d=é*~./?%20;#[0]\"'<>\\|^`{}€😀"

#: Filters that list, nearby and markers have in common.
COMMON: list[tuple[str, Any, Pairs]] = [
    *_enum_cases(),
    ("connector_min_power", 0, [("connectorMinPower", "0")]),
    ("connector_min_power", 22, [("connectorMinPower", "22")]),
    ("connector_min_power", 3.7, [("connectorMinPower", "3.7")]),
    ("connector_min_power", 1e-7, [("connectorMinPower", "0.0000001")]),
    ("connector_min_power", 1e22, [("connectorMinPower", "10000000000000000000000")]),
    ("connector_min_power", OddFloat(11.5), [("connectorMinPower", "11.5")]),
    ("with_operator_name", True, [("withOperatorName", "true")]),
    ("with_operator_name", False, [("withOperatorName", "false")]),
    ("evse_id", "NL*TNM*E02003451*0", [("evseId", "NL*TNM*E02003451*0")]),
    ("evse_id", EvseId.parse("nl*tnm*e02003451*0"), [("evseId", "NL*TNM*E02003451*0")]),
    ("evse_id", "", [("evseId", "")]),
    ("evse_id", UNEXPECTED, [("evseId", UNEXPECTED)]),
    ("location_external_id", "TNM-0000002", [("locationExternalId", "TNM-0000002")]),
    ("location_external_id", "", [("locationExternalId", "")]),
    ("location_external_id", UNEXPECTED, [("locationExternalId", UNEXPECTED)]),
    ("evse_external_id", "E02003452-3", [("evseExternalId", "E02003452-3")]),
    ("evse_external_id", "", [("evseExternalId", "")]),
    ("evse_external_id", UNEXPECTED, [("evseExternalId", UNEXPECTED)]),
]
#: Filters of V1 and V2 alone.
COUNTRIES: list[tuple[str, Any, Pairs]] = [
    (name, given, [(f"{wire}[{index}]", code) for index, code in enumerate(codes)])
    for name, wire in (("country", "country"), ("exclude_country", "excludeCountry"))
    for given, codes in (
        ("NLD", ["NLD"]),
        ("nld", ["NLD"]),
        (["NLD", "bel"], ["NLD", "BEL"]),
        (("GBR", "FRA"), ["GBR", "FRA"]),
        ({"NLD", "BEL", "DEU"}, ["BEL", "DEU", "NLD"]),
    )
]
AMSTERDAM = timezone(timedelta(hours=2))
OWN: dict[str, list[tuple[str, Any, Pairs]]] = {
    "list": [
        ("page_number", 1, [("pageNumber", "1")]),
        ("page_number", 10**9, [("pageNumber", "1000000000")]),
        ("per_page", 1, [("perPage", "1")]),
        ("per_page", 500, [("perPage", "500")]),
        (
            "updated_since",
            datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC),
            [("updatedSince", "2021-10-06T10:44:24+00:00")],
        ),
        (
            "updated_since",
            datetime(2021, 10, 6, 10, 44, 24, 5, tzinfo=AMSTERDAM),
            [("updatedSince", "2021-10-06T10:44:24.000005+02:00")],
        ),
        ("updated_since", "2021-10-06T10:44:24Z", [("updatedSince", "2021-10-06T10:44:24Z")]),
        ("updated_since", "10/06/2021 10:44:24", [("updatedSince", "10/06/2021 10:44:24")]),
        ("updated_since", "", [("updatedSince", "")]),
    ],
    "nearby": [
        ("limit", 1, [("limit", "1")]),
        ("limit", 100, [("limit", "100")]),
        ("with_max_power", True, [("withMaxPower", "true")]),
        ("with_max_power", False, [("withMaxPower", "false")]),
        ("operator_name", "Sandbox Laadnet", [("operatorName", "Sandbox Laadnet")]),
        ("operator_name", "", [("operatorName", "")]),
        ("operator_name", UNEXPECTED, [("operatorName", UNEXPECTED)]),
    ],
}  # fmt: skip
OWN["markers"] = [case for case in OWN["nearby"] if case[0] != "limit"]


def table(operation: str, version: str) -> list[tuple[str, Any, Pairs]]:
    """Every argument of an operation in a dialect: name, value, how it travels."""
    return [*COMMON, *OWN[operation], *(COUNTRIES if version in LATER else [])]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The named stations will do: what is asked matters here, not what is found."""
    async with Sandbox(stations=0) as running:
        yield running


async def ask(client: AsyncShellEV, operation: str, **arguments: Any) -> None:
    """Make a call whose answer does not matter."""
    with contextlib.suppress(ApiError):
        await getattr(client.locations, operation)(**arguments)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", NEEDED)
async def test_every_filter_is_sent_as_documented(
    operation: str, version: str, sandbox: Sandbox, connect: Connect
) -> None:
    client = connect(version)
    needed, travels = NEEDED[operation]
    for name, value, pairs in table(operation, version):
        await ask(client, operation, **needed, **{name: value})
        request = asked(sandbox)[-1]
        assert (request.method, request.path) == ("GET", ROOTS[version] + TAILS[operation])
        own = [pair for pair in request.query if pair not in travels]
        assert own == pairs, (name, value)
        assert len(request.query) == len(travels) + len(pairs)
        assert request.body == b""
        assert "Content-Type" not in request.headers
    assert len(asked(sandbox)) == len(table(operation, version))


ORDERS = {
    "list": "evseStatus connectorTypes connectorMinPower authorizationMethods withOperatorName evseId "
    "locationExternalId evseExternalId pageNumber perPage updatedSince",
    "nearby": "latitude longitude limit locationExternalId evseId evseExternalId operatorName evseStatus "
    "connectorTypes connectorMinPower authorizationMethods withOperatorName withMaxPower",
    "markers": "west south east north zoom evseStatus connectorTypes connectorMinPower authorizationMethods "
    "withOperatorName withMaxPower locationExternalId evseId evseExternalId operatorName",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", NEEDED)
async def test_all_arguments_together_are_sent_in_the_documented_order(
    operation: str, version: str, sandbox: Sandbox, connect: Connect
) -> None:
    needed, travels = NEEDED[operation]
    cases = {name: (value, pairs) for name, value, pairs in reversed(table(operation, version))}
    await ask(connect(version), operation, **needed, **{name: value for name, (value, _) in cases.items()})
    wanted = [*travels, *(pair for _, pairs in cases.values() for pair in pairs)]
    names = ORDERS[operation].split() + (["country", "excludeCountry"] if version in LATER else [])
    sent = list(asked(sandbox)[-1].query)
    assert list(dict.fromkeys(name.partition("[")[0] for name, _ in sent)) == names
    assert sorted(sent) == sorted(wanted)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", NEEDED)
async def test_a_filter_of_none_is_left_out(operation: str, version: str, sandbox: Sandbox, connect: Connect) -> None:
    needed, travels = NEEDED[operation]
    nothing = dict.fromkeys({name for name, _, _ in [*table(operation, version), *COUNTRIES]})
    await ask(connect(version), operation, **needed, **nothing)
    assert list(asked(sandbox)[-1].query) == travels


@pytest.mark.parametrize("version", VERSIONS)
async def test_positions_and_zoom_are_sent_as_documented(version: str, sandbox: Sandbox, connect: Connect) -> None:
    client = connect(version)
    for latitude, longitude, texts in [
        (90, 180, ("90", "180")),
        (-90.0, -180.0, ("-90.0", "-180.0")),
        (0, -0.0, ("0", "-0.0")),
        (1e-7, -1.5e-10, ("0.0000001", "-0.00000000015")),
        (OddFloat(52.1), OddFloat(4.3), ("52.1", "4.3")),
        (52.123456789012345, 1 / 3, ("52.123456789012344", "0.3333333333333333")),
    ]:
        await ask(client, "nearby", latitude=latitude, longitude=longitude)
        assert [value for _, value in asked(sandbox)[-1].query] == list(texts)
    for zoom in [*range(1, 21), *map(str, range(1, 21))]:
        await ask(client, "markers", west=-180, south=-90, east=180, north=90, zoom=zoom)
        assert dict(asked(sandbox)[-1].query)["zoom"] == str(zoom)
    # A view over the antimeridian, and views that are a line or a point.
    for west, south, east, north in [(170, -20, -170, -10), (5, 52, 5, 53), (5, 52, 6, 52), (5, 52, 5, 52)]:
        await ask(client, "markers", west=west, south=south, east=east, north=north, zoom=5)
        sent = dict(asked(sandbox)[-1].query)
        assert [sent[side] for side in ("west", "south", "east", "north")] == list(map(str, (west, south, east, north)))


UIDS = {
    "10": "10",
    "a/b": "a%2Fb",
    "/": "%2F",
    "100%": "100%25",
    "%2F": "%252F",
    "%2e%2e": "%252e%252e",
    "NL*TNM*E1": "NL%2ATNM%2AE1",
    "a b": "a%20b",
    " ": "%20",
    "a+b": "a%2Bb",
    "a?b#c": "a%3Fb%23c",
    "é€😀": "%C3%A9%E2%82%AC%F0%9F%98%80",
    "...": "...",
    "a..b~_-": "a..b~_-",
    "../x": "..%2Fx",
    "[1]": "%5B1%5D",
    "a\\b": "a%5Cb",
    "a\n\0": "a%0A%00",
    "nearby/": "nearby%2F",
}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_uid_is_one_segment_of_the_path(version: str, sandbox: Sandbox, connect: Connect) -> None:
    client = connect(version)
    for uid, segment in UIDS.items():
        await ask(client, "get", uid=uid)
        request = asked(sandbox)[-1]
        # The contract takes * and %2A for the same, and recorded both.
        assert request.path.replace("*", "%2A") == f"{ROOTS[version]}/{segment}", uid
        assert unquote(request.path.rpartition("/")[2]) == uid
        assert (request.method, request.query, request.operation) == ("GET", (), "locations.get")


@pytest.mark.parametrize("version", LATER)
async def test_the_arguments_of_get_are_sent_as_documented(version: str, sandbox: Sandbox, connect: Connect) -> None:
    client = connect(version)
    moment = datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC)
    for arguments, pairs in [
        ({"provider_id": "NL*TNM"}, [("providerId", "NL*TNM")]),
        ({"provider_id": ""}, [("providerId", "")]),
        ({"provider_id": UNEXPECTED}, [("providerId", UNEXPECTED)]),
        ({"since": moment}, [("since", "2021-10-06T10:44:24+00:00")]),
        ({"since": "2021-10-06T10:44:24Z"}, [("since", "2021-10-06T10:44:24Z")]),
        ({"since": ""}, [("since", "")]),
        ({"since": moment, "provider_id": "p"}, [("providerId", "p"), ("since", "2021-10-06T10:44:24+00:00")]),
        ({"since": None, "provider_id": None}, []),
    ]:
        await ask(client, "get", uid="1", **arguments)
        request = asked(sandbox)[-1]
        assert (request.path, list(request.query)) == (f"{ROOTS[version]}/1", pairs)


async def test_odd_numbers_and_texts_are_spelled_as_documented(serve: Any) -> None:
    server, client = await serve(saying({"status": "SUCCESS", "data": []}))
    await client.locations.list(
        country=["NLD", "BEL"],
        evse_id="a b+c&d=é~.%",
        updated_since=datetime(2021, 10, 6, 10, 44, 24, tzinfo=UTC),
        with_operator_name=False,
        connector_min_power=1e-7,
        evse_external_id="",
    )
    assert server.targets[0].replace(":", "%3A") == (
        "/ev/v2/locations?connectorMinPower=0.0000001&withOperatorName=false&evseId=a%20b%2Bc%26d%3D%C3%A9~.%25"
        "&evseExternalId=&updatedSince=2021-10-06T10%3A44%3A24%2B00%3A00&country%5B0%5D=NLD&country%5B1%5D=BEL"
    )


# What a dialect does not have, and what the contract refuses


ABSENT = [
    ("list", {"country": "NLD"}, "country does not exist in v1-pascal; v1 and v2 have it"),
    ("list", {"exclude_country": ["NLD"]}, "exclude_country does not exist in v1-pascal; v1 and v2 have it"),
    ("nearby", {"country": "NLD"}, "country does not exist in v1-pascal; v1 and v2 have it"),
    ("nearby", {"exclude_country": "NLD"}, "exclude_country does not exist in v1-pascal; v1 and v2 have it"),
    ("markers", {"country": "NLD"}, "country does not exist in v1-pascal; v1 and v2 have it"),
    ("markers", {"exclude_country": "NLD"}, "exclude_country does not exist in v1-pascal; v1 and v2 have it"),
    ("get", {"provider_id": "p"}, "provider_id does not exist in v1-pascal; v1 and v2 have it"),
    ("get", {"since": "2021-10-06"}, "since does not exist in v1-pascal; v1 and v2 have it"),
]


@pytest.mark.parametrize(("operation", "arguments", "fault"), ABSENT)
async def test_an_argument_that_a_dialect_does_not_have_is_refused(
    operation: str, arguments: dict[str, Any], fault: str, sandbox: Sandbox, connect: Connect
) -> None:
    needed = {"uid": "1"} if operation == "get" else NEEDED[operation][0]
    with pytest.raises(ValidationError) as caught:
        await getattr(connect("v1-pascal").locations, operation)(**needed, **arguments)
    assert caught.value.faults == (fault,)
    assert caught.value.operation == f"locations.{operation}"
    assert not sandbox.requests


REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("list", {"page_number": 0}, VERSIONS),
    ("list", {"per_page": 0}, VERSIONS),
    ("list", {"per_page": 501}, LATER),
    ("nearby", {"latitude": 90.1}, VERSIONS),
    ("nearby", {"latitude": -90.1}, VERSIONS),
    ("nearby", {"longitude": 180.1}, VERSIONS),
    ("nearby", {"longitude": -180.1}, VERSIONS),
    ("nearby", {"limit": 0}, VERSIONS),
    ("nearby", {"limit": 101}, LATER),
    ("markers", {"west": -180.1}, VERSIONS),
    ("markers", {"south": -90.1}, VERSIONS),
    ("markers", {"east": 180.1}, VERSIONS),
    ("markers", {"north": 90.1}, VERSIONS),
    ("markers", {"south": 53.1}, VERSIONS),
    ("markers", {"zoom": 0}, VERSIONS),
    ("markers", {"zoom": 21}, VERSIONS),
    ("get", {"uid": ""}, VERSIONS),
    ("get", {"uid": "."}, VERSIONS),
    ("get", {"uid": ".."}, VERSIONS),
    ("get", {"uid": "nearby"}, VERSIONS),
    ("get", {"uid": "markers"}, VERSIONS),
    *((operation, {"evse_status": []}, VERSIONS) for operation in NEEDED),
    *((operation, {"country": ["QQ"]}, VERSIONS) for operation in NEEDED),
    *((operation, {"connector_types": "CCS3"}, VERSIONS) for operation in NEEDED),
    *((operation, {"connector_min_power": -1}, VERSIONS) for operation in NEEDED),
]


@pytest.mark.parametrize(("operation", "arguments", "versions"), REFUSED)
async def test_bounds_are_checked_before_anything_is_sent(
    operation: str, arguments: dict[str, Any], versions: list[str], sandbox: Sandbox, connect: Connect
) -> None:
    needed = {} if operation == "get" else NEEDED[operation][0]
    for version in VERSIONS:
        call = getattr(connect(version).locations, operation)(**{**needed, **arguments})
        if version in versions:
            with pytest.raises(ValidationError) as caught:
                await call
            assert len(caught.value.faults) == 1
            assert next(iter(arguments)) in caught.value.faults[0]
            assert not sandbox.requests
        else:
            # A bound of G1.3 and G2 alone: G1.0 documents none.
            await call
            assert len(asked(sandbox)) == 1
            sandbox.requests.clear()


async def test_all_faults_of_a_call_are_in_one_error(sandbox: Sandbox, connect: Connect) -> None:
    with pytest.raises(ValidationError) as caught:
        await connect("v1-pascal").locations.nearby(
            91, float("nan"), limit=0, evse_status="busy", with_max_power=1, country="NLD", request_id="x", timeout=-1
        )  # type: ignore[arg-type]
    assert len(caught.value.faults) == 8
    with pytest.raises(ValidationError):
        async for _ in connect().locations.iterate(per_page=501):
            pytest.fail("nothing comes out")
    assert not sandbox.requests
