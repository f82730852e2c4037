"""What names a store, and what does not: one line that says what to give."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from shell_ev.errors import ConfigurationError
from shell_ev.store import opening
from shell_ev.store.base import Store
from shell_ev.store.opening import open_store
from shell_ev.store.postgres import PostgresStore
from shell_ev.store.sqlite import SQLiteStore


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
