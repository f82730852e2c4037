"""SIGKILL at every crash point, and a start with the same key."""

from __future__ import annotations

from adversary.raw_server import RawServer

from recovery.child import Job, Way, in_process
from recovery.conftest import Until
from recovery.crash_points import Point, crash, crashes, twins


@crashes
@twins
def test_a_start_with_the_key_of_a_crash_meets_what_the_table_says(
    service: RawServer, store: str, until: Until, point: Point, way: Way, blocking: bool
) -> None:
    job = Job(url=service.url, store=store, way=way, blocking=blocking)
    crash(point, job, service, until)
    result = in_process(job)
    if point.leaves in (None, "waiting"):
        assert (result.error, result.is_new) == (None, True)
    elif not point.runs:
        assert result.error == "OutcomeUnknownError"
    else:
        assert (result.error, result.is_new, result.journalled) == (None, False, True)
        assert result.session_id == service.own_sessions()[0].id
    assert len(service.own_sessions()) <= 1, "doubled"
    has_one = point.runs or result.is_new
    assert bool(service.running()) == (bool(has_one) and way == "start_charge")
    carried_out = [seen for seen in service.seen("start") if seen.carried_out]
    assert len(carried_out) == bool(has_one)
