"""``charges``, ``recover`` and ``journal`` on what killed processes left in a store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, HARD_LIMIT, ROOT, Process, Result

from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Fault, Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
Wait = Callable[[Callable[[], bool]], None]

BLOCK = """
import sys
from shell_ev import ShellEV
with ShellEV.from_env(store=sys.argv[1]) as ev:
    with ev.charge(sys.argv[2], sys.argv[3], key="order-1") as charge:
        print("charging", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "charges.sqlite3")


@pytest.fixture
def killed(process: Start, sandbox: Sandbox, store: str, wait_until: Wait) -> Callable[[str], str]:
    """A start that was carried out, and whose process was killed before the answer; the session id."""

    def kill(card: str) -> str:
        sandbox.faults.add("charging.start", Fault.hang())
        before = len(sandbox.charges)
        started = process("start", card, EVSE, "--key", "order-1", "--store", store)
        wait_until(lambda: len(sandbox.charges) > before)
        started.signal(signal.SIGKILL)
        started.process.wait(HARD_LIMIT)
        return sandbox.charges[-1].session_id

    return kill


def starts(sandbox: Sandbox) -> int:
    return [request.operation for request in sandbox.requests].count("charging.start")


def test_a_lost_start_is_found_listed_and_left_running(
    cli: Cli, killed: Callable[[str], str], sandbox: Sandbox, store: str
) -> None:
    session_id = killed(CARD)
    (entry,) = json.loads(cli("charges", "--store", store, "--json").out)["charges"]
    assert (entry["key"], entry["state"], entry["session_id"]) == ("order-1", "sent", None)
    assert "order-1" in cli("charges", "--store", store).out

    done = cli("recover", "--store", store)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"order-1  {EVSE}  left running: its start asked for no stop, session {session_id}\n"
    (entry,) = json.loads(cli("recover", "--store", store, "--json").out)["kept"]
    assert (entry["state"], entry["session_id"]) == ("accepted", session_id)

    again = cli("start", CARD, EVSE, "--key", "order-1", "--store", store)
    assert (again.code, again.out) == (0, f"{session_id}\n")
    assert "this key has a charge already: nothing was started" in again.err
    assert starts(sandbox) == 1


def test_what_a_killed_block_left_is_stopped(cli: Cli, sandbox: Sandbox, store: str, variables: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BLOCK, store, CARD, EVSE],
        env={**variables, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as block:
        assert block.stdout is not None
        assert block.stdout.readline() == "charging\n"
        assert sandbox.charges[-1].is_running
        block.kill()
    done = cli("recover", "--store", store)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"order-1  {EVSE}  stopped, session {sandbox.charges[-1].session_id}\n"
    assert sandbox.charges[-1].is_over
    assert cli("recover", "--store", store).err == "shell-ev: nothing is left to recover\n"
    assert cli("charges", "--store", store).err == "shell-ev: no charge of this store is open\n"
    assert cli("journal", "prune", "--store", store).out == "0 entries removed\n"
    assert cli("journal", "prune", "--older-than", "1e-9", "--store", store).out == "1 entry removed\n"


def test_a_start_that_cannot_be_looked_for_exits_with_7_and_is_settled_by_hand(
    cli: Cli, killed: Callable[[str], str], store: str
) -> None:
    session_id = killed("A CARD WITHOUT EMA-ID")
    done = cli("recover", "--store", store)
    assert done.code == ExitCode.OUTCOME_UNKNOWN
    assert done.out == "order-1  NL*TNM*E02003451*0  its session does not show\n"
    assert done.err.startswith("shell-ev: CAREFUL, A CAR MAY BE CHARGING: 1 of the entries are open: order-1.")
    assert f"Next: shell-ev journal find order-1 --store {store}" in done.err

    assert cli("journal", "settle", "order-1", session_id, "--store", store).code == 0
    found = json.loads(cli("journal", "find", "--session", session_id, "--store", store, "--json").out)
    assert (found["key"], found["state"]) == ("order-1", "accepted")
    refused = cli("journal", "give-up", "order-1", "--store", store)
    assert refused.code == ExitCode.USAGE
    assert "it is accepted" in refused.err


def test_a_key_that_is_given_up_starts_again(
    cli: Cli, killed: Callable[[str], str], sandbox: Sandbox, store: str
) -> None:
    killed("A CARD WITHOUT EMA-ID")
    assert cli("recover", "--store", store).code == ExitCode.OUTCOME_UNKNOWN
    assert cli("journal", "give-up", "order-1", "--store", store).code == 0
    assert cli("start", CARD, EVSE, "--key", "order-1", "--store", store).code == 0
    assert starts(sandbox) == 2


def test_watching_reports_each_entry_once_and_ends_with_ctrl_c(
    process: Start, killed: Callable[[str], str], store: str, sandbox: Sandbox, wait_until: Wait
) -> None:
    session_id = killed(CARD)
    watching = process("recover", "--watch", "--every", "0.05s", "--store", store)
    watching.until(session_id)
    wait_until(lambda: [request.operation for request in sandbox.requests].count("charging.active") >= 1)
    watching.signal(signal.SIGINT)
    done = watching.ends()
    assert (done.code, done.out.count(session_id)) == (ExitCode.INTERRUPTED, 1)


def test_a_store_that_is_gone_is_reported_and_made_anew_only_on_demand(cli: Cli, store: str) -> None:
    assert cli("start", CARD, EVSE, "--key", "order-1", "--store", store).code == 0
    assert cli("journal", "check", "--store", store).out == "the store is in order\n"
    Path(store).unlink()
    lost = cli("start", CARD, EVSE, "--key", "order-1", "--store", store)
    assert lost.code == ExitCode.STORE
    assert "shell-ev journal check --accept-loss" in lost.err
    checked = cli("journal", "check", "--store", store, "--json")
    assert (checked.code, json.loads(checked.out)["ok"]) == (ExitCode.STORE, False)
    assert cli("journal", "check", "--accept-loss", "--store", store).code == 0
    assert cli("journal", "find", "order-1", "--store", store).code == ExitCode.NO


@pytest.mark.parametrize("words", [("charges",), ("recover",), ("journal", "check"), ("journal", "find", "x")])
def test_without_a_store_one_line_says_how_to_give_one(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert (done.code, done.out, done.err.count("\n")) == (ExitCode.CONFIGURATION, "", 1)
    assert "give --store PATH or URL, or set SHELL_EV_STORE" in done.err


def test_the_variable_names_the_store(cli: Cli, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_STORE", store)
    assert cli("charges").code == 0
    assert Path(store).exists()


def test_the_password_of_a_store_is_in_no_suggested_command(cli: Cli, sandbox: Sandbox) -> None:
    from shell_ev.cli.settings import Settings

    assert "s3cret" not in Settings(store="postgresql://me:s3cret@host/db").command("show", "x")
