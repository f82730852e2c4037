"""The course of ``shell-ev charge``: start, follow, and stop whatever happens. Knows the library; knows no screen.

Starting, finding a lost start again, and stopping are the library's; here is decided when.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any

import attrs

from ..charges.charge import AsyncCharge
from ..charges.poller import Polling
from ..charges.reconcile import check_ema_id
from ..client import AsyncShellEV
from ..dialects import ApiVersion
from ..endpoints.charging import prepare_start
from ..errors import ChargeFailedError, ChargeNotStoppedError, ChargePendingError, ShellEVError
from ..observing import CallEnded, CallInfo, CallObserver, Observer
from ..wire.operations import START
from .charge_events import Event
from .exit_codes import ExitCode
from .output import say
from .running import Run, raise_if_open
from .settings import PROGRAM


@attrs.frozen(kw_only=True)
class Wish:
    """What the command line asks for; lengths of time in seconds."""

    card: str
    evse_id: str
    ema_id: str | None
    start_timeout: float
    stop_timeout: float
    stop_after: float | None
    keep_running: bool
    every: float

    @property
    def polling(self) -> Polling:
        """How often to look: no less often while something is pending than once it runs."""
        usual = Polling()
        return attrs.evolve(
            usual,
            eager=min(usual.eager, self.every),
            steady=min(usual.steady, self.every),
            patient=min(usual.patient, self.every),
            started=self.every,
        )


def check(ev: AsyncShellEV, wish: Wish) -> None:
    """Raise ValidationError for what a start would refuse, before a word is said of it."""
    prepare_start(wish.card, wish.evse_id, {})
    check_ema_id(wish.ema_id, ApiVersion(ev.config.api_version))


class _Starts(Observer, CallObserver):
    """Learns whether a start may have left this machine."""

    def __init__(self) -> None:
        self.sent = False

    def call_began(self, call: CallInfo) -> CallObserver | None:
        return self if call.operation == START.name else None

    def ended(self, event: CallEnded) -> None:
        self.sent = self.sent or event.outcome != "cancelled"


class ChargeFlow:
    """One charge from start to end."""

    def __init__(self, run: Run, wish: Wish, show: Callable[[Event], None]) -> None:
        self._run = run
        self._wish = wish
        self._show = show
        self._signals = run.interrupts.received
        self._loop = asyncio.get_running_loop()
        self._charge: AsyncCharge | None = None
        self._running_since: float | None = None
        self._unwritten: OSError | None = None
        self._following: asyncio.Task[Any] | None = None
        """The task to wake while the charge is followed."""
        run.interrupts.on_signal = self._on_signal

    @property
    def elapsed(self) -> float | None:
        """Seconds since the charge was seen started."""
        return None if self._running_since is None else self._loop.time() - self._running_since

    @property
    def charge(self) -> AsyncCharge | None:
        """The charge, once it is accepted."""
        return self._charge

    async def go(self) -> ExitCode:
        """Start and follow. Raises what the charge came to when it is not a good end; it is stopped before that."""
        wish, starts = self._wish, _Starts()
        ev = self._run.ev.with_options(observer=(*self._run.ev.config.observers, starts))
        self._tell("starting")
        self._raise_unwritten()
        try:
            charge = self._charge = await ev.start_charge(
                wish.card,
                wish.evse_id,
                start_timeout=wish.start_timeout,
                stop_timeout=wish.stop_timeout,
                ema_id=wish.ema_id,
                polling=wish.polling,
                on_problem=self._on_problem,
            )
        except asyncio.CancelledError as cancelled:
            raise_if_open(cancelled, ev_charge_number=wish.card, evse_id=wish.evse_id)
            if starts.sent:
                self._tell("stopped", message="interrupted on the way; nothing is left running")
            else:
                self._tell("not-started", message="interrupted before the start was sent")
            raise
        self._following = asyncio.current_task()
        try:
            with self._reader_watched():
                reason = await self._follow(charge)
        except (ChargeFailedError, ChargePendingError) as error:
            self._tell("failed" if isinstance(error, ChargeFailedError) else "pending", message=str(error))
            raise
        except BaseException as error:
            await self._leave(charge, error)
            self._raise_unwritten()
            raise
        finally:
            self._following = None
        if reason is None:
            self._tell("ended")
        else:
            await self._stop(charge, reason)
        return ExitCode.OK

    async def _follow(self, charge: AsyncCharge) -> str | None:
        """Until the charge is over (None), or there is a reason to stop it."""
        self._tell("accepted")
        await charge.wait_started()
        self._running_since = self._loop.time()
        self._tell("state")
        limit = asyncio.timeout(self._wish.stop_after)
        try:
            async with limit:
                async for _ in charge.changes():
                    if not charge.is_over:
                        self._tell("state")
        except TimeoutError:
            if not limit.expired():
                raise
            return "stop-after"
        return None if charge.is_over else "gone"

    async def _leave(self, charge: AsyncCharge, error: BaseException) -> None:
        """See to the charge on the way out with an error or a signal."""
        reason = "error"
        if isinstance(error, asyncio.CancelledError) and self._signals:
            reason = self._signals[0].name
        elif self._unwritten is not None:
            reason = "output"
        elif isinstance(error, ShellEVError):
            self._tell("problem", message=str(error))
        if charge.is_over:
            self._tell("ended")
        elif self._wish.keep_running:
            self._tell(
                "left-running", reason=reason, stop_command=self._run.settings.command("stop", charge.session_id)
            )
            if self._unwritten is not None:
                say(f"{PROGRAM}: left running on purpose: session {charge.session_id}")
        else:
            await self._stop(charge, reason)

    async def _stop(self, charge: AsyncCharge, reason: str) -> None:
        """Stop the charge and see it stopped. One signal while it does is too few to give up, two are not."""
        self._tell("stopping", reason=reason)
        stopping = asyncio.ensure_future(charge.stopping(timeout=self._wish.stop_timeout))
        while not stopping.done():
            try:
                await asyncio.wait([stopping])
            except asyncio.CancelledError:
                if len(self._signals) > 1:
                    stopping.cancel()
        try:
            if stopping.cancelled():
                raise _gave_up(charge)
            stopping.result()
        except ShellEVError as error:
            self._tell("not-stopped", message=str(error))
            raise
        self._tell("stopped")

    def _on_signal(self, number: Any) -> None:
        if len(self._signals) > 1:
            self._tell("signal", reason=number.name, message="giving up")
        elif self._wish.keep_running and self._charge is not None:
            return  # told once it is left
        else:
            self._tell("signal", reason=number.name, message="stopping the charge, wait; once more gives up on it")

    def _on_problem(self, session_id: str | None, error: ShellEVError) -> None:
        self._tell("problem", message=f"{error}; going on")

    def _tell(self, name: str, **more: Any) -> None:
        charge = self._charge
        event = Event(
            name=name,
            at=datetime.now().astimezone(),
            card=self._wish.card,
            evse_id=self._wish.evse_id,
            session_id=charge.session_id if charge is not None else None,
            session=charge.session if charge is not None else None,
            elapsed=self.elapsed,
            **more,
        )
        try:
            self._show(event)
        except OSError as error:
            self._gone(error)

    def _raise_unwritten(self) -> None:
        if self._unwritten is not None and not self._signals:
            raise self._unwritten

    def _gone(self, error: OSError) -> None:
        """Nobody reads any more: that must not leave a charge running, nor keep it from being stopped."""
        if self._unwritten is None:
            self._unwritten = error
            if self._following is not None and not self._signals:
                self._following.cancel()

    @contextlib.contextmanager
    def _reader_watched(self) -> Generator[None]:
        """Notice at once when the other end of a pipe is closed, not hours later with the next event."""
        try:
            pipe = sys.stdout.fileno()
            if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
                raise OSError
            # Nothing can be read from this end: that it is ready means that it is broken.
            self._loop.add_reader(pipe, lambda: self._gone(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))))
        except (OSError, ValueError, NotImplementedError):
            yield
            return
        try:
            yield
        finally:
            self._loop.remove_reader(pipe)


def _gave_up(charge: AsyncCharge) -> ChargeNotStoppedError:
    state = charge.state.value if charge.state is not None else "not seen"
    return ChargeNotStoppedError(
        f"the car may still be charging: gave up before session {charge.session_id} ({state}) was seen to stop",
        session_id=charge.session_id,
        session=charge.session,
    )
