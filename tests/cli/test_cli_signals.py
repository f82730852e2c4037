"""Signals: the first stops the charge, the second gives up loudly; a reader that left is one, too."""

from __future__ import annotations

import asyncio
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
from shell_ev.cli.running import Interrupts, Run, run, run_without_client
from shell_ev.cli.settings import Settings
from shell_ev.errors import OutcomeUnknownError
from shell_ev.sandbox import Fault, Sandbox

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


@pytest.mark.parametrize(("number", "code", "told"), SIGNALS, ids=lambda value: str(value))
def test_a_signal_stops_the_charge_and_says_so(
    process: Start, sandbox: Sandbox, number: int, code: ExitCode, told: str
) -> None:
    running = process("charge", CARD, EVSE)
    running.until("charging\n")
    running.signal(number)
    done = running.ends()
    assert (done.code, done.err) == (code, "")
    lines = [line[10:] for line in done.out.splitlines()]
    assert lines[-2] == f"{told}: stopping the charge, please wait; again ends at once"
    assert lines[-1].startswith("stopped after ")
    assert sandbox.charges[-1].is_over
    assert count(sandbox, "charging.stop") == 1


def test_the_second_signal_gives_up_loudly(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
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


def test_giving_up_as_json(process: Start, sandbox: Sandbox, wait_until: Wait) -> None:
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


def test_a_signal_while_the_time_is_up_anyway_does_not_give_up(
    process: Start, sandbox: Sandbox, wait_until: Wait
) -> None:
    sandbox.faults.add("charging.stop", Fault.delay(0.5))
    running = process("charge", CARD, EVSE, "--stop-after", "0.1s")
    running.until("--stop-after is up")
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGINT)
    running.until("again ends at once")
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert sandbox.charges[-1].is_over


def test_keep_running_leaves_it_and_says_how_to_stop_it(process: Start, cli: Cli, sandbox: Sandbox) -> None:
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


def test_keep_running_as_json(process: Start, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--keep-running", "--json")
    running.until('"state": "started"')
    running.signal(signal.SIGTERM)
    done = running.ends()
    last = json.loads(done.out.splitlines()[-1])
    session_id = sandbox.charges[-1].session_id
    assert (done.code, last["event"], last["reason"]) == (ExitCode.TERMINATED, "left-running", "SIGTERM")
    assert (last["session_id"], last["stop_command"]) == (session_id, f"shell-ev stop {session_id}")


@pytest.mark.parametrize("words", [("charge", CARD, EVSE, "--keep-running"), ("start", CARD, EVSE)], ids=lambda w: w[0])
def test_a_signal_before_the_session_is_known_stops_what_came_of_the_start(
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
def test_signals_that_come_together_end_it_with_the_alarm(
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
def test_a_second_signal_before_the_session_is_known(
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


def test_a_signal_that_is_ignored_stays_ignored(process: Start, sandbox: Sandbox) -> None:
    # What nohup does before it runs the command.
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
def test_an_interrupted_wait_does_not_lose_the_session(
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


def test_an_interrupted_stop_is_not_a_stop(process: Start, cli: Cli, sandbox: Sandbox, wait_until: Wait) -> None:
    cli("start", CARD, EVSE)
    session_id = sandbox.charges[-1].session_id
    sandbox.faults.add("charging.stop", Fault.hang(after_effect=False))
    running = process("stop", session_id)
    wait_until(lambda: count(sandbox, "charging.stop") == 1)
    running.signal(signal.SIGINT)
    done = running.ends()
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert f"interrupted before session {session_id} was seen to stop. Next: shell-ev stop {session_id}" in done.err


@pytest.mark.parametrize(("number", "code", "told"), SIGNALS, ids=lambda value: str(value))
def test_a_call_ends_at_once_and_without_a_word(
    process: Start, sandbox: Sandbox, wait_until: Wait, number: int, code: ExitCode, told: str
) -> None:
    sandbox.faults.add("charging.active", Fault.hang())
    running = process("active", CARD)
    wait_until(lambda: count(sandbox, "charging.active") == 1)
    running.signal(number)
    assert running.ends() == Result(code, "", "")


def test_a_signal_while_it_closes_takes_no_word_from_an_alarm(handlers: None) -> None:
    async def work(run: Run) -> ExitCode:
        os.kill(os.getpid(), signal.SIGINT)  # arrives when the event loop comes to it: on the way out
        raise OutcomeUnknownError("a charge may run", operation="charging.start")

    with pytest.raises(OutcomeUnknownError):
        run(Settings(sandbox=True, json=True), work)


def test_a_signal_that_does_not_end_the_wait_is_heard_at_once(handlers: None) -> None:
    def signal_to_another_thread() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    async def work(interrupts: Interrupts) -> None:
        # Runs while the event loop waits, which goes on waiting: as if it had come just before that.
        threading.Timer(0.05, signal_to_another_thread).start()
        await asyncio.sleep(HARD_LIMIT)

    began = time.monotonic()
    with pytest.raises(Interrupted):
        run_without_client(Settings(), work)
    assert time.monotonic() - began < HARD_LIMIT / 2


def piped(words: str, reader: str, variables: dict[str, str], from_root: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of ``shell-ev ... | reader``; the command's own exit code comes last on stdout."""
    line = f"{sys.executable} -m shell_ev {words} | {reader}; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, **variables, "PYTHONPATH": from_root}
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "geojson", "csv"])
def test_a_reader_that_leaves_is_no_error(
    variables: dict[str, str], sandbox: Sandbox, pytestconfig: pytest.Config, form: str
) -> None:
    done = piped(f"locations --format {form}", "head -c 100", variables, str(pytestconfig.rootpath))
    assert done.stderr == ""
    assert done.stdout.endswith("141\n")


def test_a_reader_that_leaves_stops_the_charge(process: Start, sandbox: Sandbox) -> None:
    running = process("charge", CARD, EVSE, "--json")
    running.until('"state": "started"')
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.process.wait(timeout=10) == ExitCode.BROKEN_PIPE
    assert running.process.stderr is not None
    assert running.process.stderr.read() == ""
    assert sandbox.charges[-1].is_over


def test_an_output_that_cannot_be_written(variables: dict[str, str], process: Start, sandbox: Sandbox) -> None:
    with open("/dev/full", "w") as full:
        done = process("locations", "--limit", "3", stdout=full).ends()
    assert done.code == ExitCode.OUTPUT
    assert done.err == "shell-ev: the output could not be written: [Errno 28] No space left on device\n"
