"""Temporal: a workflow that starts a charge, waits and stops it; an activity that is tried again starts nothing more.

Run it, with `python -m shell_ev.sandbox` in another terminal and a Temporal server at TEMPORAL_ADDRESS:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    python examples/temporal_activities.py

and give it something to do:

    temporal workflow start --type ChargeWorkflow --task-queue charging --workflow-id order-1 \\
    --input '{"card": "NL-TNM-C00122045-K", "evse_id": "NL*TNM*E02003451*0", "seconds": 5}'

    SHELL_EV_STORE      journal of the charges: a path or postgresql://... (charges.sqlite3)
    TEMPORAL_ADDRESS    (localhost:7233)
    CHARGES_PATIENCE    seconds to look for a charge whose start got no answer, and to see one stop (20)
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from shell_ev import (
        AsyncShellEV,
        ChargeInProgressError,
        ChargePendingError,
        ServiceUnavailableError,
        ShellEVError,
        StoreError,
        TooManyRequestsError,
        TransportError,
    )

PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
STORE = os.environ.get("SHELL_EV_STORE") or "charges.sqlite3"
#: Seconds between two heartbeats. A cancellation reaches an activity with its next one.
HEARTBEAT = 5.0
SILENCE = timedelta(seconds=4 * HEARTBEAT)
#: Of one try of an activity: longer than the client's timeout and the patience together.
LONGEST = timedelta(seconds=120)


@dataclass
class Order:
    """What a workflow is started with."""

    card: str
    evse_id: str
    seconds: float


def failure_of(error: ShellEVError) -> BaseException:
    """What an activity raises: an error that may pass as it is, and is tried again; any other ends the tries."""
    passing = (
        ChargeInProgressError,
        ChargePendingError,
        ServiceUnavailableError,
        StoreError,
        TooManyRequestsError,
        TransportError,
    )
    if error.outcome_unknown or isinstance(error, passing):
        retry_after = getattr(error, "retry_after", None)
        delay = None if retry_after is None else timedelta(seconds=retry_after)
        return ApplicationError(str(error), type=type(error).__name__, next_retry_delay=delay)
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=True)


async def heartbeats() -> None:
    """Tell the server that this activity lives, until cancelled."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT)


class ChargingActivities:
    """The activities of one worker, which share its client."""

    def __init__(self, ev: AsyncShellEV) -> None:
        self._ev = ev

    @activity.defn
    async def start_charge(self, order: Order) -> str:
        """Start the charge of this workflow; its session id. A cancellation in the middle of it stops the charge.

        The key is the workflow's id: a second try, also on another worker, finds the charge. A workflow with several
        charges needs a key for each, such as its id and the activity's.
        """
        key = activity.info().workflow_id
        beating = asyncio.create_task(heartbeats())
        try:
            charge = await self._ev.start_charge(order.card, order.evse_id, key=key, start_timeout=PATIENCE)
            return charge.session_id
        except ShellEVError as error:
            raise failure_of(error) from error
        finally:
            beating.cancel()

    @activity.defn
    async def wait_started(self, session_id: str) -> None:
        """Wait until the car charges."""
        beating = asyncio.create_task(heartbeats())
        try:
            await self._ev.attach(session_id).wait_started(timeout=PATIENCE)
        except ShellEVError as error:
            raise failure_of(error) from error
        finally:
            beating.cancel()

    @activity.defn
    async def stop_charge(self, session_id: str) -> str:
        """Stop the charge and see it stopped; its last state. One that has stopped already is a success.

        Every error is tried again: the car may be charging.
        """
        session = await self._ev.attach(session_id, stop_timeout=PATIENCE).stop()
        return str(session.state)


@workflow.defn
class ChargeWorkflow:
    """Charges for some seconds, and stops the charge whatever happens, also when the workflow is cancelled."""

    @workflow.run
    async def run(self, order: Order) -> str:
        """The last state of the charge."""
        session_id = await workflow.execute_activity_method(
            ChargingActivities.start_charge,
            order,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=SILENCE,
            # A worker that is killed after the effect: the next try has to find the charge.
            retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        try:
            await workflow.execute_activity_method(
                ChargingActivities.wait_started,
                session_id,
                start_to_close_timeout=LONGEST,
                heartbeat_timeout=SILENCE,
            )
            await workflow.sleep(order.seconds)
        finally:
            # Shielded: a cancelled workflow stops its charge too.
            state = await asyncio.shield(
                workflow.execute_activity_method(
                    ChargingActivities.stop_charge,
                    session_id,
                    start_to_close_timeout=LONGEST,
                    retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
                )
            )
        return state


async def main() -> None:
    """Run a worker until it is interrupted."""
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    async with AsyncShellEV.from_env(store=STORE, timeout=20, user_agent_suffix="temporal_activities") as ev:
        await ev.recover(every=30)
        charging = ChargingActivities(ev)
        await Worker(
            client,
            task_queue="charging",
            workflows=[ChargeWorkflow],
            activities=[charging.start_charge, charging.wait_started, charging.stop_charge],
        ).run()


if __name__ == "__main__":
    asyncio.run(main())
