"""The prices of locations, one look-up by id each: V2 has no other way. Prints nothing but what it could not get."""

from __future__ import annotations

import asyncio

import attrs

from .. import ApiError, Location, ShellEVError
from .running import Run

_AT_ONCE = 5


class Prices:
    """The tariffs of a provider, each location looked up once. The client's budget limits the requests.

    Args:
        run: Context of the command.
        provider: Id of the provider.
    """

    def __init__(self, run: Run, provider: str) -> None:
        self._run = run
        self._provider = provider
        self._known: dict[str, Location] = {}

    async def of(self, locations: list[Location]) -> list[Location]:
        """The locations with their tariffs. One without an answer stays as it is, with a message."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def priced(location: Location) -> Location:
            if location.uid is None:
                return location
            if location.uid not in self._known:
                async with slots:
                    try:
                        answer = await self._run.client.locations.get(location.uid, provider_id=self._provider)
                    except ApiError as error:
                        self._run.out.note(f"no prices of location {location.uid}: {error}")
                        return location
                self._known[location.uid] = answer.data
            return _with_tariffs(location, self._known[location.uid])

        tasks = [asyncio.ensure_future(priced(location)) for location in locations]
        try:
            return [await task for task in tasks]
        except (ShellEVError, asyncio.CancelledError):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise


def _with_tariffs(location: Location, priced: Location) -> Location:
    # Only tariffs are taken over: states come from one answer for all locations.
    tariffs = {connector.uid: connector.tariffs for evse in priced.evses for connector in evse.connectors}
    evses = tuple(
        attrs.evolve(
            evse,
            connectors=tuple(
                attrs.evolve(connector, tariffs=tariffs.get(connector.uid, connector.tariffs))
                for connector in evse.connectors
            ),
        )
        for evse in location.evses
    )
    return attrs.evolve(location, evses=evses)
