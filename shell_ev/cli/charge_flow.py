"""The course of ``shell-ev charge``: start, follow, stop. Events go to a view; see ``charge_views``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any

import attrs

from .. import (
    AsyncCharge,
    ChargeFailedError,
    ChargeNotStoppedError,
    ChargePendingError,
    OutcomeUnknownError,
    Polling,
    ShellEVError,
)
from ..observing import CallEnded, CallInfo, CallObserver, Observer
from .charge_views import Event
from .output import print_error
from .reporting import ExitCode
from .running import Abandoned, Run, raise_if_unknown
from .settings import PROGRAM


@attrs.frozen(kw_only=True)
class ChargeRequest:
    """The charge that the command line asks for; durations in seconds."""

    card: str
    evse_id: str
    ema_id: str | None
    start_timeout: float
    stop_timeout: float
    stop_after: float | None
    keep_running: bool
    every: float
    key: str | None = None

    @property
    def polling(self) -> Polling:
        """The library's intervals, none longer than ``every``; ``every`` while the charge runs."""
        usual = Polling()
        return attrs.evolve(
            usual,
            eager=min(usual.eager, self.every),
            steady=min(usual.steady, self.every),
            patient=min(usual.patient, self.every),
            started=self.every,
        )


class _StartCall(CallObserver):
    """Records whether the start may have been sent."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ended(self, event: CallEnded) -> None:
        self._calls.may_be_sent = event.outcome != "cancelled"


class _LookUp(CallObserver):
    """Records when the session was last seen."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ended(self, event: CallEnded) -> None:
        if event.outcome == "success":
            self._calls.checked_at = asyncio.get_running_loop().time()


class Calls(Observer):
    """The calls of one charge: whether its start may have been sent, and when its session was last seen."""

    def __init__(self) -> None:
        self.may_be_sent = False
        self.checked_at: float | None = None
        """Time of the last answer with the session, on the event loop's clock."""

    def call_began(self, call: CallInfo) -> CallObserver | None:
        if call.operation == "charging.start":
            self.may_be_sent = True
            return _StartCall(self)
        return _LookUp(self) if call.operation == "charging.retrieve" else None


