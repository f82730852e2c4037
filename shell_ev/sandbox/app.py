"""A thin shell of aiohttp around the service: sockets in, sockets out, and replies that go wrong on purpose."""

from __future__ import annotations

import math
import socket
import struct

from aiohttp import web
from multidict import CIMultiDict

from shell_ev.sandbox.control_app import ControlApp
from shell_ev.sandbox.records import Ending, SandboxReply, SandboxRequest
from shell_ev.sandbox.service import Service

_NO_LINGER = struct.pack("ii", 1, 0)


def build_server(service: Service, control: ControlApp | None = None) -> web.Server:
    """Build the protocol factory that serves a service, and beside it the control API when one is given."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if control is not None and control.owns(request.rel_url.raw_path):
            return await control.serve(request)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="The request is too large.")
        asked = SandboxRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            query=tuple(request.query.items()),
            headers=request.headers,
            body=body,
        )
        reply = service.handle(asked)
        silence = math.inf if reply.ending is Ending.HANG else reply.delay
        if silence > 0:
            await service.hold_back(asked, silence)
        return await _send(request, reply)

    # With handler_cancellation a hanging handler ends when its client leaves.
    return web.Server(handler, handler_cancellation=True, access_log=None, lingering_time=0.0)


def build_console_server(control: ControlApp) -> web.Server:
    """Build the protocol factory that serves the console and the control API alone."""
    return web.Server(control.serve, handler_cancellation=True, access_log=None, lingering_time=0.0)


async def _send(request: web.BaseRequest, reply: SandboxReply) -> web.StreamResponse:
    if reply.ending is Ending.NORMAL:
        return web.Response(status=reply.status, headers=CIMultiDict(reply.headers), body=reply.body)
    if reply.ending is Ending.TRUNCATED:
        response = web.StreamResponse(status=reply.status, headers=CIMultiDict(reply.headers))
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
        _hang_up(request, reset=False)
        return response
    _hang_up(request, reset=reply.ending is Ending.RESET)
    return web.Response()


def _hang_up(request: web.BaseRequest, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if not reset:
        transport.close()
        return
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        # A linger time of zero turns the close into a TCP reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
