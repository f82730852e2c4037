"""The ledger: a key is taken once, given back only when nothing was started, and never gets another key's session."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from example_processes import CARD, HARD_LIMIT, variables_for

from shell_ev import AsyncShellEV, ConnectError, OutcomeUnknownError, ShellEV, ValidationError
from shell_ev.sandbox import EXAMPLE_EVSE, Fault, Sandbox

pytestmark = pytest.mark.usefixtures("examples_importable")


@pytest.fixture
def ledger(tmp_path: Path, examples_importable: None) -> Any:
    from start_once import Ledger

    return Ledger(tmp_path / "charges.sqlite3")


@pytest.fixture
def ev(sandbox: Sandbox) -> Iterator[ShellEV]:
    with ShellEV.from_env(variables_for(sandbox), max_retries=0) as client:
        yield client


def test_of_many_claims_one_is_new(ledger: Any) -> None:
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda _: ledger.claim("key", CARD, EXAMPLE_EVSE), range(64)))
    assert sum(claim.is_new for claim in claims) == 1
    assert len({claim.request_id for claim in claims}) == 1


def test_a_ledger_outlives_its_process(ledger: Any, tmp_path: Path) -> None:
    from start_once import Ledger

    ledger.settle(ledger.claim("key", CARD, EXAMPLE_EVSE), "session")
    again = Ledger(tmp_path / "charges.sqlite3")
    assert again.claim("key", CARD, EXAMPLE_EVSE).session_id == "session"
    assert again.look("key").session_id == "session"
    assert (again.holds("session"), again.holds("another")) == (True, False)
    with pytest.raises(LookupError, match="nothing was ever started with the key 'other'"):
        again.look("other")


def test_a_key_is_of_one_card_and_one_evse(ledger: Any) -> None:
    ledger.claim("key", CARD, EXAMPLE_EVSE)
    for card, evse_id in ((CARD, "NL*TNM*E02003451*1"), ("NL-TNM-C00000000-0", EXAMPLE_EVSE)):
        with pytest.raises(ValidationError, match="the key 'key' was used for another card or another EVSE"):
            ledger.claim("key", card, evse_id)


@pytest.mark.parametrize("bad", [5, None, ["x"], "\ud800", "a\x00b"])
def test_what_is_no_text_takes_no_key(ledger: Any, bad: Any) -> None:
    with pytest.raises(ValidationError, match="start: card must be printable text; evse_id must be printable text"):
        ledger.claim("key", bad, bad)
    assert ledger.claim("key", CARD, EXAMPLE_EVSE).is_new
    with pytest.raises(ValidationError, match="key must be printable text"):
        ledger.claim(bad, CARD, EXAMPLE_EVSE)


def test_giving_back_takes_nothing_from_who_came_after(ledger: Any) -> None:
    first = ledger.claim("key", CARD, EXAMPLE_EVSE)
    ledger.release(first)
    second = ledger.claim("key", CARD, EXAMPLE_EVSE)
    assert second.is_new
    ledger.release(first)
    assert not ledger.claim("key", CARD, EXAMPLE_EVSE).is_new
    ledger.settle(second, "session")
    ledger.release(second)
    assert ledger.look("key").session_id == "session"


def test_a_session_is_of_one_key(ledger: Any, ev: ShellEV, sandbox: Sandbox) -> None:
    from start_once import start_once

    first = start_once(ev, ledger, "first", CARD, EXAMPLE_EVSE)
    # Refused by the station, and its answer lost: what can be seen on this EVSE is the first key's charge. Another
    # process asks, whose client knows nothing of that.
    sandbox.faults.add("charging.start", Fault.drop(after_effect=False))
    with ShellEV.from_env(variables_for(sandbox)) as other, pytest.raises(OutcomeUnknownError):
        start_once(other, ledger, "second", CARD, EXAMPLE_EVSE, patience=0.1)
    assert ledger.look("first").session_id == first
    assert ledger.look("second").session_id is None


def test_what_was_surely_not_started_frees_the_key(ledger: Any, sandbox: Sandbox, closed_port: int) -> None:
    from start_once import start_once

    nowhere = {**variables_for(sandbox), "SHELL_EV_BASE_URL": f"http://127.0.0.1:{closed_port}"}
    with ShellEV.from_env(nowhere, max_retries=0) as ev, pytest.raises(ConnectError):
        start_once(ev, ledger, "key", CARD, EXAMPLE_EVSE)
    assert ledger.claim("key", CARD, EXAMPLE_EVSE).is_new


def test_a_start_that_was_not_written_down_is_found_again(
    ledger: Any, ev: ShellEV, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from start_once import start_once

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "settle", full)
        with pytest.raises(sqlite3.OperationalError):
            start_once(ev, ledger, "key", CARD, EXAMPLE_EVSE)
    assert start_once(ev, ledger, "key", CARD, EXAMPLE_EVSE, patience=0.1) == sandbox.charges[0].session_id
    assert sandbox.charges[0].request_id == ledger.look("key").request_id
    assert len(sandbox.charges) == 1


async def test_with_await_a_cancelled_start_keeps_its_key(ledger: Any, sandbox: Sandbox) -> None:
    from start_once import start_once_async

    sandbox.faults.add("charging.start", Fault.delay(0.2))
    async with AsyncShellEV.from_env(variables_for(sandbox)) as ev:
        task = asyncio.create_task(start_once_async(ev, ledger, "key", CARD, EXAMPLE_EVSE))
        async with asyncio.timeout(HARD_LIMIT):
            while not sandbox.charges:
                await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sandbox.charges[0].is_over  # the library stopped what it had started
        with pytest.raises(OutcomeUnknownError):
            await start_once_async(ev, ledger, "key", CARD, EXAMPLE_EVSE, patience=0.1)
    assert len(sandbox.charges) == 1
