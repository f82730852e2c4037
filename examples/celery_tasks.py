"""Celery tasks that start and stop charges; a worker process has one client, a redelivered task starts nothing again.

Run a worker, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    celery --workdir examples --app celery_tasks worker --concurrency 2 --loglevel INFO

and give it something to do:

    celery --workdir examples --app celery_tasks call celery_tasks.start_charge \\
    --args '["order-1", "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"]'

With beat, which sends the task `recover` every minute:

    celery --workdir examples --app celery_tasks beat --loglevel INFO

Messages and results go through files, so that no broker is needed to try it; BROKER_URL and RESULT_BACKEND name real
ones, such as redis://localhost/0. SHELL_EV_STORE and CHARGES_PATIENCE as in fastapi_service.py.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready
from process_client import ProcessClient

from shell_ev import (
    ChargeInProgressError,
    ServiceUnavailableError,
    ShellEV,
    ShellEVError,
    StoreError,
    TooManyRequestsError,
    TransportError,
)

PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
STORE = os.environ.get("SHELL_EV_STORE") or "charges.sqlite3"
#: Seconds between two recoveries of what killed processes left.
RECOVER_EVERY = 10

app = Celery("celery_tasks")
app.conf.update(
    broker_connection_retry_on_startup=True,
    # A process takes one task at a time: what it holds in advance is what waits when it hangs.
    worker_prefetch_multiplier=1,
    # Seconds until the task of a killed process is given to another one (Celery waits ten for its last words).
    worker_lost_wait=1.0,
    # A result says that its task is being worked on, and by which process.
    task_track_started=True,
    # In the middle of a start: longer than the client's timeout and the patience together. The soft limit cancels the
    # start and stops what came of it, which takes time as well; the hard one kills.
    task_soft_time_limit=120,
    task_time_limit=400,
    # One that waited for longer than until the next one is dropped.
    beat_schedule={"recover": {"task": "celery_tasks.recover", "schedule": 60.0, "options": {"expires": 60.0}}},
)
if "BROKER_URL" in os.environ:
    app.conf.update(broker_url=os.environ["BROKER_URL"], result_backend=os.environ.get("RESULT_BACKEND"))
else:
    files = Path(os.environ.get("CELERY_FILES", "celery_files")).resolve()
    for name in ("messages", "control", "results"):
        (files / name).mkdir(parents=True, exist_ok=True)
    app.conf.update(
        broker_url="filesystem://",
        broker_transport_options={
            "data_folder_in": str(files / "messages"),
            "data_folder_out": str(files / "messages"),
            "control_folder": str(files / "control"),
            "polling_interval": 0.2,
        },
        result_backend=(files / "results").as_uri(),
    )

clients = ProcessClient(lambda: ShellEV.from_env(store=STORE, timeout=20, user_agent_suffix="celery_tasks"))


@worker_process_init.connect
def open_client(**_: Any) -> None:
    """In each worker process, after the fork: wrong settings show here and not with the first task.

    Each process recovers in the background, also while the broker is down. The parent process has no client: it forks
    again whenever a child ends, and must not have threads then.
    """
    clients.get().recover(every=RECOVER_EVERY)


@worker_process_shutdown.connect
def close_client(**_: Any) -> None:
    """Close the client; charges run on."""
    clients.close()


@worker_ready.connect
def recover_first(**_: Any) -> None:
    """Let a worker process recover once more, as a task whose result says what was left."""
    recover.apply_async(expires=60.0)


#: Another try may succeed. With the same key none of them starts a second charge.
_PASSING = (ChargeInProgressError, ServiceUnavailableError, StoreError, TooManyRequestsError, TransportError)


def pause(error: ShellEVError, retries: int) -> float:
    """Seconds until the next try: what the service says, else longer each time."""
    return getattr(error, "retry_after", None) or min(300.0, 2.0**retries)


# Acknowledged late, so that a start is not forgotten when its process dies. Then the same task comes again, perhaps
# while the first one is still at work: hence the key.
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=30)
def start_charge(self: Task, key: str, card: str, evse_id: str) -> str:
    """The session id of the charge of this key (an order's number, say). Starts once, however often it runs."""
    try:
        return clients.get().start_charge(card, evse_id, key=key, start_timeout=PATIENCE).session_id
    except ShellEVError as error:
        if error.outcome_unknown or isinstance(error, _PASSING):
            raise self.retry(exc=error, countdown=pause(error, self.request.retries)) from error
        raise


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=30)
def stop_charge(self: Task, session_id: str) -> str:
    """Stop a charge and see it stopped; its last state. Safe to repeat: one that has stopped already is a success."""
    try:
        session = clients.get().attach(session_id, stop_timeout=PATIENCE).stop()
    except ShellEVError as error:
        # Whatever it was, the car may be charging: better once too often than given up.
        raise self.retry(exc=error, countdown=pause(error, self.request.retries)) from error
    return str(session.state) if session is not None else "unknown"


# The block stops the charge when it is left. When its process is killed, another process' recovery stops it.
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=30)
def charge_for(self: Task, key: str, card: str, evse_id: str, seconds: float) -> str:
    """Charge for some seconds and stop, as a test of an EVSE does; the last state. Keep it below the time limits."""
    try:
        with clients.get().charge(card, evse_id, key=key, start_timeout=PATIENCE, stop_timeout=PATIENCE) as charge:
            if not charge.is_over:  # delivered again after it was stopped
                time.sleep(seconds)
    except ShellEVError as error:
        if error.outcome_unknown or isinstance(error, _PASSING):
            raise self.retry(exc=error, countdown=pause(error, self.request.retries)) from error
        raise
    return str(charge.state)


@app.task
def recover() -> dict[str, list[str]]:
    """Take up what killed processes left: the keys that were stopped, run on, are unknown, and are left for later."""
    recovery = clients.get().recover(timeout=60)
    return {name: [entry.key for entry in getattr(recovery, name)] for name in ("stopped", "kept", "unknown", "failed")}
