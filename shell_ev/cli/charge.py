"""``charge``: start a charge, show it while it runs, stop it on the way out. Only puts the pieces together."""

from __future__ import annotations

import asyncio
import contextlib

import click

from .command import command
from .exit_codes import ExitCode
from .running import Run, run
from .settings import Settings
from .values import duration


@command("charge")
@click.argument("card", metavar="CARD")
@click.argument("evse_id", metavar="EVSE")
@click.option("--stop-after", type=duration, metavar="TIME", help="Stop when it has charged so long: 45s, 30m, 1h30m.")
@click.option("--keep-running", is_flag=True, help="Ctrl-C, an error or a closed terminal leave the charge running.")
@click.option("--ema-id", metavar="EMA_ID", help="The card's EMA-ID, if CARD is not one: finds a lost start.")
@click.option(
    "--start-timeout", type=duration, metavar="TIME", default="3m", show_default=True, help="To see it start."
)
@click.option("--stop-timeout", type=duration, metavar="TIME", default="2m", show_default=True, help="To be stopped.")
@click.option("--every", type=duration, metavar="TIME", default="30s", show_default=True, help="How often to look.")
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
    """Start a charge, follow it, and stop it on the way out.

    CARD is the number of the charge card, EVSE the id on the charger, such as NL*TNM*E02003451*0 (quote it: the shell
    knows the asterisk too).

    Ctrl-C stops the charge and waits until it is seen stopped; so do SIGTERM, a closed terminal, and any error. A
    second Ctrl-C gives up on that, loudly: the car may then still be charging.
    """
    from .charge_flow import ChargeFlow, Wish, check
    from .charge_views import viewed

    wish = Wish(
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
        check(run.ev, wish)
        with viewed(run.out, wish) as (show, panel):
            flow = ChargeFlow(run, wish, show)
            fresh = asyncio.ensure_future(panel.keep_fresh(flow)) if panel is not None else None
            try:
                return await flow.go()
            finally:
                if fresh is not None:
                    fresh.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await fresh

    return run(settings, work)
