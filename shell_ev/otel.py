"""OpenTelemetry for calls: a span each, and metrics. Needs the extra ``otel``.

Uses OpenTelemetry's API alone; SDK and exporters are the choice of the application.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from ._version import __version__
from .errors import ApiError
from .observing import (
    CallEnded,
    CallInfo,
    CallObserver,
    Claimed,
    EntryRecovered,
    Observer,
    RecoveryEnded,
    RecoveryObserver,
    TakenOver,
    TryEnded,
    Waiting,
)

try:
    from opentelemetry import context as _context
    from opentelemetry import metrics, trace
except ImportError as error:
    raise ImportError("shell_ev.otel needs OpenTelemetry's API: pip install 'shell_ev[otel]'") from error

_NAME = "shell_ev"
#: The version of the semantic conventions that the attributes follow.
_SCHEMA = "https://opentelemetry.io/schemas/1.36.0"

#: In seconds: what the conventions advise for HTTP, and on to the default limit of a call.
_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 60)
#: In seconds: from the shortest wait to a Retry-After of minutes.
_WAIT_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)

#: Arguments of operations that name a card, a session or an EVSE.
_IDS = ("ev_charge_number", "ema_id", "evse_id", "session_id")

_Attributes = dict[str, str | bool | int | float]


class OpenTelemetry(Observer):
    """Give it to a client as ``observer=OpenTelemetry()``; one may serve several clients.

    A span ``shell_ev.<operation>`` of kind CLIENT is current during each call, a span ``shell_ev.token`` during each
    token request. No secret and no token is recorded, and no trace context is sent to the service.

    Args:
        tracer_provider: Makes the tracer; None for the global one.
        meter_provider: Makes the meter; None for the global one.
        record_ids: Whether spans also have the ids of session, card and EVSE, the whole URL and the service's messages.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        record_ids: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)
        self._record_ids = record_ids
        self._meters = _Meters.made_by(metrics.get_meter(_NAME, __version__, meter_provider, _SCHEMA))

    def call_began(self, call: CallInfo) -> CallObserver:
        """Begin a span as a child of the current one, and make it the current one."""
        attributes = _at_start(call, self._record_ids)
        attributes["shell_ev.operation"] = call.operation
        if call.request_id is not None:
            attributes["shell_ev.request_id"] = call.request_id
        if self._record_ids:
            attributes.update(_ids(call.arguments))
        span = self._tracer.start_span(f"{_NAME}.{call.operation}", kind=trace.SpanKind.CLIENT, attributes=attributes)
        return _Spanned(span, self._meters, call, self._record_ids)

    def token_began(self, call: CallInfo) -> CallObserver:
        """Begin a span for a token: a child of the call that waits for it, or a linked trace of its own."""
        attributes = _at_start(call, self._record_ids)
        attributes["shell_ev.token.background"] = call.background
        asking = trace.get_current_span().get_span_context()
        span = self._tracer.start_span(
            f"{_NAME}.token",
            # A renewal in the background may well outlive the call that noticed it was due.
            context=_context.Context() if call.background else None,
            links=[trace.Link(asking)] if call.background and asking.is_valid else None,
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
        )
        return _SpannedToken(span, self._meters, call, self._record_ids)

    def claimed(self, event: Claimed) -> None:
        """Add an event to the span of the start."""
        self._meters.claims.add(1)
        self._add_event("shell_ev.claimed", event, {"shell_ev.on_crash": event.on_crash})

    def taken_over(self, event: TakenOver) -> None:
        """Add an event to the current span: that of a pass of recovery, or the caller's."""
        self._meters.takeovers.add(1, {"shell_ev.takeover.by": event.by})
        attributes: _Attributes = {
            "shell_ev.takeover.by": event.by,
            "shell_ev.entry.state": event.state,
            "shell_ev.on_crash": event.on_crash,
        }
        self._add_event("shell_ev.taken_over", event, attributes)

    def _add_event(self, name: str, event: Claimed | TakenOver, attributes: _Attributes) -> None:
        trace.get_current_span().add_event(name, {**attributes, **_of_entry(event, self._record_ids)})

    def recovery_began(self) -> RecoveryObserver:
        """Begin a span for a pass of recovery, and make it the current one: its calls are children."""
        return _SpannedRecovery(self._tracer.start_span(f"{_NAME}.recovery"), self._meters, self._record_ids)


