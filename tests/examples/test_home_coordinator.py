"""The coordinator on its tiny host: what it polls, what its errors become, and whose the session is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from example_processes import CARD, EXAMPLES, ROOT, commands_of, environment, header_of, variables_for

from shell_ev.sandbox import EXAMPLE_EVSE, FAILING_EVSES, Fault, Sandbox

Make = Callable[..., Any]


@pytest.fixture
async def host(examples_importable: None) -> AsyncIterator[Any]:
    from tiny_host import HomeAssistant

    hass = HomeAssistant()
    yield hass
    await hass.async_stop()


@pytest.fixture
async def make(host: Any, sandbox: Sandbox) -> AsyncIterator[Make]:
    """Makes coordinators of the sandbox on the one host, and unloads them."""
    from home_coordinator import ShellEVCoordinator
    from tiny_host import ConfigEntry

    made: list[Any] = []

    def one(**changes: Any) -> Any:
        data = {
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "card": CARD,
            "location_uid": "1",
        }
        options = {"base_url": sandbox.url, "max_retries": 0}
        coordinator = ShellEVCoordinator(host, ConfigEntry({**data, **changes}), **options)
        made.append(coordinator)
        return coordinator

    yield one
    for coordinator in made:
        await coordinator.async_shutdown()


async def test_it_follows_a_charge_from_start_to_end(make: Make, sandbox: Sandbox) -> None:
    from home_coordinator import WHEN_CHARGING, WHEN_IDLE

    coordinator = make()
    await coordinator.async_config_entry_first_refresh()
    assert coordinator.data.location.uid == "1"
    assert (coordinator.data.session, coordinator.update_interval) == (None, WHEN_IDLE)

    await coordinator.async_start(EXAMPLE_EVSE)
    assert coordinator.data.session.state == "started"
    assert coordinator.update_interval == WHEN_CHARGING

    # The car is full: nobody stopped it, and the service no longer lists it as active.
    sandbox.end_charge(sandbox.charges[0].session_id)
    await coordinator.async_refresh()
    assert coordinator.data.session.state == "stopped"
    assert coordinator.update_interval == WHEN_IDLE
    assert coordinator.last_update_success

    looks = len(sandbox.requests)
    await coordinator.async_refresh()
    assert coordinator.data.session.state == "stopped"
    assert [request.operation for request in list(sandbox.requests)[looks:]] == ["locations.get", "charging.active"]


async def test_entities_show_the_end_at_once_after_a_stop(make: Make, sandbox: Sandbox) -> None:
    """A requested refresh is debounced by the real host: the second within ten seconds comes late."""
    coordinator = make()
    await coordinator.async_config_entry_first_refresh()
    shown: list[str] = []
    coordinator.async_add_listener(lambda: shown.append(str(coordinator.data.session.state)))
    await coordinator.async_start(EXAMPLE_EVSE)
    assert shown[-1] == "started"
    await coordinator.async_stop()
    assert shown[-1] == "stopped"
    assert coordinator.data.session.state == "stopped"
    assert coordinator.update_interval.total_seconds() == 300


async def test_the_host_debounces_requested_refreshes(make: Make, sandbox: Sandbox) -> None:
    coordinator = make()
    for _ in range(3):
        await coordinator.async_request_refresh()
    assert sum(request.operation == "locations.get" for request in sandbox.requests) == 1


async def test_it_sees_a_charge_that_was_started_elsewhere_and_stops_it(make: Make, sandbox: Sandbox) -> None:
    one, other = make(), make()
    await one.async_start(EXAMPLE_EVSE)
    await other.async_refresh()
    assert other.data.session.id == one.data.session.id
    await other.async_stop()
    assert sandbox.charges[0].is_over
    elsewhere = make(location_uid="2")
    await one.async_start(EXAMPLE_EVSE)
    await elsewhere.async_refresh()
    assert elsewhere.data.session is None


async def test_refused_credentials_ask_for_new_ones(make: Make, sandbox: Sandbox) -> None:
    from tiny_host import ConfigEntryAuthFailed

    coordinator = make(client_secret="wrong")
    with pytest.raises(ConfigEntryAuthFailed, match="401"):
        await coordinator.async_config_entry_first_refresh()
    await coordinator.async_refresh()
    assert coordinator.config_entry.reauths == 1
    assert "wrong" not in str(coordinator.last_exception)


FAULTS = {"503": Fault.unavailable(), "429": Fault.rate_limit(90), "dropped": Fault.drop(), "garbage": Fault.garbage()}
TROUBLES = [
    (operation, fault)
    for operation in ("locations.get", "charging.active", "token")
    for fault in FAULTS
    # Garbage instead of a token is refused credentials, as far as anybody can tell.
    if (operation, fault) != ("token", "garbage")
]


@pytest.mark.parametrize(("operation", "fault"), TROUBLES)
async def test_other_errors_are_failed_updates(make: Make, sandbox: Sandbox, operation: str, fault: str) -> None:
    from tiny_host import ConfigEntryNotReady, UpdateFailed

    coordinator = make()
    sandbox.faults.always(operation, FAULTS[fault])
    with pytest.raises(ConfigEntryNotReady):
        await coordinator.async_config_entry_first_refresh()
    assert isinstance(coordinator.last_exception, UpdateFailed)
    assert coordinator.last_exception.retry_after == (90 if fault == "429" else None)
    assert coordinator.config_entry.reauths == 0

    sandbox.faults.clear()
    await coordinator.async_refresh()
    assert coordinator.last_update_success


async def test_two_clients_share_the_hosts_session_and_leave_it_open(make: Make, host: Any, sandbox: Sandbox) -> None:
    from tiny_host import async_get_clientsession

    one, other = make(), make()
    host.session.headers["X-Host"] = "its own"
    await one.async_refresh()
    await other.async_refresh()
    assert {request.headers.get("X-Host") for request in sandbox.requests} == {"its own"}
    await one.async_shutdown()
    session = async_get_clientsession(host)
    assert not session.closed
    await other.async_refresh()
    assert other.last_update_success
    await other.async_shutdown()
    async with session.get(f"{sandbox.url}/nothing") as response:
        assert response.status == 404


async def test_it_polls_while_there_is_a_listener(make: Make, sandbox: Sandbox) -> None:
    coordinator = make()
    await coordinator.async_config_entry_first_refresh()
    coordinator.update_interval = timedelta(seconds=0.01)
    updated = asyncio.Event()
    remove = coordinator.async_add_listener(updated.set)
    await asyncio.wait_for(updated.wait(), 10)
    remove()
    assert coordinator._timer is None


async def test_what_the_user_sees(make: Make, sandbox: Sandbox) -> None:
    from tiny_host import HomeAssistantError

    coordinator = make()
    with pytest.raises(HomeAssistantError, match="nothing is charging"):
        await coordinator.async_stop()
    with pytest.raises(HomeAssistantError, match="EvseOutOfService"):
        await coordinator.async_start(FAILING_EVSES["EvseOutOfService"])


def test_the_command_of_the_header(sandbox: Sandbox) -> None:
    command = commands_of(header_of(EXAMPLES / "home_coordinator.py"))[0]
    assert command.arguments == ["python", "examples/home_coordinator.py"]
    done = subprocess.run(
        [sys.executable, "-W", "error", *command.arguments[1:]],
        cwd=ROOT,
        env=environment(variables_for(sandbox)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "unloaded; the host's session is open"
    assert "stopped" in done.stdout
    assert sandbox.charges[0].is_over
