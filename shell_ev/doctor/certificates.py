"""Server certificates: their contents, and in words why one is not trusted."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from .streams import Stream, encrypt

Opener = Callable[[], AbstractAsyncContextManager[Stream]]
"""Opens a new connection to the server, through a proxy if there is one, without TLS."""

# OpenSSL's X509_V_ERR_*.
NOT_YET_VALID, EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_ROOT, _NO_ISSUER, _NO_ISSUER_FIRST = 18, 19, 20, 21
_WRONG_NAME, _WRONG_ADDRESS = 62, 64
TIME_CODES = frozenset({NOT_YET_VALID, EXPIRED})
NAME_CODES = frozenset({_WRONG_NAME, _WRONG_ADDRESS})
TRUST_CODES = frozenset({_SELF_SIGNED, _SELF_SIGNED_ROOT, _NO_ISSUER, _NO_ISSUER_FIRST})
#: X509_V_FLAG_NO_CHECK_TIME; the ssl module has no name for it.
_NO_CHECK_TIME = 0x200000


@attrs.frozen
class Certificate:
    """The fields of a certificate that findings show."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """Host names and addresses it is valid for."""
    not_before: datetime | None
    not_after: datetime | None

    @classmethod
    def of(cls, stream: Stream) -> Certificate | None:
        """The certificate of a verified TLS session; None for a session that did not request one."""
        raw = None if stream.tls is None else stream.tls.getpeercert()
        return _read(raw) if raw else None

    def is_valid_at(self, moment: float) -> bool:
        """Whether the certificate is valid at a time in Unix seconds."""
        return (self.not_before is None or self.not_before.timestamp() <= moment) and (
            self.not_after is None or moment <= self.not_after.timestamp()
        )


def _read(raw: dict[str, Any]) -> Certificate:
    return Certificate(
        subject=_name(raw.get("subject", ())),
        issuer=_name(raw.get("issuer", ())),
        names=tuple(str(value) for _, value in raw.get("subjectAltName", ())),
        not_before=_moment(raw.get("notBefore")),
        not_after=_moment(raw.get("notAfter")),
    )


def _name(parts: Any) -> str:
    fields = {key: str(value) for part in parts for key, value in part}
    words = [fields[key] for key in ("commonName", "organizationName") if key in fields]
    return ", ".join(dict.fromkeys(words)) or "(no name)"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def unverified_context() -> ssl.SSLContext:
    """A context that verifies nothing, to read a certificate or a Date header. No credentials are sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def fetch_untrusted(open_stream: Opener, host: str, seconds: float) -> Certificate | None:
    """The certificate of a server that is not trusted; None if it cannot be read."""
    try:
        async with open_stream() as stream:
            await encrypt(stream, unverified_context(), host, seconds)
            der = stream.tls.getpeercert(binary_form=True) if stream.tls is not None else None
        if der is None:
            return None
        # Python decodes only verified certificates: verify it against itself, without date and name.
        context = unverified_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=der)
        context.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
        async with open_stream() as stream:
            await encrypt(stream, context, host, seconds)
            return Certificate.of(stream)
    except Exception:
        # The finding is complete without these details.
        return None


def described(certificate: Certificate | None) -> str:
    """A certificate in brackets, for the end of a sentence."""
    if certificate is None:
        return ""
    until = f", valid until {certificate.not_after:%Y-%m-%d}" if certificate.not_after is not None else ""
    return f" (certificate for {certificate.subject}, issued by {certificate.issuer}{until})"


def explain_distrust(
    error: ssl.SSLCertVerificationError, host: str, certificate: Certificate | None, *, given: bool
) -> tuple[str, str]:
    """Why a certificate is not trusted, and what to do.

    Args:
        error: The verification error.
        host: Host name that was connected to.
        certificate: The certificate, if it could be read.
        given: Whether the context is one given as ``ssl=``.
    """
    code = error.verify_code
    if code in TIME_CODES:
        return _out_of_time(code, certificate), (
            "The operator of the server has to renew the certificate. If it is renewed already, check this machine's "
            "clock."
        )
    if code in NAME_CODES:
        names = ", ".join(certificate.names[:5]) if certificate is not None and certificate.names else "other hosts"
        return (
            f"the certificate is for {names} and not for {host}: wrong host name{described(certificate)}",
            "Check the host in base_url (SHELL_EV_BASE_URL). If it is right, another server answers in its place: "
            "a proxy, a captive portal (log in to the network first), or a wrong entry in DNS or the hosts file.",
        )
    where = "the SSLContext given as ssl=" if given else "this machine"
    if code == _SELF_SIGNED:
        return (
            f"the certificate is self-signed and {where} does not trust it{described(certificate)}",
            f"If the server is yours, trust its certificate: {_HOW}. If it should be Shell's, another server answers "
            "in its place: do not trust it, ask your network's administrator.",
        )
    if code in TRUST_CODES:
        chain = "a chain with a self-signed root" if code == _SELF_SIGNED_ROOT else "an unknown authority"
        return (
            f"the certificate is signed by {chain}, which {where} does not trust{described(certificate)}",
            f"{_no_authorities(given)}A company's proxy that intercepts TLS does this: get its authority's "
            f"certificate (PEM) from your network's administrator and trust it: {_HOW}.",
        )
    return (
        f"the certificate is not accepted: {error.verify_message}{described(certificate)}",
        f"Check the server's certificate. To trust another authority: {_HOW}.",
    )


_HOW = "SSL_CERT_FILE=ca.pem in the environment, or ssl=ssl.create_default_context(cafile='ca.pem')"


def _out_of_time(code: int, certificate: Certificate | None) -> str:
    if code == EXPIRED:
        date = certificate.not_after if certificate is not None else None
        return f"the certificate has expired{f' on {date:%Y-%m-%d %H:%M} UTC' if date else ''}{described(certificate)}"
    date = certificate.not_before if certificate is not None else None
    return f"the certificate is not yet valid{f', not before {date:%Y-%m-%d %H:%M} UTC' if date else ''}"


def trust_paths() -> str:
    """Paths where this Python finds the authorities it trusts; empty if there are none."""
    # typeshed has no None here; Python returns it for a path that does not exist.
    paths: tuple[str | None, ...] = ssl.get_default_verify_paths()
    return ", ".join(path for path in paths[:2] if path)


def _no_authorities(given: bool) -> str:
    if given:
        return ""
    named = os.environ.get("SSL_CERT_FILE")
    if named and not Path(named).is_file():
        return "SSL_CERT_FILE names a file that does not exist. "
    if not trust_paths():
        return "This Python trusts no authority at all: install the system's certificates (ca-certificates). "
    return ""