@attrs.frozen
class _Meters:
    calls: metrics.Histogram
    tokens: metrics.Histogram
    tries: metrics.Histogram
    waits: metrics.Histogram
    recoveries: metrics.Histogram
    recovered: metrics.Histogram
    claims: metrics.Counter
    takeovers: metrics.Counter

    @classmethod
    def made_by(cls, meter: metrics.Meter) -> _Meters:
        def histogram(name: str, description: str, buckets: tuple[float, ...] = _CALL_BUCKETS) -> metrics.Histogram:
            return meter.create_histogram(
                f"{_NAME}.{name}.duration", "s", description, explicit_bucket_boundaries_advisory=buckets
            )

        return cls(
            calls=histogram("call", "Duration of calls: token, attempts, waits and decoding."),
            tokens=histogram("token", "Duration of token requests, attempts and waits included."),
            tries=histogram("try", "Duration of single attempts, also those of token requests."),
            waits=histogram("wait", "Length of the waits between attempts, as planned.", _WAIT_BUCKETS),
            recoveries=histogram("recovery", "Duration of passes of recovery.", _WAIT_BUCKETS),
            recovered=histogram("recovered", "Duration of the recovery of single charges.", _WAIT_BUCKETS),
            claims=meter.create_counter(f"{_NAME}.claims", "{charge}", "Starts written to the store before the send."),
            takeovers=meter.create_counter(
                f"{_NAME}.takeovers", "{charge}", "Charges taken over that no live process worked on."
            ),
        )


class _Spanned(CallObserver):
    """One call under its span, which is current from here on."""

    def __init__(self, span: trace.Span, meters: _Meters, call: CallInfo, record_ids: bool) -> None:
        self._span = span
        self._meters = meters
        self._call = call
        self._record_ids = record_ids
        self._of_operation: _Attributes = {"shell_ev.operation": call.operation}
        self._failure: str | None = None
        self._within = trace.set_span_in_context(span)
        self._back = _context.attach(self._within)

    def try_ended(self, event: TryEnded) -> None:
        self._meters.tries.record(event.elapsed, {**self._of_operation, **_came_to(event)})
        self._failure = event.failure
        if not event.is_good:
            attributes = _in_words(event)
            attributes["shell_ev.try.duration"] = event.elapsed
            self._span.add_event("shell_ev.try.failed", attributes)

    def waits(self, event: Waiting) -> None:
        self._meters.waits.record(event.seconds, {**self._of_operation, **_came_to(event)})
        attributes = _in_words(event)
        attributes["shell_ev.wait.duration"] = event.seconds
        if event.retry_after is not None:
            attributes["shell_ev.retry_after"] = event.retry_after
        self._span.add_event("shell_ev.wait", attributes)

    def ended(self, event: CallEnded) -> None:
        try:
            # While the span is current: a metric may keep it as an exemplar.
            self._measure(event)
            if self._span.is_recording():
                self._finish(event)
        finally:
            self._span.end()
            # A coroutine that was thrown away is ended from wherever that happens: nothing of ours is current there.
            if _context.get_current() is self._within or not isinstance(event.error, GeneratorExit):
                _context.detach(self._back)

    def _measure(self, event: CallEnded) -> None:
        self._meters.calls.record(event.elapsed, {**self._of_operation, **_ended_in(event)})

    def _finish(self, event: CallEnded) -> None:
        span = self._span
        span.set_attributes(_ended_in(event))
        span.set_attribute("shell_ev.attempts", event.attempts)
        if event.status_code is not None:
            span.set_attribute("http.response.status_code", event.status_code)
        if event.attempts > 1:
            span.set_attribute("http.request.resend_count", event.attempts - 1)
        session_id = getattr(event.response.data, "session_id", None) if event.response is not None else None
        if self._record_ids and isinstance(session_id, str):
            span.set_attribute("shell_ev.session_id", session_id)
        if event.error is not None:
            span.set_attribute("shell_ev.outcome_unknown", event.outcome_unknown)
            code = getattr(event.error, "code", None)
            if isinstance(code, str):
                span.set_attribute("shell_ev.error.code", code)
            # An error's text may hold ids, quoted by the service or in a body that cannot be read.
            described = str(event.error) if self._record_ids else self._failure
            span.set_status(trace.StatusCode.ERROR, described or None)


