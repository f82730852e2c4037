"""OAuth tokens: credentials, the cache that renews a token, and the reading of a token endpoint's answer."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, NamedTuple, NoReturn, Protocol, runtime_checkable

import attrs

from ..dialects import ApiVersion
from ..errors import AuthenticationError, ConfigurationError, CredentialsRefusedError, ShellEVError, one_line, shown
from ..redaction import Secret, SecretBytes, Secrets
from ..wire.codec import parse_json
from ..wire.error_bodies import read_error_body, read_oauth_error
from ..wire.operations import Operation, Route, form_body
from ..wire.values import is_object
from .call import Reply

#: A token is renewed this long before it ends, or a fifth of its life if that is less.
_EARLY: Final = 60.0
_EARLY_SHARE: Final = 0.2
#: After a failed early renewal the next attempt is at least this far away; the old token stays in use.
_RENEWAL_PAUSE: Final = 5.0
#: OAuth errors that say that the credentials themselves are refused.
_REFUSED: Final = frozenset({"invalid_client", "unauthorized_client", "invalid_grant", "access_denied"})

TOKEN: Final = Operation(
    name="token",
    repeatable=True,
    routes={version: Route("POST", version.token_path, ()) for version in ApiVersion},
)


def _no_pickle(self: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} holds a secret and is not pickled; build it where it is used")


def _masked(value: object) -> str:
    return "'***'"


def as_secret(value: Any) -> Any:
    """A text as one whose ``repr`` is masked. Anything else is returned as it is: a later check refuses it."""
    return Secret(value) if isinstance(value, str) else value


@attrs.frozen
class AccessToken:
    """A bearer token. The client ignores ``expires_at``: it is for the use of a token source, on any clock."""

    value: str = attrs.field(repr=_masked, converter=as_secret)  #: The token itself.
    expires_at: float | None = None  #: When it ends, for the source's own use.

    def __reduce__(self) -> NoReturn:
        _no_pickle(self)


@runtime_checkable
class TokenSource(Protocol):
    """Where a client gets its tokens. ``acquire`` is called before every call: it should cache."""

    async def acquire(self) -> AccessToken:
        """Return a token to use now."""
        ...

    def invalidate(self, token: AccessToken) -> None:
        """Drop this very token: the service refused it.

        Args:
            token: The token that the service refused.
        """
        ...


def _credential_faults(name: str, value: object) -> list[str]:
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
    """OAuth2 client credentials.

    Args:
        client_id: The client's id.
        client_secret: The client's secret.
        scope: Space-separated list; None is not sent.
        auth: Where id and secret are sent in a token request: ``"basic"`` in the Authorization header, ``"body"`` in
            the form.

    Raises:
        ConfigurationError: One of them cannot be sent.
    """

    client_id: str  #: The client's id.
    client_secret: str = attrs.field(repr=_masked, converter=as_secret)  #: The client's secret.
    scope: str | None = None  #: Space-separated list; None is not sent.
    auth: Literal["basic", "body"] = "basic"  #: Where id and secret are sent.

    def __attrs_post_init__(self) -> None:
        faults = _credential_faults("client_id", self.client_id)
        faults += _credential_faults("client_secret", self.client_secret)
        if self.auth not in ("basic", "body"):
            faults.append(f"auth must be 'basic' or 'body', not {shown(self.auth)}")
        if not faults and self.auth == "basic" and ":" in self.client_id:
            faults.append("client_id must not hold a colon, which HTTP Basic cannot carry; auth='body' can")
        if self.scope is not None:
            faults += _credential_faults("scope", self.scope)
        if faults:
            raise ConfigurationError("; ".join(faults))

    def __reduce__(self) -> NoReturn:
        _no_pickle(self)

    @property
    def basic(self) -> str:
        """Value of the Authorization header of a token request with ``auth="basic"``."""
        pair = SecretBytes(f"{self.client_id}:{self.client_secret}".encode())
        return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show anywhere: the secret, and the header value made of it."""
        return self.client_secret, Secret(self.basic.removeprefix("Basic "))

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a token request."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return {"Authorization": self.basic, **headers} if self.auth == "basic" else headers

    @property
    def form(self) -> bytes:
        """Body of a token request."""
        fields = {"grant_type": "client_credentials"}
        if self.auth == "body":
            fields |= {"client_id": self.client_id, "client_secret": self.client_secret}
        if self.scope is not None:
            fields["scope"] = self.scope
        return SecretBytes(form_body(fields))


@attrs.frozen
class StaticToken:
    """One token that is never renewed: for a token made elsewhere, and for tests."""

    token: str = attrs.field(repr=_masked, converter=as_secret)  #: The token itself.

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.token, str) or not usable_token(self.token):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("token must be a text that is not empty, of ASCII characters without white space")

    def __reduce__(self) -> NoReturn:
        _no_pickle(self)

    async def acquire(self) -> AccessToken:
        """Return the token."""
        return AccessToken(self.token)

    def invalidate(self, token: AccessToken) -> None:
        """Do nothing: there is no other token.

        Args:
            token: The token that the service refused.
        """


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


