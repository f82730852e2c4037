"""Runs one example as ``python -m asyncio`` takes it: ``await`` may stand at the top level.

Turns the official SDK, whose hosts are fixed, to the server that the environment names for ours.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import sys
import types
from pathlib import Path


def redirect_official_sdk(url: str) -> None:
    """Point every environment of ``ev-recharge-sdk`` to another server."""
    from shellev.configuration import Configuration, Environment, Server

    for environment in Environment:
        Configuration.environments[environment] = {Server.OAUTH_SERVER: url, Server.SHELL: f"{url}/ev"}


def main() -> None:
    """Run the file named on the command line."""
    path = Path(sys.argv[1])
    source = path.read_text()
    if "shellev" in source:
        redirect_official_sdk(os.environ["SHELL_EV_BASE_URL"])
    code = compile(source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    module = types.ModuleType("__main__")
    running = types.FunctionType(code, vars(module))()
    if inspect.iscoroutine(running):
        asyncio.run(running)


if __name__ == "__main__":
    main()
