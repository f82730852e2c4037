"""What a charge is told besides card and EVSE: a slip in it is found at the call, before anything is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes import CARD, EVSE

from shell_ev import AsyncShellEV, OutcomeUnknownError, Polling, ShellEV, ValidationError
from shell_ev.sandbox import Sandbox

SESSION = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
LOST = OutcomeUnknownError(
    "lost", operation="charging.start", arguments={"ev_charge_number": CARD, "evse_id": EVSE}, request_id=SESSION
)

CALLS: dict[str, Callable[..., Any]] = {
    "charge": lambda ev, **options: ev.charge(CARD, EVSE, **options),
    "start_charge": lambda ev, **options: ev.start_charge(CARD, EVSE, **options),
    "attach": lambda ev, **options: ev.attach(SESSION, **options),
    "reconcile": lambda ev, **options: ev.reconcile(LOST, **options),
    "follow": lambda ev, **options: ev.follow([SESSION], **options),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Never asked for anything."""
    with Sandbox(stations=0) as running:
        yield running


@pytest.fixture(params=[AsyncShellEV, ShellEV])
def refused(sandbox: Sandbox, request: pytest.FixtureRequest) -> Callable[[Callable[[Any], Any]], str]:
    """What a call is refused with, by either client, nothing having been sent."""
    client = request.param("id", "secret", base_url=sandbox.url)

    def refuse(call: Callable[[Any], Any]) -> str:
        with pytest.raises(ValidationError) as caught:
            outcome = call(client)
            if inspect.iscoroutine(outcome):
                outcome.send(None)
        assert not sandbox.requests
        return str(caught.value)

    return refuse


Refused = Callable[[Callable[[Any], Any]], str]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("bad", [5, 0, "x", "", Polling, True], ids=repr)
def test_a_polling_that_is_none(refused: Refused, call: Callable[..., Any], bad: Any) -> None:
    assert "polling must be a shell_ev.Polling, such as Polling(started=5.0), not" in refused(
        lambda ev: call(ev, polling=bad)
    )


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("bad", [5, 0, "print"])
def test_an_on_problem_that_cannot_be_called(refused: Refused, call: Callable[..., Any], bad: Any) -> None:
    assert "on_problem must be callable" in refused(lambda ev: call(ev, on_problem=bad))


@pytest.mark.parametrize("bad", ["no", "false", 0, 1, None])
def test_a_keep_running_that_is_neither(refused: Refused, bad: Any) -> None:
    assert f"keep_running must be True or False, not {bad!r}" in refused(
        lambda ev: ev.charge(CARD, EVSE, keep_running=bad)
    )


def test_every_fault_is_in_one_error(refused: Refused) -> None:
    reported = refused(lambda ev: ev.charge(CARD, EVSE, keep_running="no", polling=5, on_problem=5, stop_timeout=-1))
    assert all(name in reported for name in ("keep_running", "polling", "on_problem", "stop_timeout"))


@pytest.mark.parametrize("bad", [None, 5, SESSION])
def test_following_what_is_not_several(refused: Refused, bad: Any) -> None:
    assert f"charges must be several charges or session ids, not {bad!r}" in refused(lambda ev: ev.follow(bad))


@pytest.mark.parametrize("bad", [None, 5, ValueError("x")])
def test_reconciling_what_is_no_error_of_ours(refused: Refused, bad: Any) -> None:
    assert "error must be what a start or stop raised, not" in refused(lambda ev: ev.reconcile(bad))


@pytest.mark.parametrize("name", ["session_id", "request_id", "session", "state", "is_over", "stop", "changes"])
@pytest.mark.parametrize(("client", "way"), [(AsyncShellEV, "`async with client."), (ShellEV, "`with client.")])
def test_a_block_that_was_not_entered_says_how_to_get_its_charge(client: Any, way: str, name: str) -> None:
    block = client("id", "secret").charge(CARD, EVSE)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; use {way}") as caught:
        getattr(block, name)
    assert "start_charge" in str(caught.value)
    assert not hasattr(block, "nonsense")
    with pytest.raises(AttributeError) as caught:
        _ = block.nonsense
    assert "use" not in str(caught.value)
