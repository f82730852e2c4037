"""The Celery tasks over a real Redis with its defaults: the child, the whole worker and the broker are killed."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from example_processes import CARD, EXAMPLES, HARD_LIMIT, Running, is_quiet, variables_for, wait_until
from redis_server import RedisServer
from store.servers import PostgresServer

from shell_ev import ApiError, OutcomeUnknownError, ValidationError
from shell_ev.sandbox import EXAMPLE_EVSE, Fault, Sandbox

pytest.importorskip("celery", reason="the extra examples is not installed")
pytest.importorskip("redis", reason="the extra servers is not installed")

from celery.beat import Scheduler

#: Each file imports the module anew, and Celery gives the tasks of one app to all apps of a process.
pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:Task name '.*' is already registered"),
]

NAME = "celery_tasks.py"
#: For a start whose outcome stays open: it is in the way of other lost starts on its EVSE.
OTHER_EVSE = "NL*TNM*E02003451*1"
#: Seconds until another worker has dealt with what a killed one left; on PostgreSQL its lease of a minute ends first.
WITHIN = {"sqlite": 30.0, "postgres": 120.0}
_names = itertools.count(1)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def store(kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if kind == "sqlite":
        return str(tmp_path_factory.mktemp("celery_store") / "charges.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.make_database(f"celery{next(_names)}")


@pytest.fixture(scope="module")
def settings(redis: RedisServer, store: str) -> dict[str, str]:
    return {"BROKER_URL": redis.url(0), "RESULT_BACKEND": redis.url(1), "SHELL_EV_STORE": store}


@attrs.frozen
class Worker:
    """A worker with a queue of its own, so that a test says which worker gets a task."""

    running: Running
    queue: str

    def give(self, task: Any, *arguments: object) -> Any:
        """Send a task to this worker."""
        return task.apply_async(arguments, queue=self.queue)

    @property
    def output(self) -> str:
        return self.running.output


Start = Callable[[], Worker]


@pytest.fixture
def start_worker(launch: Callable[..., Running], settings: dict[str, str]) -> Iterator[Start]:
    """Starts a worker; ends with all of them killed."""
    started: list[Worker] = []

    def start() -> Worker:
        queue = f"queue-{next(_names)}"
        running = launch(
            NAME, instead={"2": "1"}, further=["--queues", queue, "--hostname", f"{queue}@here"], **settings
        )
        started.append(Worker(running, queue))
        running.says(r"\S+@\S+ ready")
        return started[-1]

    yield start
    for worker in started:
        worker.running.kill()


@pytest.fixture(scope="module")
def tasks(shared_sandbox: Sandbox, settings: dict[str, str]) -> Iterator[ModuleType]:
    """The module of the tasks in this process, to send them from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        for name, value in {**variables_for(shared_sandbox), **settings}.items():
            patch.setenv(name, value)
        import celery_tasks

        yield celery_tasks
        celery_tasks.clients.close()
        celery_tasks.app.close()
        for name in ("celery_tasks", "process_client"):
            sys.modules.pop(name, None)


def starts(sandbox: Sandbox) -> int:
    return [request.operation for request in sandbox.requests].count("charging.start")


