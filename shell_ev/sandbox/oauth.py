"""The token endpoint: who gets a token, and which tokens are alive."""

from __future__ import annotations

import base64
import binascii
import json
import random
from urllib.parse import parse_qsl

from shell_ev.sandbox.charges import Clock
from shell_ev.sandbox.records import SandboxReply, SandboxRequest

_JSON = ("Content-Type", "application/json")
_NO_STORE = ("Cache-Control", "no-store")
_PRUNE_ABOVE = 1_000

_UNDOCUMENTED_ERRORS = {429: "temporarily_unavailable", 503: "temporarily_unavailable"}


def oauth_error(status: int, description: str, error: str | None = None) -> SandboxReply:
    """Build the OAuthProviderError body; 400 and 401 are the statuses the contract documents."""
    if error is None:
        default = "server_error" if status >= 500 else "invalid_request"
        error = "invalid_client" if status == 401 else _UNDOCUMENTED_ERRORS.get(status, default)
    body = json.dumps({"error": error, "error_description": description}).encode()
    headers: tuple[tuple[str, str], ...] = (_JSON, _NO_STORE)
    if status == 401:
        headers = (*headers, ("WWW-Authenticate", 'Basic realm="shell-ev-sandbox"'))
    return SandboxReply(status, headers, body)


class Tokens:
    """The tokens issued so far. Their life is measured on `clock`."""

    def __init__(self, client_id: str, client_secret: str, lifetime: float, clock: Clock, seed: int) -> None:
        """Accept one pair of credentials and give its tokens `lifetime` seconds."""
        self.client_id = client_id
        self.client_secret = client_secret
        self.lifetime = lifetime
        self.issued: int = 0
        """How many tokens were ever issued."""
        self._clock = clock
        self._seed = seed
        self._random = random.Random(f"token {seed}")
        self._expiry: dict[str, float] = {}

    @property
    def live(self) -> int:
        """How many tokens are good at this moment."""
        now = self._clock()
        return sum(expiry > now for expiry in tuple(self._expiry.values()))

    def known(self) -> tuple[str, ...]:
        """Return the tokens that are good or have just expired, to mask them."""
        return tuple(self._expiry)

    def reset(self) -> None:
        """Begin again as at first: the tokens of the seed once more, and none issued."""
        self._expiry.clear()
        self._random = random.Random(f"token {self._seed}")
        self.issued = 0

    def alive(self, token: str) -> bool:
        """Whether a token was issued here, has not expired and was not revoked."""
        expiry = self._expiry.get(token)
        return expiry is not None and self._clock() < expiry

    def revoke(self, token: str) -> None:
        """Make one token worthless."""
        self._expiry.pop(token, None)

    def revoke_all(self) -> None:
        """Make every token issued so far worthless."""
        self._expiry.clear()

    def answer(self, request: SandboxRequest) -> SandboxReply:
        """Answer a call to the token endpoint."""
        content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
        if content_type != "application/x-www-form-urlencoded":
            return oauth_error(400, "The body must be application/x-www-form-urlencoded.")
        try:
            form = dict(parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, errors="strict"))
        except ValueError:
            return oauth_error(400, "The form is not valid UTF-8.")
        grant_type = form.get("grant_type")
        if not grant_type:
            return oauth_error(400, "The field grant_type is missing.")
        if grant_type != "client_credentials":
            return oauth_error(400, f"The grant type {grant_type!r} is not supported.", "unsupported_grant_type")
        credentials = self._credentials(request, form)
        if credentials is None:
            return oauth_error(401, "The client did not authenticate itself.")
        if credentials != (self.client_id, self.client_secret):
            return oauth_error(401, "The client is unknown or its secret is wrong.")
        return self._issue(form.get("scope"))

    def _credentials(self, request: SandboxRequest, form: dict[str, str]) -> tuple[str, str] | None:
        header = request.header("Authorization")
        if header is None:
            if "client_id" in form and "client_secret" in form:
                return form["client_id"], form["client_secret"]
            return None
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return None
        client_id, colon, secret = text.partition(":")
        return (client_id, secret) if colon else None

    def _issue(self, scope: str | None) -> SandboxReply:
        now = self._clock()
        if len(self._expiry) > _PRUNE_ABOVE:
            self._expiry = {token: expiry for token, expiry in self._expiry.items() if expiry > now}
        token = f"{self._random.getrandbits(256):064x}"
        self._expiry[token] = now + self.lifetime
        self.issued += 1
        document: dict[str, object] = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
        }
        if scope:
            document["scope"] = scope
        return SandboxReply(200, (_JSON, _NO_STORE), json.dumps(document).encode())
