"""A coordinator in the manner of Home Assistant: polls a location and a card's charge through the host's session.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    python examples/home_coordinator.py

In Home Assistant the names out of ``tiny_host`` come from ``homeassistant``, and nothing else changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tiny_host import (
    ConfigEntry,
    ConfigEntryAuthFailed,
    DataUpdateCoordinator,
    HomeAssistant,
    HomeAssistantError,
    UpdateFailed,
    async_get_clientsession,
)

from shell_ev import (
    AsyncShellEV,
    ChargeSession,
    CredentialsRefusedError,
    Location,
    SessionState,
    ShellEVError,
    UnauthorizedError,
)

logger = logging.getLogger(__name__)

WHEN_IDLE = timedelta(minutes=5)
WHEN_CHARGING = timedelta(seconds=30)
OVER = (SessionState.STOPPED, SessionState.FAILED_TO_START)


@dataclass(frozen=True)
class Charging:
    """What the entities show."""

    location: Location
    session: ChargeSession | None
    """The card's charge at this location: the running one, else the last one seen."""

    @property
    def is_running(self) -> bool:
        """Whether to poll often, and whether there is a charge to stop."""
        return self.session is not None and self.session.state not in OVER


class ShellEVCoordinator(DataUpdateCoordinator[Charging]):
    """Keeps a location and a charge up to date for all entities of one entry."""

    def __init__(self, hass: HomeAssistant, config_entry: ConfigEntry, **options: Any) -> None:
        super().__init__(hass, logger, config_entry=config_entry, name="shell_ev", update_interval=WHEN_IDLE)
        self._card: str = config_entry.data["card"]
        self._location_uid: str = config_entry.data["location_uid"]
        self.ev = AsyncShellEV(
            config_entry.data["client_id"],
            config_entry.data["client_secret"],
            http_session=async_get_clientsession(hass),
            user_agent_suffix="HomeAssistant",
            **options,
        )
        self._session: ChargeSession | None = None

    async def _async_update_data(self) -> Charging:
        try:
            location = (await self.ev.locations.get(self._location_uid)).data
            self._session = await self._look(location)
        except (CredentialsRefusedError, UnauthorizedError) as error:
            raise ConfigEntryAuthFailed(str(error)) from error
        except ShellEVError as error:
            raise UpdateFailed(str(error), retry_after=getattr(error, "retry_after", None)) from error
        charging = Charging(location, self._session)
        self.update_interval = WHEN_CHARGING if charging.is_running else WHEN_IDLE
        return charging

    async def _look(self, location: Location) -> ChargeSession | None:
        here = {evse.evse_id for evse in location.evses}
        for session in (await self.ev.charging.active(self._card)).data:
            if session.evse_id in here:
                return session
        if self._session is None or self._session.id is None or self._session.state in OVER:
            return self._session
        # No longer among the active ones: how did it end?
        return (await self.ev.charging.retrieve(self._session.id)).data

    async def async_start(self, evse_id: str) -> None:
        """Start a charge, for a button. Raises HomeAssistantError with the text for the user."""
        try:
            charge = await self.ev.start_charge(self._card, evse_id)
            self._session = await charge.wait_started(timeout=60)
        except ShellEVError as error:
            await self.async_request_refresh()
            raise HomeAssistantError(str(error)) from error
        await self._show()

    async def async_stop(self) -> None:
        """Stop the charge, for a button. Raises HomeAssistantError with the text for the user."""
        if self._session is None or self._session.id is None:
            raise HomeAssistantError("nothing is charging")
        try:
            self._session = await self.ev.attach(self._session.id).stop()
        except ShellEVError as error:
            await self.async_request_refresh()
            raise HomeAssistantError(str(error)) from error
        await self._show()

    async def _show(self) -> None:
        """Show the session as it is now. A requested refresh is debounced: entities would show the old one for 10 s."""
        if self.data is None:
            await self.async_refresh()
            return
        charging = replace(self.data, session=self._session)
        self.update_interval = WHEN_CHARGING if charging.is_running else WHEN_IDLE
        self.async_set_updated_data(charging)

    async def async_shutdown(self) -> None:
        """When the entry is unloaded. The aiohttp session is the host's and stays open; a charge goes on."""
        await super().async_shutdown()
        await self.ev.aclose()


async def main() -> None:
    """What the host does with it: set up, listen, press buttons, unload."""
    hass = HomeAssistant()
    entry = ConfigEntry(
        {
            "client_id": os.environ["SHELL_EV_CLIENT_ID"],
            "client_secret": os.environ["SHELL_EV_CLIENT_SECRET"],
            "card": "NL-TNM-C00122045-K",
            "location_uid": "1",
        }
    )
    coordinator = ShellEVCoordinator(hass, entry, base_url=os.environ.get("SHELL_EV_BASE_URL"))

    def show() -> None:
        session = coordinator.data.session
        print(coordinator.data.location.operator_name, "-", session.state if session is not None else "no charge")

    try:
        await coordinator.async_config_entry_first_refresh()
        remove = coordinator.async_add_listener(show)
        await coordinator.async_start("NL*TNM*E02003451*0")
        await coordinator.async_stop()
        remove()
        await coordinator.async_shutdown()
        print("unloaded; the host's session is", "closed" if hass.session.closed else "open")
    finally:
        await hass.async_stop()


if __name__ == "__main__":
    asyncio.run(main())
