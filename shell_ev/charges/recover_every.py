"""Recovery in the background, pass after pass, and the arguments of ``recover``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ..errors import ShellEVError, shown
from .poller import is_positive
from .recover import Recoverer, Recovery

logger: logging.Logger = logging.getLogger("shell_ev")


async def recover_every(
    recoverer: Recoverer,
    every: float,
    *,
    timeout: float | None,
    give_up_after: float | None,
    on_recovered: Callable[[Recovery], object] | None,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Make pass after pass until cancelled. A pass that fails is logged: the next one tries again."""
    while True:
        try:
            recovery = await recoverer.one_pass(timeout, give_up_after)
        except ShellEVError as error:
            logger.warning("recovery failed, the next pass is in %g s: %s", every, error)
        else:
            if on_recovered is not None:
                try:
                    on_recovered(recovery)
                except Exception:
                    logger.exception("on_recovered raised an exception; recovery continues")
        await sleep(every)


def recovery_faults(timeout: object, every: object, on_recovered: object, give_up_after: object) -> list[str]:
    """What is wrong with the arguments of ``recover``, one text each."""
    faults = [
        f"{name} must be a positive number of seconds or None, not {shown(value)}"
        for name, value in (("timeout", timeout), ("every", every), ("give_up_after", give_up_after))
        if value is not None and not is_positive(value)
    ]
    if on_recovered is not None and not callable(on_recovered):
        faults.append(f"on_recovered must be callable with a Recovery, not {shown(on_recovered)}")
    if on_recovered is not None and every is None:
        faults.append("on_recovered is for every=: without it, recover() returns the Recovery")
    return faults
