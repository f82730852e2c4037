"""What completion shows of the package."""

from __future__ import annotations

import subprocess
import sys

import shell_ev


def test_dir_shows_public_names_only() -> None:
    assert dir(shell_ev) == sorted(shell_ev.__all__)
    assert not [name for name in dir(shell_ev) if name.startswith("_") and name != "__version__"]


def test_dir_is_the_same_before_anything_was_used() -> None:
    fresh = subprocess.run(
        [sys.executable, "-c", "import shell_ev; print(*dir(shell_ev))"], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.split() == dir(shell_ev)
