"""`python -m shell_ev.sandbox`: run the sandbox until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from shell_ev.sandbox.server import Sandbox


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shell_ev.sandbox",
        description="An embedded server that speaks all three dialects of the Shell Recharge EV API.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port, 0 picks a free one (default %(default)s)")
    parser.add_argument("--client-id", default="sandbox-client", help="client id to accept (default %(default)s)")
    parser.add_argument("--client-secret", default="sandbox-secret", help="its secret (default %(default)s)")
    parser.add_argument("--speed", type=float, default=60.0, help="sandbox seconds per second (default %(default)g)")
    parser.add_argument("--seed", type=int, default=2026, help="seed of everything random (default %(default)s)")
    parser.add_argument("--stations", type=int, default=3000, help="generated stations (default %(default)s)")
    return parser


async def _serve(sandbox: Sandbox) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, leave.set)
    async with sandbox:
        print(
            f"shell_ev sandbox on {sandbox.url} client_id={sandbox.client_id} client_secret={sandbox.client_secret}",
            flush=True,
        )
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
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(sandbox))
    except (OSError, OverflowError) as error:
        print(f"shell_ev sandbox cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
