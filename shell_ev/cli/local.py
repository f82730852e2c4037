"""``sandbox`` and ``demo``: what runs without an account. The sandbox and the demo are the library's own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import webbrowser
from typing import Any

import click

from ..config import options_from_env
from ..errors import ConfigurationError
from ..lifecycle.polling import Polling
from .command import command
from .exit_codes import ExitCode
from .output import Output
from .reporting import tell
from .running import Interrupts, run_alone
from .settings import Settings
from .values import ema_id

_CARD = "NL-TNM-C00122045-K"


@command("sandbox", connects=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 picks a free one.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Sandbox seconds per second.",
)
@click.option("--seed", type=int, default=2026, show_default=True, help="Of everything random.")
@click.option("--stations", type=click.IntRange(0), default=3000, show_default=True, help="Stations it makes up.")
@click.option("--open", "open_console", is_flag=True, help="Open its console in the browser.")
@click.option("--console-port", type=click.IntRange(0, 65535), help="A port of its own for the console.")
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

    What it prints is an env file: `shell-ev sandbox > sandbox.env`, and in another terminal
    `shell-ev --env-file sandbox.env nearby 52.37 4.89`. The credentials are made up and open nothing else.
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
                out.line(f"# shell_ev sandbox on {running.url}, until Ctrl-C")
                out.line(f"# console on {console}")
                for name, value in running.env.items():
                    out.line(f"{name}={value}")
            if open_console:
                await asyncio.to_thread(webbrowser.open, console)
            await asyncio.Event().wait()
        finally:
            await running.close()

    return run_alone(settings, work)


@command("demo")
@click.option("--card", type=ema_id, metavar="CARD", help="EMA-ID of the charge card; needed with real credentials.")
@click.option("--near", nargs=2, type=float, metavar="LAT LON", default=(52.3731, 4.8932), show_default=True)
@click.pass_obj
def demo(settings: Settings, card: str | None, near: tuple[float, float]) -> ExitCode:
    """Find, start, follow and stop: the library at work.

    Once with await and once blocking, against an embedded sandbox, unless credentials are set: then it starts and stops
    a real charge, on --card.
    """
    variables = ("SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET")
    real = not settings.sandbox and (settings.ask or all(settings.environ.get(name) for name in variables))
    if real and card is None:
        raise click.UsageError("with real credentials the demo starts a real charge: say on which --card")
    given = options_from_env(settings.environ, settings.client_options()) if real else None

    async def work(interrupts: Interrupts) -> ExitCode:
        from ..demo import DemoFailed, Setting
        from ..demo import run as run_demo

        lines = io.StringIO()
        async with contextlib.AsyncExitStack() as stack:
            if settings.json:
                stack.enter_context(contextlib.redirect_stdout(lines))
            options = given if given is not None else await _sandboxed(settings, stack)
            # The sandbox's hours pass in seconds: it has to be looked at accordingly often.
            polling = Polling() if given is not None else Polling(eager=0.1, steady=0.1, patient=0.1, started=0.1)
            try:
                await run_demo(Setting(card=card or _CARD, near=near, polling=polling, options=options))
            except DemoFailed as failure:
                tell(settings, ExitCode.NO, kind="DemoFailed", message=f"the demo failed: {failure}")
                return ExitCode.NO
        if settings.json:
            Output(settings).document({"ok": True, "lines": lines.getvalue().splitlines()})
        else:
            print("All well: both charges were started, seen running, and stopped.")
        return ExitCode.OK

    return run_alone(settings, work)


async def _sandboxed(settings: Settings, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
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
