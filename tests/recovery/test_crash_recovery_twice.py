"""SIGKILL at every crash point, and the recovery of two processes at once."""

from __future__ import annotations

from adversary.raw_server import RawServer

from recovery.child import Job, Way
from recovery.conftest import Until
from recovery.crash_points import Point, check_recovery, crashes, twins


@crashes
@twins
def test_recovery_by_two_processes_at_once_makes_of_a_crash_what_the_table_says(
    service: RawServer, store: str, until: Until, point: Point, way: Way, blocking: bool
) -> None:
    job = Job(url=service.url, store=store, way=way, blocking=blocking)
    check_recovery(job, service, until, point, 2)
