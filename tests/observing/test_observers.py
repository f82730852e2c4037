"""Several observers, copies of a client, contexts, and the events themselves."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
from typing import Any

import aiohttp
import attrs
import pytest
from fakes import (
    CALLS,
    CARD,
    EVSE,
    LOST,
    SESSION,
    FakeSender,
    call,
    client_over,
)
from listeners import RecordedCall, Recorder, outcome, watched

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    ConfigurationError,
    NotFoundError,
    ShellEV,
    TransportError,
)
from shell_ev.observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, Waiting
from shell_ev.options import ClientConfig, make_config
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.wire import operations


class TestSeveral:
    async def test_are_called_in_order_and_at_the_end_in_reverse(self, sandbox: Sandbox) -> None:
        order: list[str] = []

        class Named(Observer):
            def __init__(self, name: str) -> None:
                self.name = name

            def call_began(self, call: CallInfo) -> CallObserver:
                order.append(f"{self.name} began")
                name = self.name

                class One(CallObserver):
                    def try_ended(self, event: TryEnded) -> None:
                        order.append(f"{name} try")

                    def ended(self, event: CallEnded) -> None:
                        order.append(f"{name} ended")

                return One()

        async with watched(sandbox, Named("a"), Named("b")) as ev:
            await call(ev, "active")
        assert order == ["a began", "b began", "a try", "b try", "b ended", "a ended"]

    async def test_context_variables_that_each_puts_back_are_put_back(self, sandbox: Sandbox) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")

        class Setting(Observer):
            def __init__(self, value: str) -> None:
                self.value = value

            def call_began(self, call: CallInfo) -> CallObserver:
                back = variable.set(self.value)

                class One(CallObserver):
                    def ended(self, event: CallEnded) -> None:
                        variable.reset(back)

                return One()

        async with watched(sandbox, Setting("a"), Setting("b")) as ev:
            await call(ev, "active")
        assert variable.get() == "outside"

    @pytest.mark.parametrize("wrong", [object(), Observer, "observer", [Observer(), None], {"a": 1}, lambda: None, 3])
    def test_anything_else_is_refused(self, wrong: Any) -> None:
        for client in (AsyncShellEV, ShellEV):
            with pytest.raises(ConfigurationError, match=r"^observer must be one or several .*shell_ev\.observing"):
                client("id", "secret", observer=wrong)

    def test_none_is_the_rule(self) -> None:
        assert ClientConfig().observers == make_config(observer=()).observers == ()


class TestOptions:
    async def test_a_copy_calls_the_same_observers(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev.with_options(timeout=3), "active")
            await call(ev.with_options(api_version="v1"), "active")
        assert [reported.info.api_version for reported in recorder.calls] == [ApiVersion.V2, ApiVersion.V1]
        assert len(recorder.tokens) == 1, "one token for all copies"

    async def test_a_copy_may_have_its_own_and_none(self, sandbox: Sandbox) -> None:
        recorder, other = Recorder(), Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev.with_options(observer=other), "active")
            await call(ev.with_options(observer=()), "active")
        assert recorder.calls == []
        assert len(other.calls) == 1
        assert (len(recorder.tokens), len(other.tokens)) == (1, 0), "the token is the original's"

    def test_the_blocking_client_has_the_same_events(self) -> None:
        recorder = Recorder()
        with Sandbox(stations=0) as sandbox:
            options: dict[str, Any] = {"base_url": sandbox.url, "observer": [recorder]}
            with ShellEV(sandbox.client_id, sandbox.client_secret, **options) as ev:
                answer = ev.charging.active(CARD)
                ev.with_options(timeout=3).charging.active(CARD)
        first, second = recorder.calls
        assert first.end.response is answer
        assert second.end.outcome == "success"

    def test_a_configuration_compares_and_prints_without_them(self) -> None:
        assert make_config(observer=Recorder()) == make_config()
        assert hash(make_config(observer=Recorder())) == hash(make_config())


class TestACharge:
    async def test_is_a_number_of_ordinary_calls(self, sandbox: Sandbox) -> None:
        sandbox.start_delay = sandbox.stop_delay = 0
        recorder = Recorder()
        states: list[str] = []

        class States(Observer):
            def call_began(self, call: CallInfo) -> CallObserver | None:
                class Look(CallObserver):
                    def ended(self, event: CallEnded) -> None:
                        if event.response is not None:
                            states.append(event.response.data.state.value)

                return Look() if call.operation == "charging.retrieve" else None

        async with watched(sandbox, recorder, States()) as ev, ev.charge(CARD, EVSE):
            pass
        assert {reported.end.outcome for reported in recorder.calls} == {"success"}
        operations_seen = [reported.info.operation for reported in recorder.calls]
        assert operations_seen[0] == "charging.start"
        assert operations_seen.count("charging.stop") == 1
        assert states[0].lower() == "started"
        assert states[-1].lower() == "stopped"


class TestContext:
    async def test_what_a_hook_sets_holds_during_its_call_and_not_after(self, sandbox: Sandbox) -> None:
        current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="none")

        class Setting(Observer):
            def call_began(self, call: CallInfo) -> CallObserver:
                back = current.set(call.request_id or "")

                class One(CallObserver):
                    def ended(self, event: CallEnded) -> None:
                        current.reset(back)

                return One()

        sent_in: list[tuple[str, str]] = []
        trace = aiohttp.TraceConfig()

        async def on_start(_: Any, __: Any, start: aiohttp.TraceRequestStartParams) -> None:
            sent_in.append((start.headers.get("RequestId", ""), current.get()))

        trace.on_request_start.append(on_start)

        async def one(ev: AsyncShellEV) -> str:
            answer = await ev.charging.active(CARD)
            assert current.get() == "none"
            return answer.request_id

        async with aiohttp.ClientSession(trace_configs=[trace]) as session:  # noqa: SIM117
            async with watched(sandbox, Setting(), http_session=session) as ev:
                asked = await asyncio.gather(*(one(ev) for _ in range(100)))
        calls = [(request_id, within) for request_id, within in sent_in if request_id]
        assert len(calls) == 100
        assert all(request_id == within for request_id, within in calls)
        assert {request_id for request_id, _ in calls} == set(asked)


class TestEvents:
    async def test_pickle_and_compare(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.status(503))
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev, "active")
            await outcome(ev, "retrieve")
        assert {type(event) for _, event in recorder.everything} == {CallInfo, TryEnded, Waiting, CallEnded}
        assert isinstance(recorder.calls[1].end.error, NotFoundError)
        for _, event in recorder.everything:
            assert pickle.loads(pickle.dumps(event)) == event

    async def test_are_frozen(self) -> None:
        event = TryEnded(attempt=1, outcome="answered", status_code=200, elapsed=0.1)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.attempt = 2  # type: ignore[misc]

    @pytest.mark.parametrize("version", ApiVersion)
    async def test_the_redacted_url_names_no_id(self, version: ApiVersion) -> None:
        recorder = Recorder()
        sender = FakeSender(always=LOST)
        ev = client_over(sender, observer=recorder, api_version=version, base_url="https://ev.example/a", max_retries=0)
        for operation in CALLS:
            await outcome(ev, operation)
        for located in (ev.locations.get("SECRET-UID"), ev.locations.nearby(52.3731, 4.8932, limit=5)):
            with pytest.raises(TransportError):
                await located
        assert len(recorder.calls) == 6
        planted = (SESSION, CARD, EVSE, "SECRET-UID", "52.3731", "4.8932")
        exposed = 0
        for reported in recorder.calls:
            redacted = reported.info.redacted_url
            assert redacted.startswith("https://ev.example/a/")
            assert not any(secret in redacted for secret in planted)
            assert not any(secret in repr(reported.info) for secret in planted)
            exposed += any(secret in reported.info.url for secret in planted)
            # Names and shape are those of the URL that is sent.
            assert len(redacted.split("/")) == len(reported.info.url.split("/"))
            assert redacted.count("=") == reported.info.url.count("=")
            assert redacted.count("REDACTED") == reported.info.url.count("=") + reported.info.route.count("{")
        assert exposed >= 4, "those that have something to hide"
        table = {row.routes[version].path for row in vars(operations).values() if isinstance(row, operations.Operation)}
        assert {reported.info.route for reported in recorder.calls} <= table


def test_the_recorder_listens_to_every_hook_there_is() -> None:
    hooks = {name for name in vars(CallObserver) if not name.startswith("_")}
    assert hooks <= set(vars(RecordedCall))
    of_the_store = {"claimed", "taken_over", "recovery_began"}  # those of test_journal_events.py
    assert {name for name in vars(Observer) if not name.startswith("_")} <= set(vars(Recorder)) | of_the_store
