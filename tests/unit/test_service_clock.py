"""What the clock of the service showed, from Date headers that are confirmed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev.core.service_clock import ServiceClock

#: The true time of the service at second 0 of the monotonic clock.
EPOCH = 1_700_000_000.25


class Service:
    """Answers with Date headers, noted by a clock under test."""

    def __init__(self) -> None:
        self.clock = ServiceClock()

    def answer(self, asked: float, trip: float = 0.2, stale: float = 0.0, **headers: str) -> Service:
        """One answer, whose Date is that of the middle of its round trip."""
        date = formatdate(int(EPOCH + asked + trip / 2 - stale), usegmt=True)
        self.clock.note({"Date": date, **headers}, asked, asked + trip)
        return self

    def off_by(self, then: float = 0.0, *, now: float = 30.0, ahead: float = 0.0) -> float | None:
        """Seconds by which the time of a moment is wrong, our own wall clock being ``ahead``; None if not known."""
        moment = self.moment(then, now=now, ahead=ahead)
        return None if moment is None else (moment[0] - datetime.fromtimestamp(EPOCH + then, UTC)).total_seconds()

    def moment(self, then: float = 0.0, *, now: float = 30.0, ahead: float = 0.0) -> tuple[datetime, float] | None:
        wall = datetime.fromtimestamp(EPOCH + now, UTC) + timedelta(seconds=ahead)
        return self.clock.moment(then, now=now, wall=wall)


def test_a_date_that_our_own_clock_confirms_is_used_at_once() -> None:
    service = Service().answer(10)
    off = service.off_by()
    assert off is not None
    assert abs(off) <= 1.2
    assert service.moment() == (service.moment()[0], pytest.approx(1.2))  # type: ignore[index]


@pytest.mark.parametrize("ahead", [-3600, -5, 5, 3600])
def test_a_date_that_our_own_clock_does_not_confirm_needs_a_second_answer(ahead: float) -> None:
    service = Service().answer(10)
    assert service.off_by(ahead=ahead) is None
    service.answer(10.9)
    assert service.off_by(ahead=ahead) is None, "less than a second apart, a Date that stands still looks the same"
    service.answer(12.5)
    assert service.off_by(ahead=ahead) == pytest.approx(0, abs=1.2)


def test_a_date_that_stands_still_is_never_used() -> None:
    service = Service()
    for asked in range(10, 40, 2):
        service.answer(asked, stale=500 + asked)
    assert service.off_by(now=41) is None


def test_a_stale_date_among_fresh_ones_is_not_used() -> None:
    service = Service().answer(10, trip=3).answer(14, trip=0.01, stale=40).answer(18, trip=3)
    assert service.off_by(ahead=9) == pytest.approx(0, abs=4)


def test_stale_dates_that_agree_with_each_other_do_not_outweigh_fresh_ones() -> None:
    service = Service()
    for asked in (4, 8, 12):
        service.answer(asked, trip=0.01, stale=60)
    service.answer(16, trip=2).answer(20, trip=2)
    assert service.off_by(ahead=9) == pytest.approx(0, abs=3)


@pytest.mark.parametrize(
    "header", [{"Age": "600"}, {"Age": "old"}, {"X-Cache": "HIT from edge"}, {"CF-Cache-Status": "HIT"}]
)
def test_the_answer_of_a_cache_is_not_used(header: dict[str, str]) -> None:
    assert Service().answer(10, **header).off_by() is None


def test_an_age_of_zero_is_fresh() -> None:
    assert Service().answer(10, Age="0").off_by() is not None


@pytest.mark.parametrize("date", ["", "yesterday", "0", "Sun, 06 Nov 1994 99:99:99 GMT"])
def test_a_date_that_is_none_is_not_used(date: str) -> None:
    service = Service()
    service.clock.note({"Date": date}, 10, 10.2)
    service.clock.note({}, 12, 12.2)
    assert service.off_by() is None
    assert service.clock.dates(30) == 0


def test_the_shortest_round_trip_counts() -> None:
    moment = Service().answer(10, trip=5).answer(20, trip=0.1).answer(28, trip=1).moment()
    assert moment is not None
    assert moment[1] == pytest.approx(1.1)


def test_old_answers_are_not_used() -> None:
    service = Service().answer(10)
    assert service.off_by(now=600) is not None
    assert service.off_by(now=700) is None


@given(st.lists(st.tuples(st.floats(2, 30), st.floats(0, 10)), min_size=1, max_size=16), st.floats(0, 300))
def test_the_true_time_lies_within_the_error(answers: list[tuple[float, float]], then: float) -> None:
    service, asked = Service(), 0.0
    for gap, trip in answers:
        asked += gap
        service.answer(asked, trip)
        asked += trip
    moment = service.moment(then, now=asked)
    assert moment is not None
    assert abs(moment[0].timestamp() - (EPOCH + then)) <= moment[1] + 1e-5
