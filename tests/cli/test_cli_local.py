"""The commands that need no account: ``id check``, ``sandbox``, ``demo``, and the option ``--sandbox``."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, Process, Result

from shell_ev.cli.reporting import ExitCode
from shell_ev.sandbox import Fault, Sandbox

Cli = Callable[..., Result]
Start = Callable[..., Process]
NO_SERVICE = {"SHELL_EV_BASE_URL": "", "SHELL_EV_CLIENT_ID": "", "SHELL_EV_CLIENT_SECRET": ""}


def test_id_check_shows_the_parts_of_an_ema_id(bare: Cli) -> None:
    done = bare("id", "check", "nltnmc00122045")
    assert (done.code, done.err) == (0, "")
    assert [" ".join(line.split()) for line in done.out.splitlines()] == [
        "nltnmc00122045: a valid EMA-ID, eMI3 form",
        "country NL two letters",
        "provider TNM party id, within the country",
        "contract C00122045 C, then 8 characters",
        "check digit K computed; the text has none",
        "in full NL-TNM-C00122045-K",
        "compact NLTNMC00122045K",
        "DIN form NL-TNM-012204-5",
        "ISO form NL-TNM-000122045-U",
    ]
    assert "check digit  K                    correct\n" in bare("id", "check", CARD).out


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("NL-TNM-C00122045-X", "NL-TNM-C00122045-K"),
        ("nltnmc00122045x", "NL-TNM-C00122045-K"),
        ("NL-TNM-012204-6", "NL-TNM-012204-5"),
        ("NL*TNM*012204*6", "NL-TNM-012204-5"),
    ],
)
def test_id_check_suggests_the_correct_check_digit(bare: Cli, text: str, suggestion: str) -> None:
    done = bare("id", "check", text)
    assert (done.code, done.err) == (ExitCode.NO, "")
    assert f"did you mean {suggestion}?" in done.out
    assert bare("id", "check", suggestion).code == 0
    printed = json.loads(bare("id", "check", text, "--json").out)
    assert (printed["valid"], printed["readings"][0]["suggestion"]) == (False, suggestion)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("NL-TNM-C0012204", "EMA-ID instance must be 9 letters or digits"),
        ("N-TNM-C00122045", "EMA-ID country must be 2 letters"),
        ("NL*TNM*E", "EVSE id"),
        ("+49*81*0", "EVSE id operator must be 3 to 6 digits"),
        ("hello", "not a valid EMA-ID"),
        ("", "is empty"),
        ("x" * 70, "is too long"),
        ("NL\x1b[2J", "is not allowed"),
    ],
)
def test_id_check_names_the_fault_of_an_invalid_id(bare: Cli, text: str, printed: str) -> None:
    done = bare("id", "check", text)
    assert (done.code, done.err) == (ExitCode.NO, "")
    assert printed in done.out
    assert "\x1b" not in done.out
    assert "did you mean" not in done.out


def test_id_check_shows_the_parts_of_evse_ids(bare: Cli) -> None:
    done = bare("id", "check", EVSE, "+49*810*000*438", "--json")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert done.code == 0
    assert list(first) == ["text", "valid", "readings"]
    (reading,) = first["readings"]
    assert list(reading) == [
        *("kind", "valid", "form", "country", "party_id", "instance", "check_digit", "power_outlet_id", "canonical"),
        *("compact", "forms", "faults", "suggestion"),
    ]
    assert (reading["kind"], reading["form"], reading["compact"]) == ("evse_id", "ISO", "NLTNME020034510")
    assert (second["readings"][0]["form"], second["readings"][0]["country"]) == ("DIN", "+49")
    assert bare("id", "check", EVSE, "--kind", "ema").code == ExitCode.NO
    assert "operator     TNM" in bare("id", "check", EVSE).out


def test_id_check_shows_both_readings_of_an_ambiguous_text(bare: Cli) -> None:
    done = bare("id", "check", "NLTNME00122045")
    assert done.code == 0
    assert "a valid EMA-ID" in done.out
    assert "a valid EVSE id" in done.out
    assert "Both readings are valid" in done.out
    assert "EMA-ID" not in bare("id", "check", "NLTNME00122045", "--kind", "evse").out


def test_id_check_reads_ids_from_stdin(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CARD}\n\n  {EVSE}  \nnonsense\n"))
    done = bare("id", "check", "-", "--json")
    printed = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["text"], one["valid"]) for one in printed] == [(CARD, True), (EVSE, True), ("nonsense", False)]
    assert done.code == ExitCode.NO


def test_id_check_accepts_bytes_from_stdin_that_are_not_utf_8(process: Start) -> None:
    checking = process("id", "check", "-", "--json", stdin=subprocess.PIPE, text=False, encoding=None)
    out, err = checking.process.communicate(b"\xff\xfe\n" + CARD.encode() + b"\n", timeout=10)
    assert err == b""
    assert [json.loads(line)["valid"] for line in out.splitlines()] == [False, True]


def test_the_sandbox_prints_an_env_file(process: Start, bare: Cli, tmp_path: Path) -> None:
    running = process("sandbox", "--port", "0", "--stations", "0", env=NO_SERVICE)
    running.until("SHELL_EV_CLIENT_SECRET=")
    env_file = tmp_path / "sandbox.env"
    env_file.write_text(running.seen)
    done = bare("--env-file", str(env_file), "start", CARD, EVSE, "--json")
    assert done.code == 0
    running.signal(signal.SIGINT)
    done = running.ends()
    assert (done.code, done.err) == (ExitCode.INTERRUPTED, "")


def test_the_sandbox_prints_json_and_refuses_a_port_in_use(process: Start, bare: Cli) -> None:
    running = process("sandbox", "--port", "0", "--json", env=NO_SERVICE)
    printed = json.loads(running.until("url"))
    assert list(printed) == ["url", "client_id", "client_secret", "console"]
    assert printed["console"] == printed["url"] + "/"
    port = printed["url"].rsplit(":", 1)[1]
    done = bare("sandbox", "--port", port)
    assert done.code == ExitCode.CONFIGURATION
    assert done.err.startswith(f"shell-ev: cannot listen on 127.0.0.1:{port}: ")
    running.signal(signal.SIGTERM)
    assert running.ends().code == ExitCode.TERMINATED


def test_the_sandbox_option_runs_an_embedded_sandbox(bare: Cli) -> None:
    done = bare("nearby", "52.3791", "4.9003", "--limit", "1", "--sandbox")
    assert done.code == 0
    assert done.err == "shell-ev: embedded sandbox: nothing here is real, and it ends with this command\n"
    assert "Voorbeeldkade 1" in done.out
    done = bare("active", CARD, "--sandbox", "--json", "--api-version", "v1-pascal")
    assert (done.code, done.err) == (0, "")


def test_the_sandbox_option_does_not_connect_to_the_service(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert cli("active", CARD, "--sandbox").code == 0
    assert not sandbox.requests


def test_the_demo_runs_without_credentials(bare: Cli) -> None:
    done = bare("demo")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("All well: both charges were started, seen running, and stopped.\n")


def test_the_demo_requires_a_card_with_real_credentials(cli: Cli, sandbox: Sandbox) -> None:
    done = cli("demo")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "--card is required" in done.err
    done = cli("demo", "--card", CARD, "--near", "52.3791,4.9003", "--json")
    printed = json.loads(done.out)
    assert (done.code, list(printed), printed["ok"]) == (0, ["ok", "lines"], True)
    assert printed["lines"][0] == "With await:"
    assert sum(request.operation == "charging.start" for request in sandbox.requests) == 2
    assert all(charge.is_over for charge in sandbox.charges[-2:])


def test_a_failed_demo_exits_with_1(cli: Cli, sandbox: Sandbox) -> None:
    nothing = Fault.garbage(b'{"requestId":"r","status":"SUCCESS","data":[]}', content_type="application/json")
    sandbox.faults.add("locations.nearby", nothing, times=2)
    done = cli("demo", "--card", CARD)
    assert (done.code, done.err) == (ExitCode.NO, "shell-ev: the demo failed: no EVSE is available near by\n")
    error = json.loads(cli("demo", "--card", CARD, "--json").err)["error"]
    assert (error["type"], error["exit_code"]) == ("DemoFailed", 1)
