"""Which session a lost start adopts, as a table: EVSE, what is held, the baseline, times and their errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import EVSE, SESSION

from shell_ev import ChargeSession, SessionState
from shell_ev.charges.adoption import Search, judge
from shell_ev.core.ownership import same_evse
from shell_ev.core.service_clock import Moment

SENT = datetime(2026, 3, 1, 12, 0, 0, 500_000, UTC)
OTHER = "5d1b9a52-61c4-4c5e-a3c5-9b9e3e0f7a11"
STARTED, STOPPED, FAILED = SessionState.STARTED, SessionState.STOPPED, SessionState.FAILED_TO_START


def at(seconds: float) -> datetime:
    return SENT + timedelta(seconds=seconds)


def whole(seconds: int) -> datetime:
    """A time without fractions, that many seconds from the whole second before sending."""
    return SENT.replace(microsecond=0) + timedelta(seconds=seconds)


def session(id: str | None = SESSION, **fields: Any) -> ChargeSession:
    return ChargeSession(**{"id": id, "evse_id": EVSE, "state": STARTED, **fields})


def search(error: float = 2.0, **fields: Any) -> Search:
    return Search(evse_id=EVSE, sent=Moment(SENT, error), **fields)


CANDIDATES: dict[str, dict[str, Any]] = {
    "began after the start": {"started_at": at(5)},
    "began an hour after it": {"started_at": at(3600)},
    "began at it": {"started_at": at(0)},
    "began before it, within the error": {"started_at": at(-2)},
    "began before it, within the error and a whole second": {"started_at": whole(-2)},
    "began, without a zone": {"started_at": at(1).replace(tzinfo=None)},
    "no time at all": {},
    "no state": {"state": None},
    "updated a minute before": {"last_updated": at(-60)},
    "began after it, updated long before": {"started_at": at(1), "last_updated": at(-300)},
    "failed at once": {"state": FAILED, "last_updated": at(1)},
    "failed at once, with its end": {"state": FAILED, "stopped_at": at(1)},
    "began and stopped": {"state": STOPPED, "started_at": at(1), "stopped_at": at(2)},
    "began and stopped at a time that is not shown": {"state": STOPPED, "started_at": at(1)},
    "stopped within the error": {"state": STOPPED, "stopped_at": at(-2)},
    "another case": {"evse_id": EVSE.lower(), "started_at": at(1)},
    "no separators": {"evse_id": EVSE.replace("*", ""), "started_at": at(1)},
    "an id that is no UUID": {"id": "nl/tnm/7", "started_at": at(1)},
}
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "another EVSE": ({"evse_id": "NL*TNM*E02003451*1"}, "on another EVSE"),
    "no EVSE": ({"evse_id": None}, "on another EVSE"),
    "other separators": ({"evse_id": "NL*TNM*E0200345*10"}, "on another EVSE"),
    "in doubt": ({"started_at": at(-2.4)}, "in doubt: began 2.4 s before"),
    "in doubt, whole seconds": ({"started_at": whole(-3)}, "in doubt: began 3.5 s before"),
    "in doubt, a minute before": ({"started_at": at(-60)}, "in doubt: began 60.0 s before"),
    "began more than a minute before": ({"started_at": at(-60.5)}, "began 60.5 s before"),
    "updated more than a minute before": ({"last_updated": at(-60.5)}, "was last updated 60.5 s before"),
    "stopped before": ({"state": STOPPED, "stopped_at": at(-2.4)}, "ended 2.4 s before"),
    "stopped before it began, by its times": (
        {"state": STOPPED, "started_at": at(1), "stopped_at": at(-9)},
        "ended 9.0 s before",
    ),
    "failed before": ({"state": FAILED, "last_updated": at(-2.4)}, "ended 2.4 s before"),
    "over without a time": ({"state": STOPPED}, "is over, and no time says since when"),
    "an id that cannot be sent": ({"id": "..", "started_at": at(1)}, "its id cannot be sent"),
    "an EVSE id for an id": ({"id": EVSE, "started_at": at(1)}, "its id cannot be sent"),
}


@pytest.mark.parametrize("case", CANDIDATES)
def test_a_candidate_is_adopted(case: str) -> None:
    only = session(**CANDIDATES[case])
    verdict = judge([only], search())
    assert verdict.session is only, verdict.reasons
    assert verdict.reasons == {}


@pytest.mark.parametrize("case", REJECTED)
def test_any_other_session_is_not_adopted_and_the_reason_is_given(case: str) -> None:
    fields, reason = REJECTED[case]
    only = session(**fields)
    verdict = judge([only], search())
    assert verdict.session is None
    assert verdict.reasons[str(only.id)].startswith(reason)


@pytest.mark.parametrize("case", [case for case, (fields, _) in REJECTED.items() if "id" not in fields])
def test_a_session_that_is_excluded_does_not_hide_the_candidate(case: str) -> None:
    fields, _ = REJECTED[case]
    other, own = session(OTHER, **fields), session(started_at=at(1))
    for listed in ([other, own], [own, other]):
        verdict = judge(listed, search())
        assert verdict.session is own
        assert set(verdict.reasons) == {OTHER}


@pytest.mark.parametrize("error", [1.0, 2.0, 30.0, 60.0, 90.0])
def test_the_error_of_the_time_of_sending_divides_candidates_from_doubt(error: float) -> None:
    assert judge([session(started_at=at(-error))], search(error)).session is not None
    assert judge([session(started_at=at(-error - 0.1))], search(error)).session is None


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("held", "belongs to another start of this client"),
        ("watched", "was attached to, or followed, before the start was sent"),
        ("baseline", "was listed before the start was sent"),
    ],
)
def test_a_session_that_is_known_already_is_not_adopted_with_any_times(field: str, reason: str) -> None:
    verdict = judge([session(started_at=at(5))], search(**{field: [SESSION]}))
    assert verdict.session is None
    assert verdict.reasons == {SESSION: reason}


def test_two_candidates_are_not_distinguished() -> None:
    verdict = judge([session(started_at=at(1)), session(OTHER, started_at=at(90))], search())
    assert verdict.session is None
    assert set(verdict.candidates) == {SESSION, OTHER} == set(verdict.reasons)
    assert verdict.reasons[OTHER] == "one of 2 sessions that may be the start's"


@pytest.mark.parametrize("nameless", [None, "", "..", EVSE])
def test_a_candidate_without_a_usable_id_counts(nameless: str | None) -> None:
    verdict = judge([session(started_at=at(1)), session(nameless, started_at=at(2))], search())
    assert verdict.session is None
    assert len(verdict.candidates) == 2


def test_a_session_that_is_listed_twice_is_one() -> None:
    early, late = session(state=SessionState.START_REQUESTED), session(started_at=at(1))
    assert judge([early, late], search()).session is late


def test_a_session_that_is_listed_twice_is_excluded_by_either() -> None:
    verdict = judge([session(started_at=at(1)), session(started_at=at(-100))], search())
    assert verdict.session is None
    assert set(verdict.reasons) == {SESSION}


def test_another_start_in_flight_on_the_same_card_and_evse_leaves_the_session_open() -> None:
    verdict = judge([session(started_at=at(1))], search(rivals=1))
    assert verdict.session is None
    assert "another start of this client" in verdict.reasons[SESSION]


def test_nothing_is_adopted_while_the_clock_of_the_service_is_not_known() -> None:
    verdict = judge([session(started_at=at(1))], search(is_certain=False))
    assert verdict.session is None
    assert "clock" in verdict.reasons[SESSION]


def test_an_empty_list_decides_nothing() -> None:
    verdict = judge([], search(rivals=1, is_certain=False))
    assert (verdict.session, verdict.candidates, verdict.reasons, verdict.on_evse) == (None, (), {}, 0)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (EVSE, EVSE, True),
        (EVSE, EVSE.lower(), True),
        (EVSE, EVSE.replace("*", ""), True),
        ("NLTNM*E02003451*0", EVSE, True),
        ("NL*TNM*E0200345*10", EVSE, False),
        ("NL*TNM*E020034510", EVSE, False),
        ("NL*TNM*E02003451*1", EVSE, False),
        ("49*810*000*438", "+49*810*000*438", True),
        ("49*810*00*0438", "+49*810*000*438", False),
        (None, EVSE, False),
        ("", EVSE, False),
        ("station 7 on the left", "STATION 7 on the left", True),
    ],
)
def test_evses_are_compared_with_separators_where_both_have_them(left: str | None, right: str, same: bool) -> None:
    assert same_evse(left, right) is same
