"""How complete the types of the public interface are, as pyright measures it. Ends with 1 below the floor.

Run it with a Python that has pyright: ``python .ci/verify_types.py``. The package is measured as it would be installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

FLOOR = 0.99
ROOT = Path(__file__).resolve().parents[1]


def measure() -> tuple[float, list[str]]:
    """The part of the public symbols whose type is known, and where those of the others are declared."""
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=False)
        place = {"base": scratch, "platbase": scratch}
        site = Path(sysconfig.get_path("purelib", "venv", vars=place))
        shutil.copytree(ROOT / "shell_ev", site / "shell_ev", ignore=shutil.ignore_patterns("__pycache__"))
        tools = [entry for entry in sys.path if entry.endswith("-packages")]
        (site / "tools.pth").write_text("\n".join(tools) + "\n")
        # --verifytypes looks for packages where the first Python of the path has them, whatever --pythonpath says.
        path = f"{sysconfig.get_path('scripts', 'venv', vars=place)}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            [sys.executable, "-m", "pyright", "--verifytypes", "shell_ev", "--ignoreexternal", "--outputjson"],
            cwd=scratch,
            env={**os.environ, "PATH": path, "VIRTUAL_ENV": scratch},
            capture_output=True,
            text=True,
            check=False,
        )
    report = json.loads(done.stdout)["typeCompleteness"]
    unknown = {
        f"{found['file'].rpartition('site-packages' + os.sep)[2]}:{found['range']['start']['line'] + 1}"
        for symbol in report["symbols"]
        if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]
        for found in symbol["diagnostics"]
        if found.get("range")
    }
    return report["completenessScore"], sorted(unknown)


def main() -> int:
    """Print the score, and what keeps it from 1."""
    score, unknown = measure()
    print(f"types of the public interface: {score:.2%} known, at least {FLOOR:.0%} wanted")
    for place in unknown:
        print(f"  not known, or left to be inferred: {place}")
    return 0 if score >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
