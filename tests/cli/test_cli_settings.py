"""Env files, credentials, and the options of the client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import CARD, SECRET, Result

from shell_ev.cli.env_file import read_env_file
from shell_ev.cli.reporting import ExitCode
from shell_ev.cli.settings import Settings
from shell_ev.errors import ConfigurationError, ValidationError
from shell_ev.sandbox import Sandbox

Cli = Callable[..., Result]


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "test.env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SHELL_EV_CLIENT_ID=plain", "plain"),
        ("export SHELL_EV_CLIENT_ID=plain", "plain"),
        ("  SHELL_EV_CLIENT_ID=plain  ", "plain"),
        ("SHELL_EV_CLIENT_ID=", ""),
        ("SHELL_EV_CLIENT_ID= # nothing yet", ""),
        ("SHELL_EV_CLIENT_ID=a#b=c$d", "a#b=c$d"),
        ("SHELL_EV_CLIENT_ID=a # a comment", "a"),
        ("SHELL_EV_CLIENT_ID='a # \"b\" \\n $c'", 'a # "b" \\n $c'),
        ('SHELL_EV_CLIENT_ID="a # \'b\' \\" \\\\ $c ${d}"', "a # 'b' \" \\ $c ${d}"),
        ("SHELL_EV_CLIENT_ID= a b ", "a b"),
        ("SHELL_EV_CARD=NL-TNM-C00122045-K\nSHELL_EV_CLIENT_ID=x", "x"),
        ("SHELL_EV_CLIENT_ID='a' # a comment", "a"),
        ("SHELL_EV_CLIENT_ID=ü€", "ü€"),
        ("\ufeffSHELL_EV_CLIENT_ID=after a mark".replace(" ", "-"), "after-a-mark"),
    ],
)
def test_env_file_syntax(tmp_path: Path, line: str, value: str) -> None:
    assert read_env_file(written(tmp_path, f"{line}\n"))["SHELL_EV_CLIENT_ID"] == value


def test_comments_blank_lines_and_other_variables_are_skipped(tmp_path: Path) -> None:
    text = "# mine\r\n\r\nDATABASE_URL=postgres://x y z'\r\n  # more\r\nSHELL_EV_TIMEOUT=7\r\nPATH=$PATH:/x"
    assert read_env_file(written(tmp_path, text)) == {"SHELL_EV_TIMEOUT": "7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"\nSHELL_EV_CLIENT_SECRET {SECRET}", "line 2: not of the form NAME=value"),
        (f"SHELL_EV_CLIENT_SECRET: {SECRET}", "line 1: not of the form NAME=value"),
        (f"SHELL_EV_CLIENT_SECRET='{SECRET}", "line 1: not of the form NAME=value, or a quote is not closed"),
        (f'\n\nSHELL_EV_CLIENT_SECRET="{SECRET}" x', "line 3: not of the form NAME=value, or a quote is not closed"),
        (
            f"SHELL_EV_CLIENT_SECRET='{SECRET}\nSHELL_EV_ENVIRONMENT=test '",
            "line 1: a quote is not closed, and swallows",
        ),
        (f"KEY='{SECRET}\n export SHELL_EV_ENVIRONMENT=test '", "line 1: a quote is not closed, and swallows"),
        ("SHELL_EV_CLIENT_SECRET", "line 1: SHELL_EV_CLIENT_SECRET has no value: write SHELL_EV_CLIENT_SECRET=value"),
        (f"SHELL_EV_SECRET={SECRET}", "line 1: there is no variable SHELL_EV_SECRET; there are SHELL_EV_CLIENT_ID"),
        ("SHELL_EV_ENVIROMENT=test", "line 1: there is no variable SHELL_EV_ENVIROMENT"),
        ("SHELL_EV_TIMEOUT=1\n\nSHELL_EV_TIMEOUT=2", "line 3: SHELL_EV_TIMEOUT is set already, in line 1"),
        (b"SHELL_EV_TIMEOUT=1\nSHELL_EV_CLIENT_ID=\xff", "line 2: not UTF-8 text"),
        (b"#" * (1024 * 1024 + 1), "is larger than"),
    ],
)
def test_an_invalid_env_file_line_is_reported_without_its_value(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_env_file(written(tmp_path, text))
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "test.env" in str(caught.value)


def test_a_missing_env_file_exits_with_3(tmp_path: Path, bare: Cli) -> None:
    done = bare("--env-file", str(tmp_path / "none"), "active", CARD)
    assert done.code == ExitCode.CONFIGURATION
    assert done.err == f"shell-ev: the env file {tmp_path / 'none'} cannot be read: No such file or directory\n"
    assert bare("--env-file", str(tmp_path), "active", CARD).code == ExitCode.CONFIGURATION
    assert bare("--env-file", "\0", "active", CARD).code == ExitCode.CONFIGURATION


def test_the_environment_overrides_the_env_file_unless_it_is_empty(
    tmp_path: Path, clean: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "SHELL_EV_CLIENT_ID=file\nSHELL_EV_CLIENT_SECRET=file\nSHELL_EV_TIMEOUT=3")
    monkeypatch.setenv("SHELL_EV_CLIENT_ID", "environment")
    monkeypatch.setenv("SHELL_EV_CLIENT_SECRET", "")
    environ = Settings(env_file=path).environ
    assert [environ[f"SHELL_EV_{name}"] for name in ("CLIENT_ID", "CLIENT_SECRET", "TIMEOUT")] == [
        "environment",
        "file",
        "3",
    ]


def test_credentials_are_read_from_an_env_file(
    bare: Cli, sandbox: Sandbox, variables: dict[str, str], tmp_path: Path
) -> None:
    path = written(tmp_path, "".join(f"export {name}='{value}'\n" for name, value in variables.items()))
    assert bare("--env-file", path, "active", CARD, "--json").code == 0
    # An option takes precedence over the file.
    assert bare("--env-file", path, "active", CARD, "--base-url", "http://127.0.0.1:1").code == ExitCode.NO_ANSWER


def test_missing_credentials_are_one_line_with_the_ways_to_set_them(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bare("active", CARD)
    assert done.code == ExitCode.CONFIGURATION
    assert done.err == (
        "shell-ev: SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET are not set: set them, run shell-ev login, use "
        "--env-file FILE or --ask, or try the command with --sandbox; no account? `python -m shell_ev.sandbox`\n"
    )
    monkeypatch.setenv("SHELL_EV_CLIENT_ID", "some-client")
    assert "SHELL_EV_CLIENT_SECRET is not set" in bare("active", CARD).err
    assert bare("active", CARD, "--ask").err == "shell-ev: SHELL_EV_CLIENT_SECRET: there is no terminal to ask on\n"
    error = json.loads(bare("active", CARD, "--json").err)["error"]
    assert (error["type"], error["exit_code"]) == ("ConfigurationError", 3)


def test_an_invalid_base_url_exits_with_3(cli: Cli) -> None:
    done = cli("active", CARD, "--base-url", "ftp://nowhere")
    assert done.code == ExitCode.CONFIGURATION
    assert "base_url must be an http or https URL" in done.err


def test_a_suggested_command_connects_to_the_same_service() -> None:
    settings = Settings(env_file="my file.env", environment="test", api_version="v1", ask=True, timeout=3)
    assert settings.command("stop", "x") == (
        "shell-ev stop x --env-file 'my file.env' --environment test --api-version v1 --ask"
    )
    assert Settings().command("active", CARD) == f"shell-ev active {CARD}"


def test_json_excludes_another_format() -> None:
    with pytest.raises(ValidationError):
        Settings(json=True).set_format("csv")
    settings = Settings()
    settings.set_format("json")
    assert settings.json


def test_proxies_of_the_environment_are_used(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_CLIENT_ID", "x")
    monkeypatch.setenv("SHELL_EV_CLIENT_SECRET", "y")
    assert Settings(timeout=5).client_options() == {"timeout": 5, "trust_env": True, "user_agent_suffix": "shell-ev"}


def test_a_suggested_command_works_for_any_session_id() -> None:
    usual = "0a5e1e4c-0b7f-4a3c-9d61-3f6d2f0f1a11"
    settings = Settings(environment="test")
    assert settings.session_command("stop", usual) == f"shell-ev stop {usual} --environment test"
    assert settings.session_command("stop", "a b") == "shell-ev stop 'a b' --any-id --environment test"
    assert settings.session_command("stop", "-x") == "shell-ev stop --any-id --environment test -- -x"
