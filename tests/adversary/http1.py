"""As much of HTTP/1.1 as the adversary needs, byte by byte. Knows nothing of charging."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple
from urllib.parse import unquote

REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    425: "Too Early",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class HttpRequest(NamedTuple):
    """One request as it arrived. Header names are in lower case, the path is still percent-encoded."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class BrokenRequest(Exception):
    """The client sent something that is no request."""


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request of a connection; None when the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _ = lines[0].split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        size = int(headers.get("content-length", "0"))
    except ValueError:
        raise BrokenRequest(lines[0]) from None
    if "transfer-encoding" in headers:
        raise BrokenRequest("a chunked request")
    try:
        body = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    path, _, query = target.partition("?")
    pairs = (part.partition("=") for part in query.split("&") if part)
    return HttpRequest(method, path, {unquote(name): unquote(value) for name, _, value in pairs}, headers, body)


def render(status: int, headers: dict[str, str], body: bytes) -> bytes:
    """A whole answer; 204 and 304 have no body."""
    bodiless = status in (204, 304)
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not bodiless:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if bodiless else body)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
