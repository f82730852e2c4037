"""Profiles: named credentials that ``login`` keeps. Files and the system keyring; knows no client and no command."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import attrs

from .. import ConfigurationError

DEFAULT = "default"
_APPLICATION = "shell_ev"
_FILE = "profiles.json"
#: Least priority of a keyring that encrypts what it keeps, by keyring's own scale.
_SAFE_PRIORITY = 1
_IN_KEYRING = "in the system keyring"


@attrs.frozen(kw_only=True, repr=False)
class Profile:
    """The connection to one product of the service. ``repr`` has no secret."""

    name: str
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """``SHELL_EV_*`` variables without the secret."""
    secret: str | None = None
    """The client secret; None where it is in the keyring."""

    def __repr__(self) -> str:
        return f"Profile({self.name!r})"

    @property
    def place(self) -> str:
        """Where the secret is, in words."""
        return _IN_KEYRING if self.secret is None else f"in {_path()}, readable by you alone"


class _Backend(Protocol):
    priority: float

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...

    def delete_password(self, service: str, username: str, /) -> None: ...


def load() -> dict[str, Profile]:
    """Every profile, by name.

    Raises:
        ConfigurationError: The file cannot be read, or other users can read it.
    """
    path = _path()
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"other users can read {path}, which may hold a secret: chmod 600 {path}")
            found = json.load(file)
        return {name: _profile(name, entry) for name, entry in found["profiles"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(f"{path} is not a file of profiles: move it away, and run shell-ev login") from None


def variables_of(name: str) -> dict[str, str]:
    """The ``SHELL_EV_*`` variables of a profile, the secret included.

    Raises:
        ConfigurationError: There is no such profile, or its secret cannot be had.
    """
    profiles = load()
    if name not in profiles:
        there = (
            f"there {'is' if len(profiles) == 1 else 'are'} {', '.join(profiles)}" if profiles else "there is none yet"
        )
        raise ConfigurationError(f"there is no profile {name!r}, {there}: make it with shell-ev login {name}")
    profile = profiles[name]
    secret = profile.secret
    if secret is None:
        backend = _keyring()
        with contextlib.suppress(Exception):  # each backend has errors of its own
            secret = backend.get_password(_APPLICATION, name) if backend is not None else None
        if secret is None:
            raise ConfigurationError(
                f"the system keyring does not give the secret of profile {name!r}: "
                f"unlock it, or run shell-ev login {name}"
            )
    return {**profile.variables, "SHELL_EV_CLIENT_SECRET": secret}


def save(name: str, variables: Mapping[str, str], secret: str) -> Profile:
    """Keep a profile: the secret in the system keyring if there is a safe one, else in a file of mode 0600.

    Args:
        name: Its name; a profile of that name is replaced.
        variables: ``SHELL_EV_*`` variables without the secret.
        secret: The client secret.

    Returns:
        The profile; ``place`` says where the secret is.

    Raises:
        ConfigurationError: It cannot be kept.
    """
    profiles = load()
    backend = _keyring()
    kept: str | None = secret
    if backend is not None:
        with contextlib.suppress(Exception):  # a locked or broken keyring: the file is the other way
            backend.set_password(_APPLICATION, name, secret)
            kept = None if backend.get_password(_APPLICATION, name) == secret else secret
    profiles[name] = Profile(name=name, variables=dict(variables), secret=kept)
    _write(profiles)
    return profiles[name]


def remove(name: str) -> None:
    """Remove a profile and its secret.

    Raises:
        ConfigurationError: There is no such profile.
    """
    profiles = load()
    if name not in profiles:
        raise ConfigurationError(f"there is no profile {name!r}")
    if profiles.pop(name).secret is None and (backend := _keyring()) is not None:
        with contextlib.suppress(Exception):
            backend.delete_password(_APPLICATION, name)
    _write(profiles)


def _profile(name: str, entry: Mapping[str, Any]) -> Profile:
    variables = {str(key): str(value) for key, value in entry["variables"].items()}
    secret = entry.get("secret")
    return Profile(name=name, variables=variables, secret=None if secret is None else str(secret))


def _path() -> Path:
    from platformdirs import user_config_path

    return user_config_path(_APPLICATION, appauthor=False) / _FILE


def _write(profiles: Mapping[str, Profile]) -> None:
    path = _path()
    entries = {
        name: {
            "variables": dict(profile.variables),
            **({"secret": profile.secret} if profile.secret is not None else {}),
        }
        for name, profile in profiles.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes a file of mode 0600; the old file stays whole until the new one is.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_FILE)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"profiles": entries}, file, indent=2)
                file.write("\n")
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


def _keyring() -> _Backend | None:
    """The system keyring; None without the package ``keyring`` or without a backend that encrypts."""
    try:
        import keyring

        backend = cast("_Backend", keyring.get_keyring())
        return backend if backend.priority >= _SAFE_PRIORITY else None
    except Exception:  # a broken desktop service is like none
        return None
