"""Fixtures: a clock that moves when told to, the service without sockets, and the sandbox behind a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import pytest

from shell_ev.sandbox import Dialect, Sandbox, SandboxReply, SandboxRequest, Service

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
LOCATION_ROOTS = {
    Dialect.V1_PASCAL: "/locations/v1/ev",
    Dialect.V1: "/ev/v1/locations",
    Dialect.V2: "/ev/v2/locations",
}


class ManualClock:
    """Time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = 1_718_782_617.985998

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


@attrs.frozen
class Asked:
    """One way of asking for an operation."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    document: dict[str, Any] | None = None


def start_call(dialect: Dialect, card: str = CARD, evse_id: str = EVSE) -> Asked:
    """Build the start of a dialect as the contract writes it."""
    if dialect is Dialect.V1_PASCAL:
        return Asked("POST", "/ev/v1/charge-session/start", (), {"EvChargeNumber": card, "EvseId": evse_id})
    path = f"/ev/{dialect.value}/charge-session/start"
    return Asked("POST", path, (), {"evChargeNumber": card, "evseId": evse_id})


def stop_call(dialect: Dialect, session_id: str) -> Asked:
    """Build the stop of a dialect."""
    if dialect is Dialect.V1_PASCAL:
        return Asked("POST", f"/ev/v1/charge-session/stop/{session_id}", (), {"SesssionId": session_id})
    return Asked("POST", f"/ev/{dialect.value}/charge-session/stop", (("sessionId", session_id),))


def retrieve_call(dialect: Dialect, session_id: str) -> Asked:
    """Build the retrieve of a dialect."""
    if dialect is Dialect.V1_PASCAL:
        return Asked("GET", f"/ev/v1/charge-session/retrieve/{session_id}", (("SessionId", session_id),))
    return Asked("GET", f"/ev/{dialect.value}/charge-session/retrieve", (("sessionId", session_id),))


def active_call(dialect: Dialect, card: str = CARD) -> Asked:
    """Build the active of a dialect."""
    if dialect is Dialect.V1_PASCAL:
        return Asked("GET", "/ev/v1/charge-session/active", (("EmaId", card),))
    return Asked("GET", f"/ev/{dialect.value}/charge-session/active", (("emaId", card),))


class Caller:
    """Asks a service without sockets, with a token and a request id."""

    card = CARD
    evse = EVSE
    request_id = REQUEST_ID
    start_call = staticmethod(start_call)
    stop_call = staticmethod(stop_call)
    retrieve_call = staticmethod(retrieve_call)
    active_call = staticmethod(active_call)

    def __init__(self, service: Service) -> None:
        self.service = service
        self.headers = {"RequestId": REQUEST_ID, "Authorization": f"Bearer {self.fetch_token()}"}

    def fetch_token(self) -> str:
        form = b"grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.service.handle(SandboxRequest("POST", "/v2/oauth/token", (), headers, form))
        assert reply.status == 200
        return str(json.loads(reply.body)["access_token"])

    def ask(self, asked: Asked, **headers: str) -> SandboxReply:
        sent = {**self.headers, **headers}
        body = b""
        if asked.document is not None:
            body = json.dumps(asked.document).encode()
            sent.setdefault("Content-Type", "application/json")
        return self.service.handle(SandboxRequest(asked.method, asked.path, asked.query, sent, body))

    def get(self, path: str, /, **query: str) -> SandboxReply:
        return self.ask(Asked("GET", path, tuple(query.items())))

    def locations(self, dialect: Dialect, tail: str = "", /, **query: str) -> Any:
        reply = self.get(LOCATION_ROOTS[dialect] + tail, **query)
        assert reply.status == 200, reply.body
        document = json.loads(reply.body)
        return document if dialect is Dialect.V1_PASCAL else document["data"]

    def start(self, dialect: Dialect = Dialect.V2, card: str = CARD, evse_id: str = EVSE) -> str:
        reply = self.ask(start_call(dialect, card, evse_id))
        assert reply.status == 202, reply.body
        document = json.loads(reply.body)
        if dialect is Dialect.V1_PASCAL:
            return str(document["Data"][0]["SessionId"])
        return str(document["data"][0]["sessionId"])

    def stop(self, session_id: str) -> int:
        return self.ask(stop_call(Dialect.V2, session_id)).status

    def session(self, session_id: str) -> dict[str, Any]:
        reply = self.ask(retrieve_call(Dialect.V2, session_id))
        assert reply.status == 200, reply.body
        found: dict[str, Any] = json.loads(reply.body)["data"][0]
        return found

    def state(self, session_id: str) -> str:
        return str(self.session(session_id)["sessionState"]["status"]).lower()

    def active(self, card: str = CARD) -> list[str]:
        reply = self.ask(active_call(Dialect.V2, card))
        assert reply.status == 200, reply.body
        return [item["id"] for item in json.loads(reply.body)["data"]]


class WireClient:
    """Asks a listening sandbox over a real socket."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http
        self.token = ""

    async def fetch_token(self) -> str:
        basic = aiohttp.encode_basic_auth(self.sandbox.client_id, self.sandbox.client_secret)
        form = {"grant_type": "client_credentials"}
        url = self.sandbox.url + "/v2/oauth/token"
        async with self.http.post(url, data=form, headers={"Authorization": basic}) as reply:
            self.token = (await reply.json())["access_token"]
        return self.token

    async def ask(self, asked: Asked, **options: Any) -> tuple[int, bytes, Any]:
        if not self.token:
            await self.fetch_token()
        headers = {"RequestId": REQUEST_ID, "Authorization": f"Bearer {self.token}"}
        url = self.sandbox.url + asked.path
        async with self.http.request(
            asked.method, url, params=asked.query, json=asked.document, headers=headers, **options
        ) as reply:
            return reply.status, await reply.read(), reply.headers


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def service(clock: ManualClock) -> Service:
    """The service without sockets, on the clock of the test."""
    return Service(clock=clock, stations=200)


@pytest.fixture
def caller(service: Service) -> Caller:
    """A caller with a token."""
    return Caller(service)


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    """The sandbox behind a socket, on the clock of the test."""
    async with Sandbox(clock=clock, stations=0) as running:
        yield running


@pytest.fixture
async def wire(sandbox: Sandbox) -> AsyncIterator[WireClient]:
    """A raw HTTP client of the listening sandbox."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        yield WireClient(sandbox, http)
