"""``diagnose``: the list of checks with their dependencies, and the facts about this machine."""

from __future__ import annotations

import platform
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs

from .._version import __version__
from ..client import AsyncShellEV
from ..core.auth import ClientCredentials
from ..errors import ConfigurationError
from ..identifiers import EmaId
from ..options import Timeout
from .certificates import trust_paths
from .network import Clock, Route, ServerProbe
from .operations import OPERATIONS, UNUSED_CARD, Operations, check_token
from .plan import Check, CheckFailed, Limits, Verdict, ok, run_checks, skip, warn
from .report import Diagnosis, Facts
from .settings import Settings, Variables, masked_id, resolve
from .streams import Origin

#: The checks of one host. Those of a token endpoint on another host have a prefix.
_HOST_CHECKS: tuple[str, ...] = ("proxy", "dns", "tcp", "tls", "http")
_TOKEN_HOST = "token-host "  # noqa: S105 - a name
#: Packages that the library requires, then those it uses if they are installed.
_PACKAGES = ("aiohttp", "attrs", "cattrs", "backoff", "msgspec", "uvloop", "click", "rich")


async def diagnose(
    options: Mapping[str, Any] | None = None,
    *,
    variables: Variables | None = None,
    card: str | EmaId | None = None,
    limits: Limits | None = None,
    now: Clock = time.time,
) -> Diagnosis:
    """Check everything that a client with these options needs.

    Only reads are sent: nothing is started or stopped. It takes 30 seconds at most (``limits.total``). Faults are
    findings, not exceptions.

    Args:
        options: Options of ``AsyncShellEV(...)``. Missing ones are read from ``SHELL_EV_*`` variables.
        variables: Pairs of a place's name and its variables; the first place that has a variable wins. Default: the
            environment of the process.
        card: EMA-ID of the card to list active sessions for. Default: a card that does not exist.
        limits: Time limits and thresholds.
        now: Clock of this machine, in Unix seconds.

    Returns:
        The findings, in the order of the checks, and facts about the set-up.

    Raises:
        ConfigurationError: An option does not exist.
    """
    began = time.monotonic()
    settings = resolve({} if options is None else options, variables)
    limits = limits or Limits()
    checked_at = datetime.fromtimestamp(now(), UTC)
    async with AsyncExitStack() as stack:
        ev = None
        if settings.config is not None and settings.source is not None:
            limits = _within(limits, settings.config.timeout)
            client_options = {**settings.options, **_impatient_options(limits)}
            try:
                ev = await stack.enter_async_context(AsyncShellEV(**client_options))
            except ConfigurationError as error:
                settings = attrs.evolve(settings, config=None, config_fault=str(error))
        checks = _checks(settings, ev, limits, now, UNUSED_CARD if card is None else card)
        findings = await run_checks(checks, limits.total)
    clean = settings.redactor.clean
    return Diagnosis(
        findings=tuple(attrs.evolve(found, seen=clean(found.seen), advice=clean(found.advice)) for found in findings),
        facts=_facts(settings, checked_at),
        elapsed=time.monotonic() - began,
    )


def _within(limits: Limits, timeout: Timeout) -> Limits:
    """The limits, reduced to the client's own timeouts where these are shorter."""
    times = [time for time in (limits.answer, timeout.total, timeout.read) if time is not None]
    connect = limits.connect if timeout.connect is None else min(limits.connect, timeout.connect)
    return attrs.evolve(limits, answer=min(times), connect=connect)


def _impatient_options(limits: Limits) -> dict[str, Any]:
    """Client options that show the first failure instead of retrying."""
    return {"timeout": Timeout(limits.answer, limits.connect, limits.answer), "max_retries": 0}


