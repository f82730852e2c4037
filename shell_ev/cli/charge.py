"""``charge``: start a charge, show it while it runs, stop it at the end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import attrs
import click

from .command import card_and_evse, command, duration, point
from .reporting import ExitCode
from .running import Run, run
from .settings import Settings

#: States of an entry whose key starts again.
_ENDED_WITHOUT_A_START = ("waiting", "given_up")

if TYPE_CHECKING:
    from .picking import Wanted


@command(
    "charge",
    "shell-ev charge NL-TNM-C00122045-K 'NL*TNM*E02003451*0'",
    "shell-ev charge NL-TNM-C00122045-K --near 52.37,4.89 \\",
    "    --connector CCS --min-power 50",
    "SHELL_EV_CARD=NL-TNM-C00122045-K \\",
    "    shell-ev charge 'NL*TNM*E02003451*0' --stop-after 90m",
)
@click.argument("words", metavar="[CARD] [EVSE]", nargs=-1)
@click.option("--near", type=point, metavar="LAT,LON", help="Take the nearest EVSE that is free and fits; asks before.")
@click.option("--connector", multiple=True, metavar="TYPE", help="Of --near: such as CCS, Type2, CHAdeMO.")
@click.option("--min-power", type=float, metavar="KW", help="Of --near: minimum power of the connector.")
@click.option("--provider", metavar="ID", help="Of --near: show the price of this provider, such as TNM.")
@click.option("--yes", is_flag=True, help="Of --near: do not ask.")
@click.option("--key", metavar="KEY", help="Key in the store: the same key is one charge, also after a crash.")
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
    words: tuple[str, ...],
    near: tuple[float, float] | None,
    connector: tuple[str, ...],
    min_power: float | None,
    provider: str | None,
    yes: bool,
    key: str | None,
    stop_after: float | None,
    keep_running: bool,
    ema_id: str | None,
    start_timeout: float,
    stop_timeout: float,
    every: float,
) -> ExitCode:
    """Start a charge, follow it, and stop it at the end.

    CARD is the number of the charge card, by default SHELL_EV_CARD. EVSE is the id on the charger, such as
    NL*TNM*E02003451*0 (quote it: the asterisk is special in the shell).

    Ctrl-C stops the charge and waits until the service shows it stopped; so do SIGTERM, a closed terminal, and any
    error. A second Ctrl-C ends this at once: the car may then still be charging.
    """
    if near is None and (connector or min_power is not None or provider is not None or yes):
        raise click.UsageError("--connector, --min-power, --provider and --yes are options of --near")
    given, evse_id = card_and_evse(words, with_evse=near is None)
    card = settings.card(given)
    from .charge_flow import ChargeFlow, ChargeRequest
    from .charge_views import viewed
    from .picking import Wanted, can_ask

    if near is not None and not yes and not can_ask():
        raise click.UsageError("--near asks before it starts, and there is no terminal to ask on: add --yes")
    asked = ChargeRequest(
        card=card,
        evse_id=evse_id or "",
        ema_id=ema_id,
        key=key,
        start_timeout=start_timeout,
        stop_timeout=stop_timeout,
        stop_after=stop_after,
        keep_running=keep_running,
        every=every,
    )

    async def work(run: Run) -> ExitCode:
        request = asked
        if near is not None:
            wanted = Wanted(
                latitude=near[0],
                longitude=near[1],
                connector_types=connector,
                min_power_kw=min_power,
                provider=provider,
            )
            chosen = await _evse_of(run, key) or await _chosen(run, wanted, card, asks=not yes)
            if chosen is None:
                return ExitCode.NO
            request = attrs.evolve(asked, evse_id=chosen)
        # Before the first line of output.
        run.client.validate_start(card, request.evse_id, ema_id=ema_id)
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


async def _evse_of(run: Run, key: str | None) -> str | None:
    """The EVSE of the charge that a key has: the nearest free one is another one by now."""
    entry = None if key is None else await run.client.journal.find(key)
    return entry.evse_id if entry is not None and entry.state not in _ENDED_WITHOUT_A_START else None


async def _chosen(run: Run, wanted: Wanted, card: str, *, asks: bool) -> str | None:
    """The id of the EVSE to start on; None if there is none, or the answer is no."""
    from .output import print_error_text
    from .picking import confirmed, pick

    picked = await pick(run, wanted)
    if picked is None:
        run.out.note("no EVSE near by is free and fits", run.settings.command("nearby", wanted.where))
        return None
    if asks:
        for line in picked.lines():
            print_error_text(line)
        if not await confirmed(f"Start a charge there, on card {card}?"):
            run.out.note("nothing was started")
            return None
    return picked.evse_id
