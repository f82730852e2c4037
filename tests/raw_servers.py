"""Servers that do with a connection exactly what a test says."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

SESSION = "c3e332f0-1bb2-4f50-a96b-e075bbb71e68"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """A server that does with each connection exactly what a test says; gives its URL.

    At the end it cancels the handlers that are left and closes every connection, so that no test leaves a socket.
    """
    handlers: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for _ in range(2):  # connections that were accepted a moment ago begin their handlers
            await asyncio.sleep(0)
        for task in handlers:
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
        await asyncio.sleep(0)  # the transports close their sockets


class RawService(socketserver.ThreadingTCPServer):
    """A raw server: every start is accepted, every session runs until its stop."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RawServiceHandler)
        self.paths: list[str] = []
        self.hang_on = "nothing"
        self.stopped = False
        self.hanging = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _RawServiceHandler(socketserver.StreamRequestHandler):
    server: RawService

    def handle(self) -> None:
        while line := self.rfile.readline():
            path = line.split()[1].decode()
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            self.rfile.read(length)
            if path == "/until-a-request-hangs":
                self.server.hanging.wait(10)
            self.server.paths.append(path.partition("?")[0].rpartition("/")[2])
            if self.server.hang_on in path:
                self.server.hanging.set()
                self.rfile.read()
                return
            self.server.stopped |= "stop" in path
            state = "Stopped" if self.server.stopped else "Started"
            session = {"sessionId": SESSION, "id": SESSION, "sessionState": {"status": state}}
            body = json.dumps({"status": "SUCCESS", "data": [session]}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
