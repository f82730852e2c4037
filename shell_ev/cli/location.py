"""``location`` shows one location with everything a driver needs, ``watch`` prints each change of its EVSEs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from .. import ApiVersion, Evse, Location, OpeningHours, ShellEVError, WeekDay
from .command import command, duration
from .location_views import (
    address_words,
    availability,
    location_json,
    map_url,
    plugs,
    price_words,
    street_and_town,
    summary,
)
from .output import Output, json_value, printable
from .reporting import ExitCode
from .running import Run, open_in_browser, run
from .settings import Settings
from .tables import Column, print_pairs, print_table

_DAYS = list(WeekDay)


@command(
    "location",
    "shell-ev location 10012 --provider TNM --sandbox",
    "shell-ev location 10012 --open --sandbox",
)
@click.argument("uid", metavar="UID")
@click.option("--provider", metavar="ID", help="Add the prices of this provider, such as TNM.")
@click.option("--open", "opens", is_flag=True, help="Open it on a map in the browser.")
@click.pass_obj
def location(settings: Settings, uid: str, provider: str | None, opens: bool) -> ExitCode:
    """Show one location: EVSEs, plugs, prices, hours, a link to a map.

    UID is the id that `locations` and `markers` list. Prices: in V2 only with --provider, in V1 and V1_PASCAL always.
    """

    async def work(run: Run) -> None:
        found = (await run.client.locations.get(uid, provider_id=provider)).data
        if run.out.json:
            run.out.document({**location_json(found), "map": map_url(found)})
        else:
            _print(run.out, found)
            if provider is None and run.client.config.api_version is ApiVersion.V2:
                run.out.note("prices come with --provider ID, such as TNM")
        if opens:
            await open_in_browser(run.out, map_url(found))

    return run(settings, work)


def _print(out: Output, found: Location) -> None:
    country = found.address.country if found.address is not None else None
    if operator := found.operator_name or found.operator_id:
        out.text(printable(operator))
    out.text(printable(", ".join(filter(None, (street_and_town(found), country))) or "address unknown"))
    out.line("")
    console = out.console()
    methods = summary(found)["authorization_methods"]
    facts = [
        ("Uid", found.uid),
        ("Free", availability(found)),
        ("Plugs (kW)", plugs(found)),
        ("Hours", "\n".join(_hours(found))),
        ("Access", found.accessibility.status if found.accessibility is not None else None),
        ("Identify", ", ".join(methods)),
        ("Place", found.location_type),
        ("Note", found.operator_comment),
    ]
    print_pairs(console, [(name, value) for name, value in facts if value])
    if (url := map_url(found)) is not None:
        out.line(f"Map: {url}")
    there = [evse for evse in found.evses if not evse.is_deleted]
    if not there:
        return
    out.line("")
    columns = [Column("EVSE"), Column("Status"), Column("Plugs (kW)", wraps=True), Column("Price", wraps=True)]
    rows = [[_name(evse), _status(evse), plugs(evse), price_words(evse)] for evse in there]
    if any(evse.physical_reference for evse in there):
        columns.append(Column("Label", wraps=True))
        rows = [[*row, evse.physical_reference or ""] for row, evse in zip(rows, there, strict=True)]
    if not any(row[3] for row in rows):
        del columns[3]
        rows = [[*row[:3], *row[4:]] for row in rows]
    print_table(console, columns, rows)


def _hours(found: Location) -> Iterator[str]:
    """The opening hours, days with the same ones together: ``Monday to Friday 08:00-18:00``."""
    if found.open_twenty_four_seven:
        yield "open day and night"
        return
    days = {day: _periods(found.opening_hours, day) for day in _DAYS}
    first = 0
    while first < len(_DAYS) and found.opening_hours:
        last = first
        while last + 1 < len(_DAYS) and days[_DAYS[last + 1]] == days[_DAYS[first]]:
            last += 1
        name = _DAYS[first].value if first == last else f"{_DAYS[first].value} to {_DAYS[last].value}"
        yield f"{name} {days[_DAYS[first]] or 'closed'}"
        first = last + 1


def _periods(hours: tuple[OpeningHours, ...], day: WeekDay) -> str:
    return ", ".join(
        f"{period.start_time or '?'}-{period.end_time or '?'}" for period in hours if period.week_day == day
    )


def _name(evse: Evse) -> str:
    return evse.evse_id or evse.uid or "?"


def _status(evse: Evse) -> str:
    return evse.status.value if evse.status is not None else "?"


@command("watch", "shell-ev watch 10012 10055 --every 30s", "shell-ev watch 10012 --json | jq .available_count")
@click.argument("uids", metavar="UID...", nargs=-1, required=True)
@click.option("--every", type=duration, metavar="TIME", default="1m", show_default=True, help="Poll interval of each.")
@click.pass_obj
def watch(settings: Settings, uids: tuple[str, ...], every: float) -> ExitCode:
    """Print locations, then each change of the status of an EVSE, until Ctrl-C.

    UID is the id that `locations` and `markers` list. Several are polled in turn, within one budget of requests.
    """

    async def work(run: Run) -> None:
        seen: dict[str | None, dict[str, str]] = {}
        reporter = _Problems(run.out)
        async for found in run.client.locations.follow(uids, every=every, on_problem=reporter):
            statuses = {_name(evse): _status(evse) for evse in found.evses if not evse.is_deleted}
            before = seen.get(found.uid)
            seen[found.uid] = statuses
            if run.out.json:
                run.out.record({"at": json_value(datetime.now().astimezone()), **location_json(found)})
            else:
                run.out.text(f"{datetime.now():%H:%M:%S}  {_change(found, before, statuses)}", " " * 10)
        run.out.note("the service does not know these locations any more")

    return run(settings, work)


def _change(found: Location, before: dict[str, str] | None, now: dict[str, str]) -> str:
    start = f"{found.uid}, {availability(found)} free"
    if before is None:
        return printable(f"{start}: {plugs(found)}; {address_words(found)}")
    changed = [f"{name} {now.get(name, 'removed')}" for name in {**before, **now} if before.get(name) != now.get(name)]
    return printable(f"{start}: {', '.join(changed)}")


class _Problems:
    """Prints the errors that polling tolerates, repeated ones once."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last: tuple[str | None, type[ShellEVError]] | None = None

    def __call__(self, uid: str | None, error: ShellEVError) -> None:
        kind = (uid, type(error))
        if kind != self._last:
            self._out.note(f"location {uid}: {error}; trying again")
        self._last = kind
