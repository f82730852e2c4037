"""A run of pytest that does not use the plugin pays next to nothing for having it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPORT = """
import sys

def pytest_sessionfinish():
    ours = {"shell_ev", "aiohttp", "attrs", "cattrs"}
    print("loaded:", *sorted(name for name in sys.modules if name.partition(".")[0] in ours))
"""


def loaded_after(tmp_path: Path, test: str) -> list[str]:
    (tmp_path / "conftest.py").write_text(REPORT)
    (tmp_path / "test_it.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "shell_ev.testing.plugin", "-p", "no:cacheprovider", "."],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "--color=no"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if "loaded:" in line)
    return line.partition("loaded:")[2].split()


def test_nothing_is_imported_for_tests_that_do_not_use_it(tmp_path: Path) -> None:
    loaded = loaded_after(tmp_path, "def test_it(tmp_path): pass")
    assert loaded == ["shell_ev", "shell_ev._version", "shell_ev.testing", "shell_ev.testing.plugin"]


def test_what_is_imported_for_those_that_do(tmp_path: Path) -> None:
    loaded = loaded_after(tmp_path, "def test_it(shell_ev_sandbox): pass")
    assert {"aiohttp", "shell_ev.sandbox.server", "shell_ev.testing.sandbox"} <= set(loaded)


def test_the_rest_of_the_kit_needs_no_pytest() -> None:
    program = (
        "import sys, shell_ev.testing as kit; [getattr(kit, n) for n in kit.__all__]; print('pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
