"""A service of locations without sockets: statuses change when the test says, on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fakes import FakeSender, client_over, reply

from shell_ev import AsyncShellEV
from shell_ev.core.call import Reply, Request


class Stations:
    """Locations by uid, each with the statuses of its EVSEs."""

    def __init__(self, **statuses: list[str]) -> None:
        self.statuses = statuses
        self.connectors: dict[str, tuple[str, float]] = {}
        self.faults: dict[str, list[Reply]] = {}
        self.requests: list[tuple[float, str]] = []
        self.sender = FakeSender(always=self._answer)
        self.client: AsyncShellEV = client_over(self.sender, jitter=_half)

    async def _answer(self, request: Request) -> Reply:
        uid = urlsplit(request.url).path.rpartition("/")[2]
        self.requests.append((asyncio.get_running_loop().time(), uid))
        await asyncio.sleep(0.01)
        faults = self.faults.get(uid)
        if faults:
            return faults.pop(0)
        if uid not in self.statuses:
            return reply(404, {"status": "FAILED"})
        kind, power = self.connectors.get(uid, ("Type2Combo", 50))
        evses = [
            {
                "uid": f"{uid}-{number}",
                "evseId": f"NL*TNM*E{number:08d}*0",
                "status": status,
                "connectors": [{"connectorType": kind, "electricalProperties": {"maxElectricPower": power}}],
            }
            for number, status in enumerate(self.statuses[uid])
        ]
        return reply(200, json.dumps({"status": "SUCCESS", "data": [{"uid": uid, "evses": evses}]}).encode())

    def at(self, seconds: float, uid: str, *statuses: str) -> None:
        """Change the statuses of a location later."""
        self.after(seconds, lambda: self.statuses.__setitem__(uid, list(statuses)))

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)


def _half(value: float) -> float:
    return value / 2


def shown(location: Any) -> tuple[str, list[str]]:
    """The uid and the statuses of a location."""
    return location.uid, [evse.status.value for evse in location.evses]
