"""Tokens: where they come from, how long they are used, and that fifty callers fetch one.

Knows OAuth's answers (contract section 2) and a clock; how a token request travels is handed in.
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import attrs

from ..errors import AuthenticationError, ConfigurationError, ShellEVError, one_line
from ..models.response import Headers
from ..wire.codec import parse_json
from ..wire.error_bodies import read_error_body
from ..wire.operations import form_body
from ..wire.values import is_object
from .call import Reply

#: A token is renewed this long before it ends, or a fifth of its life if that is less: skew never eats a short one.
_EARLY = 60.0
_EARLY_SHARE = 0.2
#: After a failed early renewal the old token serves on for at least this long before the next attempt.
_RENEWAL_PAUSE = 5.0


def _no_pickle(self: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} holds a secret and is not pickled; build it where it is used")


@attrs.frozen
class AccessToken:
    """A bearer token. ``expires_at`` is for a source's own use, on whatever clock it likes; the client ignores it."""

    value: str = attrs.field(repr=lambda _: "'***'")  #: The token itself.
    expires_at: float | None = None  #: When it ends, for the source's own use.

    __reduce__ = _no_pickle


@runtime_checkable
class TokenSource(Protocol):
    """Where a client gets its tokens. ``acquire`` is asked before every call: it should cache."""

    async def acquire(self) -> AccessToken:
        """A token to use now."""
        ...

    def invalidate(self, token: AccessToken) -> None:
        """The service refused this very token; do not hand it out again."""
        ...


def _checked_credential(name: str, value: object) -> list[str]:
    if not isinstance(value, str) or not value:
        return [f"{name} must be a text that is not empty"]
    if value != value.strip():
        return [f"{name} begins or ends with white space"]
    try:
        value.encode()
    except UnicodeEncodeError:
        return [f"{name} holds half a surrogate pair, which no encoding can carry"]
    return []


@attrs.frozen
class ClientCredentials:
    """OAuth2 client credentials (contract section 2). ``scope`` is a space-separated list, sent only when given."""

    client_id: str  #: Who asks.
    client_secret: str = attrs.field(repr=lambda _: "'***'")  #: What proves it.
    scope: str | None = None  #: Space-separated list; None is not sent.

    def __attrs_post_init__(self) -> None:
        faults = _checked_credential("client_id", self.client_id) + _checked_credential(
            "client_secret", self.client_secret
        )
        if not faults and ":" in self.client_id:
            faults.append("client_id must not hold a colon: HTTP Basic cannot carry one")
        if self.scope is not None:
            faults += _checked_credential("scope", self.scope)
        if faults:
            raise ConfigurationError("; ".join(faults))

    __reduce__ = _no_pickle

    @property
    def basic(self) -> str:
        """Value of the Authorization header of a token request."""
        pair = f"{self.client_id}:{self.client_secret}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show anywhere: the secret, and what carries it."""
        return self.client_secret, self.basic.removeprefix("Basic ")

    @property
    def form(self) -> bytes:
        """Body of a token request."""
        fields = {"grant_type": "client_credentials"}
        if self.scope is not None:
            fields["scope"] = self.scope
        return form_body(fields)


@attrs.frozen
class StaticToken:
    """One token that is never renewed: for a token made elsewhere, and for tests."""

    token: str = attrs.field(repr=lambda _: "'***'")  #: The token itself.

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.token, str) or not usable_token(self.token):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("token must be a text that is not empty, of ASCII characters without white space")

    __reduce__ = _no_pickle

    async def acquire(self) -> AccessToken:
        """The token."""
        return AccessToken(self.token)

    def invalidate(self, token: AccessToken) -> None:
        """Nothing to do: there is no other token."""


class Grant(NamedTuple):
    """A token as the token endpoint granted it; ``lifetime`` in seconds, None when the service did not say."""

    token: AccessToken
    lifetime: float | None


