"""An observer that raises breaks nothing and is named, once; what is no Exception goes its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import CARD, call
from listeners import Recorder, outcome, watched

from shell_ev import AsyncShellEV, ShellEV
from shell_ev.observing import CallInfo, CallObserver, Observer
from shell_ev.sandbox import Fault, Sandbox

HOOKS = ("call_began", "token_began", "try_ended", "waits", "ended")


class Broken(Observer):
    """Raises in one hook, whoever has it."""

    def __init__(self, hook: str, error: BaseException) -> None:
        def fail(*_: Any) -> None:
            raise error

        self._listener = CallObserver()
        setattr(self if hook in ("call_began", "token_began") else self._listener, hook, fail)

    def call_began(self, call: CallInfo) -> CallObserver:
        return self._listener


def complaints(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [
        record
        for record in caplog.records
        if record.name == "shell_ev" and record.levelno == level and record.getMessage().startswith("observer ")
    ]


@pytest.mark.parametrize(
    "fault", [RuntimeError, asyncio.CancelledError]
)  # as the result of a cancelled future gives it
@pytest.mark.parametrize("hook", HOOKS)
async def test_an_observer_that_raises_is_named_once_and_the_call_continues(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, hook: str, fault: type[BaseException]
) -> None:
    caplog.set_level(logging.DEBUG, "shell_ev")
    sandbox.faults.add("charging.active", Fault.status(503))
    sandbox.faults.add("charging.active", Fault.token_revoked())
    sandbox.faults.add("charging.active", Fault.status(503))
    before, after = Recorder(), Recorder()
    async with watched(sandbox, before, Broken(hook, fault("a fault of the application")), after) as ev:
        answer = await call(ev, "active")
        await call(ev.with_options(timeout=3), "active")
        sandbox.revoke_tokens()
        await call(ev, "active")
    assert before.calls[0].end.response is answer
    assert [tried.status_code for tried in before.calls[0].tries] == [503, 401, 503, 200]
    assert before.everything == after.everything
    (warning,) = complaints(caplog, logging.WARNING)
    assert f"Broken.{hook} raised" in warning.getMessage(), "by the name that the application knows"
    assert warning.exc_info is not None
    assert str(warning.exc_info[1]) == "a fault of the application"
    again = complaints(caplog, logging.DEBUG)
    assert again
    assert all(f"Broken.{hook} raised again: {fault.__name__}" in record.getMessage() for record in again)


async def test_a_failed_call_stays_the_failure_that_it_is(sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.start", Fault.drop())
    async with watched(sandbox, *(Broken(hook, ValueError()) for hook in HOOKS)) as ev:
        error = await outcome(ev, "start")
    assert type(error).__name__ == "OutcomeUnknownError"
    assert error.__context__ is None or not isinstance(error.__context__, ValueError)


async def test_a_hook_that_gives_no_listener_is_named(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Observer):
        def call_began(self, call: CallInfo) -> Any:
            return "began"

    async with watched(sandbox, Careless()) as ev:
        await call(ev, "active")
    (warning,) = complaints(caplog, logging.WARNING)
    assert "Careless.call_began" in warning.getMessage()
    assert warning.exc_info is not None
    assert str(warning.exc_info[1]) == "call_began must return a CallObserver or None, not str"


@pytest.fixture
def hostile_filter() -> Iterator[None]:
    def refuse(_: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the application")

    logger = logging.getLogger("shell_ev")
    logger.addFilter(refuse)
    logger.setLevel(logging.DEBUG)
    yield
    logger.removeFilter(refuse)
    logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("hostile_filter")
async def test_a_logging_filter_that_raises_breaks_no_call_either(sandbox: Sandbox) -> None:
    sandbox.faults.add("charging.active", Fault.status(503))
    async with watched(sandbox, Broken("try_ended", RuntimeError())) as ev:
        await call(ev, "active")


class Stop(BaseException):
    """Something that nobody may hold up."""


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_base_exception_is_raised_after_all_observers_saw_the_end(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    sandbox.faults.add("charging.active", Fault.status(503))
    before, after = Recorder(), Recorder()
    async with watched(sandbox, before, Broken(hook, Stop()), after) as ev:
        with pytest.raises(Stop):
            await call(ev, "active")
    assert len(before.only.ends) == 1
    if hook == "call_began":
        assert after.calls == [], "it never began"
        assert isinstance(before.only.end.error, Stop)
    else:
        assert after.only.end == before.only.end
    assert not complaints(caplog, logging.WARNING)


@pytest.mark.parametrize("hook", ["call_began", "try_ended", "ended"])
def test_an_interrupt_from_a_hook_reaches_the_blocking_caller(hook: str) -> None:
    with Sandbox(stations=0) as sandbox:
        recorder = Recorder()
        options: dict[str, Any] = {"base_url": sandbox.url, "observer": [recorder, Broken(hook, KeyboardInterrupt())]}
        with ShellEV(sandbox.client_id, sandbox.client_secret, **options) as ev:
            with pytest.raises(KeyboardInterrupt):
                ev.charging.active(CARD)
            assert len(recorder.only.ends) == 1
            assert ev.with_options(observer=()).charging.active(CARD).data == (), "the client stays usable"


async def test_two_clients_complain_each_for_itself(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken("ended", RuntimeError())
    for _ in range(2):
        async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url, observer=broken) as ev:
            await call(ev, "active")
            await call(ev, "active")
    assert len(complaints(caplog, logging.WARNING)) == 2
