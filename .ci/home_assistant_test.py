"""The coordinator of examples/home_coordinator.py in Home Assistant itself. .ci/home_assistant runs it."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady, HomeAssistantError
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from pytest_homeassistant_custom_component.common import MockConfigEntry

HOST = types.ModuleType("tiny_host")
HOST.__dict__.update(
    ConfigEntry=ConfigEntry,
    ConfigEntryAuthFailed=ConfigEntryAuthFailed,
    ConfigEntryNotReady=ConfigEntryNotReady,
    DataUpdateCoordinator=DataUpdateCoordinator,
    HomeAssistant=HomeAssistant,
    HomeAssistantError=HomeAssistantError,
    UpdateFailed=UpdateFailed,
    async_get_clientsession=async_get_clientsession,
)
sys.modules["tiny_host"] = HOST

from home_coordinator import ShellEVCoordinator  # noqa: E402 - the names of the host come first

EVSE = "NL*TNM*E02003451*0"


@pytest.fixture
def sandbox() -> Iterator[str]:
    """The URL of a sandbox in a process of its own: Home Assistant checks the threads of this one."""
    command = [sys.executable, "-m", "shell_ev.sandbox", "--port", "0", "--speed", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
        process.terminate()


@pytest.fixture(autouse=True)
def sockets(socket_enabled: None) -> None:
    """Sockets to this machine."""


def coordinator(hass: HomeAssistant, url: str, **data: Any) -> ShellEVCoordinator:
    given = {
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "card": "NL-TNM-C00122045-K",
        "location_uid": "1",
    }
    entry = MockConfigEntry(domain="shell_ev", data={**given, **data})
    entry.add_to_hass(hass)
    return ShellEVCoordinator(hass, entry, base_url=url)


async def test_a_charge_from_start_to_stop(hass: HomeAssistant, sandbox: str) -> None:
    made = coordinator(hass, sandbox)
    await made.async_refresh()
    assert made.last_update_success, made.last_exception
    shown: list[str] = []
    remove = made.async_add_listener(lambda: shown.append(str(made.data.session.state)))
    await made.async_start(EVSE)
    assert made.data.is_running
    await made.async_stop()
    assert not made.data.is_running
    assert shown == ["started", "stopped"]
    remove()
    await made.async_shutdown()
    assert not async_get_clientsession(hass).closed


async def test_refused_credentials_ask_for_new_ones(hass: HomeAssistant, sandbox: str) -> None:
    made = coordinator(hass, sandbox, client_secret="wrong")
    with pytest.raises(ConfigEntryAuthFailed):
        await made._async_update_data()
    await made.async_shutdown()


async def test_a_service_that_is_away_is_a_failed_update(hass: HomeAssistant) -> None:
    made = coordinator(hass, "http://127.0.0.1:9")
    await made.async_refresh()
    assert not made.last_update_success
    assert isinstance(made.last_exception, UpdateFailed)
    await made.async_shutdown()
