"""What is encrypted at rest: with which key, readable by whom, and what happens without cryptography."""

from __future__ import annotations

import hashlib
import hmac
import pickle

import pytest

from shell_ev.errors import ConfigurationError
from shell_ev.store import vault as room
from shell_ev.store.vault import Vault

SECRET = "client-secret-1234567890"
CARD, EMA_ID = "NL-TNM-C00122045-K", "NL-TNM-C00122045-K"


def test_a_card_is_sealed_and_opened_with_the_same_secret_alone() -> None:
    sealed = Vault([SECRET]).seal_card(CARD, EMA_ID)
    assert CARD.encode() not in sealed
    assert SECRET.encode() not in sealed
    assert Vault([SECRET]).open_card(sealed) == (CARD, EMA_ID)
    assert Vault(["another"]).open_card(sealed) is None
    assert Vault([SECRET]).open_card(None) is None
    assert Vault([SECRET]).seal_card(CARD, None) != Vault([SECRET]).seal_card(CARD, None), "no two alike"


def test_a_rotated_secret_seals_and_the_old_one_still_opens() -> None:
    old = Vault([SECRET]).seal_card(CARD, None)
    rotated = Vault(["new-secret", SECRET])
    assert rotated.open_card(old) == (CARD, None)
    new = rotated.seal_card(CARD, None)
    assert Vault([SECRET]).open_card(new) is None
    assert Vault(["new-secret"]).open_card(new) == (CARD, None)


def test_what_was_tampered_with_is_unreadable() -> None:
    sealed = bytearray(Vault([SECRET]).seal_card(CARD, None))
    sealed[-10] ^= 1
    assert Vault([SECRET]).open_card(bytes(sealed)) is None
    assert Vault([SECRET]).open_card(b"no name and no content") is None


def test_a_card_is_compared_by_a_keyed_hash_in_any_form() -> None:
    vault = Vault([SECRET])
    digest = vault.digest(CARD)
    assert "122045" not in digest
    assert vault.same_card(digest, "nltnmc00122045") is True
    assert vault.same_card(digest, "NL-TNM-C00122046-J") is False
    assert Vault(["another"]).digest(CARD).split(":")[1] != digest.split(":")[1]
    assert hashlib.sha256(CARD.encode()).hexdigest() not in digest, "numbers of cards can be tried one by one"


def test_a_digest_of_a_lost_key_says_neither_yes_nor_no() -> None:
    digest = Vault([SECRET]).digest(CARD)
    assert Vault(["another"]).same_card(digest, CARD) is None
    assert Vault(["another", SECRET]).same_card(digest, CARD) is True
    assert Vault([]).same_card(digest, CARD) is None
    assert Vault([SECRET]).same_card(Vault([]).digest(CARD), CARD) is None


def test_without_cryptography_cards_are_kept_as_they_are_and_tokens_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = Vault([SECRET]).seal_card(CARD, EMA_ID)
    monkeypatch.setattr(room, "_is_installed", lambda: False)
    vault = Vault([SECRET])
    assert vault.can_encrypt is False
    plain = vault.seal_card(CARD, EMA_ID)
    assert CARD.encode() in plain
    assert vault.open_card(plain) == (CARD, EMA_ID)
    assert vault.open_card(sealed) is None, "it cannot be read here"
    assert vault.same_card(vault.digest(CARD), CARD) is True
    with pytest.raises(ConfigurationError, match=r"shell_ev\[store\]"):
        vault.seal(b"token")
    monkeypatch.undo()
    assert Vault([SECRET]).open_card(plain) == (CARD, EMA_ID), "installed later, it reads both"


def test_keys_are_derived_as_rfc_5869_says() -> None:
    # Test case 1 of the RFC has 42 bytes; the first block of 32 is the whole of ours.
    secret, purpose = "a secret", b"a purpose"
    extracted = hmac.new(b"shell_ev", secret.encode(), hashlib.sha256).digest()
    assert room._derived(secret, purpose) == hmac.new(extracted, purpose + b"\x01", hashlib.sha256).digest()
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    theirs = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"shell_ev", info=purpose).derive(secret.encode())
    assert room._derived(secret, purpose) == theirs


def test_a_vault_shows_no_secret_and_is_not_pickled() -> None:
    vault = Vault([SECRET])
    assert SECRET not in repr(vault)
    with pytest.raises(TypeError, match="holds a secret"):
        pickle.dumps(vault)


def test_the_secrets_of_a_vault_are_those_of_the_variable_and_then_that_of_the_client() -> None:
    key, other = "first-key-of-the-store", "second-key-of-the-store"
    assert room.store_secrets(f" {key} , {other},", SECRET) == (key, other, SECRET)
    assert room.store_secrets(None, SECRET) == (SECRET,)
    assert room.store_secrets("", SECRET) == (SECRET,)
    with pytest.raises(ConfigurationError, match=r"token_source needs store_key \(SHELL_EV_STORE_KEY\)"):
        room.store_secrets(None, None)
    with pytest.raises(ConfigurationError, match="at least 16 characters") as caught:
        room.store_secrets("short", SECRET)
    with pytest.raises(ConfigurationError, match="must be a text"):
        room.store_secrets([key], SECRET)
    assert "short," not in str(caught.value)


def test_the_name_of_a_token_is_a_hash_of_client_url_and_scope() -> None:
    one = room.token_name("client", "https://host/token", None)
    assert "client" not in one
    assert one == room.token_name("client", "https://host/token", None)
    assert len({one, room.token_name("client", "https://host/token", ""), room.token_name("c", "x", "y")}) == 3
    assert room.token_name("a", "b,c", None) != room.token_name("a,b", "c", None)
