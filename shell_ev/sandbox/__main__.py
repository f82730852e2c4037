"""`python -m shell_ev.sandbox`: run the sandbox until Ctrl-C or a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import webbrowser
from collections.abc import Sequence

from shell_ev.sandbox.server import Sandbox
from shell_ev.sandbox.wire import PAGE_STATE_KEY, STATE_KEY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shell_ev.sandbox",
        description="An embedded server that speaks all three dialects of the Shell Recharge EV API, with a console.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=8080, help="port, 0 picks a free one (default %(default)s)")
    add("--client-id", default="sandbox-client", help="client id to accept (default %(default)s)")
    add("--client-secret", default="sandbox-secret", help="its secret (default %(default)s)")
    add("--speed", type=float, default=60.0, help="sandbox seconds per second (default %(default)g)")
    add("--seed", type=int, default=2026, help="seed of everything random (default %(default)s)")
    add("--stations", type=int, default=3000, help="generated stations (default %(default)s)")
    console = parser.add_argument_group("console")
    add = console.add_argument
    add("--open", action="store_true", help="open the console in the browser")
    add("--console-port", type=int, metavar="PORT", help="port of its own for the console, 0 picks a free one")
    add("--console-host", metavar="NAME", help="name or address by which other machines open it, with a token")
    dialects = parser.add_argument_group("generations of the official SDKs")
    add = dialects.add_argument
    add("--sdk-1-1", action="store_true", help="answer /locations/v1/ev as SDKs 1.1.0 and 1.2.0 expect")
    add(
        "--retrieve-state-key",
        choices=[STATE_KEY, PAGE_STATE_KEY],
        default=STATE_KEY,
        help="where retrieve of SDK 1.0.0 has the state (default %(default)s)",
    )
    return parser


async def _serve(sandbox: Sandbox, *, open_browser: bool) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, leave.set)
    async with sandbox:
        print("\n".join(sandbox.lines), flush=True)
        if open_browser:
            await asyncio.to_thread(webbrowser.open, sandbox.console_url + "/")
        await leave.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.speed <= 0:
        parser.error("--speed must be greater than 0")
    sandbox = Sandbox(
        host=options.host,
        port=options.port,
        client_id=options.client_id,
        client_secret=options.client_secret,
        speed=options.speed,
        seed=options.seed,
        stations=options.stations,
        retrieve_state_key=options.retrieve_state_key,
        sdk_1_1=options.sdk_1_1,
        console_host=options.console_host,
        console_port=options.console_port,
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(sandbox, open_browser=options.open))
    except (OSError, OverflowError) as error:
        where = f"{options.host}:{options.port}"
        if options.console_port is not None:
            where += f" and, for the console, on port {options.console_port}"
        print(f"shell_ev sandbox cannot listen on {where}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
