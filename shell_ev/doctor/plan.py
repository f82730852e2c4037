"""Carrying out checks: each when what it needs is done, none against better knowledge, all within a time.

Knows no single check. A check that breaks becomes a finding, never a traceback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs

from ..errors import one_line
from .findings import Finding, Outcome


@attrs.frozen
class Verdict:
    """What one check has to say."""

    outcome: Outcome
    seen: str
    advice: str = ""


class Trouble(Exception):
    """Raised where a check finds what is broken: what was seen, and what to do about it."""

    def __init__(self, seen: str, advice: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.advice = advice


def ok(seen: str) -> Verdict:
    """All well."""
    return Verdict(Outcome.OK, seen)


def warn(seen: str, advice: str) -> Verdict:
    """Works, and is worth knowing."""
    return Verdict(Outcome.WARN, seen, advice)


def skip(why: str) -> Verdict:
    """There is nothing to look at. What needs this check goes on without it."""
    return Verdict(Outcome.SKIPPED, why)


@attrs.frozen
class Check:
    """One thing to look at."""

    name: str
    run: Callable[[], Awaitable[Verdict]]
    """Gives a verdict, or raises :class:`Trouble`."""
    needs: tuple[str, ...] = ()
    """Checks without whose success this one would accuse the wrong thing; it is skipped when one failed."""
    after: tuple[str, ...] = ()
    """Checks to wait for, however they end."""


async def carry_out(checks: Sequence[Check], seconds: float) -> tuple[Finding, ...]:
    """Run the checks, side by side where nothing forbids it; a finding for each, in their order."""
    round_ = _Round(checks, seconds)
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for check in checks:
                group.create_task(round_.turn(check), name=f"shell_ev doctor {check.name}")
    except TimeoutError:
        pass  # what is missing is told below
    return tuple(round_.finding(check) for check in checks)


class _Round:
    def __init__(self, checks: Sequence[Check], seconds: float) -> None:
        self._seconds = seconds
        self._over = {check.name: asyncio.Event() for check in checks}
        self._verdicts: dict[str, Verdict] = {}
        self._running: set[str] = set()
        self._cause: dict[str, str] = {}  # a check that came to nothing -> the one that failed beneath it

    async def turn(self, check: Check) -> None:
        for name in (*check.needs, *check.after):
            await self._over[name].wait()
        cause = next((self._cause[name] for name in check.needs if name in self._cause), None)
        if cause is not None:
            self._cause[check.name] = cause
            self._verdicts[check.name] = skip(f"not tried: {cause} failed")
        else:
            self._running.add(check.name)
            verdict = self._verdicts[check.name] = await _verdict(check)
            if verdict.outcome is Outcome.FAILED:
                self._cause[check.name] = check.name
        self._over[check.name].set()

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
    except Trouble as trouble:
        return Verdict(Outcome.FAILED, trouble.seen, trouble.advice)
    except Exception as error:
        # Whatever it is, the user asked what is wrong with his set-up and must get an answer on the rest.
        return Verdict(
            Outcome.FAILED,
            f"this check itself broke: {one_line(f'{type(error).__name__}: {error}', 160)}",
            "That is a fault of shell_ev, not of your set-up: please report it.",
        )
