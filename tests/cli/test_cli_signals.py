"""Signals and closed pipes: the first signal stops the charge, the second ends the command with an alarm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from cli_processes import CARD, EVSE, HARD_LIMIT, Process, Result

from shell_ev.cli.reporting import ExitCode, Interrupted
from shell_ev.cli.running import Abandoned, Interrupts, Run, run, run_without_client
from shell_ev.cli.settings import Settings
from shell_ev.errors import OutcomeUnknownError
from shell_ev.sandbox import Fault, Sandbox

#: Real processes and terminals: half a minute and more.
pytestmark = pytest.mark.servers

Cli = Callable[..., Result]
Start = Callable[..., Process]
Wait = Callable[[Callable[[], bool]], None]

SIGNALS = [
    (signal.SIGINT, ExitCode.INTERRUPTED, "Ctrl-C"),
    (signal.SIGTERM, ExitCode.TERMINATED, "SIGTERM"),
    (signal.SIGHUP, ExitCode.HUNG_UP, "the terminal is closed (SIGHUP)"),
]


def count(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == operation for request in sandbox.requests)


@pytest.mark.parametrize(("number", "code", "expected"), SIGNALS, ids=lambda value: str(value))
def test_a_signal_stops_the_charge_and_is_reported(
    process: Start, sandbox: Sandbox, number: int, code: ExitCode, expected: str
) -> None:
    running = process("charge", CARD, EVSE)
    running.until("charging\n")
    running.signal(number)
    done = running.ends()
    assert (done.code, done.err) == (code, "")
    lines = [line[10:] for line in done.out.splitlines()]
    assert lines[-2] == f"{expected}: stopping the charge, please wait; again ends at once"
    assert lines[-1].startswith("stopped after ")
    assert sandbox.charges[-1].is_over
    assert count(sandbox, "charging.stop") == 1


def test_a_second_signal_ends_the_stop_with_an_alarm(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("charging.stop", Fault.hang(after_effect=False))
    running = process("charge", CARD, EVSE)
    running.until("charging\n")
    running.signal(signal.SIGINT)
    running.until("again ends at once")
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGINT)
    done = running.ends()
    session_id = sandbox.charges[-1].session_id
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert [line[10:] for line in done.out.splitlines()[-2:]] == ["Ctrl-C: ending at once", "NOT STOPPED"]
    assert done.err == (
        f"shell-ev: CAREFUL, A CAR MAY BE CHARGING: interrupted again before session {session_id} (started) was "
        f"stopped. Next: shell-ev stop {session_id}  or  shell-ev show {session_id}\n"
    )
    assert sandbox.charges[-1].is_running


def test_a_second_signal_is_reported_in_json(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("charging.stop", Fault.hang(after_effect=False))
    running = process("charge", CARD, EVSE, "--json", "--environment", "test")
    running.until('"state": "started"')
    running.signal(signal.SIGTERM)
    running.until('"event": "stopping"')
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGHUP)
    done = running.ends()
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [(event["event"], event["reason"]) for event in events[3:]] == [
        ("signal", "SIGTERM"),
        ("stopping", "SIGTERM"),
        ("signal", "SIGHUP"),
        ("not-stopped", None),
    ]
    error = json.loads(done.err)["error"]
    session_id = sandbox.charges[-1].session_id
    assert (error["type"], error["exit_code"], error["outcome_unknown"]) == ("ChargeNotStoppedError", 7, True)
    assert (done.code, error["session_id"]) == (7, session_id)
    assert error["next_commands"][0] == f"shell-ev stop {session_id} --environment test"


def test_one_signal_during_a_stop_does_not_end_it(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("charging.stop", Fault.delay(0.5))
    running = process("charge", CARD, EVSE, "--stop-after", "0.1s")
    running.until("--stop-after is up")
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGINT)
    running.until("again ends at once")
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert sandbox.charges[-1].is_over


def test_keep_running_leaves_the_charge_and_prints_how_to_stop_it(process: Start, cli: Cli, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--keep-running", "--environment", "production")
    running.until("charging\n")
    running.signal(signal.SIGINT)
    done = running.ends()
    session_id = sandbox.charges[-1].session_id
    assert (done.code, done.err) == (ExitCode.INTERRUPTED, "")
    stop = f"shell-ev stop {session_id} --environment production"
    assert done.out.splitlines()[-2][10:] == "Ctrl-C: left running on purpose"
    assert done.out.splitlines()[-1] == f"stop it with: {stop}"
    assert sandbox.charges[-1].is_running
    assert count(sandbox, "charging.stop") == 0
    assert cli(*stop.split()[1:]).code == 0


def test_keep_running_is_reported_in_json(process: Start, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--keep-running", "--json")
    running.until('"state": "started"')
    running.signal(signal.SIGTERM)
    done = running.ends()
    last = json.loads(done.out.splitlines()[-1])
    session_id = sandbox.charges[-1].session_id
    assert (done.code, last["event"], last["reason"]) == (ExitCode.TERMINATED, "left-running", "SIGTERM")
    assert (last["session_id"], last["stop_command"]) == (session_id, f"shell-ev stop {session_id}")


@pytest.mark.parametrize("words", [("charge", CARD, EVSE, "--keep-running"), ("start", CARD, EVSE)], ids=lambda w: w[0])
def test_a_signal_before_the_session_is_known_stops_the_charge(
    process: Start, sandbox: Sandbox, wait_until: Wait, words: tuple[str, ...]
) -> None:
    sandbox.faults.add("charging.start", Fault.delay(0.5))
    before = len(sandbox.charges)
    running = process(*words)
    wait_until(lambda: len(sandbox.charges) > before)
    running.signal(signal.SIGINT)
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.INTERRUPTED, "")
    assert sandbox.charges[-1].is_over
    if words[0] == "charge":
        assert done.out.splitlines()[-1][10:] == "stopped: interrupted during the start; nothing is left running"


@pytest.mark.parametrize("operation", ["charging.start", "charging.stop"])
def test_signals_at_the_same_moment_end_the_command_with_an_alarm(
    process: Start, sandbox: Sandbox, wait_until: Wait, operation: str
) -> None:
    sandbox.faults.add(operation, Fault.hang())
    before = len(sandbox.charges)
    running = process("charge", CARD, EVSE)
    if operation == "charging.start":
        wait_until(lambda: len(sandbox.charges) > before)
    else:
        running.until("charging\n")
    running.signal(signal.SIGSTOP)
    for number, _, _ in SIGNALS:
        running.signal(number)
    running.signal(signal.SIGCONT)
    done = running.ends()
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert "CAREFUL, A CAR MAY BE CHARGING" in done.err


@pytest.mark.parametrize("command", ["charge", "start"])
def test_a_second_signal_before_the_session_is_known_raises_an_alarm(
    process: Start, sandbox: Sandbox, wait_until: Wait, command: str
) -> None:
    sandbox.faults.add("charging.start", Fault.hang())
    before = len(sandbox.charges)
    running = process(command, CARD, EVSE)
    wait_until(lambda: len(sandbox.charges) > before)
    running.signal(signal.SIGINT)
    running.signal(signal.SIGTERM)
    done = running.ends()
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert done.err.startswith("shell-ev: CAREFUL, A CAR MAY BE CHARGING: start on NL*TNM*E02003451*0")
    assert done.err.endswith(f"Next: shell-ev active {CARD}\n")


def test_an_ignored_signal_stays_ignored(process: Start, sandbox: Sandbox) -> None:
    # As nohup does.
    script = (
        "import runpy, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.argv[0] = 'shell-ev';"
        "runpy.run_module('shell_ev', run_name='__main__', alter_sys=True)"
    )
    running = process("charge", CARD, EVSE, before=("-c", script))
    running.until("charging\n")
    running.signal(signal.SIGHUP)
    running.signal(signal.SIGTERM)
    done = running.ends()
    assert done.code == ExitCode.TERMINATED
    assert "SIGHUP" not in done.out


@pytest.mark.parametrize("json_too", [True, False])
def test_an_interrupted_start_wait_prints_the_session(
    process: Start, sandbox: Sandbox, wait_until: Wait, json_too: bool
) -> None:
    sandbox.start_delay = 1e6
    running = process("start", CARD, EVSE, "--wait", *(["--json"] if json_too else []))
    wait_until(lambda: count(sandbox, "charging.retrieve") > 0)
    running.signal(signal.SIGINT)
    done = running.ends()
    session_id = sandbox.charges[-1].session_id
    assert done.code == ExitCode.INTERRUPTED
    if json_too:
        assert json.loads(done.out)["session_id"] == session_id
    else:
        assert done.out == f"accepted, session {session_id}\n"
        assert f"shell-ev stop {session_id}" in done.err


def test_an_interrupted_stop_exits_with_7(process: Start, cli: Cli, sandbox: Sandbox, wait_until: Wait) -> None:
    cli("start", CARD, EVSE)
    session_id = sandbox.charges[-1].session_id
    sandbox.faults.add("charging.stop", Fault.hang(after_effect=False))
    running = process("stop", session_id)
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGINT)
    done = running.ends()
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert f"interrupted before session {session_id} was seen to stop. Next: shell-ev stop {session_id}" in done.err


def test_a_signal_ends_a_read_without_output(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
    sandbox.faults.add("charging.active", Fault.hang())
    running = process("active", CARD)
    wait_until(lambda: count(sandbox, "charging.active") == 1)
    running.signal(signal.SIGTERM)
    assert running.ends() == Result(ExitCode.TERMINATED, "", "")


def test_two_signals_at_once_end_the_wait_for_a_clean_up_that_ignores_cancellations(handlers: None) -> None:
    ended = asyncio.Event()

    async def cleans_up_for_ever() -> None:
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()

    async def work(interrupts: Interrupts) -> ExitCode:
        # Both are pending before the event loop handles the first: no time is between them.
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Abandoned):
            await interrupts.run_to_end(cleans_up_for_ever())
        assert interrupts.received == [signal.SIGINT, signal.SIGTERM]
        ended.set()
        return ExitCode.NO

    assert run_without_client(Settings(), work) is ExitCode.NO


def test_one_signal_waits_for_the_clean_up(handlers: None) -> None:
    steps: list[str] = []

    async def cleans_up() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            steps.append("cleaned up")

    async def work(interrupts: Interrupts) -> None:
        try:
            await interrupts.run_to_end(cleans_up())
        finally:
            steps.append("ended")

    with pytest.raises(Interrupted):
        run_without_client(Settings(), work)
    assert steps == ["cleaned up", "ended"]


def test_a_signal_at_the_end_of_the_work_keeps_its_result_and_is_raised_next(handlers: None) -> None:
    results: list[str] = []

    async def finishes(interrupts: Interrupts) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.on_signal = lambda _: finished.set_result(None)
        await finished
        return "the session"

    async def work(interrupts: Interrupts) -> None:
        nonlocal finished
        finished = asyncio.get_running_loop().create_future()
        results.append(await interrupts.run_to_end(finishes(interrupts)))
        await asyncio.sleep(0)
        results.append("not reached")

    finished: asyncio.Future[None]
    with pytest.raises(Interrupted):
        run_without_client(Settings(), work)
    assert results == ["the session"]


def test_a_signal_during_the_close_does_not_hide_an_alarm(handlers: None) -> None:
    async def work(run: Run) -> ExitCode:
        os.kill(os.getpid(), signal.SIGINT)  # the event loop receives it during the close
        raise OutcomeUnknownError("a charge may run", operation="charging.start")

    with pytest.raises(OutcomeUnknownError):
        run(Settings(sandbox=True, json=True), work)


def test_a_signal_to_another_thread_wakes_the_event_loop(handlers: None) -> None:
    def signal_to_another_thread() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    async def work(interrupts: Interrupts) -> None:
        # A signal to another thread does not interrupt the wait of the event loop.
        threading.Timer(0.05, signal_to_another_thread).start()
        await asyncio.sleep(HARD_LIMIT)

    began = time.monotonic()
    with pytest.raises(Interrupted):
        run_without_client(Settings(), work)
    assert time.monotonic() - began < HARD_LIMIT / 2


def piped(words: str, reader: str, variables: dict[str, str], from_root: str) -> subprocess.CompletedProcess[str]:
    """Run ``shell-ev ... | reader`` in a shell; the command's exit code is the end of stdout."""
    line = f"{sys.executable} -m shell_ev {words} | {reader}; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, **variables, "PYTHONPATH": from_root}
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=20)


# One format for each way of writing: print, write, and the csv module.
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_closed_pipe_exits_with_141_without_an_error(
    variables: dict[str, str], sandbox: Sandbox, pytestconfig: pytest.Config, form: str
) -> None:
    done = piped(f"locations --format {form}", "head -c 100", variables, str(pytestconfig.rootpath))
    assert done.stderr == ""
    assert done.stdout.endswith("141\n")


def test_a_closed_pipe_stops_the_charge(process: Start, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--json")
    running.until('"state": "started"')
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.process.wait(timeout=10) == ExitCode.BROKEN_PIPE
    assert running.process.stderr is not None
    assert running.process.stderr.read() == ""
    assert sandbox.charges[-1].is_over


def test_a_full_disk_exits_with_74(variables: dict[str, str], process: Start, sandbox: Sandbox) -> None:
    with open("/dev/full", "w") as full:
        done = process("locations", "--limit", "3", stdout=full).ends()
    assert done.code == ExitCode.OUTPUT
    assert done.err == "shell-ev: the output could not be written: [Errno 28] No space left on device\n"
