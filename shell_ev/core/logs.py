"""The log lines of a call, as one more observer of it: a line per try at DEBUG, a line per wait at INFO.

Knows events and ``logging``, nothing of how a call is carried out. A line holds no id but the request's.
"""

from __future__ import annotations

import logging
from typing import Any

from ..observing import CallObserver, TryEnded, Waiting

logger = logging.getLogger("shell_ev")


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
