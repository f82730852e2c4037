"""docs/command-line.md agrees with the code: command lines parse, exit codes and JSON keys are the same."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cli_processes import CARD, EVSE, ROOT, Result

from shell_ev import ENVIRONMENT_VARIABLES
from shell_ev.cli.command import SharedOption, shared_options
from shell_ev.cli.env_file import read_env_file
from shell_ev.cli.main import COMMANDS, group
from shell_ev.cli.reporting import ExitCode
from shell_ev.cli.settings import Settings

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONSOLE = [line for language, text in BLOCKS if language == "console" for line in text.splitlines()]
LINES = [line.removeprefix("$ ") for line in CONSOLE if line.startswith("$ ")]
SHAPE = re.compile(r"^% shape: (\w+)\n\n```json\n(.+)\n```$", re.MULTILINE)


def words_of(line: str) -> list[str]:
    """The words of a command line, up to a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|<>"):
            break
        words.append(word)
    return words


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None) -> Iterator[str]:
    """Parse without running anything; the names of the commands."""
    with command.make_context(name, list(words), parent=parent, obj=Settings()) as context:
        if not isinstance(command, click.Group):
            return
        left = [*vars(context).get("_protected_args", vars(context).get("protected_args")), *context.args]
        found, sub, rest = command.resolve_command(context, left)
        assert found is not None
        assert sub is not None
        yield found
        yield from parse(sub, found, rest, context)


@pytest.mark.parametrize("line", LINES)
def test_every_documented_command_line_parses(line: str) -> None:
    program, *words = words_of(line)
    assert program == "shell-ev"
    assert list(parse(group, "shell-ev", words, None))


def examples(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    """The command lines in the help of a command and of those below it."""
    lines = "\n".join(getattr(command, "examples", ())).replace("\\\n", " ").splitlines()
    yield from ((path, line) for line in lines)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from examples(found, f"{path} {name}")


@pytest.mark.parametrize(("path", "line"), list(examples(group, "shell-ev")), ids=lambda value: value)
def test_every_example_of_a_help_is_of_its_command_and_parses(path: str, line: str) -> None:
    words = words_of(re.sub(r"^(\w+=\S+\s+)+", "", line))
    assert words[0] == "shell-ev"
    names = list(parse(group, "shell-ev", words[1:], None))
    assert " ".join(["shell-ev", *names]).startswith(path)


def test_every_command_is_documented() -> None:
    shown = {next(parse(group, "shell-ev", words_of(line)[1:], None)) for line in LINES}
    assert shown == set(COMMANDS)
    # `doctor` has its own section, at the end.
    assert {"id check"} | (shown - {"id", "doctor"}) == set(re.findall(r"^### (.+)$", PAGE, re.MULTILINE))


def test_the_parser_of_these_tests_refuses_an_unknown_option() -> None:
    with pytest.raises(click.UsageError):
        list(parse(group, "shell-ev", words_of("shell-ev nearby 1 2 --nonsense 3"), None))


def test_the_documented_exit_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(int(code), meaning) for code, meaning in rows] == [(int(code), code.meaning) for code in ExitCode]


def test_every_shared_option_and_variable_is_documented() -> None:
    options = [parameter for parameter in shared_options(connects=True) if isinstance(parameter, SharedOption)]
    rows = " ".join(re.findall(r"^\| (`-.+?`) \|", PAGE, re.MULTILINE))
    assert all(option.opts[-1] in rows or option.opts[0] in rows for option in options)
    assert all(variable in PAGE for variable in ENVIRONMENT_VARIABLES)


def test_the_documented_env_file_is_valid(tmp_path: Path) -> None:
    text = next(text for language, text in BLOCKS if language == "sh" and "DATABASE_URL" in text)
    (tmp_path / "page.env").write_text(text)
    assert read_env_file(str(tmp_path / "page.env")) == {
        "SHELL_EV_CLIENT_ID": "abc123",
        "SHELL_EV_CLIENT_SECRET": 'taken literally: "$&# and \\ too',
        "SHELL_EV_ENVIRONMENT": "test",
    }


def shape(value: Any) -> Any:
    """The keys of a document at every level; lists by their first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def same(left: Any, right: Any) -> bool:
    """Whether two shapes agree wherever neither is null."""
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return same(left[0], right[0])
    return left is None or right is None


def test_the_documented_json_has_the_keys_of_the_output(cli: Callable[..., Result], tmp_path: Path) -> None:
    printed: dict[str, Any] = {
        "error": json.loads(cli("show", "x", "--json").err),
        "id": json.loads(cli("id", "check", CARD, "--json").out),
        "location": json.loads(cli("locations", "--country", "LUX", "--json").out)["locations"][0],
    }
    store = str(tmp_path / "charges.sqlite3")
    assert cli("start", CARD, EVSE, "--key", "order-42", "--store", store).code == 0
    printed["entry"] = json.loads(cli("charges", "--store", store, "--json").out)["charges"][0]
    bounds = ("--west", "4", "--south", "52", "--east", "5", "--north", "53", "--zoom", "8")
    found = json.loads(cli("markers", *bounds, "--json").out)["markers"]
    printed["marker"] = next(marker for marker in found if marker["marker_type"] == "MultiLocation")
    events = cli("charge", CARD, EVSE, "--stop-after", "0.1s", "--json").out.splitlines()
    printed["event"] = json.loads(events[-1])
    printed["session"] = printed["event"]["session"]
    documented = {name: json.loads(text) for name, text in SHAPE.findall(PAGE)}
    assert set(documented) == set(printed)
    for name, document in documented.items():
        assert same(shape(document), shape(printed[name])), name
