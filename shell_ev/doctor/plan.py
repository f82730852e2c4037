"""Checks, their dependencies and their time limits. ``run_checks`` runs them and returns one finding for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import attrs

from ..errors import one_line
from .report import Finding, Outcome


@attrs.frozen(kw_only=True)
class Limits:
    """Time limits and thresholds of a diagnosis, in seconds. A shorter timeout of the client takes precedence."""

    total: float = 30.0
    """Limit for all checks together."""
    look_up: float = 5.0
    """Limit for one DNS look-up."""
    connect: float = 5.0
    """Limit for one TCP connection."""
    handshake: float = 5.0
    """Limit for one TLS handshake."""
    hello: float = 4.0
    """Limit for the response head of a request without a token, a proxy's response included."""
    answer: float = 8.0
    """Limit for the whole answer of one call."""
    slow: float = 3.0
    """An answer that takes at least this long is a warning."""
    clock_odd: float = 30.0
    """A clock offset of at least this size is a warning."""
    clock_wrong: float = 120.0
    """A clock offset of at least this size is a failure."""
    expiry: timedelta = timedelta(days=14)
    """A certificate that expires within this time is a warning."""


@attrs.frozen
class Verdict:
    """Result of one check."""

    outcome: Outcome
    seen: str
    advice: str = ""


class CheckFailed(Exception):
    """Raised by a check that found a fault: what was seen, and what to do about it."""

    def __init__(self, seen: str, advice: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.advice = advice


def ok(seen: str) -> Verdict:
    """The check passed."""
    return Verdict(Outcome.OK, seen)


def warn(seen: str, advice: str) -> Verdict:
    """The check passed with a warning."""
    return Verdict(Outcome.WARN, seen, advice)


def skip(why: str) -> Verdict:
    """The check does not apply. Checks that depend on it still run."""
    return Verdict(Outcome.SKIPPED, why)


@attrs.frozen
class Check:
    """One check."""

    name: str
    run: Callable[[], Awaitable[Verdict]]
    """Returns a verdict or raises :class:`CheckFailed`."""
    needs: tuple[str, ...] = ()
    """Checks that have to pass first. When one of them fails this check is skipped."""
    after: tuple[str, ...] = ()
    """Checks that have to end first, passed or not."""


async def run_checks(checks: Sequence[Check], seconds: float) -> tuple[Finding, ...]:
    """Run the checks in dependency order, concurrently where possible.

    Args:
        checks: The checks, with unique names.
        seconds: Time limit for all of them together.

    Returns:
        One finding for each check, in the order given.
    """
    run = _Run(checks, seconds)
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for check in checks:
                group.create_task(run.perform(check), name=f"shell_ev doctor {check.name}")
    except TimeoutError:
        pass  # unfinished checks get their finding below
    return tuple(run.finding(check) for check in checks)


class _Run:
    def __init__(self, checks: Sequence[Check], seconds: float) -> None:
        self._seconds = seconds
        self._ended = {check.name: asyncio.Event() for check in checks}
        self._verdicts: dict[str, Verdict] = {}
        self._running: set[str] = set()
        self._cause: dict[str, str] = {}  # failed or skipped check -> the failed check it depends on

    async def perform(self, check: Check) -> None:
        for name in (*check.needs, *check.after):
            await self._ended[name].wait()
        cause = next((self._cause[name] for name in check.needs if name in self._cause), None)
        if cause is not None:
            self._cause[check.name] = cause
            self._verdicts[check.name] = skip(f"not tried: {cause} failed")
        else:
            self._running.add(check.name)
            verdict = self._verdicts[check.name] = await _verdict(check)
            if verdict.outcome is Outcome.FAILED:
                self._cause[check.name] = check.name
        self._ended[check.name].set()

    def finding(self, check: Check) -> Finding:
        verdict = self._verdicts.get(check.name)
        if verdict is None and check.name in self._running:
            verdict = Verdict(
                Outcome.FAILED,
                f"not finished when the {self._seconds:g} s for all checks were over",
                "Something answers very slowly. Run the doctor again; if it stays, check the network.",
            )
        elif verdict is None:
            verdict = skip(f"not tried: the {self._seconds:g} s for all checks were over")
        return Finding(check.name, verdict.outcome, verdict.seen, verdict.advice)


async def _verdict(check: Check) -> Verdict:
    try:
        return await check.run()
    except CheckFailed as failed:
        return Verdict(Outcome.FAILED, failed.seen, failed.advice)
    except Exception as error:
        # A bug in one check must not hide the findings of the others.
        return Verdict(
            Outcome.FAILED,
            f"this check itself broke: {one_line(f'{type(error).__name__}: {error}', 160)}",
            "That is a fault of shell_ev, not of your set-up: please report it.",
        )
