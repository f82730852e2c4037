"""A new model is decoded alike by both decoders, whatever its fields are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from shell_ev import ApiVersion, EvseStatus
from shell_ev.wire.codec import Codec
from shell_ev.wire.msgspec_decoder import Unsupported
from shell_ev.wire.results import Decoded, Result

pytest.importorskip("msgspec")

NOON = datetime(2024, 6, 19, 12, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Part:
    name: str | None = None
    numbers: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class Parcel:
    id: str | None = None
    labels: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    flags: tuple[bool, ...] = ()
    states: tuple[EvseStatus, ...] = ()
    parts: tuple[Part, ...] = ()
    first: Part | None = None
    sent_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Timetable:
    """A list of times is one shape that the msgspec decoder does not know."""

    id: str | None = None
    times: tuple[datetime, ...] = ()


@attrs.frozen(kw_only=True)
class Schedule:
    id: str | None = None
    days: tuple[Timetable, ...] = ()


def both(model: type, item: Any) -> tuple[Decoded, Decoded]:
    """The answer as both decoders give it."""
    body = json.dumps({"requestId": "r", "status": "SUCCESS", "data": [item]}).encode()
    result = Result(model=model, count="one")
    fast, slow = (Codec(ApiVersion.V2, engine).decode(result, body) for engine in ("msgspec", "cattrs"))
    return fast, slow


FULL = {
    "id": "p",
    "labels": ["a", "b"],
    "weights": [1, 2.5],
    "flags": [True, False],
    "states": ["Available", "Sleeping"],
    "parts": [{"name": "x", "numbers": [1, 2]}, {}],
    "first": {"numbers": 3},
    "sentAt": "2024-06-19T12:00:00Z",
}


def test_lists_of_every_leaf_are_decoded_alike() -> None:
    fast, slow = both(Parcel, FULL)
    assert fast == slow
    assert repr(fast) == repr(slow)
    assert fast.data == Parcel(
        id="p",
        labels=("a", "b"),
        weights=(1.0, 2.5),
        flags=(True, False),
        states=(EvseStatus.AVAILABLE, EvseStatus("Sleeping")),
        parts=(Part(name="x", numbers=(1, 2)), Part()),
        first=Part(numbers=(3,)),
        sent_at=NOON,
    )


@pytest.mark.parametrize("labels", [None, [], "one", ["x", 7], [None], {}, [["x"]]], ids=str)
def test_an_odd_list_of_text_is_decoded_alike(labels: Any) -> None:
    fast, slow = both(Parcel, {"id": "p", "labels": labels})
    assert (fast, repr(fast)) == (slow, repr(slow))


@pytest.mark.parametrize(
    ("model", "item", "data"),
    [
        (Timetable, {"id": "t", "times": ["2024-06-19T12:00:00Z"]}, Timetable(id="t", times=(NOON,))),
        (Schedule, {"id": "s", "days": [{"id": "t"}]}, Schedule(id="s", days=(Timetable(id="t"),))),
    ],
)
def test_a_model_that_msgspec_does_not_take_is_decoded_by_cattrs(model: type, item: Any, data: Any) -> None:
    fast, slow = both(model, item)
    assert fast == slow
    assert fast.data == data


def test_a_model_that_msgspec_does_not_take_is_found_out_once() -> None:
    decoder = Codec(ApiVersion.V2, "msgspec")._fast
    assert decoder is not None
    result = Result(model=Timetable, count="one")
    with pytest.raises(Unsupported):
        decoder._reader(result)
    assert decoder[result] is decoder[result]
    assert decoder[result](b'{"data": [{"id": "t"}]}') is None


def test_a_clean_answer_with_a_new_model_is_decoded_by_msgspec() -> None:
    decoder = Codec(ApiVersion.V2, "msgspec")._fast
    assert decoder is not None
    body = json.dumps({"requestId": "r", "status": "SUCCESS", "data": [{**FULL, "first": {}}]}).encode()
    assert decoder[Result(model=Parcel, count="one")](body) is not None
