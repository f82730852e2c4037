"""``sandbox`` and ``demo``: the commands that need no account."""

from __future__ import annotations

import asyncio
import contextlib
import io
import webbrowser
from typing import Any

import click

from .. import ConfigurationError
from .command import command, ema_id, point
from .output import Output
from .reporting import ExitCode, report_failure
from .running import Interrupts, run_without_client
from .settings import Settings

_CARD = "NL-TNM-C00122045-K"


@command(
    "sandbox",
    "shell-ev sandbox --open",
    "shell-ev sandbox --speed 1 > sandbox.env",
    connects=False,
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 selects a free port.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Sandbox seconds per second.",
)
@click.option("--seed", type=int, default=2026, show_default=True, help="Seed of the random data.")
@click.option("--stations", type=click.IntRange(0), default=3000, show_default=True, help="Number of random stations.")
@click.option("--open", "open_console", is_flag=True, help="Open the console in the browser.")
@click.option("--console-port", type=click.IntRange(0, 65535), help="Port of the console alone.")
@click.pass_obj
def sandbox(
    settings: Settings,
    host: str,
    port: int,
    speed: float,
    seed: int,
    stations: int,
    open_console: bool,
    console_port: int | None,
) -> ExitCode:
    """Run a sandbox of the service, with a console, until Ctrl-C.

    Paste the lines into the shell of another terminal, or write them into a file for --env-file. The credentials are
    valid for the sandbox only.
    """

    async def work(interrupts: Interrupts) -> None:
        from ..sandbox import Sandbox

        out = Output(settings)
        running = Sandbox(host=host, port=port, speed=speed, seed=seed, stations=stations, console_port=console_port)
        try:
            await running.start()
        except OSError as error:
            where = f"{host}:{port}" if console_port is None else f"{host}:{port} and port {console_port}"
            raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from error
        try:
            console = running.console_url + "/"
            if out.json:
                credentials = {"client_id": running.client_id, "client_secret": running.client_secret}
                out.document({"url": running.url, **credentials, "console": console})
            else:
                out.line("\n".join(running.lines))
            if open_console:
                await asyncio.to_thread(webbrowser.open, console)
            await asyncio.Event().wait()
        finally:
            await running.close()

    return run_without_client(settings, work)


@command("demo", "shell-ev demo --sandbox")
@click.option("--card", type=ema_id, metavar="CARD", help="EMA-ID of the charge card; required with real credentials.")
@click.option("--near", type=point, metavar="LAT,LON", default="52.3731,4.8932", show_default=True)
@click.pass_obj
def demo(settings: Settings, card: str | None, near: tuple[float, float]) -> ExitCode:
    """Find a charger, start a charge, follow it and stop it.

    Once with await and once blocking. Without credentials it runs against an embedded sandbox; with credentials it
    starts and stops a real charge, on --card.
    """
    variables = ("SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET")
    real = not settings.sandbox and (settings.ask or all(settings.environ.get(name) for name in variables))
    if real and card is None:
        raise click.UsageError("with real credentials the demo starts a real charge: --card is required")
    given: dict[str, Any] | None = None
    if real:
        from .. import AsyncShellEV

        given = {"environ": settings.environ, **settings.client_options()}
        # Raises ConfigurationError before the first line of output; nothing is connected.
        AsyncShellEV.from_env(**given)

    async def work(interrupts: Interrupts) -> ExitCode:
        from .. import Polling
        from ..demo import DemoFailed, Setting
        from ..demo import run as run_demo

        lines = io.StringIO()
        async with contextlib.AsyncExitStack() as stack:
            if settings.json:
                stack.enter_context(contextlib.redirect_stdout(lines))
            options = given if given is not None else await _sandbox_options(settings, stack)
            # Charges of the sandbox last seconds, so it is polled more often.
            polling = Polling() if given is not None else Polling(eager=0.1, steady=0.1, patient=0.1, started=0.1)
            try:
                await run_demo(Setting(card=card or _CARD, near=near, polling=polling, options=options))
            except DemoFailed as failure:
                report_failure(settings, ExitCode.NO, kind="DemoFailed", message=f"the demo failed: {failure}")
                return ExitCode.NO
        if settings.json:
            Output(settings).document({"ok": True, "lines": lines.getvalue().splitlines()})
        else:
            print("All well: both charges were started, seen running, and stopped.")
        return ExitCode.OK

    return run_without_client(settings, work)


async def _sandbox_options(settings: Settings, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
    from ..sandbox import Sandbox

    sandbox = await stack.enter_async_context(Sandbox())
    print(f"Sandbox on {sandbox.url}, no credentials needed.")
    return {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "base_url": sandbox.url,
        "token_url": None,
        "environment": "production",
        "api_version": settings.api_version or settings.environ.get("SHELL_EV_API_VERSION") or "v2",
    }
