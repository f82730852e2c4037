"""docs/testing.md: every block runs, what it shows of a failure is what a failure shows, and it shows whole files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shell_ev.sandbox import OPERATIONS, Fault
from shell_ev.testing import ClientOptions, ControlledSandbox, SandboxOptions

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()
APP = ROOT / "examples" / "tested_app"
BLOCKS: list[str] = re.findall(
    r"^<!-- run by tests/kit/test_kit_page\.py -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, block: str) -> pytest.RunResult:
    """Run a block as a test file, with the async plugin that the text above it is about."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    plugin, mode = "pytest_asyncio.plugin", "strict" if "mark.asyncio" in block else "auto"
    settings = f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
    if "anyio" in block:
        plugin, settings = "anyio.pytest_plugin", ""
    pytester.makeini(f"[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error\n{settings}")
    pytester.makepyfile(block)
    return pytester.runpytest_inprocess("-p", "shell_ev.testing.plugin", "-p", plugin)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    result = run(pytester, monkeypatch, BLOCKS[number])
    expected = "failed" if "that_fails" in BLOCKS[number] else "passed"
    assert set(result.parseoutcomes()) == {expected}, result.stdout.str()


def test_every_python_block_is_run() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```python$", PAGE, re.MULTILINE)) >= 10


def test_what_a_test_that_fails_shows(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(block for block in BLOCKS if "that_fails" in block)
    shown = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(shown) == 1
    assert shown[0] in run(pytester, monkeypatch, block).stdout.str()


def test_the_files_of_the_application_are_shown_whole() -> None:
    shown = re.findall(r"^```\{literalinclude\} (\S+)$", PAGE, re.MULTILINE)
    files = {(ROOT / "docs" / path).resolve() for path in shown}
    assert files == {*APP.glob("*.py"), *APP.glob("tests/*.py"), APP / "pyproject.toml"}


def test_every_fixture_and_every_option_is_on_it() -> None:
    from shell_ev.testing import plugin

    fixtures = {name for name in vars(plugin) if name.startswith("shell_ev_")}
    options = {*SandboxOptions.__annotations__, *ClientOptions.__annotations__}
    assert not {name for name in fixtures | options if f"`{name}`" not in PAGE}


def test_what_it_names_exists() -> None:
    for name in set(re.findall(r"`(assert_\w+|requests_to|only_charge|running)\(", PAGE)):
        assert callable(getattr(ControlledSandbox, name))
    for name in set(re.findall(r"Fault\.(\w+)\(", PAGE)):
        assert callable(getattr(Fault, name))
    assert set(OPERATIONS) <= set(re.findall(r"`([\w.]+)`", PAGE))
