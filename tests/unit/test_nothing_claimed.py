"""A model claims nothing that the service did not send: no number from ``1e999``, no session from ``{}``."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from fakes import SESSION as SESSION_ID
from fakes import FakeSender, client_over, reply

from shell_ev import ApiVersion, ChargeSession, Location, ResponseDecodeError
from shell_ev.endpoints.locations import LOCATION, LOCATIONS, MARKERS
from shell_ev.wire.codec import Codec
from shell_ev.wire.results import SESSION, SESSIONS, Undecodable

ENGINES = ["cattrs", pytest.param("msgspec", marks=pytest.mark.skipif(
    importlib.util.find_spec("msgspec") is None, reason="the extra speed is missing"))]  # fmt: skip
VERSIONS = list(ApiVersion)
INFINITE = ["1e999", "-1e999", '"1e999"', '"inf"']


def body(*items: str, version: ApiVersion = ApiVersion.V2) -> bytes:
    pascal = version is ApiVersion.V1_PASCAL
    status, data = ("Status", "Data") if pascal else ("status", "data")
    return f'{{"{status}": "SUCCESS", "{data}": [{", ".join(items)}]}}'.encode()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", INFINITE)
def test_an_infinite_coordinate_is_none_and_a_problem(engine: str, number: str) -> None:
    item = f'{{"uid": "1", "coordinates": {{"latitude": {number}, "longitude": 4.5}}}}'
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATIONS, body(item))
    (location,) = decoded.data
    assert location.coordinates.latitude is None
    assert location.coordinates.longitude == 4.5
    assert [problem.partition(":")[0] for problem in decoded.problems] == ["$.data[0].coordinates.latitude"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", INFINITE)
def test_an_infinite_price_is_none_and_a_problem(engine: str, number: str) -> None:
    component = f'{{"type": "ENERGY", "price": {number}, "vat": 21}}'
    tariff = f'{{"tariffId": "t", "elements": [{{"priceComponents": [{component}]}}]}}'
    item = f'{{"uid": "1", "evses": [{{"connectors": [{{"tariffs": [{tariff}]}}]}}]}}'
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATION, body(item))
    price = decoded.data.evses[0].connectors[0].tariffs[0].elements[0].price_components[0]
    assert (price.price, price.vat) == (None, 21)
    assert len(decoded.problems) == 1
    assert decoded.problems[0].startswith("$.data[0].evses[0].connectors[0].tariffs[0]")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("item", ["{}", '{"id": null}', '{"sessionState": null, "evseId": null}'])
@pytest.mark.parametrize("result", [SESSION, SESSIONS])
def test_an_item_without_a_value_is_no_session(engine: str, version: ApiVersion, item: str, result: Any) -> None:
    with pytest.raises(Undecodable) as caught:
        Codec(version, engine).decode(result, body(item, version=version))
    assert caught.value.problems[0].endswith("[0]: an object without a value")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_item_without_a_value_costs_the_list_only_itself(engine: str) -> None:
    decoded = Codec(ApiVersion.V2, engine).decode(SESSIONS, body('{"id": "x"}', "{}", '{"id": "y"}'))
    assert decoded.data == (ChargeSession(id="x"), ChargeSession(id="y"))
    assert decoded.problems == ("$.data[1]: an object without a value",)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "item", [{}, {"uid": None}, {"uid": None, "evses": None, "openTwentyFourSeven": None}], ids=str
)
def test_an_item_without_a_value_is_no_location(engine: str, item: dict[str, None]) -> None:
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATIONS, body('{"uid": "1"}', json.dumps(item)))
    assert decoded.data == (Location(uid="1"),)
    assert decoded.problems == ("$.data[1]: an object without a value",)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("item", ['{"evses": []}', '{"uid": ""}', '{"openTwentyFourSeven": false}'])
def test_an_empty_list_an_empty_text_and_false_are_values(engine: str, item: str) -> None:
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATIONS, body(item))
    assert len(decoded.data) == 1
    assert decoded.problems == ()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_marker_without_a_tag_is_kept_as_it_was_sent(engine: str) -> None:
    (marker,) = Codec(ApiVersion.V2, engine).decode(MARKERS, body("{}")).data
    assert (marker.marker_type, marker.raw) == (None, {})


async def test_retrieving_an_item_without_a_value_is_a_decode_error() -> None:
    sender = FakeSender(always=reply(200, b'{"requestId":"r","status":"SUCCESS","data":[{}]}'))
    with pytest.raises(ResponseDecodeError) as caught:
        await client_over(sender, max_retries=0).charging.retrieve(SESSION_ID)
    assert caught.value.problems == ("$.data[0]: an object without a value",)
