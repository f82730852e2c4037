"""``python -m shell_ev.demo``: find a charger, start a charge, follow it, stop it - with ``await`` and then blocking.

Runs against the embedded sandbox, unless the environment names credentials (``SHELL_EV_CLIENT_ID`` and
``SHELL_EV_CLIENT_SECRET``): then it starts and stops a real charge, on the card given with ``--card``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs

from shell_ev import (
    AsyncShellEV,
    ChargeSession,
    EmaId,
    Evse,
    Location,
    Polling,
    SessionState,
    ShellEV,
    ShellEVError,
)
from shell_ev.sandbox import Sandbox

_DAM_SQUARE = (52.3731, 4.8932)
_SANDBOX_CARD = "NL-TNM-C00122045-K"
#: The sandbox's hours pass in seconds: it has to be looked at accordingly often.
_HURRIED = Polling(eager=0.1, steady=0.1, patient=0.1, started=0.1)


@attrs.frozen(kw_only=True)
class Setting:
    """Where the demo runs and with what."""

    card: str
    near: tuple[float, float]
    polling: Polling
    options: dict[str, Any]

    def client(self, kind: type[Any]) -> Any:
        """A client of either kind."""
        return kind.from_env(**self.options)


class DemoFailed(Exception):
    """The demo did not come to its good end."""


def pick(locations: Iterable[Location], near: tuple[float, float]) -> tuple[Location, Evse]:
    """The nearest location with an EVSE that is free, and that EVSE."""
    for location in sorted(locations, key=lambda found: found.distance_km(*near) or 0.0):
        for evse in location.available_evses():
            if evse.evse_id is not None:
                return location, evse
    raise DemoFailed("no EVSE is available near by")


def describe(location: Location, evse: Evse, near: tuple[float, float]) -> str:
    """A found EVSE as a person would want to see it."""
    address, distance = location.address, location.distance_km(*near)
    where = f"{address.street_and_number}, {address.city}" if address is not None else "address unknown"
    power = f"{evse.max_power_kw:g} kW" if evse.max_power_kw is not None else "power unknown"
    away = f"{distance:.1f} km away" if distance is not None else "distance unknown"
    return f"  found    {evse.evse_id}  {power}  {location.operator_name or 'operator unknown'}, {where}  ({away})"


def line(word: str, session: ChargeSession | None) -> str:
    """One line on a session."""
    if session is None:
        return f"  {word:<8} (not seen yet)"
    state = session.state.value if session.state is not None else "state unknown"
    since = f" since {session.started_at:%H:%M:%S}" if session.started_at is not None else ""
    return f"  {word:<8} {session.id}  {state}{since}"


def among(sessions: Sequence[ChargeSession], session_id: str) -> ChargeSession:
    """The session in the list of active ones; the demo has failed if it is not there."""
    for session in sessions:
        if session.id == session_id:
            return session
    raise DemoFailed(f"session {session_id} is not listed as active")


def check_stopped(state: SessionState | None) -> None:
    """The demo has failed unless the charge was seen to have stopped."""
    if state is not SessionState.STOPPED:
        raise DemoFailed(f"the charge should have stopped and is {state}")


def say(text: str) -> None:
    """Print a line. Control characters of the service are replaced: they would move the cursor."""
    print("".join(char if char.isprintable() else " " for char in text))


async def with_await(setting: Setting) -> None:
    """Find, start, follow and stop, asynchronously."""
    async with setting.client(AsyncShellEV) as client:
        ev: AsyncShellEV = client
        nearby = await ev.locations.nearby(*setting.near, evse_status="Available", limit=25)
        location, evse = pick(nearby.data, setting.near)
        say(describe(location, evse, setting.near))
        async with ev.charge(setting.card, evse.evse_id or "", polling=setting.polling) as charge:
            say(line("started", charge.session))
            active = await ev.charging.active(setting.card)
            say(line("active", among(active.data, charge.session_id)))
        say(line("stopped", charge.session))
        check_stopped(charge.state)


def blocking(setting: Setting) -> None:
    """The same with plain calls, and the steps by hand."""
    with setting.client(ShellEV) as client:
        ev: ShellEV = client
        nearby = ev.locations.nearby(*setting.near, evse_status="Available", limit=25)
        location, evse = pick(nearby.data, setting.near)
        say(describe(location, evse, setting.near))
        charge = ev.start_charge(setting.card, evse.evse_id or "", polling=setting.polling)
        say(f"  accepted {charge.session_id}")
        try:
            for session in charge.changes():
                say(line("seen", session))
                if session.state is SessionState.STARTED or charge.is_over:
                    break
            say(line("active", among(ev.charging.active(setting.card).data, charge.session_id)))
        finally:
            say(line("stopped", charge.stop()))
        check_stopped(charge.state)


async def run(setting: Setting) -> None:
    """Both halves, one after the other."""
    print("With await:")
    await with_await(setting)
    print("Blocking:")
    # In a thread of its own, so that a sandbox in this loop can answer.
    await asyncio.to_thread(blocking, setting)


async def main(arguments: argparse.Namespace) -> int:
    """Run the demo; the exit code."""
    async with AsyncExitStack() as stack:
        real = bool(os.environ.get("SHELL_EV_CLIENT_ID") and os.environ.get("SHELL_EV_CLIENT_SECRET"))
        if real:
            if arguments.card is None:
                print("With real credentials the demo starts a real charge: say on which card, --card NUMBER.")
                return 2
            if arguments.keep:
                print("--keep leaves the sandbox running, and with real credentials there is none.")
                return 2
            options: dict[str, Any] = {}
            polling = Polling()
        else:
            sandbox = await stack.enter_async_context(Sandbox())
            print(f"Sandbox on {sandbox.url}, no credentials needed.")
            if arguments.keep:
                stack.push_async_callback(_keep, sandbox)
            options = {
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "base_url": sandbox.url,
                "environment": "production",
                "api_version": os.environ.get("SHELL_EV_API_VERSION") or "v2",
                "token_url": None,
            }
            polling = _HURRIED
        setting = Setting(
            card=arguments.card or _SANDBOX_CARD,
            near=(arguments.latitude, arguments.longitude),
            polling=polling,
            options=options,
        )
        try:
            await run(setting)
        except (ShellEVError, DemoFailed) as error:
            print(f"The demo failed: {error}", file=sys.stderr)
            return 1
        print("All well: both charges were started, seen running, and stopped.", flush=True)
    return 0


async def _keep(sandbox: Sandbox) -> None:
    """Let the sandbox run until Ctrl-C."""
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, leave.set)
    print(f"The sandbox keeps running until Ctrl-C. Its console: {sandbox.console_url}/", flush=True)
    await leave.wait()


def ema_id(text: str) -> str:
    """A card as ``active`` takes it: better refused here than with a charge running."""
    if not EmaId.has_valid_length(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an EMA-ID of 14 to 19 characters, such as {_SANDBOX_CARD}")
    return text


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m shell_ev.demo", description=__doc__)
    parser.add_argument("--card", type=ema_id, help="EMA-ID of the charge card; needed with real credentials")
    parser.add_argument("--keep", action="store_true", help="leave the sandbox and its console running until Ctrl-C")
    parser.add_argument("--latitude", type=float, default=_DAM_SQUARE[0])
    parser.add_argument("--longitude", type=float, default=_DAM_SQUARE[1])
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse())))
