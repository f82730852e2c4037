"""The diagnosis as a whole: which checks there are, what each needs, and the findings of all of them.

Puts the checks together; knows nothing of how one works.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs

from ..client import AsyncShellEV
from ..core.auth import ClientCredentials
from ..errors import ConfigurationError
from ..identifiers import EmaId
from ..options import Timeout
from .endpoints import NOBODY, OPERATIONS, Endpoints
from .facts import gather
from .findings import Diagnosis
from .limits import Limits
from .network import Clock, Route
from .plan import Check, Trouble, Verdict, carry_out, ok, skip, warn
from .redaction import masked_id
from .settings import Settings, Variables, resolve
from .streams import Origin
from .talking import Talk
from .token import check_token

#: The way to a host. Where the token endpoint has a host of its own, so has its way a prefix.
_WAY: tuple[str, ...] = ("proxy", "dns", "tcp", "tls", "http")
_TOKEN_HOST = "token-host "  # noqa: S105 - a name


async def diagnose(
    options: Mapping[str, Any] | None = None,
    *,
    variables: Variables | None = None,
    card: str | EmaId | None = None,
    limits: Limits | None = None,
    now: Clock = time.time,
) -> Diagnosis:
    """Look at everything a client with these ``options`` needs, and say what is broken and what to do about it.

    ``options`` are those of ``AsyncShellEV(...)``. What they leave open is read from ``SHELL_EV_*`` in ``variables``:
    pairs of a place's name and its mapping, the first that has a variable wins (default: the process's environment).
    ``card`` is the EMA-ID whose active sessions are asked for (default: a card that nobody has). ``now`` is this
    machine's clock, unix seconds. Sends harmless reads only: nothing is started or stopped.

    Takes 30 seconds at most (``limits.total``). Raises ConfigurationError for an option that does not exist; whatever
    else is wrong is a finding.
    """
    began = time.monotonic()
    settings = resolve({} if options is None else options, variables)
    limits = limits or Limits()
    checked_at = datetime.fromtimestamp(now(), UTC)
    async with AsyncExitStack() as stack:
        ev = None
        if settings.config is not None and settings.source is not None:
            limits = _within(limits, settings.config.timeout)
            try:
                ev = await stack.enter_async_context(AsyncShellEV(**{**settings.options, **_hasty(limits)}))
            except ConfigurationError as error:
                settings = attrs.evolve(settings, config=None, config_fault=str(error))
        findings = await carry_out(_checks(settings, ev, limits, now, NOBODY if card is None else card), limits.total)
    clean = settings.redactor.clean
    return Diagnosis(
        findings=tuple(attrs.evolve(found, seen=clean(found.seen), advice=clean(found.advice)) for found in findings),
        facts=gather(settings, checked_at),
        elapsed=time.monotonic() - began,
    )


def _within(limits: Limits, timeout: Timeout) -> Limits:
    """The limits, and no call gets more time here than it gets from the client."""
    times = [time for time in (limits.answer, timeout.total, timeout.read) if time is not None]
    connect = limits.connect if timeout.connect is None else min(limits.connect, timeout.connect)
    return attrs.evolve(limits, answer=min(times), connect=connect)


def _hasty(limits: Limits) -> dict[str, Any]:
    """Options by which the client shows what happens, instead of trying again."""
    return {"timeout": Timeout(limits.answer, limits.connect, limits.answer), "max_retries": 0}


def _checks(settings: Settings, ev: AsyncShellEV | None, limits: Limits, now: Clock, card: str | EmaId) -> list[Check]:
    checks = [Check("configuration", partial(_configuration, settings))]
    config = settings.config
    if config is None:
        checks += _untried(("credentials", *_WAY, "clock", "token", *OPERATIONS), "configuration")
    else:
        checks.append(Check("credentials", partial(_credentials, settings)))
        route = Route(Origin.of(config.api_url), settings, "base_url", limits, now)
        talk = Talk(route)
        checks += _way(route, talk, "")
        # A certificate may be out of its time by the clock's fault: looked at even so.
        checks.append(Check("clock", talk.clock, needs=("tcp",), after=("http",)))
        to_token = _WAY
        if Origin.of(config.oauth_url) != route.origin:
            other = Route(Origin.of(config.oauth_url), settings, "token_url", limits, now)
            checks += _way(other, Talk(other), _TOKEN_HOST)
            to_token = tuple(_TOKEN_HOST + name for name in _WAY)
        if ev is None:
            checks += _untried(("token", *OPERATIONS), "credentials")
        else:
            checks.append(Check("token", partial(check_token, ev, settings, limits.answer), needs=to_token))
            checks += Endpoints(ev, limits.slow, isinstance(settings.source, ClientCredentials), card).checks(
                needs=("token", *_WAY)
            )
    return checks + [Check(name, _never) for name in ("charging.start", "charging.stop")]


async def _never() -> Verdict:
    return skip("never tried: the doctor starts and stops nothing")


def _way(route: Route, talk: Talk, prefix: str) -> list[Check]:
    checks: list[Check] = []
    for name, step in zip(_WAY, (route.proxy, route.dns, route.tcp, talk.tls, talk.http), strict=True):
        checks.append(Check(prefix + name, step, needs=tuple(check.name for check in checks)))
    return checks


def _untried(names: Sequence[str], cause: str) -> list[Check]:
    async def untried() -> Verdict:
        return skip(f"not tried: {cause} failed")

    return [Check(name, untried) for name in names]


async def _configuration(settings: Settings) -> Verdict:
    config = settings.config
    if config is None:
        fault = settings.config_fault or "not valid"
        places = settings.named_in(fault)
        advice = f"Correct {places}." if places else "Correct it."
        raise Trouble(fault, f"{advice} {_stray(settings)}".strip())
    wins = " (base_url wins over the environment)" if config.base_url is not None else ""
    seen = f"environment {config.environment}, version {config.api_version}, API at {config.api_url}{wins}"
    return warn(seen, _stray(settings)) if settings.strays else ok(seen)


def _stray(settings: Settings) -> str:
    names = ", ".join(settings.strays)
    return f"{names}: set, but nothing reads a variable of that name; is it a slip of the pen?" if names else ""


async def _credentials(settings: Settings) -> Verdict:
    if settings.credentials_fault is not None:
        raise Trouble(
            settings.credentials_fault,
            "Set SHELL_EV_CLIENT_ID and SHELL_EV_CLIENT_SECRET to the client id and secret of your product, as Shell's "
            "developer portal shows them.",
        )
    if not isinstance(settings.source, ClientCredentials):
        return ok(f"a token source of your own: {type(settings.source).__name__}")
    if "token_source" in settings.options:
        return ok(f"client id {masked_id(settings.source.client_id)} and a secret, given as token_source")
    return ok(
        f"client id {masked_id(settings.source.client_id)} from {settings.told('client_id')}, "
        f"a secret from {settings.told('client_secret')}"
    )
