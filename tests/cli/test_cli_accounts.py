"""``login``, ``profiles`` and ``--profile``: where credentials are kept, and which of them a command uses."""

from __future__ import annotations

import importlib
import json
import os
import stat
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_processes import CARD, EVSE, SECRET, Result

from shell_ev.cli.reporting import ExitCode
from shell_ev.cli.settings import Settings
from shell_ev.errors import ConfigurationError
from shell_ev.sandbox import Sandbox

Cli = Callable[..., Result]


class Backend:
    """A system keyring."""

    def __init__(self, priority: float = 5, *, locked: bool = False) -> None:
        self.priority = priority
        self.locked = locked
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        if self.locked:
            raise RuntimeError("locked")
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        if self.locked:
            raise RuntimeError("locked")
        self.kept[service, name] = secret

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Callable[[Backend | None], None]:
    """Install a keyring, or none."""

    def install(backend: Backend | None) -> None:
        module = None if backend is None else types.ModuleType("keyring")
        if module is not None:
            module.__dict__["get_keyring"] = lambda: backend
        monkeypatch.setitem(sys.modules, "keyring", module)

    install(None)
    return install


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the profiles."""
    return tmp_path / "config" / "shell_ev" / "profiles.json"


@pytest.fixture
def env_file(tmp_path: Path, variables: dict[str, str]) -> str:
    path = tmp_path / "sandbox.env"
    path.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items() if name.startswith("SHELL_")))
    return str(path)


def login(bare: Cli, env_file: str, *words: str) -> Result:
    done = bare("login", *words, "--env-file", env_file)
    assert done.code == 0, done.err
    return done


def test_without_a_keyring_the_secret_is_in_a_file_for_the_user_alone(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str, file: Path, sandbox: Sandbox
) -> None:
    done = login(bare, env_file)
    assert done.out == f"profile default is kept; its secret is in {file}, readable by you alone\n"
    assert "shell-ev doctor" in done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text())["profiles"]["default"]["secret"] == SECRET
    # The default profile is used as it is.
    assert bare("active", CARD, "--json").code == 0
    assert sandbox.requests


def test_with_a_keyring_the_secret_is_there_and_nowhere_else(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str, file: Path
) -> None:
    backend = Backend()
    keyring(backend)
    done = login(bare, env_file, "work", "--card", CARD)
    assert done.out == "profile work is kept; its secret is in the system keyring\n"
    assert SECRET not in file.read_text()
    assert list(backend.kept.values()) == [SECRET]
    assert bare("active", "--profile", "work", "--json").out.startswith(f'{{"ema_id": "{CARD}"')
    done = bare("profiles", "--json")
    assert json.loads(done.out)["profiles"][0]["secret"] == "keyring"
    assert "work" in bare("profiles").out
    backend.kept.clear()
    done = bare("active", CARD, "--profile", "work")
    assert done.code == ExitCode.CONFIGURATION
    assert "unlock it, or run shell-ev login work" in done.err


@pytest.mark.parametrize("backend", [Backend(priority=0.5), Backend(locked=True)], ids=["not encrypted", "locked"])
def test_a_keyring_that_cannot_keep_a_secret_is_like_none(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str, file: Path, backend: Backend
) -> None:
    keyring(backend)
    assert "readable by you alone" in login(bare, env_file).out
    assert SECRET in file.read_text()
    assert not backend.kept


@pytest.mark.parametrize("backend", ["fail", "null"])
def test_the_package_keyring_without_a_backend_that_keeps_is_like_none(
    bare: Cli, env_file: str, file: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    # Never the keyring of the person who runs the tests.
    real = pytest.importorskip("keyring")
    found = importlib.import_module(f"keyring.backends.{backend}").Keyring()
    monkeypatch.setattr(real, "get_keyring", lambda: found)
    assert "readable by you alone" in login(bare, env_file, "mine").out
    assert SECRET in file.read_text()
    assert bare("active", CARD, "--profile", "mine").code == 0


def test_a_profile_that_others_can_read_is_refused(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str, file: Path
) -> None:
    login(bare, env_file)
    file.chmod(0o644)
    done = bare("active", CARD)
    assert (done.code, done.err) == (
        ExitCode.CONFIGURATION,
        f"shell-ev: other users can read {file}, which may hold a secret: chmod 600 {file}\n",
    )
    file.write_text("[]")
    file.chmod(0o600)
    assert "is not a file of profiles" in bare("profiles").err


def test_profiles_are_listed_replaced_and_removed(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str
) -> None:
    done = bare("profiles")
    assert (done.code, done.out) == (0, "")
    assert "shell-ev login" in done.err
    login(bare, env_file, "one")
    login(bare, env_file, "two", "--environment", "test")
    login(bare, env_file, "two", "--environment", "production")
    found = {one["profile"]: one["variables"] for one in json.loads(bare("profiles", "--json").out)["profiles"]}
    assert list(found) == ["one", "two"]
    assert found["two"]["SHELL_EV_ENVIRONMENT"] == "production"
    assert bare("profiles", "--remove", "one").out == "profile one is removed\n"
    assert bare("profiles", "--remove", "one").code == ExitCode.CONFIGURATION
    assert "there is two" in bare("active", CARD, "--profile", "nobody").err


@pytest.mark.parametrize("words", [("a b",), ("../x",), ("",), ("x", "--profile", "y"), ("x", "--sandbox")])
def test_login_refuses_what_has_no_meaning(bare: Cli, env_file: str, words: tuple[str, ...], file: Path) -> None:
    assert bare("login", *words, "--env-file", env_file).code == ExitCode.USAGE
    assert not file.exists()


def test_login_without_credentials_and_terminal_says_what_is_missing(bare: Cli) -> None:
    done = bare("login")
    assert done.code == ExitCode.CONFIGURATION
    assert done.err == ("shell-ev: SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET: there is no terminal to ask on\n")


# Which credentials a command uses


@pytest.fixture
def profile(bare: Cli, keyring: Callable[[Backend | None], None], tmp_path: Path) -> None:
    """The profiles `default` and `other`, each with an id and a secret of its own."""
    for name in ("default", "other"):
        path = tmp_path / f"{name}.env"
        path.write_text(
            f"SHELL_EV_CLIENT_ID={name}-id\nSHELL_EV_CLIENT_SECRET={name}-secret\nSHELL_EV_BASE_URL=http://{name}"
        )
        assert bare("login", name, "--env-file", str(path)).code == 0


def in_force(settings: Settings) -> tuple[str | None, ...]:
    names = ("SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET", "SHELL_EV_BASE_URL", "SHELL_EV_ENVIRONMENT")
    return tuple(settings.environ.get(name) for name in names)


OTHER = ("other-id", "other-secret", "http://other", None)
DEFAULT = ("default-id", "default-secret", "http://default", None)


def test_a_profile_is_used_as_a_whole(profile: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_force(Settings()) == DEFAULT
    assert in_force(Settings(profile="other")) == OTHER
    # No variable of a connection comes from elsewhere: the secret would go to another host.
    monkeypatch.setenv("SHELL_EV_BASE_URL", "http://elsewhere")
    monkeypatch.setenv("SHELL_EV_ENVIRONMENT", "test")
    monkeypatch.setenv("SHELL_EV_TIMEOUT", "7")
    assert in_force(Settings(profile="other")) == OTHER
    assert Settings(profile="other").environ["SHELL_EV_TIMEOUT"] == "7"
    # And the default one is not used where one of them is set.
    assert in_force(Settings()) == (None, None, "http://elsewhere", "test")


def test_the_profile_of_the_variable_and_what_overrides_it(
    profile: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHELL_EV_PROFILE", "other")
    assert in_force(Settings()) == OTHER
    assert in_force(Settings(profile="default")) == DEFAULT
    env_file = str(tmp_path / "default.env")
    assert in_force(Settings(env_file=env_file)) == DEFAULT
    with pytest.raises(ConfigurationError, match="exclude each other"):
        _ = Settings(env_file=env_file, profile="other").environ
    assert in_force(Settings(sandbox=True)) == (None, None, None, None)


def test_a_suggested_command_names_the_profile(profile: None) -> None:
    assert Settings(profile="other").command("active", CARD) == f"shell-ev active {CARD} --profile other"


def test_the_doctor_names_the_profile(
    bare: Cli, keyring: Callable[[Backend | None], None], env_file: str, sandbox: Sandbox
) -> None:
    login(bare, env_file)
    done = bare("doctor")
    assert done.code == 0, done.out
    assert "SHELL_EV_CLIENT_ID (profile default)" in done.out


# The default card


def test_the_default_card_is_used_where_none_is_given(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("charge", EVSE)
    assert done.code == ExitCode.USAGE
    assert done.err == "shell-ev: no card is given: write CARD, or set SHELL_EV_CARD\n"
    assert not sandbox.requests
    monkeypatch.setenv("SHELL_EV_CARD", CARD)
    assert cli("charge", EVSE, "--stop-after", "0.1s").code == 0
    assert cli("start", EVSE).code == 0
    assert json.loads(cli("active", "--json").out)["ema_id"] == CARD
    assert sandbox.charges[-1].ema_id == CARD


def test_a_card_alone_is_no_evse(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_EV_CARD", CARD)
    assert f"{CARD} is a card: Missing argument 'EVSE'" in cli("start", CARD).err
    assert "Missing argument 'EVSE'" in cli("charge").err
    assert "3 arguments are given, there are 2 at most" in cli("start", CARD, EVSE, "x").err
    assert not sandbox.requests


def test_the_variables_of_the_command_line_are_no_typos_for_the_doctor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL_EV_CARD", CARD)
    assert "SHELL_EV_CARD" not in cli("doctor").out
    assert "SHELL_EV_CARD" in os.environ
