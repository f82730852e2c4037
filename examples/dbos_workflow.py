"""A DBOS workflow that starts a charge, waits and stops it; it continues after a kill, and its start is sent once.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    python examples/dbos_workflow.py order-1 NL-TNM-C00122045-K 'NL*TNM*E02003451*0' 5

Kill it at any point and run the same command again: the workflow of that order continues.

    SHELL_EV_STORE              journal of the charges: a path or postgresql://... (charges.sqlite3)
    DBOS_SYSTEM_DATABASE_URL    where DBOS keeps its steps: sqlite:///path or postgresql://... (sqlite:///charging.sqlite)
    CHARGES_PATIENCE            seconds to look for a charge whose start got no answer, and to see one stop (20)
"""

from __future__ import annotations

import os
import sys

from dbos import DBOS, DBOSConfig, SetWorkflowID
from process_client import ProcessClient

from shell_ev import (
    ChargeInProgressError,
    ChargePendingError,
    ServiceUnavailableError,
    ShellEV,
    ShellEVError,
    StoreError,
    TooManyRequestsError,
    TransportError,
)

PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
STORE = os.environ.get("SHELL_EV_STORE") or "charges.sqlite3"

clients = ProcessClient(lambda: ShellEV.from_env(store=STORE, timeout=20, user_agent_suffix="dbos_workflow"))


def may_pass(error: BaseException) -> bool:
    """Whether the same step may succeed later. With the same key no try starts a second charge."""
    passing = (
        ChargeInProgressError,
        ChargePendingError,
        ServiceUnavailableError,
        StoreError,
        TooManyRequestsError,
        TransportError,
    )
    return isinstance(error, passing) or (isinstance(error, ShellEVError) and error.outcome_unknown)


# DBOS records a step when it has returned. A process that is killed between the effect and the record runs the step
# again: the start has the workflow's id as its key, so that it finds its charge.
@DBOS.step(retries_allowed=True, max_attempts=30, interval_seconds=1.0, backoff_rate=1.2, should_retry=may_pass)
def start(card: str, evse_id: str) -> str:
    """Start the charge of this workflow; its session id."""
    return clients.get().start_charge(card, evse_id, key=DBOS.workflow_id, start_timeout=PATIENCE).session_id


@DBOS.step(retries_allowed=True, max_attempts=30, interval_seconds=1.0, backoff_rate=1.2, should_retry=may_pass)
def wait_started(session_id: str) -> None:
    """Wait until the car charges. A charge that has been stopped meanwhile counts as started."""
    clients.get().attach(session_id).wait_started(timeout=PATIENCE)


# Whatever goes wrong, the car may be charging: many tries.
@DBOS.step(retries_allowed=True, max_attempts=1000, interval_seconds=1.0, backoff_rate=1.01)
def stop(session_id: str) -> str:
    """Stop the charge and see it stopped; its last state. One that has stopped already is a success."""
    session = clients.get().attach(session_id, stop_timeout=PATIENCE).stop()
    return str(session.state)


@DBOS.workflow()
def charge(card: str, evse_id: str, seconds: float) -> str:
    """Charge for some seconds. The end of the wait is kept in the database too: a restart does not extend it."""
    session_id = start(card, evse_id)
    try:
        wait_started(session_id)
        DBOS.sleep(seconds)
    finally:
        state = stop(session_id)
    return state


def main() -> None:
    """Run the workflow of one order, or continue it; several orders would be several ids in one process."""
    order, card, evse_id, seconds = sys.argv[1:]
    config: DBOSConfig = {
        "name": "charging",
        "system_database_url": os.environ.get("DBOS_SYSTEM_DATABASE_URL", "sqlite:///charging.sqlite"),
    }
    DBOS(config=config)
    DBOS.launch()  # continues what a killed process of this machine left
    clients.get().recover(every=10)
    try:
        with SetWorkflowID(order):
            print(DBOS.start_workflow(charge, card, evse_id, float(seconds)).get_result(), flush=True)
    finally:
        clients.close()
        DBOS.destroy()


if __name__ == "__main__":
    main()