def _checks(settings: Settings, ev: AsyncShellEV | None, limits: Limits, now: Clock, card: str | EmaId) -> list[Check]:
    checks = [Check("configuration", partial(_configuration, settings))]
    config = settings.config
    if config is None:
        checks += _not_tried(("credentials", *_HOST_CHECKS, "clock", "token", *OPERATIONS), "configuration")
    else:
        checks.append(Check("credentials", partial(_credentials, settings)))
        route = Route(Origin.of(config.api_url), settings, "base_url", limits, now)
        probe = ServerProbe(route)
        checks += _host_checks(route, probe, "")
        # Not dependent on tls: a wrong clock makes the certificate look expired.
        checks.append(Check("clock", probe.clock, needs=("tcp",), after=("http",)))
        token_needs = _HOST_CHECKS
        if Origin.of(config.oauth_url) != route.origin:
            other = Route(Origin.of(config.oauth_url), settings, "token_url", limits, now)
            checks += _host_checks(other, ServerProbe(other), _TOKEN_HOST)
            token_needs = tuple(_TOKEN_HOST + name for name in _HOST_CHECKS)
        if ev is None:
            checks += _not_tried(("token", *OPERATIONS), "credentials")
        else:
            checks.append(Check("token", partial(check_token, ev, settings, limits.answer), needs=token_needs))
            fresh_token = isinstance(settings.source, ClientCredentials)
            checks += Operations(ev, limits.slow, fresh_token, card).checks(needs=("token", *_HOST_CHECKS))
    return checks + [Check(name, _never) for name in ("charging.start", "charging.stop")]


async def _never() -> Verdict:
    return skip("never tried: the doctor starts and stops nothing")


def _host_checks(route: Route, probe: ServerProbe, prefix: str) -> list[Check]:
    checks: list[Check] = []
    for name, step in zip(_HOST_CHECKS, (route.proxy, route.dns, route.tcp, probe.tls, probe.http), strict=True):
        checks.append(Check(prefix + name, step, needs=tuple(check.name for check in checks)))
    return checks


def _not_tried(names: Sequence[str], cause: str) -> list[Check]:
    async def not_tried() -> Verdict:
        return skip(f"not tried: {cause} failed")

    return [Check(name, not_tried) for name in names]


async def _configuration(settings: Settings) -> Verdict:
    config = settings.config
    if config is None:
        fault = settings.config_fault or "not valid"
        places = settings.named_in(fault)
        advice = f"Correct {places}." if places else "Correct it."
        raise CheckFailed(fault, f"{advice} {_stray(settings)}".strip())
    wins = " (base_url wins over the environment)" if config.base_url is not None else ""
    seen = f"environment {config.environment}, version {config.api_version}, API at {config.api_url}{wins}"
    return warn(seen, _stray(settings)) if settings.strays else ok(seen)


def _stray(settings: Settings) -> str:
    names = ", ".join(settings.strays)
    return f"{names}: set, but no variable of that name is read; is it a typo?" if names else ""


async def _credentials(settings: Settings) -> Verdict:
    if settings.credentials_fault is not None:
        raise CheckFailed(
            settings.credentials_fault,
            "Set SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET to the client id and secret of your product, as shown "
            "in Shell's developer portal.",
        )
    if not isinstance(settings.source, ClientCredentials):
        return ok(f"a token source of your own: {type(settings.source).__name__}")
    if "token_source" in settings.options:
        return ok(f"client id {masked_id(settings.source.client_id)} and a secret, given as token_source")
    return ok(
        f"client id {masked_id(settings.source.client_id)} from {settings.origin_of('client_id')}, "
        f"a secret from {settings.origin_of('client_secret')}"
    )


def _facts(settings: Settings, checked_at: datetime) -> Facts:
    config = settings.config
    return Facts(
        checked_at=checked_at,
        versions=_versions(),
        platform=settings.redactor.clean(platform.platform()),
        environment=None if config is None else config.environment.value,
        api_version=None if config is None else config.api_version.value,
        api_url=None if config is None else settings.redactor.clean(config.api_url),
        token_url=None if config is None else settings.redactor.clean(config.oauth_url),
        trust=settings.redactor.clean(trust_paths() or "none found"),
        settings=settings.shown,
    )


def _versions() -> dict[str, str]:
    found = {"shell_ev": __version__, "Python": f"{sys.version.split()[0]} ({platform.python_implementation()})"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ")}