class _SpannedToken(_Spanned):
    def _measure(self, event: CallEnded) -> None:
        background: _Attributes = {"shell_ev.token.background": self._call.background}
        self._meters.tokens.record(event.elapsed, {**background, **_ended_in(event)})


class _SpannedRecovery(RecoveryObserver):
    """One pass of recovery under its span, which is current from here on."""

    def __init__(self, span: trace.Span, meters: _Meters, record_ids: bool) -> None:
        self._span = span
        self._meters = meters
        self._record_ids = record_ids
        self._back = _context.attach(trace.set_span_in_context(span))

    def entry_recovered(self, event: EntryRecovered) -> None:
        attributes: _Attributes = {"shell_ev.recovery.outcome": event.outcome}
        if event.error is not None:
            attributes["error.type"] = type(event.error).__name__
        self._meters.recovered.record(event.elapsed, attributes)
        self._span.add_event("shell_ev.recovered", {**attributes, **_of_entry(event, self._record_ids)})

    def ended(self, event: RecoveryEnded) -> None:
        failed: _Attributes = {} if event.error is None else {"error.type": type(event.error).__name__}
        try:
            self._meters.recoveries.record(event.elapsed, failed)
            self._span.set_attributes(failed)
            for name in ("stopped", "kept", "unknown", "failed"):
                self._span.set_attribute(f"shell_ev.recovery.{name}", getattr(event, name))
            if event.error is not None:
                self._span.set_status(trace.StatusCode.ERROR, str(event.error) if self._record_ids else None)
        finally:
            self._span.end()
            _context.detach(self._back)


def _of_entry(event: Claimed | TakenOver | EntryRecovered, record_ids: bool) -> _Attributes:
    found: _Attributes = {"shell_ev.request_id": event.request_id}
    if record_ids:
        ids = {"key": event.key, "evse_id": event.evse_id, "session_id": event.session_id}
        found.update({f"shell_ev.{name}": value for name, value in ids.items() if value is not None})
    return found


def _at_start(call: CallInfo, record_ids: bool) -> _Attributes:
    host, port = _server("/".join(call.url.split("/", 3)[:3]))
    return {
        "http.request.method": call.method,
        "server.address": host,
        "server.port": port,
        "url.full": call.url if record_ids else call.redacted_url,
        "shell_ev.api_version": call.api_version.value,
    }


@functools.lru_cache(maxsize=64)
def _server(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _ids(arguments: Mapping[str, Any]) -> _Attributes:
    found = ((name, arguments.get(name)) for name in _IDS)
    return {f"shell_ev.{name}": value for name, value in found if isinstance(value, str)}


def _ended_in(event: CallEnded) -> _Attributes:
    """How a call ended, in few different values."""
    found: _Attributes = {"shell_ev.outcome": event.outcome}
    error = event.error
    if isinstance(error, ApiError) and not 200 <= error.status_code <= 299:
        found["error.type"] = str(error.status_code)
    elif error is not None:
        found["error.type"] = type(error).__name__
    return found


def _came_to(event: TryEnded | Waiting) -> _Attributes:
    """The outcome of an attempt, in few different values."""
    if event.status_code is None:
        return {"error.type": event.outcome}
    found: _Attributes = {"http.response.status_code": event.status_code}
    if not 200 <= event.status_code <= 299:
        found["error.type"] = str(event.status_code)
    elif event.failure is not None:
        found["error.type"] = "ResponseDecodeError"
    return found


def _in_words(event: TryEnded | Waiting) -> _Attributes:
    found = _came_to(event)
    found["shell_ev.attempt"] = event.attempt
    if event.failure is not None:
        found["shell_ev.failure"] = event.failure
    return found
