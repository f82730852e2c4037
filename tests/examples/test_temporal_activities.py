"""The Temporal activities in their test environment: tried again they start nothing, cancelled they leave nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from example_processes import CARD, ROOT, commands_of, header_of, variables_for

from shell_ev import AsyncShellEV
from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, Fault, Sandbox

pytest.importorskip("temporalio", reason="the extra examples is not installed")

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

pytestmark = pytest.mark.servers

SCRIPT = ROOT / "examples" / "temporal_activities.py"


@pytest.fixture
def example(examples_importable: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("CHARGES_PATIENCE", "5")
    import temporal_activities

    monkeypatch.setattr(temporal_activities, "HEARTBEAT", 0.01)
    return temporal_activities


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path) -> Any:
    """A client of a worker process; workers share the store."""

    @asynccontextmanager
    async def open_one() -> AsyncIterator[AsyncShellEV]:
        async with AsyncShellEV.from_env(variables_for(sandbox), store=tmp_path / "charges.sqlite3") as ev:
            yield ev

    return open_one


def environment(workflow_id: str, attempt: int = 1) -> ActivityEnvironment:
    """One try of an activity of a workflow."""
    made = ActivityEnvironment()
    made.info = dataclasses.replace(made.info, workflow_id=workflow_id, attempt=attempt)
    return made


def starts(sandbox: Sandbox) -> int:
    return [request.operation for request in sandbox.requests].count("charging.start")


async def test_start_wait_and_stop(example: ModuleType, client: Any, sandbox: Sandbox) -> None:
    async with client() as ev:
        activities = example.ChargingActivities(ev)
        order = example.Order(CARD, EXAMPLE_EVSE, 5.0)
        session_id = await environment("order-1").run(activities.start_charge, order)
        assert session_id == sandbox.charges[0].session_id
        await environment("order-1").run(activities.wait_started, session_id)
        for attempt in (1, 2):
            assert await environment("order-1", attempt).run(activities.stop_charge, session_id) == "stopped"
    assert sandbox.charges[0].is_over


async def test_a_second_try_on_another_worker_finds_the_charge_of_its_workflow(
    example: ModuleType, client: Any, sandbox: Sandbox
) -> None:
    order = example.Order(CARD, EXAMPLE_EVSE, 5.0)
    sessions = []
    for attempt in (1, 2):
        async with client() as ev:
            run = environment("order-1", attempt).run
            sessions.append(await run(example.ChargingActivities(ev).start_charge, order))
    async with client() as ev:
        other = await environment("order-2").run(example.ChargingActivities(ev).start_charge, order)
    assert sessions == [sandbox.charges[0].session_id] * 2
    assert other == sandbox.charges[1].session_id
    assert starts(sandbox) == 2


async def test_an_unknown_outcome_is_tried_again_and_the_next_try_finds_the_charge(
    example: ModuleType, client: Any, sandbox: Sandbox
) -> None:
    order = example.Order(CARD, EXAMPLE_EVSE, 5.0)
    sandbox.faults.add("charging.start", Fault.drop())
    sandbox.faults.add("charging.active", Fault.status(403))
    async with client() as ev:
        activities = example.ChargingActivities(ev)
        with pytest.raises(ApplicationError) as first:
            await environment("order-1").run(activities.start_charge, order)
        assert (first.value.type, first.value.non_retryable) == ("OutcomeUnknownError", False)
        assert await environment("order-1", 2).run(activities.start_charge, order) == sandbox.charges[0].session_id
    assert starts(sandbox) == 1


async def test_what_no_try_mends_is_not_tried_again(example: ModuleType, client: Any, sandbox: Sandbox) -> None:
    async with client() as ev:
        activities = example.ChargingActivities(ev)
        with pytest.raises(ApplicationError) as invalid:
            await environment("order-1").run(activities.start_charge, example.Order("", EXAMPLE_EVSE, 5.0))
        assert (invalid.value.type, invalid.value.non_retryable) == ("ValidationError", True)
        failing = example.Order(CARD, FAILING_EVSES["EvNotConnectedToEvse"], 5.0)
        session_id = await environment("order-2").run(activities.start_charge, failing)
        with pytest.raises(ApplicationError) as failed:
            await environment("order-2").run(activities.wait_started, session_id)
        assert (failed.value.type, failed.value.non_retryable) == ("ChargeFailedError", True)


async def test_the_time_that_the_service_asks_for_is_the_delay_of_the_next_try(
    example: ModuleType, client: Any, sandbox: Sandbox
) -> None:
    sandbox.faults.add("charging.start", Fault.rate_limit(90))
    async with client() as ev:
        with pytest.raises(ApplicationError) as limited:
            await environment("order-1").run(
                example.ChargingActivities(ev).start_charge, example.Order(CARD, EXAMPLE_EVSE, 5.0)
            )
    assert limited.value.type == "TooManyRequestsError"
    assert limited.value.next_retry_delay is not None
    assert limited.value.next_retry_delay.total_seconds() == 90


async def test_a_cancelled_start_sends_heartbeats_and_leaves_nothing_running(
    example: ModuleType, client: Any, sandbox: Sandbox
) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.5))
    beats: list[object] = []
    async with client() as ev:
        tried = environment("order-1")
        tried.on_heartbeat = lambda *details: beats.append(details)
        running = asyncio.ensure_future(
            tried.run(example.ChargingActivities(ev).start_charge, example.Order(CARD, EXAMPLE_EVSE, 5.0))
        )
        while not sandbox.charges or len(beats) < 2:
            await asyncio.sleep(0.01)
        tried.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [charge.is_over for charge in sandbox.charges] == [True]


async def test_the_workflow_can_be_loaded_by_a_worker(example: ModuleType) -> None:
    """The import of the example inside the sandbox of workflows, which refuses what is not deterministic."""
    definition = workflow._Definition.must_from_class(example.ChargeWorkflow)
    SandboxedWorkflowRunner().prepare_workflow(definition)
    assert definition.name == "ChargeWorkflow"


def test_the_command_of_the_header_starts_that_workflow(example: ModuleType) -> None:
    command = commands_of(header_of(SCRIPT))[1].arguments
    assert command[command.index("--type") + 1] == "ChargeWorkflow"
    assert command[command.index("--task-queue") + 1] == "charging"
