"""Cancel a charge at every step it can be cancelled at: nothing keeps running unsaid, nothing is leaked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness import CARD, EVSE, World
from virtual_time import VirtualTimeLoop

from shell_ev import OutcomeUnknownError
from shell_ev.sandbox import Fault

Scenario = Callable[[World], Coroutine[Any, Any, None]]


class _CancellingLoop(VirtualTimeLoop):
    """Cancels a task at the n-th turn of the loop: with n from 1 on, at every point where anything can be waiting."""

    cancel_at = 0
    turns = 0
    victim: asyncio.Task[None] | None = None

    def _run_once(self) -> None:
        if self.victim is not None:
            self.turns += 1
            if self.turns == self.cancel_at:
                self.victim.cancel()
        super()._run_once()  # type: ignore[misc]


async def a_charge(world: World) -> None:
    """A whole charge, with a look in the middle."""
    async with world.client.charge(CARD, EVSE, start_timeout=120, stop_timeout=120) as charge:
        await asyncio.sleep(5)
        await charge.refresh()


async def without_block(world: World) -> None:
    """Start, wait and stop by hand."""
    charge = await world.client.start_charge(CARD, EVSE)
    try:
        await charge.wait_started()
    finally:
        await charge.stop()


async def cancelled_at(turn: int, scenario: Scenario, fault: tuple[str, Fault] | None) -> bool:
    """Run a scenario, cancelled at a turn of the loop; whether it lived to see it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _CancellingLoop)
    world = World()
    world.service.book.show_sessions_after = 3.0
    if fault is not None:
        world.service.faults.add(*fault)
    loop.cancel_at, loop.victim = turn, asyncio.create_task(scenario(world))
    await asyncio.wait([loop.victim])
    reached = loop.turns >= turn
    if not reached:
        loop.victim.result()
    await world.client.aclose()
    await asyncio.sleep(60)
    assert len(world.service.charges) <= 1, f"turn {turn}: started twice"
    assert world.running() == [], f"turn {turn}: left running"
    assert asyncio.all_tasks() == {asyncio.current_task()}, f"turn {turn}: a task was left"
    assert world.sender.open == 0, f"turn {turn}: a request was left open"
    return reached


FAULTS = [
    None,
    ("charging.start", Fault.drop()),
    ("charging.start", Fault.drop(after_effect=False)),
    ("charging.start", Fault.hang()),
    ("charging.start", Fault.unavailable(retry_after=2)),
    ("charging.start", Fault.token_revoked()),
    ("charging.stop", Fault.drop()),
    ("charging.stop", Fault.drop(after_effect=False)),
    ("charging.retrieve", Fault.status(500)),
]


@pytest.mark.parametrize(
    ("scenario", "fault"),
    [*((a_charge, fault) for fault in FAULTS), (without_block, None), (without_block, FAULTS[1])],
    ids=lambda value: getattr(value, "__name__", None) or ("none" if value is None else f"{value[0]}-{value[1].kind}"),
)
def test_a_charge_can_be_cancelled_at_every_turn(scenario: Scenario, fault: tuple[str, Fault] | None) -> None:
    turn = 0
    reached = True
    while reached:
        turn += 1
        with asyncio.Runner(loop_factory=_CancellingLoop) as runner:
            try:
                reached = runner.run(cancelled_at(turn, scenario, fault))
            except OutcomeUnknownError:
                # It had no effect, which no answer says: nothing to find, and the error says that it may be charging.
                assert fault in (FAULTS[2], FAULTS[4])
                break
    # A scenario that is over after a few turns would not have been a charge.
    assert turn > 40
