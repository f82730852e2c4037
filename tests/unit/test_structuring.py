"""What is fast in decoding changes no result: drafts, dates in place, remembered spellings."""

from __future__ import annotations

import json
import pickle
from typing import Any

import attrs
import pytest
from every_field import every_field
from hypothesis import given, settings
from hypothesis import strategies as st

from shell_ev.dialects import ApiVersion
from shell_ev.endpoints.locations import LOCATIONS
from shell_ev.models.charging import ChargeSession
from shell_ev.models.enums import SessionState
from shell_ev.models.locations import Address, Coordinates, Location
from shell_ev.wire.codec import Codec, parse_json
from shell_ev.wire.codegen import draft
from shell_ev.wire.results import Undecodable
from shell_ev.wire.structuring import Spellings
from shell_ev.wire.values import Unreadable, quick_datetime, read_datetime


def _location(body: bytes) -> Location:
    return Codec(ApiVersion.V2, "cattrs").decode(LOCATIONS, body).data[0]


def test_a_draft_becomes_an_instance_of_the_model() -> None:
    location = _location(b'{"data": [{"uid": "1", "address": {"city": "Delft"}, "coordinates": {"latitude": 52}}]}')
    made = Location(uid="1", address=Address(city="Delft"), coordinates=Coordinates(latitude=52.0))
    assert type(location) is Location
    assert type(location.address) is Address
    assert location == made
    assert hash(location) == hash(made)
    assert every_field(location) == every_field(made)
    assert pickle.loads(pickle.dumps(location)) == made
    assert attrs.evolve(location, uid="2").uid == "2"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        location.uid = "2"  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del location.uid  # type: ignore[misc]


def test_every_model_that_is_read_has_a_draft() -> None:
    assert all(draft(cls) is not None for cls in (Location, Address, Coordinates, ChargeSession))


@attrs.frozen
class _Checked:
    number: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class _Finished:
    number: int = 0

    def __attrs_post_init__(self) -> None: ...


@attrs.frozen(slots=False)
class _Loose:
    number: int = 0


@pytest.mark.parametrize("cls", [_Checked, _Finished, _Loose])
def test_a_class_that_does_more_than_set_its_slots_has_no_draft(cls: type) -> None:
    assert draft(cls) is None


def _large(*items: Any, **others: Any) -> bytes:
    padding = [{"uid": str(number), "updated": "x" * 100} for number in range(1000)]
    return json.dumps({"status": "SUCCESS", **others, "data": [*padding, *items]}).encode()


@pytest.mark.parametrize("engine", ["cattrs", "auto"])
def test_problems_of_a_large_body_have_json_paths(engine: str) -> None:
    body = _large({"uid": "a", "coordinates": {"latitude": "north"}}, 7, {"UID": "b"}, requestId="r")
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATIONS, body)
    assert [location.uid for location in decoded.data[-2:]] == ["a", "b"]
    assert [problem.partition(":")[0] for problem in decoded.problems] == [
        "$.data[1000].coordinates.latitude",
        "$.data[1001]",
    ]
    assert (decoded.request_id, decoded.status) == ("r", "SUCCESS")


@pytest.mark.parametrize("engine", ["cattrs", "auto"])
def test_a_large_truncated_body_is_refused(engine: str) -> None:
    with pytest.raises(Undecodable, match="not JSON"):
        Codec(ApiVersion.V2, engine).decode(LOCATIONS, _large()[:-2])


@pytest.mark.parametrize("engine", ["cattrs", "auto"])
def test_a_large_body_with_the_status_failed_has_no_data(engine: str) -> None:
    decoded = Codec(ApiVersion.V2, engine).decode(LOCATIONS, _large(status="FAILED"))
    assert (decoded.data, decoded.status, decoded.problems) == (None, "FAILED", ())


@pytest.mark.parametrize("text", [b" {} ", b"\n[1, 2]", b'{"a": NaN}', b"7", b'"x"', b'\xef\xbb\xbf{"a": "\xc3\xb8"}'])
def test_json_is_read_as_the_standard_library_reads_it(text: bytes) -> None:
    expected = json.JSONDecoder(parse_constant=lambda _: None).decode(text.decode("utf-8-sig"))
    assert parse_json(text) == expected


@pytest.mark.parametrize("text", [b"", b"{", b"[1,]", b"{} {}", b"[" * 100_000])
def test_a_text_that_is_not_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def _outcome(reader: Any, value: Any) -> Any:
    try:
        return repr(reader(value))
    except Unreadable as reason:
        return str(reason)


@settings(max_examples=500, deadline=None)
@given(
    value=st.one_of(
        st.from_regex(
            r"\d{4}-?(\d\d|W\d\d)-?\d{0,2}[Tt _]?\d\d:?\d\d(:\d\d)?([.,]\d{1,9})?(Z|z|[+-]\d\d:?\d\d)?", fullmatch=True
        ),
        st.datetimes().map(str),
        st.text(alphabet="0123456789-:TZWtz+. /", max_size=26),
        st.sampled_from(
            [None, 7, True, [], {}, "", "2024-W01-1T00:00:00Z", "08/19/2015 11:20:27", " 2024-01-01T00:00:00Z"]
        ),
    )
)
def test_the_fast_reader_of_times_agrees_with_the_tolerant_one(value: Any) -> None:
    assert _outcome(quick_datetime, value) == _outcome(read_datetime, value)


def test_the_number_of_cached_spellings_is_bounded() -> None:
    known = Spellings(SessionState)
    assert known["Start_Requested"] is SessionState.START_REQUESTED
    assert "Start_Requested" in known
    assert known["paused"].value == "paused"
    assert "paused" not in known
    for number in range(1000):
        assert known["started" + " " * number] is SessionState.STARTED
    assert len(known) <= 256
    with pytest.raises(TypeError):
        known[[]]
