"""The retry decision as a table, Retry-After in every form, and the bounds of a pause."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import backoff
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev.core.retry import Decision, Failure, decide, outcome_is_unknown, parse_retry_after, pause

NOW = datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC)

NOT_SENT = Failure(sent=False)
NO_ANSWER = Failure(sent=True)

RAISE = None
PAUSE = 0.5  # the first pause, with a jitter that changes nothing


def status(code: int, retry_after: float | None = None) -> Failure:
    return Failure(status=code, retry_after=retry_after)


# failure, GET: wait and unknown, POST: wait and unknown. Design section 5, row by row.
TABLE = [
    ("surely not sent", NOT_SENT, (PAUSE, False), (PAUSE, False)),
    ("429 without Retry-After", status(429), (PAUSE, False), (PAUSE, False)),
    ("429 with Retry-After", status(429, 3.0), (3.0, False), (3.0, False)),
    ("429 with Retry-After 0", status(429, 0.0), (PAUSE, False), (PAUSE, False)),
    ("429 with more than is left", status(429, 60.0), (RAISE, False), (RAISE, False)),
    ("503 with Retry-After", status(503, 3.0), (3.0, False), (3.0, False)),
    ("503 with Retry-After 0", status(503, 0.0), (PAUSE, False), (PAUSE, False)),
    ("503 with more than is left", status(503, 60.0), (RAISE, False), (RAISE, False)),
    ("503 without Retry-After", status(503), (PAUSE, False), (RAISE, False)),
    ("500", status(500), (PAUSE, False), (RAISE, True)),
    ("502", status(502), (PAUSE, False), (RAISE, True)),
    ("504", status(504), (PAUSE, False), (RAISE, True)),
    ("500 with Retry-After", status(500, 3.0), (3.0, False), (RAISE, True)),
    ("sent, no whole answer", NO_ANSWER, (PAUSE, False), (RAISE, True)),
    ("501", status(501), (RAISE, False), (RAISE, False)),
    ("599", status(599), (RAISE, False), (RAISE, True)),
    *((str(code), status(code), (RAISE, False), (RAISE, False)) for code in (302, 400, 401, 403, 404, 405, 408, 409)),
    ("404 with Retry-After", status(404, 3.0), (RAISE, False), (RAISE, False)),
]


@pytest.mark.parametrize("repeatable", [True, False], ids=["GET", "POST"])
@pytest.mark.parametrize(("failure", "get", "post"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
class TestTheTable:
    def test_with_tries_left(
        self,
        failure: Failure,
        get: tuple[float | None, bool],
        post: tuple[float | None, bool],
        repeatable: bool,
    ) -> None:
        decision = decide(
            failure, repeatable=repeatable, retries_done=0, max_retries=2, remaining=30.0, jitter=lambda wait: wait
        )
        assert decision == Decision(*(get if repeatable else post))

    def test_without_tries_left_everything_is_raised_and_the_doubt_stays(
        self,
        failure: Failure,
        get: tuple[float | None, bool],
        post: tuple[float | None, bool],
        repeatable: bool,
    ) -> None:
        for done, most in ((0, 0), (2, 2), (3, 2)):
            decision = decide(failure, repeatable=repeatable, retries_done=done, max_retries=most)
            assert decision == Decision(None, (get if repeatable else post)[1])


def test_a_pause_that_would_outlast_the_time_left_is_not_begun() -> None:
    for failure in (NOT_SENT, status(429), status(429, 1.0)):
        assert decide(failure, repeatable=True, retries_done=0, max_retries=2, remaining=0.05).wait is None
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.0).wait is None


def test_a_try_that_would_have_next_to_no_time_is_not_begun() -> None:
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.04).wait is None
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.06).wait == 1.0


@given(st.floats(0.001, 1e6), st.integers(0, 50))
def test_a_retry_after_is_never_cut_short_by_jitter(told: float, done: int) -> None:
    decision = decide(
        status(429, told), repeatable=False, retries_done=done, max_retries=100, jitter=lambda wait: wait / 1e6
    )
    assert decision.wait == told


@given(st.integers(0, 100))
def test_a_pause_with_the_real_jitter_lies_between_the_floor_and_the_ceiling(done: int) -> None:
    wait = pause(done)
    assert 0.1 <= wait <= min(8.0, 0.5 * 2**done) or wait == 0.1


def test_pauses_double_up_to_a_ceiling() -> None:
    assert [pause(done, lambda wait: wait) for done in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert pause(10**6, lambda wait: wait) == 8.0


def test_the_jitter_is_full_and_never_falls_below_the_floor() -> None:
    assert pause(3, lambda _: 0.0) == 0.1
    waits = [pause(4, backoff.full_jitter) for _ in range(400)]
    assert min(waits) < 2 < 6 < max(waits)


@given(
    st.integers(100, 599),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
    st.integers(0, 5),
    st.floats(0, 100),
)
def test_no_post_that_may_have_arrived_is_ever_repeated(
    code: int, retry_after: float | None, sent: bool, answered: bool, done: int, most: int, left: float
) -> None:
    failure = Failure(sent=sent or answered, status=code if answered else None, retry_after=retry_after)
    decision = decide(failure, repeatable=False, retries_done=done, max_retries=most, remaining=left)
    assert not (decision.outcome_unknown and decision.wait is not None)
    assert decision.outcome_unknown is outcome_is_unknown(failure, repeatable=False)
    if decision.wait is not None:
        assert done < most
        assert 0.1 <= decision.wait < left or decision.wait == retry_after


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("0", 0.0),
            ("7", 7.0),
            (" 7 ", 7.0),
            ("1.5", 1.5),
            ("0.25", 0.25),
            ("1e3", 1000.0),
            ("86400", 86400.0),
            ("99999999999999", 99999999999999.0),
            ("-1", None),
            ("-0.5", None),
            ("nan", None),
            ("inf", None),
            ("-inf", None),
            ("Infinity", None),
            ("1e999", None),
            ("1_000", None),
            ("", None),
            ("   ", None),
            ("soon", None),
            ("7 seconds", None),
            ("1, 2", None),
            ("\u0667", None),
            ("0x10", None),
            ("9" * 400, None),
        ],
    )
    def test_seconds(self, header: str, seconds: float | None) -> None:
        assert parse_retry_after(header) == seconds

    def test_a_missing_header_says_nothing(self) -> None:
        assert parse_retry_after(None) is None
        assert parse_retry_after(None, "Wed, 21 Oct 2015 07:28:00 GMT") is None

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
            ("Wed, 21 Oct 2015 09:28:30 +0200", 30.0),
            ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
            ("Wed Oct 21 07:28:30 2015", 30.0),
            ("Wed, 21 Oct 2015 07:28:30 -0000", 30.0),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
            ("Wed, 99 Oct 2015 07:28:30 GMT", None),
            ("Wed, 21 Oct 2015 07:28:30 +9999", None),
        ],
    )
    def test_a_date_is_taken_against_the_clock(self, header: str, seconds: float | None) -> None:
        assert parse_retry_after(header, None, NOW) == seconds

    def test_a_date_is_taken_against_the_answers_own_date_when_there_is_one(self) -> None:
        theirs = "Wed, 21 Oct 2015 10:00:00 GMT"
        assert parse_retry_after("Wed, 21 Oct 2015 10:00:05 GMT", theirs, NOW) == 5.0
        assert parse_retry_after("Wed, 21 Oct 2015 07:28:05 GMT", "nonsense", NOW) == 5.0

    def test_without_a_clock_the_real_one_is_used(self) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=100)
        told = parse_retry_after(soon.strftime("%a, %d %b %Y %H:%M:%S GMT"))
        assert told is not None
        assert 90 < told <= 100

    @given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} \w{3} \d{1,5} [\d:.]{1,9} [-+\w]{0,6}"))
    def test_nothing_a_server_writes_there_raises(self, header: str) -> None:
        for date in (None, header):
            told = parse_retry_after(header, date, NOW)
            assert told is None or (told >= 0 and math.isfinite(told))
