"""Notifies the log and the observers of a call's events. Observers cannot affect the call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from ..models.response import ApiResponse
from ..observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, TryOutcome, Waiting
from ..options import ClientConfig
from .call import Reply, Request, SendFailure
from .deadlines import Deadline

logger = logging.getLogger("shell_ev")

#: From the path on a URL may hold ids, and aiohttp puts the whole URL into some of its errors.
_PATH = re.compile(r"(https?://[^/\s'\"]+/)[^\s'\"]+")


_Beginning = Literal["call_began", "token_began"]


class _Progress(Protocol):
    @property
    def sent(self) -> bool: ...


class Watched(Protocol):
    """What is told of a call, as far as it has come."""

    @property
    def name(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def repeatable(self) -> bool: ...
    @property
    def attempts(self) -> int: ...
    @property
    def deadline(self) -> Deadline: ...
    @property
    def progress(self) -> _Progress: ...


class CallNotifier:
    """Everybody who watches one call. Without observers that is the log alone."""

    __slots__ = ("_began_at", "_broken", "_clock", "_listeners", "_status")

    def __init__(self, call: Watched, clock: Callable[[], float], broken: set[str]) -> None:
        self._clock = clock
        self._began_at = clock()
        self._broken = broken
        self._listeners: list[tuple[str, CallObserver]] = [("log", CallLog(call.name, call.request_id or None))]
        self._status: int | None = None

    def subscribe(self, observers: Sequence[Observer], hook: _Beginning, call: Watched, info: CallInfo) -> None:
        """Tell observers that the call begins, and keep those who want to hear more."""
        for observer in observers:
            name = type(observer).__qualname__
            try:
                listener: object = getattr(observer, hook)(info)
                if listener is None:
                    continue
                if not isinstance(listener, CallObserver):
                    raise TypeError(f"{hook} must return a CallObserver or None, not {type(listener).__name__}")
                self._listeners.append((name, listener))
            except (Exception, asyncio.CancelledError) as error:  # nobody cancels what does not wait
                self._complain(name, hook, error)
            except BaseException as error:
                # This call will not be: those who were told that it begins are told that it does not go on.
                self.ended(call, error=error)
                raise

    def attempt_ended(self, call: Watched, began_at: float, outcome: Reply | SendFailure) -> None:
        """A try came to something."""
        self._status = outcome.status if isinstance(outcome, Reply) else None
        elapsed = self._clock() - began_at
        self._tell("try_ended", TryEnded(attempt=call.attempts, elapsed=elapsed, **_facts(outcome)))

    def cut_short(self, call: Watched, began_at: float, error: BaseException) -> None:
        """A try came to nothing, because the call is over: cancelled, out of time, or it cannot work at all."""
        self._status = None
        outcome: TryOutcome = "no_answer" if call.progress.sent else "not_sent"
        failure = type(error).__name__
        if isinstance(error, asyncio.CancelledError) and call.deadline.expired:
            failure = "no answer in time"
        elif not isinstance(error, Exception):
            outcome, failure = "cancelled", "cancelled"
        elapsed = self._clock() - began_at
        self._tell("try_ended", TryEnded(attempt=call.attempts, elapsed=elapsed, outcome=outcome, failure=failure))

    def waits(self, call: Watched, outcome: Reply | SendFailure, seconds: float, retry_after: float | None) -> None:
        """Another try will follow, after a wait."""
        event = Waiting(attempt=call.attempts, seconds=seconds, retry_after=retry_after, **_facts(outcome))
        self._tell("waits", event)

    def ended(
        self, call: Watched, response: ApiResponse[Any] | None = None, error: BaseException | None = None
    ) -> None:
        """The call is over."""
        # A cancellation does not say what it leaves behind.
        left_open = call.progress.sent and not call.repeatable
        event = CallEnded(
            elapsed=self._clock() - self._began_at,
            attempts=call.attempts,
            status_code=self._status,
            response=response,
            error=error,
            outcome_unknown=error is not None and getattr(error, "outcome_unknown", left_open),
        )
        # The other way round: whoever made something current last is the first to put back what was there before.
        self._listeners.reverse()
        self._tell("ended", event)

    def _tell(self, hook: Literal["try_ended", "waits", "ended"], event: object) -> None:
        interrupt: BaseException | None = None
        for name, listener in self._listeners:
            try:
                getattr(listener, hook)(event)
            except (Exception, asyncio.CancelledError) as error:  # nobody cancels what does not wait
                self._complain(name, hook, error)
            except BaseException as error:
                interrupt = error  # goes on its way once all have been told
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                del interrupt

    def _complain(self, name: str, hook: str, error: BaseException) -> None:
        which = f"{name}.{hook}"
        known = which in self._broken
        self._broken.add(which)
        # A logging filter that raises may be what brought us here.
        with contextlib.suppress(Exception):
            if known:
                logger.debug("observer %s raised again: %s", which, type(error).__name__)
            else:
                logger.warning(
                    "observer %s raised and the call goes on; later failures of this hook are logged at DEBUG",
                    which,
                    exc_info=error,
                )


def notifier_for(
    config: ClientConfig,
    call: Watched,
    request: Request,
    route: str | None,
    clock: Callable[[], float],
    broken: set[str],
    *,
    early: bool = False,
) -> CallNotifier:
    """Begin to watch a call; without a ``route`` it is a token request, ``early`` if nobody waits for the token."""
    notifier = CallNotifier(call, clock, broken)
    if config.observers:
        info = CallInfo(
            operation=call.name,
            api_version=config.api_version,
            method=request.method,
            url=request.url,
            route=urlsplit(request.url).path if route is None else route,
            request_id=call.request_id or None,
            arguments=call.arguments,
            background=early,
        )
        notifier.subscribe(config.observers, "token_began" if route is None else "call_began", call, info)
    return notifier


def _facts(outcome: Reply | SendFailure) -> dict[str, Any]:
    if isinstance(outcome, Reply):
        return {"outcome": "answered", "status_code": outcome.status}
    return {"outcome": "no_answer" if outcome.sent else "not_sent", "failure": _PATH.sub(r"\1***", outcome.reason)}


class CallLog(CallObserver):
    """Logs one call. The fields of each line are attributes of its record too, for formatters that write JSON."""

    def __init__(self, operation: str, request_id: str | None) -> None:
        self._operation = operation
        self._request_id = request_id

    def try_ended(self, event: TryEnded) -> None:
        """One line at DEBUG."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s: try %d: %s after %.3f s (request %s)",
                self._operation,
                event.attempt,
                event.reason,
                event.elapsed,
                self._request_id or "-",
                extra=self._fields("try", event, shell_ev_elapsed=event.elapsed),
            )

    def waits(self, event: Waiting) -> None:
        """One line at INFO."""
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s: %s; trying again in %.2f s (request %s)",
                self._operation,
                event.reason,
                event.seconds,
                self._request_id or "-",
                extra=self._fields("wait", event, shell_ev_wait=event.seconds, shell_ev_retry_after=event.retry_after),
            )

    def _fields(self, kind: str, event: TryEnded | Waiting, **more: Any) -> dict[str, Any]:
        return {
            "shell_ev_event": kind,
            "shell_ev_operation": self._operation,
            "shell_ev_request_id": self._request_id,
            "shell_ev_attempt": event.attempt,
            "shell_ev_outcome": event.outcome,
            "shell_ev_status": event.status_code,
            "shell_ev_failure": event.failure,
            **more,
        }
