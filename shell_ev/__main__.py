"""``python -m shell_ev`` and the script ``shell-ev``: the command line, or how to install it."""

from __future__ import annotations

import importlib.util
import sys

#: ExitCode.CONFIGURATION of ``shell_ev.cli.reporting``, which needs the extra.
_NOT_INSTALLED = 3
#: The modules of the extra ``cli``, and the packages that have them.
_NEEDED = {"click": "click", "dotenv": "python-dotenv", "platformdirs": "platformdirs", "rich": "rich"}


def main() -> int:
    """Run the command line; the exit code. Without its packages, one line on stderr says how to install them."""
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"shell-ev: the command line needs {', '.join(missing)}: pip install 'shell_ev[cli]'", file=sys.stderr)
        return _NOT_INSTALLED
    from shell_ev.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
