"""SIGKILL during a recovery, and the next one."""

from __future__ import annotations

import attrs
import pytest
from adversary.raw_server import RawServer

from recovery.child import Child, Job
from recovery.conftest import Until, end_leases
from recovery.crash_points import AFTER_THE_EFFECT, LEDGER, crash, entry_of, recovered_by, twins

RECOVERY_POINTS = [
    pytest.param(f"{LEDGER}.take_over", None, id="after the takeover"),
    pytest.param(f"{LEDGER}.write", None, id="after the session was written"),
    pytest.param(None, "shell_ev.endpoints.charging:AsyncCharging.stop", id="before the stop"),
    pytest.param("shell_ev.endpoints.charging:AsyncCharging.stop", None, id="after the stop"),
    pytest.param(None, f"{LEDGER}.ended", id="before the end is written"),
    pytest.param(f"{LEDGER}.ended", None, id="after the end was written"),
    pytest.param(None, f"{LEDGER}.release", id="before the entry is released"),
]


@pytest.mark.parametrize(("after", "before"), RECOVERY_POINTS)
@twins
@pytest.mark.parametrize("count", [1, 2], ids=["by another", "by two at once"])
def test_a_recovery_that_is_killed_is_taken_over_by_the_next(
    service: RawServer,
    store: str,
    until: Until,
    after: str | None,
    before: str | None,
    blocking: bool,
    count: int,
) -> None:
    service.stop_delay = 1.0  # longer than the next process takes to begin: the stop is under way then
    job = Job(url=service.url, store=store, way="block", blocking=blocking)
    crash(AFTER_THE_EFFECT, job, service, until)
    with Child(attrs.evolve(job, recover=True, die_after=after, die_before=before)) as child:
        child.wait_killed()
    end_leases(store)
    result = recovered_by(job, count)
    entry = entry_of(service, job)
    assert entry is not None
    assert (entry.state, entry.owner, result.failed, result.unknown) == ("over", None, (), ())
    assert len(result.stopped) <= 1
    assert not service.running()
    assert len(service.own_sessions()) == service.count("start") == 1
    assert service.count("stop") == sum(seen.carried_out for seen in service.seen("stop")) == 1
