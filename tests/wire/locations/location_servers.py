"""A server that answers as a test says, for what the sandbox would never send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from shell_ev.sandbox import RecordedRequest, Sandbox

Answer = Callable[[web.BaseRequest], tuple[int, bytes]]


class AnswerServer:
    """Answers every request with a status and a JSON body, and keeps what was asked, as it came over the wire."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.targets: list[str] = []
        self.request_ids: list[str] = []
        self.url = ""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.targets.append(request.raw_path)
        self.request_ids.append(request.headers["RequestId"])
        status, body = self._answer(request)
        return web.Response(status=status, body=body, content_type="application/json")

    async def __aenter__(self) -> Self:
        self._protocols = web.Server(self._handle, access_log=None)
        self._listener = await asyncio.get_running_loop().create_server(self._protocols, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self._protocols.shutdown(1)
        await self._listener.wait_closed()


def saying(document: Any, status: int = 200) -> Answer:
    """Always the same answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda _: (status, body)


def page_number(request: web.BaseRequest) -> int:
    """The page a request asks for."""
    return int(request.rel_url.query["pageNumber"])


def paging(pages: dict[int, Any], beyond: Any = ()) -> Answer:
    """Page by page; a page is a list of items, or an int for that status; ``beyond`` is every other page."""

    def answer(request: web.BaseRequest) -> tuple[int, bytes]:
        page = pages.get(page_number(request), beyond)
        if isinstance(page, int):
            return page, b'{"status": "FAILED", "errors": [{"code": "E", "message": "words"}]}'
        return 200, json.dumps({"status": "SUCCESS", "data": list(page)}).encode()

    return answer


def asked(sandbox: Sandbox) -> list[RecordedRequest]:
    """What the sandbox was asked so far, tokens aside."""
    return [request for request in sandbox.requests if request.operation != "token"]
