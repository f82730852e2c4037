"""Long tables go through the pager of a terminal; completion scripts are what each shell reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import Result

from shell_ev.cli.pager import Pager, _pager
from shell_ev.cli.reporting import ExitCode
from shell_ev.cli.settings import Settings
from shell_ev.sandbox import Sandbox

Cli = Callable[..., Result]


@pytest.fixture
def paged_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that a pager on a terminal of ten lines writes what it reads to."""
    file = tmp_path / "paged"
    code = f"import sys; open({str(file)!r}, 'w').write(sys.stdin.read())"
    monkeypatch.setattr("shell_ev.cli.pager._pager", lambda: [sys.executable, "-c", code])
    monkeypatch.setenv("LINES", "10")
    return file


def test_a_table_longer_than_the_terminal_is_paged(cli: Cli, sandbox: Sandbox, paged_to: Path) -> None:
    done = cli("locations", "--country", "NL")
    lines = paged_to.read_text().splitlines()
    assert (done.code, done.out) == (0, "")
    assert len(lines) > 50
    assert lines[0].startswith("Uid")
    assert cli("locations", "--country", "NL", "--no-pager").out.splitlines() == lines
    cli("nearby", "52.3791,4.9003")
    assert paged_to.read_text().splitlines()[0].startswith("Distance")


def test_a_table_that_fits_is_not_paged(cli: Cli, paged_to: Path) -> None:
    assert cli("locations", "--limit", "3").out.count("\n") == 4
    assert not paged_to.exists()


def test_json_is_not_paged(cli: Cli, paged_to: Path) -> None:
    assert cli("locations", "--json").out.startswith('{"locations": [')
    assert not paged_to.exists()


def test_to_leave_the_pager_ends_the_requests_and_is_no_error(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; sys.stdin.readline(); sys.stdin.close()"
    monkeypatch.setattr("shell_ev.cli.pager._pager", lambda: [sys.executable, "-c", code])
    monkeypatch.setenv("LINES", "10")
    done = cli("locations", "--per-page", "1")
    assert done.code == 0
    assert sum(request.operation == "locations.list" for request in sandbox.requests) < 250


def test_a_pager_that_cannot_be_started_prints_the_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shell_ev.cli.pager._pager", lambda: [str(tmp_path / "none")])
    monkeypatch.setenv("LINES", "3")
    pager = Pager(Settings())
    for number in range(4):
        pager.line(f"{number}\x1b[2J")
    pager.close()
    assert capsys.readouterr().out == "".join(f"{number} [2J\n" for number in range(4))


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, answer: bool) -> None:
        self.isatty = lambda: answer


@pytest.mark.parametrize(
    ("pager", "stdin", "stdout", "words"),
    [
        ("sh -c true", True, True, ["sh", "-c", "true"]),
        ("cat", True, True, None),
        ("", True, True, None),
        ("no-such-program-x", True, True, None),
        ("sh", False, True, None),
        ("sh", True, False, None),
    ],
)
def test_the_pager_is_that_of_the_user_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, pager: str, stdin: bool, stdout: bool, words: list[str] | None
) -> None:
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdin", Terminal(stdin))
    monkeypatch.setattr("sys.stdout", Terminal(stdout))
    found = _pager()
    monkeypatch.undo()
    assert found == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_one_that_the_shell_reads(bare: Cli, shell: str, tmp_path: Path) -> None:
    done = bare("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_SHELL_EV_COMPLETE={shell}_complete" in done.out
    program = shutil.which(shell)
    if program is None:
        return  # its syntax is click's; what is checked is the name of the variable
    (tmp_path / "script").write_text(done.out)
    read = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_completion_of_another_shell_is_refused(bare: Cli) -> None:
    assert bare("completion", "tcsh").code == ExitCode.USAGE
    assert bare("completion", "bash", "--json").out.startswith('{"shell": "bash", "script": "')