class StartInterrupted(Exception):
    """A signal ended a start, and nothing is left running."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__(sent)
        self.sent = sent
        """Whether the start may have been sent; its charge was stopped then."""


async def start_charge(run: Run, card: str, evse_id: str, *, calls: Calls | None = None, **options: Any) -> AsyncCharge:
    """Start a charge. A signal stops the charge that may have started, a second one ends that at once.

    Args:
        run: Context of the command.
        card: Number of the charge card.
        evse_id: Id of the EVSE.
        calls: What is to be recorded of its calls.
        options: Other arguments of the client's ``start_charge``.

    Returns:
        The accepted charge.

    Raises:
        StartInterrupted: A signal came, and nothing is left running.
        OutcomeUnknownError: A charge may run: its clean-up failed, or a second signal ended it.
        ShellEVError: The start failed.
    """
    observer = Calls() if calls is None else calls
    client = run.client.with_options(observer=(*run.client.config.observers, observer))
    arguments = {"ev_charge_number": card, "evse_id": evse_id}
    try:
        return await run.interrupts.run_to_end(client.start_charge(card, evse_id, **options))
    except Abandoned:
        if observer.may_be_sent:
            raise OutcomeUnknownError(
                f"start on {evse_id}: interrupted again before its charge was stopped",
                operation="charging.start",
                arguments=arguments,
            ) from None
        raise StartInterrupted(sent=False) from None
    except asyncio.CancelledError as cancelled:
        raise_if_unknown(cancelled, **arguments)
        raise StartInterrupted(sent=observer.may_be_sent) from cancelled


class ChargeFlow:
    """One charge from start to end."""

    def __init__(self, run: Run, request: ChargeRequest, show: Callable[[Event], None]) -> None:
        self._run = run
        self._request = request
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._charge: AsyncCharge | None = None
        self._calls = Calls()
        self._started_at: float | None = None
        self._output_error: OSError | None = None
        self._following: asyncio.Task[Any] | None = None
        """The task that follows the charge, to be cancelled when the output breaks."""
        run.interrupts.on_signal = self._on_signal

    @property
    def elapsed(self) -> float | None:
        """Seconds since the charge was seen started."""
        return None if self._started_at is None else self._loop.time() - self._started_at

    @property
    def checked_ago(self) -> float | None:
        """Seconds since the service last showed the session."""
        checked = self._calls.checked_at
        return None if checked is None else self._loop.time() - checked

    @property
    def charge(self) -> AsyncCharge | None:
        """The charge; None until it is accepted."""
        return self._charge

    async def run(self) -> ExitCode:
        """Start, follow and stop the charge. Raises the error that the charge ends with, after it was stopped."""
        self._emit("starting")
        self._raise_output_error()
        charge = self._charge = await self._start()
        self._following = asyncio.current_task()
        try:
            with self._output_watched():
                reason = await self._follow(charge)
        except (ChargeFailedError, ChargePendingError) as error:
            self._emit("failed" if isinstance(error, ChargeFailedError) else "pending", message=str(error))
            raise
        except BaseException as error:
            await self._leave(charge, error)
            self._raise_output_error()
            raise
        finally:
            self._following = None
        if reason is None:
            self._emit("ended")
        else:
            await self._stop(charge, reason)
        return ExitCode.OK

    async def _start(self) -> AsyncCharge:
        request = self._request
        try:
            return await start_charge(
                self._run,
                request.card,
                request.evse_id,
                calls=self._calls,
                key=request.key,
                start_timeout=request.start_timeout,
                stop_timeout=request.stop_timeout,
                ema_id=request.ema_id,
                polling=request.polling,
                on_problem=self._on_problem,
            )
        except StartInterrupted as interrupted:
            if interrupted.sent:
                self._emit("stopped", message="interrupted during the start; nothing is left running")
            else:
                self._emit("not-started", message="interrupted before the start was sent")
            raise asyncio.CancelledError from None

    async def _follow(self, charge: AsyncCharge) -> str | None:
        """Follow the charge until it is over (None) or has to be stopped (the reason)."""
        if charge.is_new:
            self._emit("accepted")
        else:
            self._emit("met", message=f"key {charge.key} has a charge already: nothing was started")
            if charge.is_over:
                return None
        await charge.wait_started()
        self._started_at = self._loop.time()
        self._emit("state")
        limit = asyncio.timeout(self._request.stop_after)
        try:
            async with limit:
                async for _ in charge.changes():
                    if not charge.is_over:
                        self._emit("state")
        except TimeoutError:
            if not limit.expired():
                raise
            return "stop-after"
        return None if charge.is_over else "gone"

    async def _leave(self, charge: AsyncCharge, error: BaseException) -> None:
        """Stop the charge, or leave it running on purpose, after an error or a signal."""
        reason = "error"
        signals = self._run.interrupts.received
        if isinstance(error, asyncio.CancelledError) and signals:
            reason = signals[0].name
        elif self._output_error is not None:
            reason = "output"
        elif isinstance(error, ShellEVError):
            self._emit("problem", message=str(error))
        if charge.is_over:
            self._emit("ended")
        elif self._request.keep_running:
            command = self._run.settings.session_command("stop", charge.session_id)
            self._emit("left-running", reason=reason, stop_command=command)
            if self._output_error is not None:
                print_error(f"{PROGRAM}: left running on purpose: session {charge.session_id}")
        else:
            await self._stop(charge, reason)

    async def _stop(self, charge: AsyncCharge, reason: str) -> None:
        """Stop the charge and wait until it is stopped. One signal does not end this, the second does."""
        self._emit("stopping", reason=reason)
        stopping = asyncio.ensure_future(charge.stop(shield=False, timeout=self._request.stop_timeout))
        while not stopping.done():
            if self._run.interrupts.ends_at_once:
                stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([stopping])
        try:
            if stopping.cancelled():
                raise _stop_abandoned(charge)
            stopping.result()
        except ShellEVError as error:
            self._emit("not-stopped", message=str(error))
            raise
        self._emit("stopped")

    def _on_signal(self, number: signal.Signals) -> None:
        if self._run.interrupts.ends_at_once:
            self._emit("signal", reason=number.name, message="ending at once")
        elif self._request.keep_running and self._charge is not None:
            return  # left-running is the event for it
        else:
            self._emit("signal", reason=number.name, message="stopping the charge, please wait; again ends at once")

    def _on_problem(self, session_id: str | None, error: ShellEVError) -> None:
        self._emit("problem", message=f"{error}; trying again")

    def _emit(self, name: str, **more: Any) -> None:
        charge = self._charge
        event = Event(
            name=name,
            at=datetime.now().astimezone(),
            card=self._request.card,
            evse_id=self._request.evse_id,
            session_id=charge.session_id if charge is not None else None,
            session=charge.session if charge is not None else None,
            elapsed=self.elapsed,
            **more,
        )
        try:
            self._show(event)
        except OSError as error:
            self._on_output_error(error)

    def _raise_output_error(self) -> None:
        if self._output_error is not None and not self._run.interrupts.received:
            raise self._output_error

    def _on_output_error(self, error: OSError) -> None:
        """The output is broken: end the following, and with it the charge."""
        if self._output_error is None:
            self._output_error = error
            if self._following is not None and not self._run.interrupts.received:
                self._following.cancel()

    @contextlib.contextmanager
    def _output_watched(self) -> Generator[None]:
        """Notice a closed pipe at once and not with the next event, which may be hours later."""
        try:
            pipe = sys.stdout.fileno()
            if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
                raise OSError
            # The writing end of a pipe is ready for reading only when it is broken.
            broken = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            self._loop.add_reader(pipe, self._on_output_error, broken)
        except (OSError, ValueError, NotImplementedError):
            yield
            return
        try:
            yield
        finally:
            self._loop.remove_reader(pipe)


def _stop_abandoned(charge: AsyncCharge) -> ChargeNotStoppedError:
    state = charge.state.value if charge.state is not None else "not seen"
    return ChargeNotStoppedError(
        f"the car may still be charging: interrupted again before session {charge.session_id} ({state}) was stopped",
        session_id=charge.session_id,
        session=charge.session,
    )
