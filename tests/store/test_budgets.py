"""Budgets: the rate that comes out, whatever the calls; and what a Budget refuses to be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev.core.budget import Budget, Slots
from shell_ev.errors import ConfigurationError
from shell_ev.store import budgets


@given(
    rate=st.floats(0.1, 1000.0),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200),
)
def test_no_window_holds_more_slots_than_rate_and_burst_allow(rate: float, burst: int, pauses: list[float]) -> None:
    slots, now, sent = Slots(Budget(rate, burst)), 0.0, []
    for pause in pauses:
        now += pause
        sent.append(now + slots.reserve(now, math.inf))
    assert sent == sorted(sent), "first come, first served"
    window = 1.0
    for first in sent:
        within = sum(first <= moment < first + window for moment in sent)
        assert within <= rate * window + burst + 1e-6 * len(sent)


def test_a_busy_budget_gives_exactly_its_rate() -> None:
    slots = Slots(Budget(50))
    times = [slots.reserve(0.0, math.inf) for _ in range(501)]
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(10.0)
    for start in range(10):
        assert sum(start <= moment < start + 1 for moment in times) <= 51


def test_a_slot_beyond_the_time_of_the_caller_is_not_taken() -> None:
    slots = Slots(Budget(1))
    assert slots.reserve(0.0, 0.0) == 0.0
    for _ in range(5):
        assert slots.reserve(0.0, 0.5) == 1.0
    assert slots.reserve(0.0, 1.0) == 1.0
    assert slots.reserve(0.0, 1.0) == 2.0


def test_an_urgent_slot_is_owed() -> None:
    slots = Slots(Budget(1))
    assert [slots.reserve(0.0, 0.0, urgent=True) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert slots.reserve(0.0, 10.0) == 3.0


def test_a_push_back_moves_the_next_slot_and_its_burst_at_most_60_seconds() -> None:
    slots = Slots(Budget(10, 5))
    slots.push_back(100.0, 3.0)
    assert slots.reserve(100.0, 10.0) == pytest.approx(3.0)
    assert slots.reserve(102.0, 10.0) == pytest.approx(1.1), "no burst out of a pause that was asked for"
    slots.push_back(200.0, 1e9)
    assert slots.reserve(200.0, math.inf) == pytest.approx(60.0)
    slots.push_back(200.0, 1.0)
    assert slots.reserve(200.0, math.inf) == pytest.approx(60.1), "a shorter one does not take it back"


def test_a_clock_that_is_set_back_takes_the_slots_with_it() -> None:
    kept = budgets.reserve(None, 1000.0, 1.0, 1.0, 0.0).kept
    kept = budgets.reserve(kept, 1000.0, 1.0, 1.0, 10.0).kept
    assert budgets.reserve(kept, 400.0, 1.0, 1.0, 10.0).wait == pytest.approx(2.0)
    assert budgets.reserve(kept, 5000.0, 1.0, 1.0, 10.0).wait == 0.0


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((0,), "rate"),
        ((-1,), "rate"),
        ((math.inf,), "rate"),
        ((math.nan,), "rate"),
        ((True,), "rate"),
        (("ten",), "rate"),
        ((10, 0), "burst"),
        ((10, math.nan), "burst"),
    ],
)
def test_a_budget_that_is_none_is_refused_in_one_line(values: tuple[float, ...], word: str) -> None:
    with pytest.raises(ConfigurationError, match=f"budget {word} must be a number") as caught:
        Budget(*values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alone", [0, -0.1, 1.1, math.nan, None])
def test_the_share_of_a_process_alone_is_a_part_of_the_rate(alone: float) -> None:
    with pytest.raises(ConfigurationError, match="budget alone must be a number more than 0 and at most 1"):
        Budget(10, alone=alone)


def test_a_budget_comes_from_a_number_or_a_text() -> None:
    assert Budget.of(None) is None
    assert Budget.of(10) == Budget(10) == Budget.of("10") == Budget.of(Budget(10))
    with pytest.raises(ConfigurationError, match="budget must be a number of requests per second or a Budget"):
        Budget.of("many")


def test_a_process_alone_takes_a_tenth_unless_the_budget_says_otherwise() -> None:
    assert Budget(50, 20).share == Budget(5, 2, alone=1)
    assert Budget(50).share.burst == 1
    assert Budget(50, alone=0.5).share.rate == 25
