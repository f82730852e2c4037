"""A gateway that echoes what it was sent, and more: neither token nor client secret shows in what an error tells."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fakes import CARD, EVSE

from shell_ev import AsyncShellEV, ShellEVError
from shell_ev.observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, Waiting

SECRET = "k3y/with+signs-and-some-length"
BASIC = base64.b64encode(f"the-id:{SECRET}".encode()).decode()
TOKENS = ["first-token-0123456789", "second-token-0123456789", "third-token-0123456789"]


class _Recorder(CallObserver):
    def __init__(self, reported: list[object]) -> None:
        self._reported = reported

    def try_ended(self, event: TryEnded) -> None:
        self._reported.append(event)

    def waits(self, event: Waiting) -> None:
        self._reported.append(event)

    def ended(self, event: CallEnded) -> None:
        self._reported.append(event)


class _Ear(Observer):
    def __init__(self) -> None:
        self.reported: list[object] = []

    def call_began(self, call: CallInfo) -> CallObserver:
        self.reported.append(call)
        return _Recorder(self.reported)


def echoing(status: int, body: Callable[[str], bytes]) -> Any:
    """A service whose every answer but a token's holds the secrets, in its headers and its body."""
    tokens = iter(TOKENS)

    async def handler(request: web.Request) -> web.Response:
        if "token" in request.path:
            return web.json_response({"access_token": next(tokens), "token_type": "Bearer", "expires_in": 900})
        everything = " ".join([SECRET, BASIC, *TOKENS[:2], request.headers["Authorization"]])
        return web.Response(status=status, body=body(everything), headers={"X-Echo": everything, "Server": SECRET})

    return handler


def _garbage(text: str) -> bytes:
    return f"<html>{text}</html>".encode()


def _strange(text: str) -> bytes:
    return f'{{"requestId": "{text}", "status": "{text}", "data": "{text}", "{text}": [1]}}'.encode()


def _error(text: str) -> bytes:
    return f'{{"requestId": "{text}", "errors": [{{"code": "{SECRET}", "message": "{text}"}}]}}'.encode()


@pytest.mark.parametrize("operation", ["start", "active"])
@pytest.mark.parametrize(
    ("status", "body"),
    [(401, _error), (401, _garbage), (500, _error), (500, _garbage), (200, _garbage), (200, _strange), (302, _garbage)],
)
async def test_an_echo_shows_nothing(
    status: int, body: Callable[[str], bytes], operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ear = _Ear()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", echoing(status, body))
    async with (
        TestServer(application) as server,
        AsyncShellEV("the-id", SECRET, base_url=str(server.make_url("")), observer=ear, max_retries=0) as ev,
    ):
        with pytest.raises(ShellEVError) as caught:
            await (ev.charging.start(CARD, EVSE) if operation == "start" else ev.charging.active(CARD))
    error: Any = caught.value
    places = {
        "text": str(error),
        "repr": repr(error),
        "body": error.body.decode(),
        "headers": repr(error.headers.raw) + repr(dict(error.headers)),
        "fields": repr(vars(error)),
        "pickle": repr(pickle.dumps(error)),
        "traceback": "".join(traceback.format_exception(error)),
        "log": "".join(
            record.getMessage() + repr(record.args) for record in caplog.records if "shell_ev" in record.name
        ),
        "events": repr(ear.reported),
    }
    assert "***" in places["body"]
    assert "***" in places["headers"]
    shown = [
        (place, secret) for place, text in places.items() for secret in (SECRET, BASIC, *TOKENS[:2]) if secret in text
    ]
    if status != 401:  # there is no second token: nobody holds it yet
        shown = [(place, secret) for place, secret in shown if secret != TOKENS[1]]
    assert not shown
