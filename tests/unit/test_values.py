"""Single values, read leniently: what is understood, what is refused, and that nothing else happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev import SessionState
from shell_ev.wire.values import Unreadable, enum_reader, read_bool, read_datetime, read_float, read_int, read_text

NO = Unreadable

TEXTS = [
    ("abc", "abc"),
    ("", ""),
    (" padded ", " padded "),
    (0, "0"),
    (42, "42"),
    (-1, "-1"),
    (42.0, "42"),
    (0.5, "0.5"),
    (-0.0, "0"),
    (1e300, "1e+300"),
    (True, "true"),
    (False, "false"),
    (None, NO),
    ([], NO),
    ({}, NO),
    (float("inf"), NO),
    (float("nan"), NO),
]
FLOATS = [
    (1.5, 1.5),
    (0.0, 0.0),
    (0, 0.0),
    (7, 7.0),
    ("7", 7.0),
    ("7.5", 7.5),
    (" 7.5 ", 7.5),
    ("-1e-3", -0.001),
    ("", NO),
    ("seven", NO),
    ("nan", NO),
    ("inf", NO),
    (float("nan"), NO),
    (float("inf"), NO),
    (10**400, NO),
    (True, NO),
    (None, NO),
    ([1], NO),
    ({}, NO),
]
INTS = [(3, 3), (0, 0), (3.0, 3), ("3", 3), ("3.0", 3), (3.5, NO), ("3.5", NO), (True, NO), ("x", NO), (None, NO)]
BOOLS = [
    (True, True),
    (False, False),
    ("true", True),
    ("FALSE", False),
    (" True ", True),
    (1, True),
    (0, False),
    (1.0, True),
    (2, NO),
    ("yes", NO),
    ("", NO),
    (None, NO),
    ([], NO),
    ({}, NO),
]


@pytest.mark.parametrize(
    ("reader", "value", "wanted"),
    [
        (reader, value, wanted)
        for reader, table in ((read_text, TEXTS), (read_float, FLOATS), (read_int, INTS), (read_bool, BOOLS))
        for value, wanted in table
    ],
)
def test_a_value_is_read_if_it_has_one_meaning_only(reader: Callable[[Any], Any], value: Any, wanted: Any) -> None:
    if wanted is NO:
        with pytest.raises(Unreadable):
            reader(value)
    else:
        got = reader(value)
        assert got == wanted
        assert type(got) is type(wanted)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-06-19T07:36:57.985998Z", utc(2024, 6, 19, 7, 36, 57, 985998)),
        ("2024-06-19T11:20:27Z", utc(2024, 6, 19, 11, 20, 27)),
        ("2022-10-21T09:56:59.725Z", utc(2022, 10, 21, 9, 56, 59, 725000)),
        ("2022-10-21T09:56:59.7Z", utc(2022, 10, 21, 9, 56, 59, 700000)),
        ("2022-10-21T09:56:59.123456789Z", utc(2022, 10, 21, 9, 56, 59, 123457)),
        ("2024-06-19T11:20:27", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19 11:20:27", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19T11:20", utc(2024, 6, 19, 11, 20)),
        (" 2024-06-19T11:20:27Z ", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19t11:20:27Z", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19t11:20:27z", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19T11:20:27.1234564Z", utc(2024, 6, 19, 11, 20, 27, 123456)),
        ("2024-06-19T11:20:27.1234565Z", utc(2024, 6, 19, 11, 20, 27, 123457)),
        ("2024-12-31T23:59:59.999999999Z", utc(2025, 1, 1)),
        ("9999-12-31T23:59:59.9999999Z", utc(9999, 12, 31, 23, 59, 59, 999999)),
        ("20240619T112027Z", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19T13:20:27+02:00", utc(2024, 6, 19, 11, 20, 27)),
        ("2024-06-19T13:20:27+0200", utc(2024, 6, 19, 11, 20, 27)),
        ("08/19/2015 11:20:27", utc(2015, 8, 19, 11, 20, 27)),
        ("08/19/2015T11:20:27", utc(2015, 8, 19, 11, 20, 27)),
    ],
)
def test_every_documented_form_of_a_time_is_read_as_an_aware_one(text: str, moment: datetime) -> None:
    got = read_datetime(text)
    assert got == moment
    assert got.tzinfo is not None


def test_the_offset_of_a_time_is_kept() -> None:
    assert read_datetime("2024-06-19T13:20:27+02:00").tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2024-06-19",
        "2024-W25",
        "2024-13-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "19/08/2015 11:20:27",
        "08/19/2015",
        "08/19/2015 25:00:00",
        "2024-06-19T11:20:27 and more",
        "0000-00-00T00:00:00Z",
        1718782617,
        1718782617.5,
        True,
        None,
        [],
        {},
    ],
)
def test_any_other_value_is_no_time(value: Any) -> None:
    with pytest.raises(Unreadable):
        read_datetime(value)


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ("started", SessionState.STARTED),
        ("Started", SessionState.STARTED),
        ("STARTED", SessionState.STARTED),
        ("start-requested", SessionState.START_REQUESTED),
        ("StartRequested", SessionState.START_REQUESTED),
        ("START_REQUESTED", SessionState.START_REQUESTED),
        ("Failed to Stop", SessionState.FAILED_TO_STOP),
    ],
)
def test_a_word_of_an_enum_is_matched_in_any_case(value: str, member: SessionState) -> None:
    assert enum_reader(SessionState)(value) is member


@pytest.mark.parametrize(("value", "text"), [("paused", "paused"), ("", ""), (7, "7"), (False, "false")])
def test_an_unknown_word_is_kept_as_it_is(value: Any, text: str) -> None:
    got = enum_reader(SessionState)(value)
    assert isinstance(got, SessionState)
    assert (got.value, got.is_known) == (text, False)


@pytest.mark.parametrize("value", [None, [], {}, float("nan")])
def test_a_value_that_is_no_text_is_no_word(value: Any) -> None:
    with pytest.raises(Unreadable):
        enum_reader(SessionState)(value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(ANYTHING | st.from_regex(r"\d{2}/\d{2}/\d{4}[ T].*") | st.from_regex(r"\d{4}-\d{2}-\d{2}[ T]\d{2}.*"))
def test_no_value_raises_anything_but_unreadable(value: Any) -> None:
    for reader in (read_text, read_float, read_int, read_bool, read_datetime, enum_reader(SessionState)):
        with contextlib.suppress(Unreadable):
            reader(value)
