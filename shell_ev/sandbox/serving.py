"""A thread with an event loop of its own, in which a server runs for blocking code.

Knows that a server starts and closes, and nothing else of it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol


class Server(Protocol):
    """What runs in the thread."""

    async def start(self) -> None:
        """Listen."""

    async def close(self) -> None:
        """Stop listening."""


class ServingThread:
    """Runs a sandbox for blocking code."""

    def __init__(self, server: Server) -> None:
        """Serve this one."""
        self._server = server
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="shell-ev-sandbox", daemon=True)

    def begin(self) -> None:
        """Return once it listens; raises what keeps it from that."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that serves."""
        if self._loop is None:
            raise RuntimeError("the sandbox has not been started")
        return self._loop

    def end(self) -> None:
        """Close it and end the thread."""
        if self._loop is not None and self._leave is not None:
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # handed over to the thread that waits in begin()
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        try:
            self._ready.set()
            await self._leave.wait()
        finally:
            await self._server.close()
