"""The application of examples/tested_app and its tests, as they stand, with what is installed here.

In new environments, out of the wheel, they are run by examples/tested_app/run_in_clean_env.sh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
APP = ROOT / "examples" / "tested_app"


def run_tests(app: Path = APP) -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "shell_ev.testing.plugin", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "--color=no",
        },
        cwd=app,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_they_pass() -> None:
    done = run_tests()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "21 passed" in done.stdout


BROKEN = {
    "takes_three_minutes": ("charging_desk.py", "charge = self._charges.get(key) or await", "charge = await"),
    "is_not_shown_for_minutes": ("charging_desk.py", "if lost is None:", "if True:"),
    "press_the_button_at_once": ("charging_desk.py", "    asyncio.Lock\n", "    lambda: asyncio.Semaphore(2)\n"),
    "more_patience_than_there_is": ("charging_desk.py", "except TooManyRequestsError", "except ZeroDivisionError"),
    "no_car_is_plugged_in": (
        "kiosk.py",
        "with ev.charge(card, evse) as",
        "for charge in [ev.start_charge(card, evse)]:  #",
    ),
}


@pytest.mark.parametrize("caught_by", BROKEN)
def test_they_catch_what_they_are_there_for(tmp_path: Path, caught_by: str) -> None:
    """An example of tests that would pass on a broken application would be a bad one."""
    where, whole, broken = BROKEN[caught_by]
    copy = shutil.copytree(APP, tmp_path / "app")
    source = (copy / where).read_text()
    assert source.count(whole) == 1
    (copy / where).write_text(source.replace(whole, broken))
    done = run_tests(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAILED tests/test_{where.removesuffix('.py')}.py::test_" in done.stdout
    assert caught_by in done.stdout
