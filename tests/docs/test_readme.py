"""Every code block of README runs: the Python ones here, against a sandbox; the shell ones in .ci/run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shell_ev.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(stations=400) as running:
        running.start_delay = running.stop_delay = 0.0
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(PROGRAMS.index(program)))
def test_a_python_block_runs(program: str, sandbox: Sandbox, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(program)
    variables = {
        "SHELL_EV_BASE_URL": sandbox.url,
        "SHELL_EV_CLIENT_ID": sandbox.client_id,
        "SHELL_EV_CLIENT_SECRET": sandbox.client_secret,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_the_shell_blocks_are_those_that_ci_runs() -> None:
    shell = [text.strip() for language, text in BLOCKS if language == "sh"]
    assert len(shell) == 2
    # .ci/run takes them out of README and runs them as they stand.
    assert "readme_command" in (ROOT / ".ci" / "run").read_text()
    assert shell[0].endswith("-m shell_ev.demo")
    assert shell[1].endswith("-m pytest")


def test_there_is_no_block_that_nobody_runs() -> None:
    # The one without a language is the tree of errors, checked below.
    assert {language for language, _ in BLOCKS} == {"python", "sh", ""}


def test_the_tree_of_errors_names_errors_that_exist() -> None:
    import shell_ev

    tree = next(text for language, text in BLOCKS if language == "")
    named = set(re.findall(r"\b[A-Z]\w+Error\b", tree))
    every = {
        name
        for name in shell_ev.__all__
        if name.endswith("Error") and isinstance(getattr(shell_ev, name), type) and name != "SessionError"
    }
    assert named == every