def read_grant(body: bytes) -> Grant | None:
    """The token in the body of a 2xx answer; None if there is no usable one."""
    try:
        document = parse_json(body)
    except ValueError:
        return None
    fields = document if is_object(document) else {}
    value = as_secret(fields.get("access_token"))
    if not isinstance(value, str) or not usable_token(value):
        return None
    return Grant(AccessToken(value), read_lifetime(fields.get("expires_in")))


def no_token(reply: Reply, secrets: Secrets) -> AuthenticationError:
    """The error for a token endpoint's answer without a token. It holds no body: that may be half a token."""
    headers = secrets.redact_headers(reply.headers)
    if 200 <= reply.status <= 299:
        return AuthenticationError(
            f"the token endpoint answered {reply.status} without a usable access_token; is the token URL right?",
            status_code=reply.status,
            headers=headers,
        )
    said = read_error_body(reply.body, secrets.mask)
    error = read_oauth_error(reply.body)
    is_refused = reply.status == 401 or (reply.status in (400, 403) and error in _REFUSED)
    words = " - ".join(part for part in (said.code, said.message) if part)
    return (CredentialsRefusedError if is_refused else AuthenticationError)(
        f"the token endpoint refused with {reply.status}{': ' if words else ''}{words}",
        error=error if is_refused and error is not None else said.code,
        error_description=said.message,
        status_code=reply.status,
        headers=headers,
    )


def usable_token(value: str) -> bool:
    """Whether an Authorization header can carry a text."""
    # "!" to "~". Called for every call with a token source: a loop over the characters of a JWT takes 33 us.
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


Fetch = Callable[[], Awaitable[Grant]]


class TokenCache:
    """A token source over a fetch: one fetch at a time, early renewal in the background, invalidation by value.

    Near its end a token is renewed in the background while it is still used, and a failed renewal is no error. Past
    its end callers wait for the one fetch under way.

    Args:
        fetch: Fetches a token.
        clock: Monotonic seconds.
        fetch_early: Fetches a token for a renewal in the background; ``fetch`` if absent.
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
        """The cached token, or None if it is due for renewal. Fast path of :meth:`acquire`."""
        return self._token if self._clock() < self._renew_at else None

    async def acquire(self) -> AccessToken:
        """Return the current token, renewed or fetched as needed. Raises the error of the fetch."""
        token = self._token
        if token is not None:
            now = self._clock()
            if now < self._renew_at:
                return token
            if now < self._ends_at:
                self._start_fetch(self._fetch_early)
                return token
        fetching = self._start_fetch(self._fetch)
        # Not awaited itself: the cancellation of one caller must not cancel the fetch of the others.
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
        # Counted from before the request: the token's life starts no earlier.
        if grant.lifetime is None:
            self._renew_at = self._ends_at = math.inf
        else:
            self._ends_at = asked_at + grant.lifetime
            self._renew_at = self._ends_at - min(_EARLY, grant.lifetime * _EARLY_SHARE)
        self._token = grant.token
        return grant.token

    def invalidate(self, token: AccessToken) -> None:
        """Drop this token unless it has been replaced already: 200 refused callers cost one fetch."""
        if self._token is not None and self._token.value == token.value:
            self._token = None

    async def aclose(self) -> None:
        """Cancel a fetch under way and drop the token."""
        fetching, self._fetching = self._fetching, None
        self._token = None
        if fetching is not None and not fetching.done() and fetching.get_loop() is asyncio.get_running_loop():
            fetching.cancel()
            await asyncio.wait([fetching])


def _consume(task: asyncio.Task[AccessToken]) -> None:
    # asyncio complains about an error that is never retrieved; a failed background renewal has no waiter.
    if not task.cancelled():
        task.exception()


class ValidatedSource:
    """A token source of the user's: gives a usable token or raises an error of the library."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def cached(self) -> AccessToken | None:
        """None: the source has its own cache."""
        return None

    async def acquire(self) -> AccessToken:
        """Return a token that a header can carry."""
        try:
            token = await self._source.acquire()
        except (ShellEVError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise _source_failed(error) from error
        value = as_secret(getattr(token, "value", None))
        if not isinstance(value, str) or not usable_token(value):
            raise AuthenticationError("the token source returned something that is no token")
        return token

    def invalidate(self, token: AccessToken) -> None:
        """Have the source drop its token."""
        try:
            self._source.invalidate(token)
        except ShellEVError:
            raise
        except Exception as error:
            raise _source_failed(error) from error


def _source_failed(error: Exception) -> AuthenticationError:
    return AuthenticationError(f"the token source failed: {one_line(type(error).__name__, 80)}")


#: Where the request loop gets its tokens: each can be sent, and errors are the library's.
CheckedSource = TokenCache | ValidatedSource
