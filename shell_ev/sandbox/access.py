"""Who may use the control API and the console: this machine, and with a token those who come by a name it was given."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

import attrs

_SESSIONS_KEPT = 256
_LOOPBACK_NAME = "localhost"


class Refused(Exception):
    """A request that the control API does not answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Keep the status of the answer, a word for programs and a sentence for people."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@attrs.frozen
class Caller:
    """What is known of a caller before its request is read."""

    peer: str | None
    """Address of the other end of the connection."""
    header: Callable[[str], str | None]
    cookie: str | None = None


class Access:
    """The rules. Every control request passes `check_host`; those of the API pass `check_origin` and `check_token`."""

    def __init__(self, console_host: str | None = None) -> None:
        """Begin with a fresh token.

        Args:
            console_host: Name or address by which other machines open the console; `0.0.0.0` or `::` allows every
                address, but no name. None keeps the console to this machine.
        """
        self._console_host = None if console_host is None else console_host.strip("[]").lower()
        self.token: str = secrets.token_urlsafe(24)
        """What other machines exchange for a cookie."""
        self._sessions: deque[str] = deque(maxlen=_SESSIONS_KEPT)

    @property
    def needs_token(self) -> bool:
        """Whether there are callers who need the token."""
        return self._console_host is not None

    def check_host(self, caller: Caller) -> None:
        """Refuse other machines, and names that a hostile DNS server may have pointed here.

        Raises:
            Refused: The caller is not on this machine, or its Host header names something else.
        """
        if self._console_host is None and not _is_local(caller):
            raise Refused(
                403,
                "loopback-only",
                "The console answers on this machine only. Run the sandbox with --console-host to open it to others.",
            )
        host = _hostname(caller.header("Host"))
        if host is None or not (_is_loopback(host) or self._is_console_host(host)):
            raise Refused(
                403,
                "host-refused",
                f"The Host header names {host or 'nothing'!r}. The console answers to localhost, 127.0.0.1 and ::1, "
                "and to the name given with --console-host.",
            )

    def check_origin(self, caller: Caller) -> None:
        """Refuse what a page of another origin makes a browser send.

        Raises:
            Refused: The request comes from another origin.
        """
        origin = caller.header("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != (caller.header("Host") or "").lower():
            raise Refused(403, "origin-refused", f"The request comes from the origin {origin!r}, not from the console.")
        if (caller.header("Sec-Fetch-Site") or "none") not in ("same-origin", "none"):
            raise Refused(403, "origin-refused", "The request comes from a page of another site, not from the console.")

    def check_token(self, caller: Caller) -> None:
        """Refuse other machines that have not exchanged the token yet.

        Raises:
            Refused: The caller has no valid cookie.
        """
        if _is_local(caller) and _is_loopback(_hostname(caller.header("Host")) or ""):
            return
        cookie = caller.cookie or ""
        if not any(hmac.compare_digest(cookie.encode(), session.encode()) for session in self._sessions):
            raise Refused(
                401,
                "token-needed",
                'Send the token of the console once: POST /_sandbox/v1/session with {"token": "..."}.',
            )

    def exchange(self, token: object) -> str:
        """Return the value of a cookie for the token.

        Raises:
            Refused: The token is wrong.
        """
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), self.token.encode()):
            raise Refused(401, "token-refused", "The token is wrong. The sandbox prints it when it starts.")
        session = secrets.token_urlsafe(24)
        self._sessions.append(session)
        return session

    def _is_console_host(self, host: str) -> bool:
        wanted = self._console_host
        if wanted is None:
            return False
        address = _address(wanted)
        if address is not None and address.is_unspecified:
            return _address(host) is not None
        return host == wanted


def _is_local(caller: Caller) -> bool:
    # Behind a proxy of this machine the other end of the connection says nothing about the caller.
    forwarded = any(caller.header(name) for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP"))
    return not forwarded and _is_loopback(caller.peer or "")


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == _LOOPBACK_NAME if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _hostname(host: str | None) -> str | None:
    if not host:
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
