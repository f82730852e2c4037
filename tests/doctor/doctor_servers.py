"""Servers for the doctor's tests: sandboxes behind TLS or with a wrong clock, refusing proxies, dead hosts."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import attrs
import trustme

from shell_ev.sandbox import Sandbox
from shell_ev.sandbox.app import build_server
from shell_ev.sandbox.records import SandboxReply, SandboxRequest

CLIENT_ID = "sandbox-client"
SECRET = "sandbox-secret"


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts that authority alone."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def self_signed() -> ssl.SSLContext:
    """A server's context with a self-signed certificate."""
    authority = trustme.CA(organization_name="Test Authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as chain:
        context.load_cert_chain(chain, key)
    return context


def with_its_authority(authority: trustme.CA, certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context that sends the authority's certificate along with its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = trustme.Blob(certificate.cert_chain_pems[0].bytes() + authority.cert_pem.bytes())
    with certificate.private_key_pem.tempfile() as key, chain.tempfile() as path:
        context.load_cert_chain(path, key)
    return context


@asynccontextmanager
async def behind_tls(context: ssl.SSLContext, host: str = "localhost") -> AsyncIterator[tuple[Sandbox, str]]:
    """A sandbox behind TLS, and its URL."""
    sandbox = Sandbox(stations=5)
    loop = asyncio.get_running_loop()
    protocols = build_server(sandbox.service)
    listener = await loop.create_server(protocols, "127.0.0.1", 0, ssl=context)
    try:
        yield sandbox, f"https://{host}:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await protocols.shutdown()


def set_clock(sandbox: Sandbox, *, ahead: float) -> None:
    """Make every answer of a sandbox carry a Date that is so many seconds ahead."""
    answer = sandbox.service.handle

    def handle(request: SandboxRequest) -> SandboxReply:
        reply = answer(request)
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        return attrs.evolve(reply, headers=(*reply.headers, ("Date", date)))

    sandbox.service.handle = handle  # type: ignore[method-assign]


def answer_everything(sandbox: Sandbox, reply: SandboxReply) -> None:
    """Make the sandbox answer every request with ``reply``."""
    sandbox.service.handle = lambda request: reply  # type: ignore[method-assign]


@contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port of this machine that neither accepts nor refuses connections: a connect waits for ever."""
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        waiting = []
        try:
            # Linux drops connection requests when the queue of a listener is full.
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                waiting.append(filler)
            yield listener.getsockname()[1]
        finally:
            for filler in waiting:
                filler.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that runs ``serve`` for each connection; its port. A peer that closes early is no error."""
    open_connections: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        try:
            await serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            open_connections.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(open_connections):
            task.cancel()
        while open_connections:
            await asyncio.sleep(0)


@attrs.define
class ProxyServer:
    """A small forward proxy: CONNECT, and absolute URLs of plain http. Refuses with ``refuse`` if that is set."""

    refuse: str | None = None
    """Status and reason, such as ``403 Forbidden``."""
    headers: tuple[str, ...] = ()
    """Header lines of a refusal."""
    login: str | None = None
    """Value of Proxy-Authorization that lets a request through."""
    requests: list[str] = attrs.field(factory=list)
    """Request lines, in the order received."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        self.requests.append(first)
        sent = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        refuse = self.refuse
        if self.login is not None and sent.get("proxy-authorization") != self.login:
            refuse = "407 Proxy Authentication Required"
        if refuse is not None:
            body = "<html><body>Refused by the proxy.</body></html>"
            fields = [*self.headers, "Content-Type: text/html", f"Content-Length: {len(body)}", "Connection: close"]
            writer.write("\r\n".join((f"HTTP/1.1 {refuse}", *fields, "", body)).encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        method, target, _ = first.split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", parts.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = target.removeprefix(f"{parts.scheme}://{parts.netloc}")
            kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
            onward.write("\r\n".join((f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", "")).encode())
        try:
            await asyncio.gather(_copy(reader, onward), _copy(onward_reader, writer))
        finally:
            onward.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(
    refuse: str | None = None,
    *,
    login: str | None = None,
    headers: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ProxyServer]:
    """A running proxy."""
    served = ProxyServer(refuse, headers, login)
    async with listening(served.serve, tls) as port:
        served.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        yield served
