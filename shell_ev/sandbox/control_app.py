"""The console and the control API as a part of the server: access first, then the file, the answer or the stream."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from aiohttp import web

from shell_ev.sandbox.access import Access, Caller, Refused
from shell_ev.sandbox.console_files import FOLDER, SAFE_HEADERS, console_files
from shell_ev.sandbox.control import ROOT, Control, ControlCall
from shell_ev.sandbox.control_values import read_body

_TICK = 0.1
_BEAT = 15.0
_READERS = 64


class ControlApp:
    """Serves the console and the control API."""

    def __init__(self, control: Control, access: Access) -> None:
        """Serve this control API under these rules."""
        self._control = control
        self._access = access
        self._readers = 0

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path belongs to the console or the control API."""
        return path == "/" or path.startswith("/_sandbox/") or path == "/_sandbox"

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for a path of its own."""
        path = request.rel_url.raw_path
        caller = Caller(_peer(request), request.headers.get, request.cookies.get(_cookie(request)))
        try:
            self._access.check_host(caller)
            if path == "/" or path.startswith(FOLDER):
                return _file(request, path)
            if not path.startswith(f"{ROOT}/") and path != ROOT:
                raise Refused(404, "not-found", f"There is no {path}. The control API is at {ROOT}.")
            self._access.check_origin(caller)
            if path == f"{ROOT}/session":
                return await self._session(request)
            self._access.check_token(caller)
            if path == f"{ROOT}/events":
                return await self._events(request)
            body = read_body(request.headers.get("Content-Type"), await request.read())
            call = ControlCall(request.method, path.removeprefix(ROOT), dict(request.query), body)
            answer = self._control.answer(call)
            return _json(200, answer) if answer is not None else web.Response(status=204, headers=SAFE_HEADERS)
        except Refused as refusal:
            return _json(refusal.status, {"error": {"code": refusal.code, "message": refusal.message}})
        except web.HTTPRequestEntityTooLarge:
            return _json(413, {"error": {"code": "too-large", "message": "The body is too large."}})

    async def _session(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            raise Refused(405, "method-not-allowed", "/session takes POST.")
        body = read_body(request.headers.get("Content-Type"), await request.read())
        session = self._access.exchange(body.get("token"))
        response = web.Response(status=204, headers=SAFE_HEADERS)
        response.set_cookie(
            _cookie(request), session, path="/_sandbox/", httponly=True, samesite="Strict", secure=request.secure
        )
        return response

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "GET":
            raise Refused(405, "method-not-allowed", "/events takes GET.")
        if self._readers >= _READERS:
            raise Refused(503, "too-many-readers", f"{_READERS} readers follow the events already.")
        response = web.StreamResponse(headers={**SAFE_HEADERS, "Content-Type": "text/event-stream"})
        self._readers += 1
        try:
            await response.prepare(request)
            reader, quiet = self._control.reader(), 0.0
            await response.write(b"retry: 1000\nevent: hello\ndata: {}\n\n")
            while True:
                await asyncio.sleep(_TICK)
                document = reader.take()
                quiet = 0.0 if document else quiet + _TICK
                if document is not None:
                    # Waits for a slow reader, so that no more than one document waits in memory.
                    await response.write(b"event: change\ndata: " + _dumps(document) + b"\n\n")
                elif quiet >= _BEAT:
                    quiet = 0.0
                    await response.write(b": still here\n\n")
        except ConnectionResetError:
            return response
        finally:
            self._readers -= 1


def _file(request: web.BaseRequest, path: str) -> web.StreamResponse:
    if request.method not in ("GET", "HEAD"):
        raise Refused(405, "method-not-allowed", "The console takes GET.")
    found = console_files().get(path)
    if found is None:
        raise Refused(404, "not-found", f"There is no {path}.")
    return web.Response(body=found.body, headers=SAFE_HEADERS, content_type=found.content_type, charset="utf-8")


def _json(status: int, document: Any) -> web.Response:
    return web.Response(status=status, body=_dumps(document), headers=SAFE_HEADERS, content_type="application/json")


def _dumps(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _peer(request: web.BaseRequest) -> str | None:
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(cast("tuple[object, ...]", peer)[0]) if isinstance(peer, tuple) and peer else None


def _cookie(request: web.BaseRequest) -> str:
    # Cookies do not know ports, and two sandboxes may run on one host.
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return f"shell_ev_console_{name[1] if isinstance(name, tuple) else 0}"
