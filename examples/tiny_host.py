"""As much of Home Assistant as the coordinator beside it needs, under the same names and with the same signatures.

Home Assistant is far too large to install for an example. On it, this file is not needed: the comments name the modules
that hold the real things.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

import aiohttp

T = TypeVar("T")


class HomeAssistantError(Exception):
    """An error whose text the user reads (homeassistant.exceptions)."""


class ConfigEntryNotReady(HomeAssistantError):
    """The first update failed: set up again later (homeassistant.exceptions)."""


class ConfigEntryAuthFailed(HomeAssistantError):
    """The credentials are refused: the user has to give new ones (homeassistant.exceptions)."""


class UpdateFailed(HomeAssistantError):
    """An update failed; the next one, after ``retry_after`` seconds if given, may not (helpers.update_coordinator)."""

    def __init__(self, *args: Any, retry_after: float | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class ConfigEntry:
    """What the user set up, once per account (homeassistant.config_entries)."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.reauths = 0

    def async_start_reauth(self, hass: HomeAssistant) -> None:
        """Ask the user for new credentials."""
        self.reauths += 1


class HomeAssistant:
    """The host: one event loop and one aiohttp session for all integrations (homeassistant.core)."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession()

    async def async_stop(self) -> None:
        """The end of the host, which alone closes the session."""
        await self.session.close()


def async_get_clientsession(hass: HomeAssistant) -> aiohttp.ClientSession:
    """The session that all integrations share (homeassistant.helpers.aiohttp_client)."""
    return hass.session


class DataUpdateCoordinator(Generic[T]):
    """Fetches data every ``update_interval`` while there is a listener (homeassistant.helpers.update_coordinator)."""

    #: Seconds in which several requests for a refresh are answered by one, as in the real one.
    REQUEST_REFRESH_COOLDOWN = 10.0

    def __init__(
        self,
        hass: HomeAssistant,
        logger: logging.Logger,
        *,
        config_entry: ConfigEntry,
        name: str,
        update_interval: timedelta,
    ) -> None:
        self.hass = hass
        self.logger = logger
        self.config_entry = config_entry
        self.name = name
        self.update_interval = update_interval
        self.data: T = None  # type: ignore[assignment]  # as in the real one, until the first refresh
        self.last_update_success = True
        self.last_exception: Exception | None = None
        self._debounced: asyncio.TimerHandle | None = None
        self._cooling_until = 0.0
        self._listeners: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def _async_update_data(self) -> T:
        raise NotImplementedError

    async def async_config_entry_first_refresh(self) -> None:
        """The first update. Raises ConfigEntryNotReady, or ConfigEntryAuthFailed as it is."""
        await self._refresh(raise_on_auth_failed=True)
        if not self.last_update_success:
            raise ConfigEntryNotReady from self.last_exception

    async def async_refresh(self) -> None:
        """An update now; what fails is kept in ``last_exception``."""
        await self._refresh()

    async def async_request_refresh(self) -> None:
        """An update soon: at once if the last request is ten seconds ago, else when they are over."""
        now = asyncio.get_running_loop().time()
        if now >= self._cooling_until:
            self._cooling_until = now + self.REQUEST_REFRESH_COOLDOWN
            await self.async_refresh()
        elif self._debounced is None:
            self._debounced = asyncio.get_running_loop().call_at(self._cooling_until, self._due)

    def async_set_updated_data(self, data: T) -> None:
        """New data without an update: listeners are called and the interval begins anew."""
        self._unschedule()
        self.data, self.last_update_success, self.last_exception = data, True, None
        if self._listeners:
            self._schedule(self.update_interval.total_seconds())
        self._call_listeners()

    def async_add_listener(self, update_callback: Callable[[], None]) -> Callable[[], None]:
        """Be called after each update; the first listener starts the polling, removing the last one ends it."""
        self._listeners.append(update_callback)
        if len(self._listeners) == 1:
            self._schedule(self.update_interval.total_seconds())

        def remove() -> None:
            self._listeners.remove(update_callback)
            if not self._listeners:
                self._unschedule()

        return remove

    async def async_shutdown(self) -> None:
        """No more updates; one under way is cancelled."""
        self._unschedule()
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    async def _refresh(self, *, raise_on_auth_failed: bool = False) -> None:
        self._unschedule()
        pause: float | None = self.update_interval.total_seconds()
        try:
            self.data = await self._async_update_data()
        except UpdateFailed as error:
            self._failed(error)
            pause = error.retry_after or pause
        except ConfigEntryAuthFailed as error:
            self._failed(error)
            pause = None  # polling on would lock the account
            if raise_on_auth_failed:
                raise
            self.config_entry.async_start_reauth(self.hass)
        else:
            self.last_update_success, self.last_exception = True, None
        if self._listeners and pause is not None:
            self._schedule(pause)
        self._call_listeners()

    def _call_listeners(self) -> None:
        for update_callback in list(self._listeners):
            update_callback()

    def _failed(self, error: Exception) -> None:
        if self.last_update_success:
            self.logger.error("cannot fetch %s: %s", self.name, error)
        self.last_update_success, self.last_exception = False, error

    def _schedule(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _unschedule(self) -> None:
        for timer in (self._timer, self._debounced):
            if timer is not None:
                timer.cancel()
        self._timer = self._debounced = None

    def _due(self) -> None:
        self._refreshing = asyncio.get_running_loop().create_task(self.async_refresh())
