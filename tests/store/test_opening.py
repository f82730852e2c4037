"""What names a store, and what does not: one line that says what to give."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from shell_ev import AsyncShellEV, ShellEV, StaticToken
from shell_ev.errors import ConfigurationError
from shell_ev.store import journal, opening
from shell_ev.store.base import Store
from shell_ev.store.opening import open_store
from shell_ev.store.postgres import PostgresStore
from shell_ev.store.sqlite import SQLiteStore
from shell_ev.store.vault import Vault

CARD = "NL-TNM-C00122045-K"
STORE_KEY = "a-key-of-the-store-of-32-characters"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("charges.sqlite3", "charges.sqlite3"),
        ("/var/lib/charges.sqlite3", "/var/lib/charges.sqlite3"),
        ("sqlite:///charges.sqlite3", "charges.sqlite3"),
        ("sqlite:////var/lib/charges.sqlite3", "/var/lib/charges.sqlite3"),
        ("SQLite:////var/a%20b", "/var/a b"),
        (Path("/var/lib/charges.sqlite3"), "/var/lib/charges.sqlite3"),
        ("C:charges", "C:charges"),
    ],
)
def test_a_path_or_a_sqlite_url_is_a_file_and_nothing_is_opened_yet(target: Any, path: str) -> None:
    store = open_store(target)
    assert isinstance(store, SQLiteStore)
    assert isinstance(store, Store)
    assert store.path == Path(path).absolute()
    assert not store.path.exists()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_postgresql_url_is_a_database(scheme: str) -> None:
    store = open_store(f"{scheme}://user:hidden@host/charges")
    assert isinstance(store, PostgresStore)
    assert isinstance(store, Store)
    assert repr(store) == "PostgresStore('postgresql://host/charges')"


def test_a_store_is_itself() -> None:
    store = SQLiteStore("charges.sqlite3")
    assert open_store(store) is store


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "not an empty text"),
        ("  ", "not an empty text"),
        ("a\0b", "not an empty text"),
        (":memory:", "ends with the process"),
        ("sqlite://", "is written 'sqlite:///relative/path'"),
        ("sqlite:///", "is written 'sqlite:///relative/path'"),
        ("sqlite://host/path", "is written 'sqlite:///relative/path'"),
        ("sqlite:///path?mode=ro", "without query"),
        ("sqlite:///:memory:", "ends with the process"),
        ("redis://user:hidden@host", "there is no store of the kind 'redis'"),
        ("mysql+pymysql://user:hidden@host/db", "there is no store of the kind 'mysql+pymysql'"),
        (b"charges.sqlite3", "not bytes"),
        (None, "not NoneType"),
        (SQLiteStore, "not the class SQLiteStore"),
        (object(), "not object, which has no now, enrol, leave"),
    ],
)
def test_what_names_no_store_is_refused_in_one_line(target: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(target)
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder; give the path of a file in it"):
        open_store(tmp_path)


@pytest.mark.parametrize("missing", ["psycopg", "cryptography"])
def test_postgresql_without_its_extra_says_how_to_get_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'shell_ev\[postgres\]'"):
        open_store("postgresql://host/charges")


def test_opening_a_sqlite_store_imports_neither_psycopg_nor_cryptography() -> None:
    import subprocess

    script = (
        "import sys; from shell_ev.store.opening import open_store; open_store('charges.sqlite3')\n"
        "print([name for name in ('psycopg', 'cryptography', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


class TestOptionsOfTheStore:
    """``from_env`` gives them from the mapping it was given, and the environment of the process is not read."""

    @pytest.fixture(autouse=True)
    def misleading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL_EV_STORE_KEY", "another-key-in-the-environment")
        monkeypatch.setenv("SHELL_EV_STORE_NAMESPACE", "another-namespace")

    def test_namespace_and_key_are_read_from_the_mapping(self, tmp_path: Path) -> None:
        environ = {
            "SHELL_EV_STORE": str(tmp_path / "charges.sqlite3"),
            "SHELL_EV_STORE_KEY": STORE_KEY,
            "SHELL_EV_STORE_NAMESPACE": "depot",
        }
        ledger = AsyncShellEV.from_env(environ, token_source=StaticToken("token"))._manager.ledger
        given = AsyncShellEV(
            token_source=StaticToken("token"), store=tmp_path / "x", store_key=STORE_KEY, store_namespace="depot"
        )._manager.ledger
        assert ledger is not None
        assert given is not None
        assert ledger.namespace == given.namespace == journal.namespace_of("https://api.shell.com", "depot")
        assert ledger.vault.digest(CARD) == given.vault.digest(CARD) == Vault([STORE_KEY]).digest(CARD)

    def test_the_environment_of_the_process_is_not_read_by_the_constructor(self, tmp_path: Path) -> None:
        ledger = AsyncShellEV("id", "secret", store=tmp_path / "x")._manager.ledger
        assert ledger is not None
        assert ledger.vault.digest(CARD) == Vault(["secret"]).digest(CARD)

    def test_a_token_source_without_a_key_is_a_configuration_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"needs store_key \(SHELL_EV_STORE_KEY\)"):
            AsyncShellEV(token_source=StaticToken("token"), store=tmp_path / "x")

    def test_a_namespace_beside_a_client_id_is_a_configuration_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="store_namespace"):
            AsyncShellEV("id", "secret", store=tmp_path / "x", store_namespace="depot")

    def test_a_short_key_is_a_configuration_error_that_does_not_show_it(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="16 characters") as caught:
            ShellEV("id", "secret", store=tmp_path / "x", store_key="tooshort")
        assert "tooshort" not in str(caught.value)
