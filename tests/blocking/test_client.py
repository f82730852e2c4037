"""The blocking client in one process: threads, running loops, iterators, and what its methods look like."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import inspect
import operator
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web
from blocking_scripts import CARD, EVSE, Script, loop_threads

from shell_ev import (
    AccessToken,
    AsyncShellEV,
    ConfigurationError,
    NotFoundError,
    RequestTimeoutError,
    ShellEV,
    ValidationError,
    sync,
)
from shell_ev.charges.charge import AsyncCharge
from shell_ev.core.call import Reply, Request
from shell_ev.core.deadlines import Deadline
from shell_ev.core.transport import Transport
from shell_ev.endpoints.charging import AsyncCharging
from shell_ev.endpoints.locations import AsyncLocations
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.sync import blocking_docstring

#: That of asyncio also knows the marks of Python 3.11; it is deprecated from 3.14 on.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 14) else asyncio.iscoroutinefunction

Make = Callable[..., ShellEV]
NOWHERE = "123e4567-e89b-12d3-a456-426614174000"


def test_inside_a_running_loop(script: Callable[..., Script]) -> None:
    """As in a notebook: the cell runs inside a loop, and may await as well."""
    script("""
        import asyncio
        from shell_ev import AsyncShellEV
        async def cell():
            # A blocking call holds the loop it is made in, which asyncio's debug mode remarks upon.
            asyncio.get_running_loop().slow_callback_duration = 60
            ev = ShellEV.from_env()
            print(call(ev))
            async with AsyncShellEV.from_env() as other:
                print((await other.charging.active(CARD)).status_code, call(ev))
            await asyncio.sleep(0)
            print(call(ev))
            ev.close()
        asyncio.run(cell())
    """).ends("200", "200 200", "200")


def test_thirty_two_threads_on_one_client(sandbox: Sandbox, ev: ShellEV) -> None:
    together = threading.Barrier(32)
    uids = [location.uid for location in ev.locations.iterate() if location.uid]
    sandbox.revoke_tokens()
    sandbox.requests.clear()

    def work(number: int) -> bool:
        together.wait()
        return all(
            ev.locations.get(uid).data.uid == uid for uid in (uids[(number + step) % len(uids)] for step in range(5))
        )

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))
    assert sum(request.operation == "token" for request in sandbox.requests) == 1
    assert sum(thread.name == "shell_ev" for thread in threading.enumerate()) == 1


def test_a_first_call_from_thirty_two_threads_starts_one_thread_and_fetches_one_token(
    sandbox: Sandbox, ev: ShellEV
) -> None:
    together = threading.Barrier(32)

    def work(_: int) -> int:
        together.wait()
        return ev.charging.active(CARD).status_code

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(work, range(32))) == {200}
    assert sum(request.operation == "token" for request in sandbox.requests) == 1
    assert sum(thread.name == "shell_ev" for thread in threading.enumerate()) == 1


def test_use_after_close(ev: ShellEV) -> None:
    twin = ev.with_options(max_retries=1)
    unused = ev.locations.iterate()
    ev.charging.active(CARD)
    twin.close()  # does nothing
    ev.charging.active(CARD)
    ev.close()
    ev.close()
    for client in (ev, twin):
        with pytest.raises(ConfigurationError, match="closed"):
            client.charging.active(CARD)
    with pytest.raises(ConfigurationError, match="closed"):
        next(unused)


def test_a_client_that_was_never_used_starts_no_thread(make_client: Make) -> None:
    before = loop_threads()
    with make_client() as ev:
        assert loop_threads() == before
    with pytest.raises(ConfigurationError, match="closed"):
        ev.charging.active(CARD)


def test_the_block_closes_and_lets_the_exception_through(make_client: Make) -> None:
    before = loop_threads()
    with pytest.raises(ZeroDivisionError), make_client() as ev:
        ev.charging.active(CARD)
        assert len(loop_threads() - before) == 1
        raise ZeroDivisionError
    assert loop_threads() == before


class CallingBack:
    """A token source that makes the mistake of calling the client it serves."""

    def __init__(self) -> None:
        self.client: ShellEV | None = None
        self.close = False

    async def acquire(self) -> AccessToken:
        assert self.client is not None
        if self.close:
            self.client.close()
            await asyncio.sleep(60)
        self.client.charging.active(CARD)
        raise AssertionError

    def invalidate(self, token: AccessToken) -> None:
        pass


def test_a_call_on_the_clients_own_loop_is_refused(make_client: Make) -> None:
    source = CallingBack()
    source.client = make_client(token_source=source)
    with pytest.raises(ConfigurationError, match="inside the client's own event loop"):
        source.client.charging.active(CARD)
    source.close = True
    with pytest.raises(ConfigurationError, match="closed during the call"):
        source.client.charging.active(CARD)
    source.client.close()
    source.client = None


def test_an_idle_connection_that_the_server_closed_meanwhile(wait_until: Callable[..., None]) -> None:
    """The second POST goes over a new connection, and goes once."""
    starts: list[tuple[Any, bytes]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if "token" in request.path:
            return web.json_response({"access_token": "a-token-of-some-length", "expires_in": 3600})
        starts.append((request.transport, body))
        data = {"requestId": NOWHERE, "status": "SUCCESS", "data": [{"sessionId": NOWHERE}]}
        return web.json_response(data, status=202)

    with (
        serving(lambda: web.Server(answer, keepalive_timeout=0.05, access_log=None)) as url,
        ShellEV("id", "secret", base_url=url, max_retries=0) as ev,
    ):
        assert ev.charging.start(CARD, EVSE).data.session_id == NOWHERE
        wait_until(starts[0][0].is_closing)
        assert ev.charging.start(CARD, EVSE).data.session_id == NOWHERE
    assert len(starts) == 2
    assert starts[0][0] is not starts[1][0]


class serving:
    """An aiohttp server in a thread."""

    def __init__(self, make: Callable[[], web.Server]) -> None:
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _do(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _open(self) -> str:
        self._server = self._make()
        self._listener = await self._loop.create_server(self._server, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        self._listener.close()
        await self._server.shutdown(1)

    def __enter__(self) -> str:
        self._thread.start()
        return str(self._do(self._open()))

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_iterators_come_as_plain_ones(sandbox: Sandbox, ev: ShellEV) -> None:
    everything = [location.uid for location in ev.locations.iterate(per_page=4)]
    assert len(everything) == len(set(everything)) > 8
    sandbox.requests.clear()
    for location in ev.locations.iterate(per_page=4):
        assert location.uid == everything[0]
        break
    assert len(sandbox.requests) == 1
    gc.collect()
    assert not [item for item in gc.get_objects() if inspect.isasyncgen(item) and item.ag_frame is not None]


def test_errors_come_through_as_they_are(sandbox: Sandbox, ev: ShellEV) -> None:
    with pytest.raises(NotFoundError) as missing:
        ev.charging.retrieve(NOWHERE)
    assert missing.value.status_code == 404
    names = [frame.name for frame in traceback.extract_tb(missing.value.__traceback__)]
    assert names[0] == "test_errors_come_through_as_they_are"
    assert names.index("run") < names.index("retrieve")
    assert missing.value.__context__ is None
    with pytest.raises(ValidationError, match="session_id"):
        ev.charging.retrieve("..")
    with pytest.raises(TypeError, match="session_id"):
        ev.charging.retrieve()  # type: ignore[call-arg]
    sandbox.faults.add("charging.retrieve", Fault.hang())
    with pytest.raises(TimeoutError) as late:
        ev.charging.retrieve(NOWHERE, timeout=0.1)
    assert type(late.value) is RequestTimeoutError


def test_context_variables_reach_the_request(sandbox: Sandbox, ev: ShellEV, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
    seen: list[str] = []
    send = Transport.send

    async def noting(self: Transport, request: Request, connect_within: float | None, deadline: Deadline) -> Reply:
        seen.append(tenant.get())
        return await send(self, request, connect_within, deadline)

    ev.charging.active(CARD)
    monkeypatch.setattr(Transport, "send", noting)

    def work(name: str) -> None:
        tenant.set(name)
        ev.charging.active(CARD)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert sorted(seen) == ["a", "b", "c", "d"]


def test_copies_share_thread_connections_and_token(sandbox: Sandbox, ev: ShellEV) -> None:
    before = loop_threads()
    twin = ev.with_options(api_version="v1", timeout=5)
    assert (twin.config.api_version, twin.config.timeout.total) == ("v1", 5)
    assert ev.config.api_version == "v2"
    assert ev.charging.active(CARD).status_code == twin.charging.active(CARD).status_code == 200
    assert [request.path for request in sandbox.requests if request.operation != "token"] == [
        "/ev/v2/charge-session/active",
        "/ev/v1/charge-session/active",
    ]
    assert sum(request.operation == "token" for request in sandbox.requests) == 1
    assert len(loop_threads() - before) == 1


def test_a_client_is_not_pickled_nor_copied(ev: ShellEV) -> None:
    ev.charging.active(CARD)
    for refuse in (pickle.dumps, copy.deepcopy):
        for thing in (ev, ev.charging, ev.locations):
            with pytest.raises(TypeError):
                refuse(thing)
    with pytest.raises(TypeError, match="make a client where it is used"):
        copy.copy(ev)


PAIRS = [
    (AsyncCharging, sync.Charging),
    (AsyncLocations, sync.Locations),
    (AsyncCharge, sync.Charge),
    (AsyncShellEV, ShellEV),
]
RENAMED = {"close": "aclose"}
METHODS = [
    pytest.param(getattr(theirs, RENAMED.get(name, name)), method, id=f"{ours.__name__}.{name}")
    for theirs, ours in PAIRS
    for name, method in inspect.getmembers(ours, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize(("original", "method"), METHODS)
def test_methods_look_like_their_originals(original: Callable[..., object], method: Callable[..., object]) -> None:
    assert inspect.getdoc(method)
    assert not inspect.iscoroutinefunction(method)
    assert not inspect.isasyncgenfunction(method)
    assert not _is_coroutine_function(method)
    theirs, ours = inspect.signature(original), inspect.signature(method)
    assert list(ours.parameters) == list(theirs.parameters)
    if original.__name__ not in ("follow", "aclose", "with_options"):  # written out by hand
        assert inspect.getdoc(method) == blocking_docstring(inspect.getdoc(original))
        assert ours.parameters == theirs.parameters


@pytest.mark.parametrize(
    ("method", "returns"),
    [
        ("charging.start", "ApiResponse[StartedSession]"),
        ("locations.iterate", "Iterator[Location]"),
        ("charge", "ChargeBlock"),
        ("start_charge", "Charge"),
        ("attach", "Charge"),
    ],
)
def test_help_shows_what_comes_back(method: str, returns: str) -> None:
    found = operator.attrgetter(method)(ShellEV("id", "secret"))
    assert inspect.signature(found).return_annotation == returns


def test_the_groups_are_complete() -> None:
    for theirs, ours in PAIRS[:2]:
        names = {name for name in vars(ours) if not name.startswith("_")}
        assert names == {name for name in vars(theirs) if not name.startswith("_")}
