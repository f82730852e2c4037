"""``python -m shell_ev`` and the script ``shell-ev``: the command line, or how to install it."""

from __future__ import annotations

import importlib.util
import sys

#: ExitCode.CONFIGURATION of ``shell_ev.cli.reporting``, which needs the extra.
_NOT_INSTALLED = 3


def main() -> int:
    """Run the command line; the exit code. Without click and rich, one line on stderr says how to install them."""
    missing = [name for name in ("click", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"shell-ev: the command line needs {' and '.join(missing)}: pip install 'shell_ev[cli]'", file=sys.stderr)
        return _NOT_INSTALLED
    from shell_ev.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
