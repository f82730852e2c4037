"""`Sandbox.connect`: the sandbox of another process, with the same methods."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shell_ev import ShellEV
from shell_ev.sandbox import (
    EXAMPLE_CARD,
    EXAMPLE_EVSE,
    Fault,
    Faults,
    RemoteClock,
    RemoteFaults,
    RemoteSandbox,
    Sandbox,
    SandboxClock,
    SessionState,
)
from shell_ev.testing import ControlledSandbox

#: What belongs to the process that serves.
AT_HOME = {"service", "start", "close", "restart", "connect", "console_token", "lines"}


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("own", "other", "left_out"),
    [
        (Sandbox, RemoteSandbox, AT_HOME),
        (Faults, RemoteFaults, {"take"}),
        (SandboxClock, RemoteClock, {"changed", "reset"}),
    ],
)
def test_it_has_the_same_methods_with_the_same_signatures(own: type, other: type, left_out: set[str]) -> None:
    at_home = {name: value for name, value in public(own).items() if name not in left_out}
    away = public(other)
    assert set(at_home) <= set(away)
    for name, value in at_home.items():
        if callable(value):
            assert inspect.signature(value) == inspect.signature(away[name]), name
        elif isinstance(value, property):
            assert (value.fset is None) == (away[name].fset is None), name


@pytest.fixture(scope="module")
def process() -> Iterator[str]:
    command = [sys.executable, "-m", "shell_ev.sandbox", "--port", "0", "--stations", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[4]
        yield url
        running.terminate()


@pytest.fixture
def remote(process: str) -> Iterator[RemoteSandbox]:
    sandbox = Sandbox.connect(process)
    sandbox.reset()
    sandbox.clock.pause()
    yield sandbox
    sandbox.reset()


@pytest.fixture
def ev(remote: RemoteSandbox) -> Iterator[ShellEV]:
    with ShellEV(remote.client_id, remote.client_secret, base_url=remote.url, max_retries=0) as client:
        yield client


def test_a_charge_is_driven_from_outside(remote: RemoteSandbox, ev: ShellEV) -> None:
    session_id = ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE).data.session_id
    states = [remote.charges[0].state]
    remote.clock.step(25)
    states.append(remote.charges[0].state)
    assert remote.evse_status(EXAMPLE_EVSE) == "Occupied"
    kept = remote.charges[0]
    remote.end_charge(session_id)
    states.append(remote.charges[0].state)
    assert states == [SessionState.START_REQUESTED, SessionState.STARTED, SessionState.STOPPED]
    assert kept.state is SessionState.STARTED  # as of its moment
    assert [change.state for change in remote.charges[0].history] == states
    remote.forget_charge(session_id)
    assert remote.charges == []


def test_a_charge_fails_from_outside(remote: RemoteSandbox, ev: ShellEV) -> None:
    session_id = ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE).data.session_id
    remote.fail_charge(session_id, "EvNotConnectedToEvse")
    (charge,) = remote.charges
    assert charge.error is not None
    assert (charge.state, charge.error.code) == (SessionState.FAILED_TO_START, "EvNotConnectedToEvse")


def test_the_requests_of_the_other_process_are_read(remote: RemoteSandbox, ev: ShellEV) -> None:
    started = ev.charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
    token, request = remote.requests
    assert (token.operation, request.operation, request.status) == ("token", "charging.start", 202)
    assert request.request_id == started.request_id
    assert json.loads(request.body)["evseId"] == EXAMPLE_EVSE
    assert request.headers["Authorization"] == "Bearer ***"
    remote.clear_requests()
    assert remote.requests == []


def test_faults_travel_as_they_are(remote: RemoteSandbox, ev: ShellEV) -> None:
    faults = [Fault.drop(), Fault.garbage(b"\xff\xfe"), Fault.rate_limit("soon"), Fault.delay(0.25), Fault.hang(False)]
    for fault in faults:
        remote.faults.add("charging.stop", fault, times=2, after=1)
    remote.faults.always("token", Fault.unavailable(3))
    remote.faults.chaos(7, 0.25, [Fault.reset()], ["locations.get"])
    waiting = remote.faults.waiting()
    assert [entry.faults[0] for entry in waiting] == [*faults, Fault.unavailable(3), Fault.reset()]
    assert (waiting[0].times, waiting[0].after, waiting[-1].probability) == (2, 1, 0.25)
    assert remote.faults.pending("charging.stop") == 10
    remote.faults.clear("charging.stop")
    assert len(remote.faults.waiting()) == 2
    remote.faults.clear()
    assert remote.faults.waiting() == ()


def test_settings_and_statuses_are_set_from_outside(remote: RemoteSandbox) -> None:
    remote.start_delay, remote.stop_delay, remote.show_sessions_after = 1, 2, 3
    remote.retrieve_state_key, remote.sdk_1_1 = "Sessionstate", True
    assert (remote.start_delay, remote.stop_delay, remote.show_sessions_after) == (1, 2, 3)
    assert (remote.retrieve_state_key, remote.sdk_1_1) == ("Sessionstate", True)
    remote.set_evse_status(EXAMPLE_EVSE, "Occupied")
    assert remote.evse_status(EXAMPLE_EVSE) == "Occupied"
    remote.set_evse_status(EXAMPLE_EVSE, None)
    assert remote.evse_status(EXAMPLE_EVSE) == "Available"
    remote.fail_stops(EXAMPLE_EVSE, -1)
    remote.clock.speed = 30
    assert (remote.clock.speed, remote.clock.paused) == (30, True)
    before = remote.now()
    remote.clock.step(5)
    assert remote.now() - before == pytest.approx(5)
    remote.clock.resume()
    assert remote.clock.paused is False


def test_revoked_tokens_are_refused(remote: RemoteSandbox, ev: ShellEV) -> None:
    ev.charging.active(EXAMPLE_CARD)
    remote.revoke_tokens()
    answer = ev.charging.active(EXAMPLE_CARD)
    assert answer.attempts == 2  # a 401, a new token, the answer
    assert [request.status for request in remote.requests] == [200, 200, 401, 200, 200]


def test_the_environment_leads_a_client_there(remote: RemoteSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in remote.env.items():
        monkeypatch.setenv(name, value)
    with ShellEV.from_env() as client:
        assert client.charging.active(EXAMPLE_CARD).data == ()


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda remote: remote.end_charge("x"), KeyError, "There is no charge 'x'"),
        (lambda remote: remote.fail_charge("x"), KeyError, "There is no charge 'x'"),
        (lambda remote: remote.set_evse_status("x/../y", "Occupied"), KeyError, "There is no EVSE 'x/../y'"),
        (lambda remote: remote.set_evse_status(EXAMPLE_EVSE, "Busy"), ValueError, "unknown status 'Busy'"),
        (lambda remote: remote.clock.step(-1), ValueError, "seconds must be a number of at least 0"),
        (lambda remote: setattr(remote, "start_delay", -1), ValueError, "start_delay must be a number"),
        (lambda remote: remote.faults.add("nothing", Fault.drop()), ValueError, "unknown operation 'nothing'"),
        (lambda remote: Sandbox.connect("127.0.0.1:8080"), ValueError, "looks like http://"),
        (lambda remote: Sandbox.connect(remote.url, token="x"), RuntimeError, "The token is wrong"),
    ],
)
def test_what_is_refused_there_is_raised_here(
    remote: RemoteSandbox, act: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as raised:
        act(remote)
    assert says in str(raised.value)


def test_a_url_where_nothing_listens_is_an_os_error() -> None:
    with pytest.raises(OSError, match="refused"):
        Sandbox.connect("http://127.0.0.1:9")


def test_a_server_that_is_no_sandbox_is_said_to_be_none() -> None:
    with Sandbox(stations=0, console_port=0) as sandbox, pytest.raises(RuntimeError, match="has no control API"):
        Sandbox.connect(sandbox.url)  # the console is on the other port


def test_it_connects_from_another_address_with_the_token() -> None:
    from test_control_access import own_address

    address = own_address()
    with Sandbox(host="0.0.0.0", stations=0, console_host=address) as sandbox:
        url = f"http://{address}:{sandbox.url.rpartition(':')[2]}"
        with pytest.raises(RuntimeError, match="Send the token"):
            Sandbox.connect(url)
        assert Sandbox.connect(url, token=sandbox.console_token).charges == []


def test_the_sandbox_of_a_test_is_driven_on_the_clock_of_the_test() -> None:
    with ControlledSandbox() as sandbox:
        remote = Sandbox.connect(sandbox.url)
        sandbox.blocking_client().charging.start(EXAMPLE_CARD, EXAMPLE_EVSE)
        remote.clock.step(20)
        assert sandbox.time.elapsed == 20
        assert sandbox.only_charge().is_running
        assert remote.charges[0].is_running
        sandbox.set_evse_status("NL*TNM*E02003453*1", "Unavailable")
        assert remote.evse_status("NL*TNM*E02003453*1") == "Unavailable"
        with pytest.raises(RuntimeError, match="move that clock"):
            remote.clock.pause()
