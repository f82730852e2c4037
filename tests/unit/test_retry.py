"""The retry decision as a table, Retry-After in every form, and the bounds of a pause."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import backoff
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell_ev.core.retry import (
    CLEAR_REFUSALS,
    Decision,
    Failure,
    RetryPolicy,
    decide,
    outcome_is_unknown,
    parse_retry_after,
    pause,
)

NOW = datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC)

NOT_SENT = Failure(sent=False)
NO_ANSWER = Failure(sent=True)
UNREADABLE = Failure(status=200, unreadable=True)

RAISE = None
PAUSE = 0.5  # the first pause, with a jitter that changes nothing


def status(code: int, retry_after: float | None = None) -> Failure:
    return Failure(status=code, retry_after=retry_after)


REFUSALS = (
    *(400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 431, 451),
    *(501, 505),
)
UNKNOWN = (100, 204, 302, 304, 402, 407, 412, 416, 418, 423, 424, 499, 507, 508, 511, 520, 599, 600)

# failure, GET: wait and unknown, POST: wait and unknown. Row by row the table of the request loop.
TABLE = [
    ("surely not sent", NOT_SENT, (PAUSE, False), (PAUSE, False)),
    ("429 without Retry-After", status(429), (PAUSE, False), (PAUSE, False)),
    ("429 with Retry-After", status(429, 3.0), (3.0, False), (3.0, False)),
    ("429 with Retry-After 0", status(429, 0.0), (PAUSE, False), (PAUSE, False)),
    ("429 with more than is left", status(429, 60.0), (RAISE, False), (RAISE, False)),
    ("503 with Retry-After", status(503, 3.0), (3.0, False), (RAISE, True)),
    ("503 with Retry-After 0", status(503, 0.0), (PAUSE, False), (RAISE, True)),
    ("503 with more than is left", status(503, 60.0), (RAISE, False), (RAISE, True)),
    *((str(code), status(code), (PAUSE, False), (RAISE, True)) for code in (408, 425, 500, 502, 503, 504)),
    ("500 with Retry-After", status(500, 3.0), (3.0, False), (RAISE, True)),
    ("sent, no whole answer", NO_ANSWER, (PAUSE, False), (RAISE, True)),
    ("2xx that cannot be read", UNREADABLE, (PAUSE, False), (RAISE, True)),
    *((str(code), status(code), (RAISE, False), (RAISE, False)) for code in REFUSALS),
    *((str(code), status(code), (RAISE, False), (RAISE, True)) for code in UNKNOWN),
    ("404 with Retry-After", status(404, 3.0), (RAISE, False), (RAISE, False)),
]


@pytest.mark.parametrize("repeatable", [True, False], ids=["GET", "POST"])
@pytest.mark.parametrize(("failure", "get", "post"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_row_of_the_table_of_failures(
    failure: Failure,
    get: tuple[float | None, bool],
    post: tuple[float | None, bool],
    repeatable: bool,
) -> None:
    wait, unknown = get if repeatable else post
    decision = decide(
        failure, repeatable=repeatable, retries_done=0, max_retries=2, remaining=30.0, jitter=lambda wait: wait
    )
    assert decision == Decision(wait, unknown)
    for done, most in ((0, 0), (2, 2), (3, 2)):
        # Without retries left every failure is raised, and what is unknown stays unknown.
        assert decide(failure, repeatable=repeatable, retries_done=done, max_retries=most) == Decision(None, unknown)


def test_the_clear_refusals_are_a_closed_list() -> None:
    known = {code for code in range(100, 1000) if not outcome_is_unknown(status(code), repeatable=False)}
    assert known == {*REFUSALS, 429} == CLEAR_REFUSALS


def test_no_retry_begins_that_would_outlast_the_time_left() -> None:
    for failure in (NOT_SENT, status(429), status(429, 1.0)):
        assert decide(failure, repeatable=True, retries_done=0, max_retries=2, remaining=0.05).wait is None
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.0).wait is None


def test_no_attempt_begins_with_less_time_than_the_shortest() -> None:
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.04).wait is None
    assert decide(status(429, 1.0), repeatable=True, retries_done=0, max_retries=2, remaining=1.06).wait == 1.0


@given(st.floats(0.001, 1e6), st.integers(0, 50))
def test_jitter_never_shortens_retry_after(asked: float, done: int) -> None:
    decision = decide(
        status(429, asked), repeatable=False, retries_done=done, max_retries=100, jitter=lambda wait: wait / 1e6
    )
    assert decision.wait == asked


@given(st.integers(0, 100))
def test_a_pause_with_the_real_jitter_lies_between_the_floor_and_the_ceiling(done: int) -> None:
    wait = pause(done)
    assert 0.1 <= wait <= min(8.0, 0.5 * 2**done) or wait == 0.1


def test_pauses_double_up_to_a_ceiling() -> None:
    assert [pause(done, lambda wait: wait) for done in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert pause(10**6, lambda wait: wait) == 8.0


def test_the_lengths_of_pauses_are_those_of_the_policy() -> None:
    policy = RetryPolicy(floor=0.3, factor=1.0, ceiling=3.0, shortest_attempt=5.0)
    assert [pause(done, lambda wait: wait, policy) for done in range(4)] == [1.0, 2.0, 3.0, 3.0]
    assert pause(0, lambda _: 0.0, policy) == 0.3
    assert decide(NOT_SENT, repeatable=True, retries_done=0, max_retries=1, remaining=5.3, policy=policy).wait is None


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
def test_a_start_or_stop_that_may_have_arrived_is_never_sent_again(
    code: int, retry_after: float | None, sent: bool, answered: bool, done: int, most: int, left: float
) -> None:
    failure = Failure(sent=sent or answered, status=code if answered else None, retry_after=retry_after)
    decision = decide(failure, repeatable=False, retries_done=done, max_retries=most, remaining=left)
    if decision.wait is not None:
        assert not failure.sent or code == 429
        assert not decision.outcome_unknown
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
        reported = parse_retry_after(soon.strftime("%a, %d %b %Y %H:%M:%S GMT"))
        assert reported is not None
        assert 90 < reported <= 100

    @given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} \w{3} \d{1,5} [\d:.]{1,9} [-+\w]{0,6}"))
    def test_nothing_a_server_writes_there_raises(self, header: str) -> None:
        for date in (None, header):
            reported = parse_retry_after(header, date, NOW)
            assert reported is None or (reported >= 0 and math.isfinite(reported))
