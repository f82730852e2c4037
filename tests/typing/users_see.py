"""What users see of types, on both clients. Checked by mypy --strict and pyright strict, never run."""

from __future__ import annotations

from typing import assert_type

from shell_ev import ApiResponse, AsyncShellEV, ChargeSession, Location, ShellEV, StartedSession


async def on_the_async_client(ev: AsyncShellEV) -> None:
    assert_type(await ev.charging.start("card", "evse"), ApiResponse[StartedSession])
    assert_type((await ev.locations.list()).data, tuple[Location, ...])


def on_the_blocking_client(ev: ShellEV) -> None:
    assert_type(ev.charging.start("card", "evse"), ApiResponse[StartedSession])
    assert_type(ev.charging.active("ema").data, tuple[ChargeSession, ...])
