"""Where a span belongs, what it may name, and what there is without providers or without OpenTelemetry."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fakes import CARD, EVSE, SESSION, FakeSender, call, good, token_reply
from listeners import outcome, watched
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from telemetry import Telemetry

from shell_ev import ApiVersion, AsyncShellEV, ClientCredentials, ShellEV
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.options import make_config
from shell_ev.sandbox import Fault, Sandbox


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


class TestParents:
    async def test_100_calls_at_once_each_have_their_own(self, sandbox: Sandbox) -> None:
        seen = Telemetry()

        async def one(ev: AsyncShellEV, number: int) -> None:
            with seen.tracer.start_as_current_span(f"caller {number}") as mine:
                answer = await ev.charging.active(CARD)
                assert trace.get_current_span() is mine
            requests[number] = answer.request_id

        requests: dict[int, str] = {}
        async with watched(sandbox, seen.observer) as ev:
            await asyncio.gather(*(one(ev, number) for number in range(100)))
        spans = seen.named("shell_ev.charging.active")
        assert len(spans) == 100
        by_request = {str((span.attributes or {})["shell_ev.request_id"]): span for span in spans}
        for number in range(100):
            span, parent = by_request[requests[number]], seen.one(f"caller {number}")
            assert parent_of(span) == id_of(parent)
            assert span.get_span_context().trace_id == parent.get_span_context().trace_id  # type: ignore[union-attr]
        assert len(seen.named("shell_ev.token")) == 1

    async def test_what_aiohttp_traces_is_a_child_of_the_call(self, sandbox: Sandbox) -> None:
        seen = Telemetry()
        inner: dict[str, int] = {}
        tracing = aiohttp.TraceConfig()

        async def on_start(_: Any, __: Any, start: aiohttp.TraceRequestStartParams) -> None:
            inner[start.url.path] = trace.get_current_span().get_span_context().span_id
            assert "traceparent" not in start.headers

        tracing.on_request_start.append(on_start)
        async with aiohttp.ClientSession(trace_configs=[tracing]) as session:  # noqa: SIM117
            async with watched(sandbox, seen.observer, http_session=session) as ev:
                await call(ev, "active")
        assert inner["/ev/v2/charge-session/active"] == id_of(seen.one("shell_ev.charging.active"))
        assert inner["/v2/oauth/token"] == id_of(seen.one("shell_ev.token"))

    async def test_what_others_forget_to_put_back_does_not_stay(self, sandbox: Sandbox) -> None:
        seen = Telemetry()
        tracing = aiohttp.TraceConfig()

        async def forgetful(*_: Any) -> None:
            otel_context.attach(trace.set_span_in_context(seen.tracer.start_span("forgotten")))

        tracing.on_request_start.append(forgetful)
        async with aiohttp.ClientSession(trace_configs=[tracing]) as session:  # noqa: SIM117
            async with watched(sandbox, seen.observer, http_session=session) as ev:
                await call(ev, "active")
                assert not trace.get_current_span().get_span_context().is_valid

    @pytest.mark.parametrize("inside_a_loop", [False, True])
    def test_the_blocking_twin_has_the_callers_span_as_parent(self, inside_a_loop: bool) -> None:
        seen = Telemetry()

        def work() -> None:
            with seen.tracer.start_as_current_span("caller"):
                ev.charging.active(CARD)
                with ev.charge(CARD, EVSE):
                    pass
                list(ev.locations.iterate(country="NLD"))
            assert not trace.get_current_span().get_span_context().is_valid

        async def work_in_a_loop() -> None:
            work()

        with Sandbox(stations=0) as sandbox:
            sandbox.start_delay = sandbox.stop_delay = 0
            options: dict[str, Any] = {"base_url": sandbox.url, "observer": seen.observer}
            with ShellEV(sandbox.client_id, sandbox.client_secret, **options) as ev:
                asyncio.run(work_in_a_loop()) if inside_a_loop else work()
        caller = seen.one("caller")
        calls = [span for span in seen.spans if span.name not in ("caller", "shell_ev.token")]
        names = {span.name for span in calls}
        assert names >= {"shell_ev.charging.active", "shell_ev.charging.start", "shell_ev.locations.list"}
        assert {parent_of(span) for span in calls} == {id_of(caller)}
        assert parent_of(seen.one("shell_ev.token")) == id_of(seen.one("shell_ev.charging.active"))

    async def test_two_observers_nest(self, sandbox: Sandbox) -> None:
        outer, inner = Telemetry(), Telemetry()
        async with watched(sandbox, outer.observer, inner.observer) as ev:
            await call(ev, "active")
            assert not trace.get_current_span().get_span_context().is_valid
        parent = outer.one("shell_ev.charging.active")
        assert parent_of(inner.one("shell_ev.charging.active")) == id_of(parent)

    async def test_a_renewal_in_the_background_is_a_trace_of_its_own_that_is_linked(self) -> None:
        at = [500.0]
        seen = Telemetry()
        replies = (token_reply("t-1", expires_in=100), good("active"), good("active"), token_reply("t-2"))
        sender = FakeSender(*replies)
        config = make_config(base_url="https://ev.example", observer=seen.observer)
        source = ClientCredentials("my-id", "my-secret")
        manager = SessionManager(config, source, lambda: sender, hooks=Hooks(clock=lambda: at[0]))
        ev = AsyncShellEV._over(manager)
        await call(ev, "active")
        at[0] += 90
        await call(ev, "active")
        while len(seen.named("shell_ev.token")) < 2:
            await asyncio.sleep(0)
        asked, renewed = seen.named("shell_ev.token")
        first, second = seen.named("shell_ev.charging.active")
        assert (parent_of(asked), asked.links) == (id_of(first), ())
        assert (parent_of(renewed), [link.context.span_id for link in renewed.links]) == (None, [id_of(second)])
        assert (renewed.attributes or {})["shell_ev.token.background"] is True


class TestIds:
    @pytest.mark.parametrize("version", ApiVersion)
    async def test_are_recorded_on_demand_only(self, sandbox: Sandbox, version: ApiVersion) -> None:
        sandbox.start_delay = 3600
        quiet, open_ = Telemetry(), Telemetry(record_ids=True)
        async with watched(sandbox, quiet.observer, open_.observer, api_version=version) as ev:
            started = await ev.charging.start(CARD, EVSE)
            session_id = started.data.session_id
            await ev.charging.retrieve(session_id)
            await ev.charging.active(CARD)
            await outcome(ev, "retrieve")  # one that there is not: the service quotes what it was asked for
            await ev.charging.stop(session_id)
        for planted in (CARD, EVSE, session_id, SESSION):
            assert planted not in quiet.everything()
        reported = {span.name: span.attributes or {} for span in open_.spans}
        start = reported["shell_ev.charging.start"]
        assert start["shell_ev.ev_charge_number"] == CARD
        assert start["shell_ev.evse_id"] == EVSE
        assert start["shell_ev.session_id"] == session_id
        assert reported["shell_ev.charging.stop"]["shell_ev.session_id"] == session_id
        assert session_id in str(reported["shell_ev.charging.stop"]["url.full"])
        assert reported["shell_ev.charging.active"]["shell_ev.ema_id"] == CARD
        missing = open_.named("shell_ev.charging.retrieve")[1]
        assert (missing.attributes or {})["shell_ev.session_id"] == SESSION
        assert "404" in (missing.status.description or "")

    @pytest.mark.parametrize("record_ids", [False, True])
    async def test_no_secret_and_no_token_is_recorded_ever(self, sandbox: Sandbox, record_ids: bool) -> None:
        seen = Telemetry(record_ids=record_ids)
        async with watched(sandbox, seen.observer) as ev:
            token = (await ev._manager._connections.source.acquire()).value
            echo = json.dumps({"code": token, "message": f"Bearer {token}", "details": [token]}).encode()
            for fault in (
                Fault.status(400, body=echo, headers={"X-Echo": token}),
                Fault.status(500, body=token.encode(), content_type="text/plain"),
                Fault.garbage(token.encode()),
                Fault.drop(),
            ):
                sandbox.faults.add("charging.start", fault)
                await outcome(ev, "start")
            for fault in (Fault.status(401, body=sandbox.client_secret.encode()), Fault.status(503), Fault.drop()):
                sandbox.revoke_tokens()
                sandbox.faults.add("token", fault)
                await outcome(ev, "active")
        assert len(seen.spans) > 8
        reported = seen.everything()
        tokens = {request.headers["Authorization"].split()[1] for request in sandbox.requests}
        assert not [secret for secret in {token, sandbox.client_secret, *tokens} if secret in reported]


class TestWithout:
    def test_providers_the_global_ones_are_taken(self, tmp_path: Path) -> None:
        script = """
            import asyncio
            from opentelemetry import trace
            from shell_ev import AsyncShellEV
            from shell_ev.otel import OpenTelemetry
            from shell_ev.sandbox import Sandbox

            async def main():
                async with Sandbox(stations=0) as sandbox:
                    options = dict(base_url=sandbox.url, observer=OpenTelemetry())
                    async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, **options) as ev:
                        await ev.charging.active("NL-TNM-C00122045-K")  # no SDK yet: nothing is recorded
                        from opentelemetry.sdk.trace import TracerProvider
                        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
                        provider = TracerProvider()
                        console = ConsoleSpanExporter(formatter=lambda span: span.name)
                        provider.add_span_processor(SimpleSpanProcessor(console))
                        trace.set_tracer_provider(provider)
                        await ev.charging.active("NL-TNM-C00122045-K")

            asyncio.run(main())
        """
        assert python(textwrap.dedent(script)) == (0, "shell_ev.charging.active", "")

    def test_the_extra_the_import_says_how_to_get_it(self) -> None:
        script = """
            import sys
            sys.modules["opentelemetry"] = None
            try:
                import shell_ev.otel
            except ImportError as error:
                print(error)
        """
        code, out, err = python(textwrap.dedent(script))
        assert (code, err) == (0, "")
        assert out == "shell_ev.otel needs OpenTelemetry's API: pip install 'shell_ev[otel]'"


def python(script: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.strip(), done.stderr
