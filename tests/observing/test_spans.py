"""Spans: one per call, by the conventions for HTTP, with the right parents, and no id unless it is asked for."""

from __future__ import annotations

import asyncio
import contextvars
import json
from typing import Any

import pytest
from fakes import CALLS, CARD, POSTS, REQUEST_ID, FakeSender, call, client_over, good, never
from listeners import outcome, watched
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from telemetry import Telemetry

from shell_ev import ValidationError
from shell_ev._version import __version__
from shell_ev.otel import OpenTelemetry
from shell_ev.sandbox import Fault, Sandbox


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """A span's events, without what was measured."""
    return [
        (event.name, {key: value for key, value in (event.attributes or {}).items() if key != "shell_ev.try.duration"})
        for event in span.events
    ]


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


class TestASuccess:
    async def test_is_one_client_span(self, sandbox: Sandbox) -> None:
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await call(ev, "active", request_id=REQUEST_ID)
        span = seen.one("shell_ev.charging.active")
        assert span.kind is SpanKind.CLIENT
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": int(sandbox.url.rpartition(":")[2]),
            "url.full": f"{sandbox.url}/ev/v2/charge-session/active?emaId=REDACTED",
            "shell_ev.operation": "charging.active",
            "shell_ev.api_version": "v2",
            "shell_ev.request_id": REQUEST_ID,
            "shell_ev.attempts": 1,
            "shell_ev.outcome": "success",
        }
        scope = span.instrumentation_scope
        assert scope is not None
        assert (scope.name, scope.version) == ("shell_ev", __version__)
        assert (scope.schema_url or "").startswith("https://opentelemetry.io/schemas/1.")

    async def test_has_the_token_request_as_a_child(self, sandbox: Sandbox) -> None:
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await call(ev, "active")
            await call(ev, "active")
        token = seen.one("shell_ev.token")
        first, second = seen.named("shell_ev.charging.active")
        assert (parent_of(token), parent_of(first), parent_of(second)) == (id_of(first), None, None)
        assert dict(token.attributes or {}) == {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": int(sandbox.url.rpartition(":")[2]),
            "url.full": f"{sandbox.url}/v2/oauth/token",
            "shell_ev.api_version": "v2",
            "shell_ev.token.background": False,
            "shell_ev.attempts": 1,
            "shell_ev.outcome": "success",
        }

    async def test_what_a_sampler_decides_by_is_there_when_the_span_begins(self, sandbox: Sandbox) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

        asked: dict[str, Any] = {}

        class Asking(Sampler):
            def should_sample(
                self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any
            ) -> SamplingResult:
                asked[name] = dict(kwargs.get("attributes") or args[1])
                return SamplingResult(Decision.DROP)

            def get_description(self) -> str:
                return "drops all"

        async with watched(sandbox, OpenTelemetry(TracerProvider(sampler=Asking()))) as ev:
            await outcome(ev, "start")
            await outcome(ev, "retrieve")
        needed = {"http.request.method", "server.address", "server.port", "url.full", "shell_ev.operation"}
        assert needed <= set(asked["shell_ev.charging.start"])
        assert needed <= set(asked["shell_ev.charging.retrieve"])

    @pytest.mark.parametrize(
        ("base_url", "address", "port"),
        [
            ("https://ev.example", "ev.example", 443),
            ("http://ev.example/prefix", "ev.example", 80),
            ("http://[::1]:8080", "::1", 8080),
        ],
    )
    async def test_names_the_server(self, base_url: str, address: str, port: int) -> None:
        seen = Telemetry()
        await call(client_over(FakeSender(good("active")), base_url=base_url, observer=seen.observer), "active")
        attributes = seen.one("shell_ev.charging.active").attributes or {}
        assert (attributes["server.address"], attributes["server.port"]) == (address, port)


