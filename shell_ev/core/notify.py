"""Notifies the log and the observers of a call's events. Observers cannot affect the call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from ..models.response import ApiResponse
from ..observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, TryOutcome, Waiting
from ..options import ClientConfig
from .call import Outcome, Reply, SendFailure, Unreadable

if TYPE_CHECKING:
    from .call import Call

logger: logging.Logger = logging.getLogger("shell_ev")

#: From the path on a URL may hold ids, and aiohttp puts the whole URL into some of its errors.
_PATH: Final = re.compile(r"(https?://[^/\s'\"]+/)[^\s'\"]+")

_Beginning = Literal["call_began", "token_began"]


class CallNotifier:
    """The log and the observers of one call."""

    __slots__ = ("_began_at", "_broken", "_clock", "_listeners", "_status")

    def __init__(self, call: Call, broken: set[str]) -> None:
        self._clock: Callable[[], float] = call.resources.timers.time
        self._began_at = self._clock()
        self._broken = broken
        self._listeners: list[tuple[str, CallObserver]] = [("log", CallLog(call.name, call.request_id or None))]
        self._status: int | None = None

    def subscribe(self, observers: Sequence[Observer], hook: _Beginning, call: Call, info: CallInfo) -> None:
        """Notify observers that the call begins, and keep what they return for its further events."""
        for observer in observers:
            name = type(observer).__qualname__
            try:
                listener: object = getattr(observer, hook)(info)
                if listener is None:
                    continue
                if not isinstance(listener, CallObserver):
                    raise TypeError(f"{hook} must return a CallObserver or None, not {type(listener).__name__}")
                self._listeners.append((name, listener))
            except (Exception, asyncio.CancelledError) as error:  # the observer's own: this is no coroutine
                log_broken(self._broken, name, hook, error)
            except BaseException as error:
                # An interrupt ends the call here: the observers that were notified of its beginning get its end.
                self.ended(call, error=error)
                raise

    def attempt_ended(self, call: Call, began_at: float, outcome: Reply | SendFailure) -> None:
        """An attempt has an outcome."""
        self._status = outcome.status if isinstance(outcome, Reply) else None
        elapsed = self._clock() - began_at
        self._notify("try_ended", TryEnded(attempt=call.attempts, elapsed=elapsed, **_outcome_fields(outcome)))

    def cut_short(self, call: Call, began_at: float, error: BaseException) -> None:
        """An attempt ended with the call: cancelled, out of time, or the client cannot send at all."""
        self._status = None
        outcome: TryOutcome = "no_answer" if call.progress.sent else "not_sent"
        failure = type(error).__name__
        if isinstance(error, asyncio.CancelledError) and call.deadline.expired:
            failure = "no answer in time"
        elif not isinstance(error, Exception):
            outcome, failure = "cancelled", "cancelled"
        elapsed = self._clock() - began_at
        self._notify("try_ended", TryEnded(attempt=call.attempts, elapsed=elapsed, outcome=outcome, failure=failure))

    def waits(self, call: Call, outcome: Outcome, seconds: float, retry_after: float | None) -> None:
        """Another attempt follows after a wait."""
        event = Waiting(attempt=call.attempts, seconds=seconds, retry_after=retry_after, **_outcome_fields(outcome))
        self._notify("waits", event)

    def ended(self, call: Call, response: ApiResponse[Any] | None = None, error: BaseException | None = None) -> None:
        """The call is over."""
        # A cancellation has no outcome_unknown of its own.
        left_open = call.progress.sent and not call.repeatable
        event = CallEnded(
            elapsed=self._clock() - self._began_at,
            attempts=call.attempts,
            status_code=self._status,
            response=response,
            error=error,
            outcome_unknown=error is not None and getattr(error, "outcome_unknown", left_open),
        )
        # In reverse: observers that set something current restore what was there before, the last one first.
        self._listeners.reverse()
        self._notify("ended", event)

    def _notify(self, hook: Literal["try_ended", "waits", "ended"], event: object) -> None:
        interrupt: BaseException | None = None
        for name, listener in self._listeners:
            try:
                getattr(listener, hook)(event)
            except (Exception, asyncio.CancelledError) as error:  # the observer's own: this is no coroutine
                log_broken(self._broken, name, hook, error)
            except BaseException as error:
                interrupt = error  # raised after all have been notified
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                del interrupt


def log_broken(broken: set[str], name: str, hook: str, error: BaseException) -> None:
    """Log that a hook of an observer raised.

    Args:
        broken: Hooks that have raised before; this one is added.
        name: The observer.
        hook: Its method.
        error: What it raised.
    """
    which = f"{name}.{hook}"
    known = which in broken
    broken.add(which)
    # The error may come from a logging filter, which raises here again.
    with contextlib.suppress(Exception):
        if known:
            logger.debug("observer %s raised again: %s", which, type(error).__name__)
        else:
            logger.warning(
                "observer %s raised and the call continues; later failures of this hook are logged at DEBUG",
                which,
                exc_info=error,
            )


def notifier_for(
    config: ClientConfig, call: Call, route: str | None, broken: set[str], *, early: bool = False
) -> CallNotifier:
    """Notify the observers that a call begins.

    Args:
        config: Options of the client, its observers among them.
        call: The call.
        route: Path with placeholders; None for a token request.
        broken: Hooks that have raised before.
        early: Whether a token is renewed in the background.
    """
    notifier = CallNotifier(call, broken)
    if config.observers:
        request = call.request
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


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Reply):
        return {"outcome": "answered", "status_code": outcome.status}
    if isinstance(outcome, Unreadable):
        status = outcome.reply.status
        return {"outcome": "answered", "status_code": status, "failure": f"status {status} that cannot be read"}
    return {"outcome": "no_answer" if outcome.sent else "not_sent", "failure": _PATH.sub(r"\1***", outcome.reason)}


class CallLog(CallObserver):
    """Logs one call. Each line's fields are attributes of its record too, for formatters that write JSON."""

    def __init__(self, operation: str, request_id: str | None) -> None:
        self._operation = operation
        self._request_id = request_id

    def try_ended(self, event: TryEnded) -> None:
        """One line at DEBUG."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s: attempt %d: %s after %.3f s (request %s)",
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
