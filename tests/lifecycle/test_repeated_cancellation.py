"""One wish to leave may arrive as many cancellations: a stop survives them all, and a second wish ends it."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from harness import CARD, EVSE
from stages import Stage, errors_logged, settled, tasks_left
from virtual_time import VirtualTimeLoop, virtual_time

from shell_ev.charges.cleanup import cleanup_during
from shell_ev.core.runtime import CANCEL_NOW
from shell_ev.sandbox import SessionState as TrueState


async def _block(stage: Stage, entered: asyncio.Event) -> None:
    async with stage.client.charge(CARD, EVSE, stop_timeout=120):
        entered.set()
        await asyncio.sleep(3600)


async def _cancel_every(task: asyncio.Task[None], seconds: float, times: int) -> None:
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(seconds)
        if task.done():
            return


@virtual_time
async def test_cancellations_less_than_a_second_apart_are_one_wish() -> None:
    stage, entered = Stage(), asyncio.Event()
    stage.service.book.stop_delay = 25.0
    task = asyncio.create_task(_block(stage, entered))
    await entered.wait()
    await _cancel_every(task, 0.9, 100)
    await asyncio.wait([task])
    assert task.cancelled()
    assert stage.only_charge.state is TrueState.STOPPED
    assert stage.sent.count("stop") == 1
    assert tasks_left() == set()


@virtual_time
async def test_a_cancellation_more_than_a_second_after_the_last_ends_the_cleanup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage, entered = Stage(), asyncio.Event()
    stage.service.book.stop_delay = 600.0
    task = asyncio.create_task(_block(stage, entered))
    await entered.wait()
    await _cancel_every(task, 1.1, 2)
    await settled()
    assert task.cancelled()
    assert stage.only_charge.session_id in errors_logged(caplog)[0]


@virtual_time
async def test_a_deliberate_cancellation_ends_the_cleanup_however_soon_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage, entered = Stage(), asyncio.Event()
    stage.service.book.stop_delay = 600.0
    task = asyncio.create_task(_block(stage, entered))
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel(CANCEL_NOW)
    await settled()
    assert task.cancelled()
    assert stage.only_charge.session_id in errors_logged(caplog)[0]


@virtual_time
async def test_a_scope_of_anyio_that_cancels_at_every_turn_leaves_the_charge_stopped() -> None:
    stage = Stage()
    stage.service.book.stop_delay = 30.0
    with anyio.move_on_after(5) as scope:
        async with stage.client.charge(CARD, EVSE, stop_timeout=120):
            await asyncio.sleep(3600)
    assert scope.cancelled_caught
    assert stage.only_charge.state is TrueState.STOPPED
    assert tasks_left() == set()


class _CountingLoop(VirtualTimeLoop):
    """Counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


def test_waiting_in_a_cancelled_scope_of_anyio_takes_no_turns_of_the_loop() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _CountingLoop)
        spent = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as cancelled:
                before = loop.turns
                await cleanup_during(cancelled, asyncio.sleep(30), "the work")
                spent = loop.turns - before
                raise
        return spent

    with asyncio.Runner(loop_factory=_CountingLoop) as runner:
        # Without a shielded scope anyio cancels at every turn: the loop never comes to wait at all.
        assert runner.run(main()) < 20
