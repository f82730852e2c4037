"""Every public coroutine outside asyncio (trio, a plain ``send``) is a ConfigurationError that says what to do."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from fakes import CARD, EVSE, SESSION

from shell_ev import AsyncShellEV, ConfigurationError, OutcomeUnknownError, StaticToken

LOST = OutcomeUnknownError(
    "lost", operation="charging.start", request_id=SESSION, arguments={"ev_charge_number": CARD, "evse_id": EVSE}
)

WAYS: dict[str, Callable[[AsyncShellEV], Any]] = {
    "charging.start": lambda ev: ev.charging.start(CARD, EVSE),
    "charging.stop": lambda ev: ev.charging.stop(SESSION),
    "charging.retrieve": lambda ev: ev.charging.retrieve(SESSION),
    "charging.active": lambda ev: ev.charging.active(CARD),
    "locations.list": lambda ev: ev.locations.list(),
    "locations.iterate": lambda ev: anext(aiter(ev.locations.iterate())),
    "locations.get": lambda ev: ev.locations.get("1"),
    "locations.nearby": lambda ev: ev.locations.nearby(52.0, 4.0),
    "locations.markers": lambda ev: ev.locations.markers(west=4.0, south=52.0, east=5.0, north=53.0, zoom=10),
    "start_charge": lambda ev: ev.start_charge(CARD, EVSE),
    "charge": lambda ev: ev.charge(CARD, EVSE).__aenter__(),
    "attach.refresh": lambda ev: ev.attach(SESSION).refresh(),
    "attach.wait_started": lambda ev: ev.attach(SESSION).wait_started(),
    "attach.stop": lambda ev: ev.attach(SESSION).stop(),
    "attach.changes": lambda ev: anext(aiter(ev.attach(SESSION).changes())),
    "reconcile": lambda ev: ev.reconcile(LOST),
    "follow": lambda ev: anext(aiter(ev.follow([SESSION]))),
    "aclose": lambda ev: ev.aclose(),
    "async with": lambda ev: ev.__aexit__(None, None, None),
}


def run_without_a_loop(make: Callable[[], Any]) -> None:
    """Begin a coroutine as trio does, which runs no asyncio."""
    made = make()
    awaitable = made if inspect.iscoroutine(made) else made.__await__()
    try:
        awaitable.send(None)
    finally:
        awaitable.close()


@pytest.mark.parametrize("credentials", ["static token", "client credentials"])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_a_configuration_error(way: str, credentials: str) -> None:
    ev = AsyncShellEV(token_source=StaticToken("t")) if credentials == "static token" else AsyncShellEV("id", "secret")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that is never awaited
        with pytest.raises(ConfigurationError, match="no asyncio event loop is running here"):
            run_without_a_loop(lambda: WAYS[way](ev))


def test_a_client_that_could_not_be_closed_there_still_works_and_closes() -> None:
    ev = AsyncShellEV(token_source=StaticToken("t"), base_url="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(ConfigurationError):
        run_without_a_loop(ev.aclose)
    asyncio.run(ev.aclose())
    with pytest.raises(ConfigurationError, match="closed"):
        asyncio.run(ev.charging.active(CARD))


async def test_a_call_in_a_callback_of_the_loop_and_in_no_task_is_a_configuration_error() -> None:
    errors: list[BaseException] = []
    done = asyncio.Event()
    async with AsyncShellEV(token_source=StaticToken("t"), base_url="http://127.0.0.1:9") as ev:

        def callback() -> None:
            coroutine = ev.charging.active(CARD)
            try:
                coroutine.send(None)
            except BaseException as error:
                errors.append(error)
            finally:
                coroutine.close()
                done.set()

        asyncio.get_running_loop().call_soon(callback)
        await done.wait()
    assert [type(error) for error in errors] == [ConfigurationError]
