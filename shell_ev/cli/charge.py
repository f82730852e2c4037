"""``charge``: start a charge, show it while it runs, stop it at the end."""

from __future__ import annotations

import asyncio
import contextlib

import click

from .command import command, duration
from .reporting import ExitCode
from .running import Run, run
from .settings import Settings


@command("charge")
@click.argument("card", metavar="CARD")
@click.argument("evse_id", metavar="EVSE")
@click.option("--stop-after", type=duration, metavar="TIME", help="Stop after this time: 45s, 30m, 1h30m.")
@click.option("--keep-running", is_flag=True, help="Do not stop the charge on Ctrl-C, an error or a closed terminal.")
@click.option("--ema-id", metavar="EMA_ID", help="The card's EMA-ID, if CARD is not one: finds a lost start.")
@click.option(
    "--start-timeout", type=duration, metavar="TIME", default="3m", show_default=True, help="Limit for the start."
)
@click.option(
    "--stop-timeout", type=duration, metavar="TIME", default="2m", show_default=True, help="Limit for the stop."
)
@click.option("--every", type=duration, metavar="TIME", default="30s", show_default=True, help="Poll interval.")
@click.pass_obj
def charge(
    settings: Settings,
    card: str,
    evse_id: str,
    stop_after: float | None,
    keep_running: bool,
    ema_id: str | None,
    start_timeout: float,
    stop_timeout: float,
    every: float,
) -> ExitCode:
    """Start a charge, follow it, and stop it at the end.

    CARD is the number of the charge card, EVSE the id on the charger, such as NL*TNM*E02003451*0 (quote it: the
    asterisk is special in the shell).

    Ctrl-C stops the charge and waits until the service shows it stopped; so do SIGTERM, a closed terminal, and any
    error. A second Ctrl-C ends this at once: the car may then still be charging.
    """
    from .charge_flow import ChargeFlow, ChargeRequest
    from .charge_views import viewed

    request = ChargeRequest(
        card=card,
        evse_id=evse_id,
        ema_id=ema_id,
        start_timeout=start_timeout,
        stop_timeout=stop_timeout,
        stop_after=stop_after,
        keep_running=keep_running,
        every=every,
    )

    async def work(run: Run) -> ExitCode:
        # Before the first line of output.
        run.client.validate_start(card, evse_id, ema_id=ema_id)
        with viewed(run.out, request) as (show, panel):
            flow = ChargeFlow(run, request, show)
            redrawing = asyncio.ensure_future(panel.keep_redrawing(flow)) if panel is not None else None
            try:
                return await flow.run()
            finally:
                if redrawing is not None:
                    redrawing.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await redrawing

    return run(settings, work)
