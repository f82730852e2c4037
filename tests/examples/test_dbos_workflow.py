"""The DBOS workflow, killed at every point in a real process and run again: one start, and nothing left running."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from example_processes import CARD, ROOT, Running, commands_of, header_of, is_quiet, variables_for, wait_until
from store.servers import PostgresServer

from shell_ev import ShellEV
from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, Fault, Sandbox

pytest.importorskip("dbos", reason="the extra examples is not installed")

pytestmark = pytest.mark.servers

NAME = "dbos_workflow.py"
SCRIPT = ROOT / "examples" / NAME
#: Seconds that a run may take: on PostgreSQL a lost start waits for the lease of the dead process, which is a minute.
LONGEST = 180.0
_names = itertools.count(1)


@attrs.frozen(kw_only=True)
class Point:
    """Where the process is killed."""

    name: str
    before: str | None = None
    after: str | None = None
    hangs: str | None = None
    """Operation that gets no answer, during which the test kills the process."""
    short_on_postgres: bool = False


POINTS = [
    Point(name="start sent", hangs="charging.start"),
    Point(name="started, not recorded", after="shell_ev.sync:ShellEV.start_charge", short_on_postgres=True),
    Point(name="start recorded", before="shell_ev.sync:Charge.wait_started"),
    Point(name="waited, not recorded", after="shell_ev.sync:Charge.wait_started"),
    Point(name="wait recorded", before="dbos:DBOS.sleep"),
    Point(name="time over, recorded", before="shell_ev.sync:Charge.stop"),
    Point(name="stop sent", hangs="charging.stop"),
    Point(name="stopped, not recorded", after="shell_ev.sync:Charge.stop", short_on_postgres=True),
    Point(name="stop recorded", before="dbos._sys_db:SystemDatabase.update_workflow_outcome"),
]
CASES = [
    pytest.param(
        point,
        kind,
        id=f"{point.name}-{kind}",
        marks=[] if kind == "sqlite" or point.short_on_postgres else [pytest.mark.long],
    )
    for kind in ("sqlite", "postgres")
    for point in POINTS
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Where the journal and the steps of DBOS are kept: both in files, or both in PostgreSQL."""

    def of(kind: str) -> dict[str, str]:
        if kind == "sqlite":
            return {
                "SHELL_EV_STORE": str(tmp_path / "charges.sqlite3"),
                "DBOS_SYSTEM_DATABASE_URL": f"sqlite:///{tmp_path / 'charging.sqlite'}",
            }
        server: PostgresServer = request.getfixturevalue("postgres")
        number = next(_names)
        return {
            "SHELL_EV_STORE": server.make_database(f"charges{number}"),
            "DBOS_SYSTEM_DATABASE_URL": server.make_database(f"steps{number}"),
        }

    return of


Run = Callable[..., Running]


@pytest.fixture
def run(sandbox: Sandbox) -> Iterator[Run]:
    """Runs the example by the command of its header, or by a command that kills it; all are killed in the end."""
    started: list[Running] = []

    def start(variables: dict[str, str], *killed_at: str, evse_id: str = EXAMPLE_EVSE) -> Running:
        command = commands_of(header_of(SCRIPT))[0]
        program, script, order, card, _, _ = command.arguments
        assert (program, script, card) == ("python", f"examples/{NAME}", CARD)
        driver = [str(Path(__file__).with_name("killed_at.py")), *killed_at] if killed_at else []
        arguments = [sys.executable, *driver, script, order, card, evse_id, "0.2"]
        ours = {**variables_for(sandbox), "CHARGES_PATIENCE": "5", **variables}
        started.append(Running(arguments, ours))
        return started[-1]

    yield start
    for running in started:
        running.kill()


def operations(sandbox: Sandbox) -> list[str | None]:
    return [request.operation for request in sandbox.requests]


@pytest.mark.parametrize(("point", "kind"), CASES)
def test_a_killed_workflow_continues_with_one_start_and_leaves_nothing_running(
    sandbox: Sandbox, run: Run, databases: Callable[[str], dict[str, str]], point: Point, kind: str
) -> None:
    variables = databases(kind)
    if point.hangs is not None:
        sandbox.faults.add(point.hangs, Fault.hang())
        killed = run(variables)
        wait_until(lambda: point.hangs in operations(sandbox))
        wait_until(lambda: len(sandbox.charges) == 1)
        killed.kill()
    else:
        killed = run(variables, "before" if point.before else "after", point.before or point.after or "")
        assert killed.process.wait(LONGEST) == -signal.SIGKILL, killed.output
    assert len(sandbox.charges) == 1
    again = run(variables)
    assert again.process.wait(LONGEST) == 0, again.output
    again.says(r"(?m)^stopped$")
    assert operations(sandbox).count("charging.start") == 1
    assert [charge.is_over for charge in sandbox.charges] == [True]


def test_a_workflow_from_beginning_to_end_is_quiet(
    sandbox: Sandbox, run: Run, databases: Callable[[str], dict[str, str]]
) -> None:
    variables = databases("sqlite")
    whole = run(variables)
    assert whole.process.wait(LONGEST) == 0, whole.output
    whole.says(r"(?m)^stopped$")
    assert is_quiet(whole.output)
    assert operations(sandbox).count("charging.start") == 1
    with ShellEV.from_env(variables_for(sandbox), store=variables["SHELL_EV_STORE"]) as ev:
        entry = ev.journal.find("order-1")
    assert entry is not None
    assert (str(entry.state), entry.session_id) == ("over", sandbox.charges[0].session_id)


def test_a_charge_that_fails_to_start_fails_the_workflow_as_what_it_is(
    sandbox: Sandbox, run: Run, databases: Callable[[str], dict[str, str]]
) -> None:
    failed = run(databases("sqlite"), evse_id=FAILING_EVSES["EvNotConnectedToEvse"])
    assert failed.process.wait(LONGEST) == 1
    failed.says("ChargeFailedError: .*EvNotConnectedToEvse")
    assert operations(sandbox).count("charging.start") == 1
