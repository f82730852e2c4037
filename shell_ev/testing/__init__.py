"""For the tests of applications: a sandbox and a clock under the test's control. The pytest plugin is ``plugin.py``.

Importing this costs next to nothing; what it names is imported on first use, and none of it needs pytest.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import ControlledTime as ControlledTime
    from .options import ClientOptions as ClientOptions
    from .options import SandboxOptions as SandboxOptions
    from .sandbox import ControlledSandbox as ControlledSandbox

_HOMES = {
    "ClientOptions": "options",
    "ControlledSandbox": "sandbox",
    "ControlledTime": "clock",
    "SandboxOptions": "options",
}

__all__ = ["ClientOptions", "ControlledSandbox", "ControlledTime", "SandboxOptions"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    absolute = f"{__name__}.{_HOMES[name]}"
    module = sys.modules.get(absolute)
    if module is None or getattr(module.__spec__, "_initializing", False):  # another thread may be importing it
        module = importlib.import_module(absolute)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
