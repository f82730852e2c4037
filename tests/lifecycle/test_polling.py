"""How often a charge is looked at: as documented, whatever the numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev import ConfigurationError, Polling, SessionState
from shell_ev.charges.poller import OVER, is_positive

PENDING = [None, SessionState.START_REQUESTED, SessionState.STOP_REQUESTED]
OTHERS = [SessionState.STARTED, SessionState.FAILED_TO_STOP, SessionState("paused")]

seconds = st.floats(min_value=1e-3, max_value=1e6)
waits = st.floats(min_value=0, max_value=1e6)
pollings = st.builds(
    Polling,
    eager=seconds,
    eager_for=seconds,
    steady=seconds,
    steady_for=seconds,
    patient=seconds,
    started=seconds,
    spread=st.floats(min_value=0, max_value=1),
)


@pytest.mark.parametrize("state", PENDING)
@given(waited=waits, share=st.floats(0, 1))
def test_a_pending_charge_every_2_then_5_then_15_seconds(
    state: SessionState | None, waited: float, share: float
) -> None:
    base = 2.0 if waited < 20 else 5.0 if waited < 120 else 15.0
    interval = Polling().interval(state, waited, lambda value: value * share)
    assert base * 0.9 - 1e-9 <= interval <= base * 1.1 + 1e-9


@pytest.mark.parametrize("state", OTHERS)
@given(waited=waits, share=st.floats(0, 1))
def test_a_started_one_every_30_seconds(state: SessionState, waited: float, share: float) -> None:
    assert 27 <= Polling().interval(state, waited, lambda value: value * share) <= 33


@given(polling=pollings, waited=waits, share=st.floats(0, 1), state=st.sampled_from(PENDING + OTHERS))
def test_an_interval_keeps_within_its_spread_and_is_never_zero(
    polling: Polling, waited: float, share: float, state: SessionState | None
) -> None:
    if state not in PENDING:
        base = polling.started
    elif waited < polling.eager_for:
        base = polling.eager
    elif waited < polling.steady_for:
        base = polling.steady
    else:
        base = polling.patient
    interval = polling.interval(state, waited, lambda value: value * share)
    slack = base * 1e-9
    assert base * (1 - polling.spread / 2) - slack <= interval <= base * (1 + polling.spread / 2) + slack
    assert interval > 0


def test_the_real_jitter_spreads_a_crowd() -> None:
    intervals = [Polling().interval(None, 0) for _ in range(500)]
    assert 1.8 <= min(intervals) < 1.9
    assert 2.1 < max(intervals) <= 2.2
    assert sum(intervals) / 500 == pytest.approx(2, abs=0.05)


def test_without_spread_it_is_exact() -> None:
    assert {Polling(spread=0).interval(None, 0) for _ in range(20)} == {2.0}


@pytest.mark.parametrize("name", ["eager", "eager_for", "steady", "steady_for", "patient", "started"])
@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, True, "2", None, 10**400])
def test_an_interval_that_is_none_is_refused(name: str, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"polling {name}"):
        Polling(**{name: bad})


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, "x", None])
def test_so_is_a_spread_that_is_none(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="spread"):
        Polling(spread=bad)


def test_every_fault_is_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Polling(eager=0, patient=-1, spread=7)
    assert all(name in str(caught.value) for name in ("eager", "patient", "spread"))


def test_a_state_is_over_when_nothing_more_happens() -> None:
    assert {SessionState.STOPPED, SessionState.FAILED_TO_START} == OVER
    assert SessionState("STOPPED") in OVER
    assert SessionState("paused") not in OVER
    assert None not in OVER


@pytest.mark.parametrize(("value", "positive"), [(1, True), (0.1, True), (0, False), (True, False), ("1", False)])
def test_positive_numbers(value: object, positive: bool) -> None:
    assert is_positive(value) is positive
