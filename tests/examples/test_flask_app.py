"""The Flask app under a real gunicorn that loads it once and forks: a client per worker, one start per key, for all."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from example_processes import EXAMPLES, Running, is_quiet, wait_until

from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, Charge, Fault, Sandbox

pytest.importorskip("flask", reason="the extra examples is not installed")
pytest.importorskip("gunicorn", reason="the extra examples is not installed")

pytestmark = pytest.mark.servers

Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def app(serve: Serve) -> Running:
    running = serve("flask_app.py")
    running.says(r"Booting worker with pid: (\d+)", times=2)
    return running


@contextlib.contextmanager
def only(app: Running, worker: int) -> Iterator[None]:
    """While this lasts requests reach the n-th worker alone: the other one is halted."""
    pids = [int(pid) for pid in app.says(r"Booting worker with pid: (\d+)", times=2)]
    others = [pid for pid in pids[:2] if pid != pids[worker]]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def test_the_settings_load_the_app_before_the_fork() -> None:
    settings = runpy.run_path(str(EXAMPLES / "gunicorn.conf.py"))
    assert settings["preload_app"] is True
    assert settings["graceful_timeout"] < settings["timeout"]


def count(sandbox: Sandbox, operation: str) -> int:
    return [request.operation for request in sandbox.requests].count(operation)


def test_each_worker_makes_one_client_of_its_own_after_the_fork(app: Running, sandbox: Sandbox) -> None:
    def ask(_: int) -> int:
        return app.ask("GET", "/chargers?latitude=52.3731&longitude=4.8932").status

    for worker, tokens in ((0, 1), (1, 2)):
        with only(app, worker), ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(16))) == {200}
        assert count(sandbox, "token") == tokens
    assert count(sandbox, "locations.nearby") == 32


def test_from_starting_to_stopping_over_both_workers(app: Running, sandbox: Sandbox) -> None:
    with only(app, 0):
        started = app.start("trip", EXAMPLE_EVSE)
    assert started.status == 202
    path = f"/charges/{started.body['session_id']}"
    with only(app, 1):
        assert app.start("trip", EXAMPLE_EVSE).body == started.body
        assert app.ask("GET", path).body["state"] == "started"
        stopped = app.ask("POST", f"{path}/stop")
    assert (stopped.status, stopped.body["state"]) == (200, "stopped")
    assert (count(sandbox, "charging.start"), sandbox.charges[0].is_over) == (1, True)


def test_faults_as_http(app: Running, sandbox: Sandbox) -> None:
    assert app.ask("GET", "/chargers?latitude=here").status == 400
    assert app.ask("POST", "/charges", {"card": "x"}, {"Idempotency-Key": "k"}).status == 400
    invalid = app.start("invalid", "NL*TNM", card="")
    assert (invalid.status, len(invalid.body["faults"])) == (422, 2)
    sandbox.faults.add("charging.start", Fault.rate_limit(90))
    limited = app.start("limited", EXAMPLE_EVSE)
    assert (limited.status, limited.headers["Retry-After"]) == (429, "90")
    assert app.ask("GET", "/charges/00000000-0000-4000-8000-000000000000").status == 404
    failing = app.start("failing", FAILING_EVSES["EvseOutOfService"]).body["session_id"]
    assert app.ask("GET", f"/charges/{failing}").body["error"]["code"] == "EvseOutOfService"


def test_the_charge_of_another_customer_is_not_found(app: Running, foreign: Charge) -> None:
    assert app.ask("GET", f"/charges/{foreign.session_id}").status == 404
    assert app.ask("POST", f"/charges/{foreign.session_id}/stop").status == 404
    assert foreign.is_running


def test_a_start_is_found_again_after_its_worker_was_killed(app: Running, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.hang())
    with ThreadPoolExecutor(1) as pool, only(app, 0):
        asked = pool.submit(app.start, "killed", EXAMPLE_EVSE)
        wait_until(lambda: len(sandbox.charges) == 1)
        os.kill(int(app.says(r"Booting worker with pid: (\d+)")[0]), signal.SIGKILL)
        assert isinstance(asked.exception(), OSError)
    answer = app.start("killed", EXAMPLE_EVSE)
    assert (answer.status, answer.body["session_id"]) == (202, sandbox.charges[0].session_id)
    assert count(sandbox, "charging.start") == 1


def test_sigterm_answers_what_is_under_way_and_leaves_charges_running(app: Running, sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.5))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(app.start, "late", EXAMPLE_EVSE)
        wait_until(lambda: len(sandbox.charges) == 1)
        assert app.ends() == 0
        assert asked.result().status == 202
    assert sandbox.charges[0].is_running
    assert is_quiet(app.output)
