"""The command group: help, version, usage errors, imports, and the missing extra."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from cli_processes import CARD, EVSE, ROOT, Process, Result

import shell_ev
from shell_ev.cli.main import COMMANDS, group
from shell_ev.cli.reporting import ExitCode

Cli = Callable[..., Result]
Start = Callable[..., Process]


def test_help_names_every_command_and_how_credentials_are_given(bare: Cli) -> None:
    done = bare("--help")
    assert (done.code, done.err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in done.out
    assert "SHELL_EV_CLIENT_SECRET" in done.out
    assert bare() == done


def test_every_command_has_a_help_without_an_option_for_secrets(bare: Cli) -> None:
    for name in COMMANDS:
        done = bare(name, "--help")
        assert (done.code, done.err) == (0, ""), name
        assert "--json" in done.out, name
        # An option would show the secret in the list of processes.
        assert not re.search(r"--\S*secret", done.out.lower()), name


def test_version_prints_the_version_of_the_library(bare: Cli) -> None:
    assert bare("--version").out == f"shell-ev {shell_ev.__version__}\n"


def test_every_entry_of_the_command_table_is_a_command() -> None:
    context = click.Context(group)
    for name in COMMANDS:
        found = group.get_command(context, name)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nearbuy",), "there is no command 'nearbuy'; did you mean nearby?; see shell-ev --help"),
        (("show",), "Missing argument 'SESSION_ID'; see shell-ev show --help"),
        (("show", "--tiemout", "3", "x"), "No such option"),
        (("nearby", "north", "4"), "'north' is not a number of degrees such as 52.3731"),
        (("charge", CARD, EVSE, "--stop-after", "30"), "'30' is not a duration such as 45s, 30m or 1h30m"),
        (("--timeout", "0", "active", CARD), "--timeout"),
        (("--environment", "moon", "active", CARD), "--environment"),
        (("id", "check"), "Missing argument 'TEXT...'"),
    ],
)
def test_a_usage_error_is_one_line(bare: Cli, words: tuple[str, ...], expected: str) -> None:
    done = bare(*words)
    assert done.code == ExitCode.USAGE
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("shell-ev: ")
    assert expected in done.err


@pytest.mark.parametrize("words", [("--json", "show"), ("show", "--json"), ("active", "--json", "--nonsense", CARD)])
def test_a_usage_error_is_an_object_with_json(bare: Cli, words: tuple[str, ...]) -> None:
    done = bare(*words)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    error = json.loads(done.err)["error"]
    assert (error["type"], error["exit_code"], error["outcome_unknown"]) == ("UsageError", 2, False)


def test_shared_options_stand_before_or_after_the_command(cli: Cli, sandbox: object) -> None:
    assert json.loads(cli("--json", "active", CARD).out) == json.loads(cli("active", "--json", CARD).out)
    assert "DEBUG" in cli("-vv", "active", CARD).err
    assert "DEBUG" in cli("active", CARD, "-v", "--verbose").err
    assert "DEBUG" not in cli("active", CARD, "-v").err
    # The later one takes precedence; a missing one does not reset the earlier one.
    assert cli("--api-version", "v1", "active", CARD, "--api-version", "v2").code == 0


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--help", {"aiohttp", "rich", "platformdirs", "keyring", "shell_ev.client"}),
        ("nearby --help", {"aiohttp", "rich", "platformdirs", "keyring", "shell_ev.client", "shell_ev.sandbox"}),
        ("charge --help", {"aiohttp", "rich", "shell_ev.client"}),
        ("--version", {"aiohttp", "asyncio", "rich", "shell_ev.client"}),
        (f"id check {CARD}", {"aiohttp", "asyncio", "rich", "shell_ev.client"}),
    ],
)
def test_commands_that_send_nothing_import_no_heavy_module(words: str, heavy: set[str]) -> None:
    script = (
        "import sys\n"
        "from shell_ev.__main__ import main\n"
        f"sys.argv = ['shell-ev', *{words!r}.split()]\n"
        f"main() and sys.exit('it failed')\n"
        f"sys.exit(repr(found) if (found := {heavy!r} & set(sys.modules)) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_library_imports_no_click_and_no_rich() -> None:
    script = (
        "import sys, shell_ev, shell_ev.sync, shell_ev.__main__\n"
        "extra = {'click', 'rich', 'dotenv', 'platformdirs', 'keyring'}\n"
        "sys.exit(repr(extra & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stderr == "set()\n"


@pytest.mark.parametrize("present", [[], ["click"], ["rich"]])
def test_without_the_extra_one_line_says_how_to_install_it(tmp_path: Path, present: list[str]) -> None:
    for name in present:
        (tmp_path / f"{name}.py").write_text("")
    # -S hides installed packages.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "shell_ev", "nearby", "1", "2"],
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    missing = ", ".join(name for name in ("click", "python-dotenv", "platformdirs", "rich") if name not in present)
    assert done.stderr == f"shell-ev: the command line needs {missing}: pip install 'shell_ev[cli]'\n"
    assert (done.returncode, done.stdout) == (ExitCode.CONFIGURATION, "")


def test_shell_completion_works(process: Start) -> None:
    done = process(env={"_SHELL_EV_COMPLETE": "bash_source"}).ends()
    assert done.code == 0
    assert "_SHELL_EV_COMPLETE=bash_complete" in done.out
    words = {"COMP_WORDS": "shell-ev lo", "COMP_CWORD": "1", "_SHELL_EV_COMPLETE": "bash_complete"}
    assert process(env=words).ends().out == "plain,location\nplain,locations\nplain,login\n"


def test_a_bug_is_one_line_and_exits_with_70(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("never")

    monkeypatch.setattr("shell_ev.cli.ids.readings_of", broken)
    done = bare("id", "check", CARD)
    assert done.code == ExitCode.INTERNAL
    assert done.err == "shell-ev: bug in shell_ev: ZeroDivisionError('never')\n"
    monkeypatch.setattr("traceback.print_exc", lambda: print("a traceback", file=sys.stderr))
    assert bare("id", "check", "-vv", CARD).err.startswith("a traceback\n")
