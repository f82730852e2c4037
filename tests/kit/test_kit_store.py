"""A store for tests, and clients that crash: what is left is what a killed process leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shell_ev import AsyncShellEV, ChargeNotStoppedError, ConfigurationError, OutcomeUnknownError
from shell_ev.sandbox import EXAMPLE_EVSE, Fault
from shell_ev.testing import ControlledSandbox

CARD = "NL-TNM-C00122045-K"


async def test_what_a_crashed_block_left_is_stopped_by_another_client(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    crashed = shell_ev_sandbox.client(store=shell_ev_store)
    block = crashed.charge(CARD, EXAMPLE_EVSE, key="order-1")
    await block.__aenter__()
    shell_ev_sandbox.crash(crashed)
    assert shell_ev_sandbox.only_charge().is_running

    recovery = await shell_ev_sandbox.client(store=shell_ev_store).recover()
    assert recovery is not None
    assert [entry.key for entry in recovery.stopped] == ["order-1"]
    shell_ev_sandbox.assert_nothing_running()
    shell_ev_sandbox.assert_started_once()


async def test_without_a_crash_the_entry_of_an_open_block_is_left_alone(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    async with shell_ev_sandbox.client(store=shell_ev_store).charge(CARD, EXAMPLE_EVSE, key="order-1"):
        recovery = await shell_ev_sandbox.client(store=shell_ev_store).recover()
        assert recovery is not None
        assert not recovery.stopped
        assert shell_ev_sandbox.only_charge().is_running


async def test_a_start_of_a_client_that_crashes_before_the_answer_is_found_by_its_key(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    shell_ev_sandbox.faults.add("charging.start", Fault.hang())
    shell_ev_sandbox.time.auto = False
    crashed = shell_ev_sandbox.client(store=shell_ev_store)
    lost = asyncio.ensure_future(crashed.start_charge(CARD, EXAMPLE_EVSE, key="order-1"))
    await shell_ev_sandbox.time.settled()
    shell_ev_sandbox.crash(crashed)
    shell_ev_sandbox.time.auto = True

    other = shell_ev_sandbox.client(store=shell_ev_store)
    charge = await other.start_charge(CARD, EXAMPLE_EVSE, key="order-1")
    assert (charge.is_new, charge.session_id) == (False, shell_ev_sandbox.only_charge().session_id)
    shell_ev_sandbox.assert_started_once()
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    entry = await other.journal.find("order-1")
    assert entry is not None
    assert (entry.state, entry.session_id) == ("accepted", charge.session_id)


async def test_a_crashed_client_sends_and_records_nothing_more(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    crashed = shell_ev_sandbox.client(store=shell_ev_store)
    charge = await crashed.start_charge(CARD, EXAMPLE_EVSE, key="order-1")
    shell_ev_sandbox.crash(crashed)
    sent = len(shell_ev_sandbox.requests)
    with pytest.raises(ChargeNotStoppedError):
        await charge.stop()
    with pytest.raises(ConfigurationError):
        await crashed.journal.find("order-1")
    assert len(shell_ev_sandbox.requests) == sent
    assert shell_ev_sandbox.running()
    await crashed.aclose()


def test_a_blocking_client_crashes_as_well(shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path) -> None:
    crashed = shell_ev_sandbox.blocking_client(store=shell_ev_store)
    charge = crashed.start_charge(CARD, EXAMPLE_EVSE, key="order-1")
    shell_ev_sandbox.crash(crashed)
    with pytest.raises(ConfigurationError):
        crashed.charging.active(CARD)
    other = shell_ev_sandbox.blocking_client(store=shell_ev_store)
    assert other.start_charge(CARD, EXAMPLE_EVSE, key="order-1").session_id == charge.session_id
    shell_ev_sandbox.assert_started_once()


async def test_time_stands_still_while_the_thread_of_the_store_works(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    client = shell_ev_sandbox.client(store=shell_ev_store)
    await client.journal.open_charges()
    # A wait of another task: time may jump to its end only while nothing else is under way.
    waiting = asyncio.ensure_future(shell_ev_sandbox.time.sleep(3600))
    async with asyncio.TaskGroup() as group:
        found = [group.create_task(client.journal.find(f"order-{number}")) for number in range(50)]
    assert [task.result() for task in found] == [None] * 50
    assert shell_ev_sandbox.time.elapsed == 0
    waiting.cancel()


async def test_an_unknown_start_is_looked_up_again_on_the_clock_of_the_test(
    shell_ev_sandbox: ControlledSandbox, shell_ev_store: Path
) -> None:
    shell_ev_sandbox.show_sessions_after = 1800
    shell_ev_sandbox.faults.add("charging.start", Fault.drop())
    client = shell_ev_sandbox.client(store=shell_ev_store)
    with pytest.raises(OutcomeUnknownError):
        await client.start_charge(CARD, EXAMPLE_EVSE, key="order-1")
    assert await journal_states(client) == ["unknown"]
    shell_ev_sandbox.advance(3600)
    recovery = await client.recover()
    assert recovery is not None
    assert [entry.key for entry in recovery.kept] == ["order-1"]
    assert await journal_states(client) == ["accepted"]


async def journal_states(client: AsyncShellEV) -> list[str]:
    return [entry.state for entry in await client.journal.open_charges()]
