"""Thousands of charges with faults at every step: none doubled, none left running without a word."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import attrs
import pytest
from harness import World
from virtual_time import VirtualTimeLoop

from shell_ev import ShellEVError
from shell_ev.sandbox import Fault

AT_ONCE = 100
FAULTS = (
    Fault.drop(after_effect=True),
    Fault.drop(after_effect=False),
    Fault.reset(after_effect=True),
    Fault.truncate(after_effect=True),
    Fault.hang(after_effect=True),
    Fault.hang(after_effect=False),
    Fault.delay(8.0),
    Fault.status(500, after_effect=True),
    Fault.status(500, after_effect=False),
    Fault.status(502, after_effect=True),
    Fault.status(504, after_effect=True),
    Fault.unavailable(),
    Fault.unavailable(retry_after=3),
    Fault.rate_limit(2),
    Fault.garbage(),
    Fault.token_revoked(),
)


class LoudLines(logging.Handler):
    """The library's error lines: how those are told whom no exception of ours can reach. Counts adoptions as well."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.text = ""
        self.adopted = 0

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.text += message + "\n"
        self.adopted += "adopted session" in message


@attrs.define
class Result:
    """What the caller of one charge was told in the end."""

    outcome: str
    loudly: bool


async def one_charge(world: World, card: str, evse: str) -> Result:
    """A charge as a user would run it, cut short at random by the user, by a failure or by the end of patience."""
    how = world.random.random()

    async def body() -> None:
        async with world.client.charge(card, evse, start_timeout=120, stop_timeout=180) as charge:
            if how < 0.2:
                raise KeyError("a bug of the application")
            async with asyncio.timeout(world.random.uniform(1, 900)):
                async for _ in charge.changes():
                    pass

    task = asyncio.ensure_future(body())
    if how > 0.7:
        asyncio.get_running_loop().call_later(world.random.uniform(0, 200), task.cancel)
    try:
        await asyncio.wait([task])
        await task
    except ShellEVError as error:
        return Result(type(error).__name__, error.outcome_unknown)
    except (KeyError, TimeoutError, asyncio.CancelledError) as error:
        return Result(type(error).__name__, False)
    return Result("ended", False)


async def run_charges(count: int, seed: int) -> dict[str, int]:
    """Run ``count`` charges and compare what the callers were told with what happened."""
    world = World(seed=seed, stations=AT_ONCE, timeout=45, refused=0.02)
    world.service.book.show_sessions_after = 20.0
    evses = available_evses(world)
    world.service.faults.chaos(seed, 0.12, FAULTS, ("*", "token"))
    reported: dict[str, Result] = {}
    loud = LoudLines()
    logger = logging.getLogger("shell_ev")
    logger.addHandler(loud)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for batch in range(0, count, AT_ONCE):
        cards = [f"NL-TNM-C{number:08d}-K" for number in range(batch, min(batch + AT_ONCE, count))]
        outcomes = await asyncio.gather(
            *(one_charge(world, card, evse) for card, evse in zip(cards, evses, strict=False))
        )
        reported.update(zip(cards, outcomes, strict=True))
        # What is still under way on the service's side comes to its end or keeps running for good.
        await asyncio.sleep(120)
    await world.client.aclose()
    logger.removeHandler(loud)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    by_card = Counter(charge.ema_id for charge in world.service.charges)
    running = world.running()
    unsaid = [
        charge
        for charge in running
        if not reported[charge.ema_id].loudly
        and charge.session_id not in loud.text
        and charge.request_id not in loud.text
    ]
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    figures = {
        "charges": count,
        "accepted": len(world.service.charges),
        "started": sum(charge.has_started for charge in world.service.charges),
        "adopted": loud.adopted,
        "outcome unknown": sum(t.outcome == "OutcomeUnknownError" for t in reported.values()),
        "stopped": sum(charge.is_over for charge in world.service.charges),
        "still running, caller told": len(running) - len(unsaid),
        "doubled": sum(1 for number in by_card.values() if number > 1),
        "orphaned silently": len(unsaid),
        "tasks left": len(leftovers),
        "requests open": world.sender.open,
    }
    return figures | {f"told: {name}": number for name, number in Counter(t.outcome for t in reported.values()).items()}


def available_evses(world: World) -> list[str]:
    """Enough EVSEs that take a charge, found without faults."""
    from shell_ev.sandbox import FAILING_EVSES, FAILING_STOP_EVSE

    bad = {*FAILING_EVSES.values(), FAILING_STOP_EVSE}
    found = [
        evse.evse_id
        for station in world.service.locations.network.stations
        for evse in station.evses
        if evse.evse_id not in bad and evse.failure_code is None
    ]
    assert len(found) >= AT_ONCE
    return found[:AT_ONCE]


def check(figures: dict[str, int]) -> None:
    """The promises."""
    print(figures)
    assert figures["doubled"] == 0
    assert figures["orphaned silently"] == 0
    assert figures["tasks left"] == 0
    assert figures["requests open"] == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_charge_is_doubled_or_left_running_unsaid(seed: int) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        figures = runner.run(run_charges(200, seed))
    check(figures)
    # Guards against a run that proves nothing: faults did happen, and charges did run.
    assert figures["started"] > 100
    assert figures["adopted"] > 0
    assert figures["told: TimeoutError"] > 50
    assert figures["told: CancelledError"] > 20


@pytest.mark.long
def test_ten_thousand_charges(capsys: pytest.CaptureFixture[str]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        figures = runner.run(run_charges(10_000, 2026))
    with capsys.disabled():
        check(figures)


def test_the_check_itself_can_fail() -> None:
    with pytest.raises(AssertionError):
        check({"doubled": 1, "orphaned silently": 0, "tasks left": 0, "requests open": 0})
