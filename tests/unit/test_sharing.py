"""What comes word for word the same in a page is read once and shared there, by the extra ``speed``, unnoticed."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import weakref
from typing import Any

import attrs
import pytest
from every_field import every_field

from shell_ev.dialects import ApiVersion
from shell_ev.endpoints.locations import LOCATION, LOCATIONS
from shell_ev.models.locations import Location
from shell_ev.wire.codec import Codec

pytestmark = pytest.mark.skipif(importlib.util.find_spec("msgspec") is None, reason="the extra speed is missing")

_ELEMENTS = '[{"priceComponents": [{"type": "ENERGY", "price": 0.5}], "restrictions": {"startTime": "08:00"}}]'
_TEXTS = '[{"language": "en", "text": "EUR 0.50"}]'
_TARIFF = f'{{"tariffId": "%s", "powerRange": {{"min": 0}}, "tariffAltText": {_TEXTS}, "elements": {_ELEMENTS}}}'
_PROPERTIES = '{"powerType": "DC", "voltage": 400}'
_PLACE = (
    '{"uid": "%s", "accessibility": {"status": "FreePublic"}, "openingHours": [{"weekDay": "Mon"}, {"weekDay": "Tue"}],'
    f' "evses": [{{"connectors": [{{"electricalProperties": {_PROPERTIES}, "tariffs": [{_TARIFF}]}}]}}]}}'
)


def _body(*places: str) -> bytes:
    return f'{{"status": "SUCCESS", "data": [{", ".join(places)}]}}'.encode()


def _read(body: bytes, engine: str = "msgspec") -> tuple[Location, ...]:
    data: tuple[Location, ...] = Codec(ApiVersion.V2, engine).decode(LOCATIONS, body).data
    return data


def _clean(body: bytes) -> tuple[Location, ...]:
    """Read on the fast way, which must be the way it goes."""
    fast = Codec(ApiVersion.V2, "msgspec")._fast
    assert fast is not None
    decoded = fast[LOCATIONS](body)
    assert decoded is not None, "a clean body fell back to the slow way"
    assert every_field(decoded) == every_field(Codec(ApiVersion.V2, "cattrs").decode(LOCATIONS, body))
    data: tuple[Location, ...] = decoded.data
    return data


def _page(*uids: str) -> bytes:
    return _body(*(_PLACE % (uid, f"T-{uid}") for uid in uids))


def _repeated(place: Location) -> list[Any]:
    connector = place.evses[0].connectors[0]
    tariff = connector.tariffs[0]
    return [
        place.accessibility,
        place.opening_hours,
        connector.electrical_properties,
        tariff.power_range,
        tariff.tariff_alt_text,
        tariff.elements,
    ]


def test_repeated_parts_of_a_page_are_one_object() -> None:
    one, other = _clean(_page("1", "2"))
    for mine, theirs in zip(_repeated(one), _repeated(other), strict=True):
        assert mine
        assert mine is theirs


def test_a_model_with_an_id_is_not_shared() -> None:
    one, other = _clean(_page("1", "1"))
    assert one == other
    assert one is not other
    assert one.evses[0] is not other.evses[0]
    assert one.evses[0].connectors[0] is not other.evses[0].connectors[0]
    assert one.evses[0].connectors[0].tariffs[0] is not other.evses[0].connectors[0].tariffs[0]


def test_nothing_is_shared_between_two_bodies() -> None:
    (one,), (other,) = _clean(_page("1")), _clean(_page("1"))
    for mine, theirs in zip(_repeated(one), _repeated(other), strict=True):
        assert mine is not theirs


def test_a_shared_model_is_freed_with_its_last_owner() -> None:
    places = list(_clean(_page("1", "2")))
    properties = places[0].evses[0].connectors[0].electrical_properties
    assert properties is not None
    gone = weakref.ref(properties)
    del properties
    places.pop()
    assert gone() is not None
    places.pop()
    assert gone() is None  # at once: neither a cache nor a cycle holds it


def test_equal_numbers_of_different_text_are_not_shared() -> None:
    zeros = ["0", "0.0", "-0.0", "-0", "0e0"]
    evses = [f'{{"evses": [{{"connectors": [{{"electricalProperties": {{"voltage": {zero}}}}}]}}]}}' for zero in zeros]
    voltages = [place.evses[0].connectors[0].electrical_properties for place in _clean(_body(*evses, *evses))]
    assert [str(found and found.voltage) for found in voltages] == ["0.0", "0.0", "-0.0", "0.0", "0.0"] * 2


@pytest.mark.parametrize(("single", "several"), [("{}", "[]"), ("null", "null")])
def test_equal_json_in_different_fields_is_not_shared(single: str, several: str) -> None:
    tariff = f'{{"tariffId": "x", "powerRange": {single}, "tariffAltText": {several}, "elements": {several}}}'
    place = (
        f'{{"uid": "1", "accessibility": {single}, "openingHours": {several}, "evses": [{{"connectors": ['
        f'{{"uid": "2", "electricalProperties": {single}, "tariffs": [{tariff}]}}]}}]}}'
    )
    body = _body(place, place)
    one, other = _clean(body)  # compares with the slow way
    assert one == other


@pytest.mark.parametrize("key", ["accessibility", "openingHours", "electricalProperties", "powerRange", "elements"])
@pytest.mark.parametrize("value", [7, "x", {}, [], [None], {"new": 1}, [{"new": 1}], {"status": 7}, [{"weekDay": 7}]])
@pytest.mark.parametrize("odd", [(0,), (1,), (0, 1)])
def test_an_odd_part_is_decoded_alike_at_any_place(key: str, value: object, odd: tuple[int, ...]) -> None:
    document = json.loads(_page("1", "2", "3"))
    for index in odd:
        place = document["data"][index]
        connector = place["evses"][0]["connectors"][0]
        for holder in (place, connector, connector["tariffs"][0]):
            if key in holder:
                holder[key] = value
    body = json.dumps(document).encode()
    fast, slow = (Codec(ApiVersion.V2, engine).decode(LOCATIONS, body) for engine in ("msgspec", "cattrs"))
    assert (fast, every_field(fast)) == (slow, every_field(slow))


@pytest.mark.parametrize(
    "place",
    [
        b'{"uid": "1", "accessibility": {"status": 7}, "accessibility": {"status": "FreePublic"}}',
        b'{"uid": "1", "accessibility": {"status": "FreePublic"}, "accessibility": {"status": 7}}',
        b'{"uid": "1", "accessibility": {"remark": "\xff"}, "accessibility": {"remark": "x"}}',
        b'{"uid": "1", "accessibility": {"remark": "\xff"}}',
        b'{"uid": "1", "accessibility": {"remark": "\\ud800"}}',
        b'{"uid": "1", "accessibility": [{"remark": "x"}]}',
        b'{"uid": "1", "openingHours": {"weekDay": "Mon"}}',
        b'{"uid": "1", "openingHours" :\n [ {"weekDay" : "Mon"} ] }',
    ],
)
def test_duplicate_keys_and_bad_bytes_are_decoded_alike(place: bytes) -> None:
    body = b'{"data": [' + place + b", " + place + b"]}"
    fast, slow = (Codec(ApiVersion.V2, engine).decode(LOCATIONS, body) for engine in ("msgspec", "cattrs"))
    assert (fast, every_field(fast)) == (slow, every_field(slow))


def test_a_page_with_shared_parts_copies_changes_and_pickles() -> None:
    page = _clean(_page("1", "2"))
    slow = _read(_page("1", "2"), "cattrs")
    assert pickle.loads(pickle.dumps(page)) == slow
    assert copy.deepcopy(page) == slow
    assert hash(page) == hash(slow)
    changed = attrs.evolve(page[0], opening_hours=())
    assert changed.opening_hours == ()
    assert page == slow


def test_a_single_location_is_decoded_as_a_page_of_one() -> None:
    codec = Codec(ApiVersion.V2, "msgspec")
    assert codec.decode(LOCATION, _page("1")).data == codec.decode(LOCATIONS, _page("1")).data[0]
