"""The test kit under freezegun, which also stops the clock that asyncio's timers run on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shell_ev import AsyncShellEV, RequestTimeoutError, SessionState, ShellEV
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, Fault
from shell_ev.testing import ControlledSandbox

freezegun = pytest.importorskip("freezegun")

CARD, EVSE = EXAMPLE_CARD, EXAMPLE_EVSE
MOMENT = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture(params=[False, True], ids=["frozen asyncio", "real asyncio"])
def frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    with freezegun.freeze_time(MOMENT, real_asyncio=request.param):
        yield


@pytest.mark.usefixtures("frozen")
class TestFrozenFromTheBeginning:
    async def test_a_charge_and_its_waits(self) -> None:
        with ControlledSandbox() as sandbox:
            assert sandbox.time.utcnow() == MOMENT
            async with sandbox.client().charge(CARD, EVSE) as charge:
                assert charge.state is SessionState.STARTED
                assert sandbox.time.elapsed == 20
            assert sandbox.time.elapsed == 30

    async def test_retries_and_an_answer_that_hangs(self) -> None:
        with ControlledSandbox() as sandbox:
            sandbox.faults.add("charging.active", Fault.status(502), times=2)
            ev = sandbox.client()
            assert (await ev.charging.active(CARD)).attempts == 3
            sandbox.faults.add("charging.active", Fault.hang())
            with pytest.raises(RequestTimeoutError):
                await ev.charging.active(CARD, timeout=60, max_retries=0)
            assert sandbox.time.elapsed >= 30, "the read timeout"

    async def test_time_that_is_moved_by_hand(self) -> None:
        with ControlledSandbox() as sandbox:
            sandbox.time.auto = False
            waiting = asyncio.ensure_future(sandbox.client().start_charge(CARD, EVSE))
            charge = await waiting
            started = asyncio.ensure_future(charge.wait_started())
            for _ in range(10):
                await sandbox.time.settled()
                sandbox.advance(5)
            assert (await started).state is SessionState.STARTED

    def test_the_blocking_client(self) -> None:
        with ControlledSandbox() as sandbox, sandbox.blocking_client() as ev:
            assert isinstance(ev, ShellEV)
            with ev.charge(CARD, EVSE) as charge:
                assert charge.state is SessionState.STARTED
            assert sandbox.time.elapsed == 30


async def test_frozen_in_the_middle_of_a_test() -> None:
    with ControlledSandbox() as sandbox:
        ev: AsyncShellEV = sandbox.client()
        charge = await ev.start_charge(CARD, EVSE)
        with freezegun.freeze_time(MOMENT):
            assert (await charge.wait_started()).state is SessionState.STARTED
        assert (await charge.stop()) is not None


async def test_a_clock_that_ticks_works_as_well() -> None:
    with freezegun.freeze_time(MOMENT, tick=True), ControlledSandbox() as sandbox:
        async with sandbox.client().charge(CARD, EVSE) as charge:
            assert charge.state is SessionState.STARTED