def outcome(result: Any) -> Any:
    return result.get(timeout=HARD_LIMIT, interval=0.05)


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait for something that has to happen within a time."""
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)


def state_of(tasks: ModuleType, key: str) -> str | None:
    entry = tasks.clients.get().journal.find(key)
    return None if entry is None else str(entry.state)


def test_a_worker_starts_and_stops_a_charge_over_redis(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox
) -> None:
    worker = start_worker()
    session_id = outcome(worker.give(tasks.start_charge, "trip", CARD, EXAMPLE_EVSE))
    assert session_id == sandbox.charges[0].session_id
    assert outcome(worker.give(tasks.stop_charge, session_id)) == "stopped"
    assert outcome(worker.give(tasks.charge_for, "test", CARD, EXAMPLE_EVSE, 0.1)) == "stopped"
    assert worker.running.ends(signal.SIGTERM) == 0
    assert is_quiet(worker.output.split("Warm shutdown")[1])


def test_errors_come_back_from_the_json_results_as_what_they_were(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox
) -> None:
    worker = start_worker()
    with pytest.raises(ValidationError, match="ev_charge_number") as invalid:
        outcome(worker.give(tasks.start_charge, "invalid", "", EXAMPLE_EVSE))
    assert (type(invalid.value), invalid.value.outcome_unknown) == (ValidationError, False)
    sandbox.faults.add("charging.start", Fault.status(403))
    with pytest.raises(ApiError) as refused:
        outcome(worker.give(tasks.start_charge, "refused", CARD, EXAMPLE_EVSE))
    assert (type(refused.value).__name__, refused.value.outcome_unknown) == ("ForbiddenError", False)
    # A retry keeps its error in the result until the next try.
    sandbox.show_sessions_after = 1e6
    sandbox.faults.add("charging.start", Fault.drop())
    result = worker.give(tasks.start_charge, "unknown", CARD, OTHER_EVSE)
    wait_until(lambda: result.state == "RETRY")
    assert isinstance(result.result, OutcomeUnknownError)
    assert result.result.outcome_unknown
    result.revoke()


def test_the_task_recover_says_what_was_left(start_worker: Start, tasks: ModuleType, sandbox: Sandbox) -> None:
    worker = start_worker()
    outcome(worker.give(tasks.start_charge, "left", CARD, EXAMPLE_EVSE))
    recovered = outcome(worker.give(tasks.recover))
    assert set(recovered) == {"stopped", "kept", "unknown", "failed"}
    assert "left" in recovered["kept"]


def test_the_task_recover_is_sent_when_a_worker_is_ready_and_by_beat(
    launch: Callable[..., Running], settings: dict[str, str], tasks: ModuleType
) -> None:
    # A worker of the default queue, where both send it.
    worker = launch(NAME, instead={"2": "1"}, further=["--hostname", "default@here"], **settings)
    worker.says(r"celery_tasks\.recover\[\S+\] succeeded")
    scheduler = Scheduler(tasks.app)
    sent = scheduler.apply_async(scheduler.schedule["recover"], advance=False)
    worker.says(rf"celery_tasks\.recover\[{sent.id}\] succeeded")
    worker.kill()


def test_beat_starts_by_the_command_of_the_header(
    launch: Callable[..., Running], settings: dict[str, str], tmp_path: Path
) -> None:
    beat = launch(NAME, number=2, further=["--schedule", str(tmp_path / "schedule")], **settings)
    beat.says(r"beat: Starting")
    beat.ends()
    assert "Traceback" not in beat.output


def test_a_killed_child_gives_its_task_to_another_one(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox, kind: str
) -> None:
    worker = start_worker()
    sandbox.faults.add("charging.start", Fault.hang())
    result = worker.give(tasks.start_charge, "child", CARD, EXAMPLE_EVSE)
    wait_until(lambda: len(sandbox.charges) == 1 and isinstance(result.info, dict) and "pid" in result.info)
    os.kill(result.info["pid"], signal.SIGKILL)
    assert result.get(timeout=WITHIN[kind] + HARD_LIMIT, interval=0.05) == sandbox.charges[0].session_id
    assert starts(sandbox) == 1


def test_a_lost_start_of_a_killed_worker_is_adopted_by_another_one(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox, kind: str
) -> None:
    dead, other = start_worker(), start_worker()
    sandbox.faults.add("charging.start", Fault.hang())
    dead.give(tasks.start_charge, "adopted", CARD, EXAMPLE_EVSE)
    wait_until(lambda: len(sandbox.charges) == 1)
    dead.running.kill()
    within(WITHIN[kind], lambda: state_of(tasks, "adopted") == "accepted")
    # The broker delivers the task again after an hour, by default; whoever sends it earlier starts nothing either.
    again = other.give(tasks.start_charge, "adopted", CARD, EXAMPLE_EVSE)
    assert outcome(again) == sandbox.charges[0].session_id
    assert (starts(sandbox), sandbox.charges[0].is_running) == (1, True)


def test_a_block_of_a_killed_worker_is_stopped_by_another_one(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox, kind: str
) -> None:
    dead, other = start_worker(), start_worker()
    dead.give(tasks.charge_for, "block", CARD, EXAMPLE_EVSE, 3600.0)
    wait_until(lambda: state_of(tasks, "block") == "accepted")
    dead.running.kill()
    assert sandbox.charges[0].is_running
    within(WITHIN[kind], lambda: sandbox.charges[0].is_over and state_of(tasks, "block") == "over")
    assert outcome(other.give(tasks.charge_for, "block", CARD, EXAMPLE_EVSE, 3600.0)) == "stopped"
    assert starts(sandbox) == 1


def test_a_start_under_way_outlives_the_broker_and_its_key_starts_nothing_more(
    start_worker: Start, tasks: ModuleType, sandbox: Sandbox, redis: RedisServer
) -> None:
    worker = start_worker()
    sandbox.faults.add("charging.start", Fault.delay(1.0))
    worker.give(tasks.start_charge, "broker", CARD, EXAMPLE_EVSE)
    wait_until(lambda: len(sandbox.charges) == 1)
    redis.kill()
    try:
        wait_until(lambda: state_of(tasks, "broker") == "accepted")
        worker.running.says(r"[Cc]onnection to broker lost|Cannot connect to redis")
    finally:
        redis.start()
    worker.running.says(r"Connected to redis", times=2)
    again = worker.give(tasks.start_charge, "broker", CARD, EXAMPLE_EVSE)
    assert outcome(again) == sandbox.charges[0].session_id
    assert (starts(sandbox), sandbox.charges[0].is_running) == (1, True)
