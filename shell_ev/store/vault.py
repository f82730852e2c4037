"""What is encrypted at rest: cards while a charge is open, and the shared token."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import importlib
import importlib.util
import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from ..errors import ConfigurationError
from .journal import normal_card

#: Prefix of a card that is kept as it is, because ``cryptography`` is not installed.
_PLAIN: Final = b"plain:"
_SHORTEST_KEY: Final = 16


def store_secrets(store_key: object, client_secret: str | None) -> tuple[str, ...]:
    """The secrets of a vault, the one that seals first.

    Args:
        store_key: The option ``store_key``: one secret, or several with commas between them, the newest first.
        client_secret: The secret of the client; None with a token source.

    Raises:
        ConfigurationError: There is none, it is no text, or one is too short.
    """
    if store_key is not None and not isinstance(store_key, str):
        raise ConfigurationError(
            f"store_key must be a text, several keys with commas between them, not {type(store_key).__name__}"
        )
    keys = [key.strip() for key in (store_key or "").split(",") if key.strip()]
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise ConfigurationError(
            f"each key in store_key (SHELL_EV_STORE_KEY) must have at least {_SHORTEST_KEY} characters"
        )
    if not keys and client_secret is None:
        raise ConfigurationError(
            "a store with a token_source needs store_key (SHELL_EV_STORE_KEY): without a client secret it has no key"
        )
    return (*keys, *(() if client_secret is None else (client_secret,)))


def token_name(client_id: str, token_url: str, scope: str | None) -> str:
    """The name under which a token is shared: a hash of what it was granted for."""
    return hashlib.sha256(json.dumps([client_id, token_url, scope]).encode()).hexdigest()


class Vault:
    """Seals and opens what a store must not show, with keys made from ``store_key`` or the client secret.

    Args:
        secrets: The newest first: that one seals, all of them open. Without any, cards are not compared or sealed.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_derived(secret, b"shell_ev store: encryption") for secret in secrets]
        self._digest_keys = [_derived(secret, b"shell_ev store: comparison") for secret in secrets]

    def __repr__(self) -> str:
        return "Vault(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault holds a secret and is not pickled; build it where it is used")

    @property
    def can_encrypt(self) -> bool:
        """Whether there is a secret, and ``cryptography`` is installed."""
        return bool(self._keys) and _is_installed()

    def digest(self, card: str) -> str:
        """A keyed hash of a card number with the name of its key, for comparing arguments."""
        if not self._digest_keys:
            return ""
        return _digest(self._digest_keys[0], card)

    def same_card(self, digest: str, card: str) -> bool | None:
        """Whether a digest is that of a card; None where its key is not known any more."""
        for key in self._digest_keys:
            mine = _digest(key, card)
            if mine.partition(":")[0] == digest.partition(":")[0]:
                return hmac.compare_digest(mine, digest)
        return None

    def seal_card(self, card: str, ema_id: str | None) -> bytes:
        """Card number and EMA-ID as they are kept."""
        text = json.dumps([card, ema_id]).encode()
        return self.seal(text) if self.can_encrypt else _PLAIN + text

    def open_card(self, kept: bytes | None) -> tuple[str, str | None] | None:
        """Card number and EMA-ID of what is kept; None where it cannot be read, after a change of secrets say."""
        if kept is None:
            return None
        text = kept[len(_PLAIN) :] if kept.startswith(_PLAIN) else self.open(kept)
        if text is None:
            return None
        card, ema_id = json.loads(text)
        return card, ema_id

    def seal(self, plain: bytes) -> bytes:
        """Encrypt.

        Raises:
            ConfigurationError: There is no key, or ``cryptography`` is not installed.
        """
        if not self.can_encrypt:
            raise ConfigurationError("encryption needs the extra shell_ev[store], and a client secret or store key")
        sealed: bytes = _fernet(self._keys[0]).encrypt(plain)
        return _name_of(self._keys[0]) + b":" + sealed

    def open(self, sealed: bytes) -> bytes | None:
        """Decrypt; None where no key fits."""
        name, _, content = sealed.partition(b":")
        if not self.can_encrypt:
            return None
        for key in self._keys:
            if _name_of(key) == name:
                try:
                    plain: bytes = _fernet(key).decrypt(content)
                except importlib.import_module("cryptography.fernet").InvalidToken:
                    return None
                return plain
        return None


@functools.cache
def _is_installed() -> bool:
    return importlib.util.find_spec("cryptography") is not None


def _derived(secret: str, purpose: bytes) -> bytes:
    """HKDF (RFC 5869) with SHA-256 and one block of output."""
    extracted = hmac.digest(b"shell_ev", secret.encode(), hashlib.sha256)
    return hmac.digest(extracted, purpose + b"\x01", hashlib.sha256)


def _name_of(key: bytes) -> bytes:
    return hashlib.sha256(b"name" + key).hexdigest()[:12].encode()


def _digest(key: bytes, card: str) -> str:
    return f"{_name_of(key).decode()}:{hmac.digest(key, normal_card(card).encode(), hashlib.sha256).hex()}"


@functools.lru_cache(maxsize=16)
def _fernet(key: bytes) -> Any:
    return importlib.import_module("cryptography.fernet").Fernet(base64.urlsafe_b64encode(key))
