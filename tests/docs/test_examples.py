"""Every Python block of README and of the pages under docs runs, each against a sandbox of its own."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import ROOT, Block, Example, blocks_of, examples_of, pages

from shell_ev.sandbox import Sandbox

EXAMPLES = [example for page in pages() for example in examples_of(page)]
BLOCKS = [block for page in pages() for block in blocks_of(page)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(stations=400) as running:
        running.start_delay = running.stop_delay = 0.0
        yield running


@pytest.fixture(scope="module")
def runner() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("run_example.py"))],
        env={name: value for name, value in os.environ.items() if not name.startswith("SHELL_EV_")}
        | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def exit_code(runner: subprocess.Popen[str], **job: object) -> int:
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(json.dumps(job) + "\n")
    runner.stdin.flush()
    return int(runner.stdout.readline())


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_runs(example: Example, sandbox: Sandbox, runner: subprocess.Popen[str], tmp_path: Path) -> None:
    if "shellev" in example.block.text and importlib.util.find_spec("shellev") is None:
        pytest.skip("needs the official SDK, which the extra bench installs")
    for module in ("geopandas", "pandas"):
        if f"import {module}" in example.block.text and importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}, which the extra examples installs")
    script = tmp_path / "example.py"
    # Blank lines above it, so that a traceback tells the line of the page.
    script.write_text("\n" * (example.block.line - 1) + example.block.text)
    environment = {
        "SHELL_EV_BASE_URL": sandbox.url,
        "SHELL_EV_CLIENT_ID": sandbox.client_id,
        "SHELL_EV_CLIENT_SECRET": sandbox.client_secret,
    }
    code = exit_code(runner, script=str(script), directory=str(tmp_path), environment=environment)
    printed = (tmp_path / "stdout").read_text()
    logged = (tmp_path / "stderr").read_text()
    assert (code, bool(logged)) == (0, bool(example.log)), logged
    same = doctest.OutputChecker().check_output(example.log, logged, doctest.ELLIPSIS)
    assert same, f"the page shows the log\n{example.log}\nand it is\n{logged}"
    assert printed.strip(), "an example shows what it comes to"
    if example.output is not None:
        same = doctest.OutputChecker().check_output(example.output, printed, doctest.ELLIPSIS)
        assert same, f"the page shows\n{example.output}\nand it prints\n{printed}"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.page == "README.md" and block.language == "python"], ids=str
)
def test_a_program_of_readme_is_a_whole_one(block: Block) -> None:
    compile(block.text, str(block), "exec", dont_inherit=True)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    unrun = [block for block in BLOCKS if block.not_run is not None]
    assert len(unrun) <= 6, [str(block) for block in unrun]
    assert all(len((block.not_run or "").split()) >= 4 for block in unrun), [str(block) for block in unrun]
    assert not [str(block) for block in unrun if block.page == "README.md"]


def test_a_block_that_another_test_runs_is_known_to_it() -> None:
    for block in BLOCKS:
        if block.run_by is not None:
            test = ROOT / block.run_by
            assert test.is_file(), f"{block}: there is no {block.run_by}"
            assert Path(block.page).name in test.read_text(), f"{block}: {block.run_by} does not name this page"


def test_every_comment_above_a_block_is_understood() -> None:
    strange = [block for block in BLOCKS if block.comment and not (block.not_run or block.run_by)]
    shown = [block for block in strange if block.comment in ("output", "log")]
    assert strange == shown
    # Each stands right below an example, or it is compared with nothing.
    assert len(shown) == sum((example.output is not None) + bool(example.log) for example in EXAMPLES)