class TestAFailure:
    @pytest.mark.parametrize("operation", CALLS)
    async def test_by_status(self, sandbox: Sandbox, operation: str) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.status(403))
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            error = await outcome(ev, operation)
        span = seen.one(f"shell_ev.charging.{operation}")
        attributes = span.attributes or {}
        assert attributes["http.response.status_code"] == 403
        assert attributes["error.type"] == "403"
        assert attributes["shell_ev.outcome"] == "error"
        assert attributes["shell_ev.outcome_unknown"] is False
        assert attributes["shell_ev.error.code"] == error.code
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert events(span) == [
            ("shell_ev.try.failed", {"shell_ev.attempt": 1, "http.response.status_code": 403, "error.type": "403"})
        ]

    async def test_that_is_retried_is_events_and_no_failure(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.status(503))
        sandbox.faults.add("charging.active", Fault.rate_limit(0.15))
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await call(ev, "active")
        span = seen.one("shell_ev.charging.active")
        first = {"shell_ev.attempt": 1, "http.response.status_code": 503, "error.type": "503"}
        second = {"shell_ev.attempt": 2, "http.response.status_code": 429, "error.type": "429"}
        assert events(span) == [
            ("shell_ev.try.failed", first),
            ("shell_ev.wait", {**first, "shell_ev.wait.duration": 0.1}),
            ("shell_ev.try.failed", second),
            ("shell_ev.wait", {**second, "shell_ev.wait.duration": 0.15, "shell_ev.retry_after": 0.15}),
        ]
        assert all((event.attributes or {}).get("shell_ev.try.duration", 1) > 0 for event in span.events)
        attributes = span.attributes or {}
        assert attributes["http.request.resend_count"] == 2
        assert attributes["shell_ev.attempts"] == 3
        assert attributes["http.response.status_code"] == 200
        assert "error.type" not in attributes
        assert span.status.status_code is StatusCode.UNSET
        assert (span.end_time or 0) - (span.start_time or 0) > 0.25e9

    async def test_by_a_refused_token_shows_the_new_one_as_a_child(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.token_revoked())
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await call(ev, "active")
        span = seen.one("shell_ev.charging.active")
        assert [parent_of(token) for token in seen.named("shell_ev.token")] == [id_of(span)] * 2
        assert [name for name, _ in events(span)] == ["shell_ev.try.failed"]
        assert events(span)[0][1]["http.response.status_code"] == 401
        assert (span.attributes or {})["http.request.resend_count"] == 1
        assert span.status.status_code is StatusCode.UNSET

    async def test_of_a_lost_start_says_that_it_may_have_taken_effect(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.start", Fault.drop())
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await outcome(ev, "start")
        span = seen.one("shell_ev.charging.start")
        attributes = span.attributes or {}
        assert attributes["shell_ev.outcome"] == "unknown"
        assert attributes["shell_ev.outcome_unknown"] is True
        assert attributes["error.type"] == "OutcomeUnknownError"
        assert "http.response.status_code" not in attributes
        assert span.status.status_code is StatusCode.ERROR
        assert "Disconnected" in (span.status.description or "")
        assert events(span)[0][1]["error.type"] == "no_answer"

    @pytest.mark.parametrize("operation", POSTS)
    async def test_of_a_post_that_may_have_been_carried_out(self, sandbox: Sandbox, operation: str) -> None:
        sandbox.faults.add(f"charging.{operation}", Fault.status(500))
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await outcome(ev, operation)
        attributes = seen.one(f"shell_ev.charging.{operation}").attributes or {}
        assert (attributes["error.type"], attributes["shell_ev.outcome"]) == ("500", "unknown")
        assert attributes["shell_ev.outcome_unknown"] is True

    async def test_of_the_token(self, sandbox: Sandbox) -> None:
        sandbox.faults.always("token", Fault.status(401))
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await outcome(ev, "active")
        token, span = seen.one("shell_ev.token"), seen.one("shell_ev.charging.active")
        assert (token.attributes or {})["http.response.status_code"] == 401
        for each in (token, span):
            assert (each.attributes or {})["error.type"] == "CredentialsRefusedError"
            assert each.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["shell_ev.attempts"] == 0
        assert "http.response.status_code" not in (span.attributes or {})

    async def test_in_a_good_answer(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.garbage(CARD.encode()), times=3)
        failed = json.dumps({"requestId": "r", "status": "FAILED", "errors": [{"code": "E0042"}]}).encode()
        sandbox.faults.add("charging.active", Fault.garbage(failed, content_type="application/json"))
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            await outcome(ev, "active")
            await outcome(ev, "active")
        unread, refused = seen.named("shell_ev.charging.active")
        assert (unread.attributes or {})["error.type"] == "ResponseDecodeError"
        assert (refused.attributes or {})["error.type"] == "RequestFailedError"
        for span in (unread, refused):
            assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
            assert (span.attributes or {})["http.response.status_code"] == 200

    async def test_of_arguments_is_no_span(self, sandbox: Sandbox) -> None:
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            with pytest.raises(ValidationError):
                await ev.charging.start("", "")
        assert seen.spans == []

    async def test_is_not_recorded_when_its_caller_is_fine(self, sandbox: Sandbox) -> None:
        """An error that the application handles inside a span of its own leaves that span alone."""
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            with seen.tracer.start_as_current_span("handled"):
                await outcome(ev, "retrieve")
        assert seen.one("handled").status.status_code is StatusCode.UNSET
        assert seen.one("handled").events == ()


class TestACancellation:
    async def test_ends_the_span_and_says_so(self, sandbox: Sandbox) -> None:
        sandbox.faults.always("charging.active", Fault.hang())
        sandbox.faults.always("charging.start", Fault.hang())
        seen = Telemetry()
        async with watched(sandbox, seen.observer) as ev:
            for operation in ("active", "start"):
                task = asyncio.create_task(call(ev, operation))
                while not any(request.operation == f"charging.{operation}" for request in sandbox.requests):
                    await asyncio.sleep(0.005)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        active, start = seen.one("shell_ev.charging.active"), seen.one("shell_ev.charging.start")
        assert (active.attributes or {})["shell_ev.outcome"] == "cancelled"
        assert (start.attributes or {})["shell_ev.outcome"] == "unknown"
        for span in (active, start):
            assert (span.attributes or {})["error.type"] == "CancelledError"
            assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "cancelled")
        assert not trace.get_current_span().get_span_context().is_valid

    async def test_of_a_coroutine_thrown_away_elsewhere_ends_the_span_without_noise(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen = Telemetry()
        thrown_away = call(client_over(FakeSender(always=never), observer=seen.observer), "start")
        here = contextvars.copy_context()
        here.run(thrown_away.send, None)
        thrown_away.close()
        assert (seen.one("shell_ev.charging.start").attributes or {})["error.type"] == "GeneratorExit"
        assert caplog.records == []
        assert not trace.get_current_span().get_span_context().is_valid
