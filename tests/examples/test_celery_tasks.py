"""The Celery tasks in a real prefork worker over files, and eagerly: one start per key, whatever dies or repeats."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from example_processes import CARD, EXAMPLES, HARD_LIMIT, Running, is_quiet, variables_for, wait_until

from shell_ev import OutcomeUnknownError, ValidationError
from shell_ev.sandbox import EXAMPLE_EVSE, Fault, Sandbox

pytest.importorskip("celery", reason="the extra examples is not installed")

#: Each file imports the module anew, and Celery gives the tasks of one app to all apps of a process.
pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:Task name '.*' is already registered"),
]

NAME = "celery_tasks.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def worker(launch: Callable[..., Running], folder: Path) -> Running:
    running = launch(NAME, folder=folder)
    running.says(r"celery@\S+ ready")
    return running


@pytest.fixture(scope="module")
def tasks(shared_sandbox: Sandbox, folder: Path) -> Iterator[ModuleType]:
    """The module of the tasks in this process, to send them from: the same queue and store as the worker's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        patch.setenv("SHELL_EV_STORE", str(folder / "charges.sqlite3"))
        patch.setenv("CELERY_FILES", str(folder / "celery"))
        patch.setenv("CHARGES_PATIENCE", "0.02")
        for name, value in variables_for(shared_sandbox).items():
            patch.setenv(name, value)
        import celery_tasks

        yield celery_tasks
        celery_tasks.clients.close()
        celery_tasks.app.close()
        for name in ("celery_tasks", "process_client"):
            del sys.modules[name]


@pytest.fixture
def eager(tasks: ModuleType) -> Iterator[ModuleType]:
    tasks.app.conf.update(task_always_eager=True, task_eager_propagates=False)
    yield tasks
    tasks.app.conf.update(task_always_eager=False)


def starts(sandbox: Sandbox) -> int:
    return [request.operation for request in sandbox.requests].count("charging.start")


def outcome(result: Any) -> Any:
    return result.get(timeout=HARD_LIMIT, interval=0.01)


def test_a_worker_starts_and_stops_a_charge(worker: Running, tasks: ModuleType, sandbox: Sandbox) -> None:
    session_id = outcome(tasks.start_charge.delay("trip", CARD, EXAMPLE_EVSE))
    assert session_id == sandbox.charges[0].session_id
    assert sandbox.charges[0].is_running
    assert outcome(tasks.stop_charge.delay(session_id)) == "stopped"
    assert outcome(tasks.stop_charge.delay(session_id)) == "stopped"
    assert sandbox.charges[0].is_over


def test_a_task_from_the_command_line(
    worker: Running, launch: Callable[..., Running], tasks: ModuleType, sandbox: Sandbox, folder: Path
) -> None:
    call = launch(NAME, number=1, folder=folder)
    task_id = call.says(r"(?m)^([0-9a-f-]{36})$")[0]
    assert outcome(tasks.app.AsyncResult(task_id)) == sandbox.charges[0].session_id
    entry = tasks.clients.get().journal.find("order-1")
    assert entry is not None
    assert entry.session_id == sandbox.charges[0].session_id


def test_a_task_that_comes_twice_starts_once(worker: Running, tasks: ModuleType, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.5))
    # Two processes at once, as after the visibility timeout of a broker.
    results = [tasks.start_charge.delay("twice", CARD, EXAMPLE_EVSE) for _ in range(2)]
    assert {outcome(result) for result in results} == {sandbox.charges[0].session_id}
    assert starts(sandbox) == 1


def test_a_task_of_a_killed_process_is_delivered_again_and_starts_nothing(
    worker: Running, tasks: ModuleType, sandbox: Sandbox
) -> None:
    sandbox.faults.add("charging.start", Fault.hang())
    result = tasks.start_charge.delay("killed", CARD, EXAMPLE_EVSE)
    wait_until(lambda: len(sandbox.charges) == 1)
    os.kill(result.info["pid"], signal.SIGKILL)
    assert outcome(result) == sandbox.charges[0].session_id
    # Once more for each time that it met a recovery at work on its key.
    assert len(re.findall(rf"start_charge\[{result.id}\] received", worker.output)) >= 2
    assert starts(sandbox) == 1


def test_a_passing_fault_is_retried_and_starts_once(worker: Running, tasks: ModuleType, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.rate_limit(0), times=3)
    result = tasks.start_charge.delay("passing", CARD, EXAMPLE_EVSE)
    assert outcome(result) == sandbox.charges[0].session_id
    worker.says(rf"start_charge\[{result.id}\] retry: Retry in 1\.?0?s: TooManyRequestsError\(")
    assert (starts(sandbox), len(sandbox.charges)) == (4, 1)


def test_an_unknown_outcome_is_tried_again_and_starts_nothing(
    worker: Running, tasks: ModuleType, sandbox: Sandbox
) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    sandbox.faults.add("charging.active", Fault.status(403))  # so that the start is not found at once
    result = tasks.start_charge.delay("again", CARD, EXAMPLE_EVSE)
    assert outcome(result) == sandbox.charges[0].session_id
    worker.says(rf"start_charge\[{result.id}\] retry: Retry in 1\.?0?s: OutcomeUnknownError\(")
    assert starts(sandbox) == 1


def test_what_no_retry_mends_fails_and_says_why(worker: Running, tasks: ModuleType, sandbox: Sandbox) -> None:
    result = tasks.start_charge.delay("invalid", "", EXAMPLE_EVSE)
    with pytest.raises(ValidationError, match="ev_charge_number"):
        outcome(result)
    assert starts(sandbox) == 0


def test_sigterm_finishes_what_is_under_way(worker: Running, tasks: ModuleType, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.5))
    result = tasks.start_charge.delay("late", CARD, EXAMPLE_EVSE)
    wait_until(lambda: len(sandbox.charges) == 1)
    assert worker.ends() == 0
    assert outcome(result) == sandbox.charges[0].session_id
    assert sandbox.charges[0].is_running
    _, shutdown = worker.output.split("Warm shutdown")
    assert is_quiet(shutdown)


def test_eagerly_an_unknown_outcome_fails_in_the_end_and_is_settled_by_hand(
    eager: ModuleType, sandbox: Sandbox
) -> None:
    sandbox.show_sessions_after = 1e6
    sandbox.faults.add("charging.start", Fault.drop())
    result = eager.start_charge.delay("unknown", CARD, EXAMPLE_EVSE)
    assert (result.state, type(result.result)) == ("FAILURE", OutcomeUnknownError)
    assert starts(sandbox) == 1

    session_id = sandbox.charges[0].session_id
    eager.clients.get().journal.settle("unknown", session_id)
    assert eager.start_charge.delay("unknown", CARD, EXAMPLE_EVSE).get() == session_id
    assert starts(sandbox) == 1


def test_eagerly_it_starts_and_retries(eager: ModuleType, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.rate_limit(90), times=2)
    assert eager.start_charge.delay("eager", CARD, EXAMPLE_EVSE).get() == sandbox.charges[0].session_id
    assert (starts(sandbox), len(sandbox.charges)) == (3, 1)