def read_lifetime(value: Any) -> float | None:
    """``expires_in`` as seconds: a number, also as text; anything else is None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def read_grant(reply: Reply, mask: Callable[[str], str] = str) -> Grant:
    """A token out of the token endpoint's answer.

    Raises AuthenticationError with what the endpoint said, passed through ``mask``, if there is none.
    """
    if not 200 <= reply.status <= 299:
        said = read_error_body(reply.body, mask)
        parts = [part for part in (said.code, said.message) if part]
        raise AuthenticationError(
            f"the token endpoint refused with {reply.status}{': ' if parts else ''}{' - '.join(parts)}",
            error=said.code,
            error_description=said.message,
            status_code=reply.status,
            headers=_masked(reply.headers, mask),
        )
    try:
        body = parse_json(reply.body)
    except ValueError:
        body = None
    fields = body if is_object(body) else {}
    value = fields.get("access_token")
    if not isinstance(value, str) or not usable_token(value):
        raise AuthenticationError(
            f"the token endpoint answered {reply.status} without a usable access_token; is the token URL right?",
            status_code=reply.status,
            headers=_masked(reply.headers, mask),
        )
    return Grant(AccessToken(value), read_lifetime(fields.get("expires_in")))


def _masked(headers: Headers, mask: Callable[[str], str]) -> Headers:
    return Headers(tuple((name, mask(value.decode("utf-8", "replace")).encode()) for name, value in headers.raw))


def usable_token(value: str) -> bool:
    """Whether a text can travel in an Authorization header."""
    # "!" to "~". A caller's source is asked on every call: a loop over the characters of a JWT would take 33 us.
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


Fetch = Callable[[], Awaitable[Grant]]


class TokenCache:
    """A token source over a fetch: one fetch at a time, early renewal in the background, invalidation by identity.

    Two windows: near its end a token is renewed in the background while it still serves, and a failed renewal costs
    nobody anything; past its end callers wait for the one fetch under way. ``fetch_early`` is what renews in the
    background, if that is to be told apart.
    """

    def __init__(
        self, fetch: Fetch, clock: Callable[[], float] = time.monotonic, fetch_early: Fetch | None = None
    ) -> None:
        self._fetch = fetch
        self._fetch_early = fetch_early or fetch
        self._clock = clock
        self._token: AccessToken | None = None
        self._renew_at = math.inf
        self._ends_at = math.inf
        self._fetching: asyncio.Task[AccessToken] | None = None

    def cached(self) -> AccessToken | None:
        """The current token if it serves for a while yet: nearly always, and then nobody needs to wait or ask."""
        return self._token if self._clock() < self._renew_at else None

    async def acquire(self) -> AccessToken:
        """The current token, renewed or fetched as needed. Raises what the fetch raised."""
        token = self._token
        if token is not None:
            now = self._clock()
            if now < self._renew_at:
                return token
            if now < self._ends_at:
                self._start_fetch(self._fetch_early)
                return token
        fetching = self._start_fetch(self._fetch)
        # Waited for, not awaited: a caller that gives up must not take the token from the others.
        await asyncio.wait([fetching])
        if fetching.cancelled():
            raise ConfigurationError("the client was closed while it fetched a token")
        return fetching.result()

    def _start_fetch(self, fetch: Fetch) -> asyncio.Task[AccessToken]:
        loop = asyncio.get_running_loop()
        fetching = self._fetching
        if fetching is None or fetching.done() or fetching.get_loop() is not loop:
            fetching = self._fetching = loop.create_task(self._renew(fetch), name="shell_ev token")
            fetching.add_done_callback(_consume)
        return fetching

    async def _renew(self, fetch: Fetch) -> AccessToken:
        asked_at = self._clock()
        try:
            grant = await fetch()
        except ShellEVError:
            self._renew_at = min(self._clock() + _RENEWAL_PAUSE, self._ends_at)
            raise
        # Counted from before the request: the service's clock for it started no earlier.
        if grant.lifetime is None:
            self._renew_at = self._ends_at = math.inf
        else:
            self._ends_at = asked_at + grant.lifetime
            self._renew_at = self._ends_at - min(_EARLY, grant.lifetime * _EARLY_SHARE)
        self._token = grant.token
        return grant.token

    def invalidate(self, token: AccessToken) -> None:
        """Forget this token, unless it has been replaced already: 200 callers refused together cost one fetch."""
        if self._token is not None and self._token.value == token.value:
            self._token = None

    async def aclose(self) -> None:
        """End a fetch under way."""
        fetching, self._fetching = self._fetching, None
        self._token = None
        if fetching is not None and not fetching.done() and fetching.get_loop() is asyncio.get_running_loop():
            fetching.cancel()
            await asyncio.wait([fetching])


def _consume(task: asyncio.Task[AccessToken]) -> None:
    # A background renewal that failed has nobody waiting: look at its outcome, so that asyncio does not complain.
    if not task.cancelled():
        task.exception()


class ValidatedSource:
    """A caller's token source: whatever it raises or gives, the request loop meets a token or an error of ours."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def cached(self) -> AccessToken | None:
        """Always None: only the source knows."""
        return None

    async def acquire(self) -> AccessToken:
        """A token, checked to be one that can travel."""
        try:
            token = await self._source.acquire()
        except (ShellEVError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise _source_failed(error) from error
        value = getattr(token, "value", None)
        if not isinstance(value, str) or not usable_token(value):
            raise AuthenticationError("the token source gave something that is no token")
        return token

    def invalidate(self, token: AccessToken) -> None:
        """Tell the source that its token was refused."""
        try:
            self._source.invalidate(token)
        except ShellEVError:
            raise
        except Exception as error:
            raise _source_failed(error) from error


def _source_failed(error: Exception) -> AuthenticationError:
    return AuthenticationError(f"the token source failed: {one_line(type(error).__name__, 80)}")


#: What the request loop takes its tokens from: they can travel, and errors are ours.
CheckedSource = TokenCache | ValidatedSource
