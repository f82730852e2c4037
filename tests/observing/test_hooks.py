"""What an observer is told of a call, in which order, and in whose context."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import time
from typing import Any

import aiohttp
import attrs
import pytest
from fakes import (
    CALLS,
    CARD,
    EVSE,
    LOST,
    POSTS,
    SESSION,
    FakeSender,
    call,
    client_over,
    good,
    never,
    reply,
    token_reply,
)
from listeners import Heard, Recorder, outcome, watched
from virtual_time import virtual_time

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseDecodeError,
    ShellEV,
    TransportError,
    ValidationError,
)
from shell_ev.config import ClientConfig, make_config
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.observing import CallEnded, CallInfo, CallObserver, Observer, TryEnded, Waiting
from shell_ev.sandbox import Fault, Sandbox
from shell_ev.wire import operations


class TestASuccess:
    async def test_is_told_from_its_beginning_to_its_answer(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            began = time.monotonic()
            answer = await ev.charging.start(CARD, EVSE)
            took = time.monotonic() - began
        assert heard.hooks == ["call_began", "token_began", "try_ended", "ended", "try_ended", "ended"]
        info = heard.only.info
        assert (info.operation, info.api_version, info.method) == ("charging.start", ApiVersion.V2, "POST")
        assert info.url == f"{sandbox.url}/ev/v2/charge-session/start"
        assert info.route == "/ev/v2/charge-session/start"
        assert info.request_id == sandbox.requests[-1].headers["RequestId"]
        assert info.arguments == {"ev_charge_number": CARD, "evse_id": EVSE}
        assert not info.background
        (tried,) = heard.only.tries
        assert (tried.attempt, tried.outcome, tried.status_code, tried.failure) == (1, "answered", 202, None)
        assert tried.is_good
        end = heard.only.end
        assert end.response is answer
        assert (end.error, end.outcome, end.outcome_unknown, end.attempts, end.status_code) == (
            None,
            "success",
            False,
            1,
            202,
        )
        assert 0 < tried.elapsed < end.elapsed <= took

    async def test_its_token_is_told_apart_and_not_shown(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev, "active")
            await call(ev, "active")
            token = (await ev._manager._shared.source.acquire()).value
        (asked,) = heard.tokens
        assert asked.info == CallInfo(
            operation="token",
            api_version=ApiVersion.V2,
            method="POST",
            url=f"{sandbox.url}/v2/oauth/token",
            route="/v2/oauth/token",
        )
        assert [tried.status_code for tried in asked.tries] == [200]
        assert (asked.end.outcome, asked.end.response, asked.end.error) == ("success", None, None)
        told = repr(heard.everything) + "".join(repr(attrs.asdict(event)) for _, event in heard.everything)
        assert "charging.active" in told
        assert token not in told
        assert sandbox.client_secret not in told

    async def test_without_a_listener_for_it_nothing_more_is_told(self, sandbox: Sandbox) -> None:
        class Picky(Recorder):
            def call_began(self, call: CallInfo) -> CallObserver | None:
                return super().call_began(call) if call.operation == "charging.active" else None

        heard = Picky()
        async with watched(sandbox, heard, Observer()) as ev:
            await outcome(ev, "retrieve")
            await call(ev, "active")
        assert heard.only.end.outcome == "success"
        assert heard.hooks.count("ended") == 2, "of one call and the token"


class TestAFailure:
    async def test_that_is_retried(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.status(503))
        sandbox.faults.add("charging.active", Fault.rate_limit(0.2))
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev, "active")
        (only,) = heard.calls
        assert [(tried.attempt, tried.status_code) for tried in only.tries] == [(1, 503), (2, 429), (3, 200)]
        first, second = only.waits_told
        assert (first.attempt, first.status_code, first.retry_after, first.reason) == (1, 503, None, "status 503")
        assert first.seconds == 0.1
        assert (second.attempt, second.status_code, second.retry_after, second.seconds) == (2, 429, 0.2, 0.2)
        assert only.end.attempts == 3
        assert only.end.outcome == "success"
        assert only.end.elapsed > 0.3
        assert heard.hooks[-6:] == ["try_ended", "waits", "try_ended", "waits", "try_ended", "ended"]

    async def test_by_a_refused_token_is_a_try_and_a_new_token(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.token_revoked())
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev, "active")
        assert [tried.status_code for tried in heard.only.tries] == [401, 200]
        assert heard.only.waits_told == []
        assert [asked.end.outcome for asked in heard.tokens] == ["success", "success"]
        assert not any(asked.info.background for asked in heard.tokens), "the call waits for both"

    @pytest.mark.parametrize("operation", CALLS)
    async def test_that_is_final(self, sandbox: Sandbox, operation: str) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.status(500))
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            error = await outcome(ev, operation)
        assert isinstance(error, InternalServerError)
        end = heard.only.end
        assert end.error is error
        assert end.response is None
        assert end.status_code == 500
        assert end.attempts == len(heard.only.tries) == (1 if operation in POSTS else 3)
        assert (end.outcome, end.outcome_unknown) == (("unknown", True) if operation in POSTS else ("error", False))

    async def test_of_a_start_whose_answer_is_lost(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.start", Fault.drop())
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            error = await outcome(ev, "start")
        assert isinstance(error, OutcomeUnknownError)
        (tried,) = heard.only.tries
        assert (tried.outcome, tried.status_code, tried.is_good) == ("no_answer", None, False)
        assert tried.failure == tried.reason
        assert "Disconnected" in tried.reason
        end = heard.only.end
        assert (end.outcome, end.outcome_unknown, end.status_code, end.error) == ("unknown", True, None, error)

    async def test_to_connect(self, sandbox: Sandbox, closed_port: int) -> None:
        heard = Recorder()
        async with watched(sandbox, heard, base_url=f"http://127.0.0.1:{closed_port}", max_retries=1) as ev:
            error = await outcome(ev, "start")
        (asked,) = heard.tokens
        assert [tried.outcome for tried in asked.tries] == ["not_sent", "not_sent"]
        assert [wait.outcome for wait in asked.waits_told] == ["not_sent"]
        assert asked.end.error is error
        only = heard.only
        assert (only.tries, only.end.attempts, only.end.status_code) == ([], 0, None)
        assert only.end.error is error
        assert only.end.outcome == "error", "a start that never left leaves nothing open"

    async def test_to_get_a_token(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            sandbox.faults.add("token", Fault.status(401))
            error = await outcome(ev, "active")
        assert isinstance(error, AuthenticationError)
        assert heard.tokens[0].end.status_code == 401
        assert heard.tokens[0].end.error is error
        assert heard.only.end.error is error

    async def test_to_read_the_answer(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.start", Fault.garbage())
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            error = await outcome(ev, "start")
        assert isinstance(error, ResponseDecodeError)
        assert [tried.status_code for tried in heard.only.tries] == [200]
        assert (heard.only.end.error, heard.only.end.outcome) == (error, "unknown")

    @virtual_time
    async def test_for_want_of_time_ends_the_try_too(self) -> None:
        heard = Recorder()
        ev = client_over(FakeSender(always=never), timeout=3, observer=heard)
        with pytest.raises(RequestTimeoutError):
            await call(ev, "retrieve")
        (tried,) = heard.only.tries
        assert (tried.attempt, tried.outcome, tried.failure) == (1, "no_answer", "no answer in time")
        assert tried.elapsed == 3
        assert (heard.only.end.elapsed, heard.only.end.outcome) == (3, "error")

    @virtual_time
    async def test_for_want_of_time_while_waiting_was_a_try_of_its_own(self) -> None:
        heard = Recorder()
        sender = FakeSender(reply(503), always=never)
        ev = client_over(sender, timeout=3, observer=heard)
        with pytest.raises(RequestTimeoutError):
            await call(ev, "retrieve")
        assert [(tried.attempt, tried.outcome) for tried in heard.only.tries] == [(1, "answered"), (2, "no_answer")]
        assert heard.only.end.status_code is None, "the last try got no answer"

    async def test_of_an_own_http_session_that_is_closed_is_a_try_that_was_not_sent(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        http_session = aiohttp.ClientSession()
        await http_session.close()
        async with watched(sandbox, heard, http_session=http_session) as ev:
            error = await outcome(ev, "active")
        assert isinstance(error, ConfigurationError)
        assert [(tried.outcome, tried.failure) for tried in heard.tokens[0].tries] == [
            ("not_sent", "ConfigurationError")
        ]
        assert heard.only.end.error is error


class TestACancellation:
    @pytest.mark.parametrize("operation", CALLS)
    @virtual_time
    async def test_is_told_with_what_it_leaves_open(self, operation: str) -> None:
        heard = Recorder()
        ev = client_over(FakeSender(always=never), observer=heard)
        task = asyncio.create_task(call(ev, operation))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (tried,) = heard.only.tries
        assert (tried.outcome, tried.failure, tried.elapsed) == ("cancelled", "cancelled", 1)
        end = heard.only.end
        assert isinstance(end.error, asyncio.CancelledError)
        assert end.outcome == ("unknown" if operation in POSTS else "cancelled")
        assert end.outcome_unknown == (operation in POSTS)

    @virtual_time
    async def test_between_two_tries_of_a_start_leaves_nothing_open(self) -> None:
        heard = Recorder()
        ev = client_over(FakeSender(reply(429, Retry_After="5")), observer=heard)
        task = asyncio.create_task(call(ev, "start"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [tried.status_code for tried in heard.only.tries] == [429]
        assert heard.only.end.outcome == "cancelled"

    async def test_of_a_coroutine_that_is_thrown_away_is_told(self) -> None:
        heard = Recorder()
        thrown_away = call(client_over(FakeSender(always=never), observer=heard), "start")
        thrown_away.send(None)
        contextvars.copy_context().run(thrown_away.close)
        assert isinstance(heard.only.end.error, GeneratorExit)
        assert heard.only.end.outcome == "unknown"


class TestWhatIsNoCall:
    async def test_refused_arguments(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            with pytest.raises(ValidationError):
                await ev.charging.start("", "NL*TNM")
        assert heard.everything == []

    async def test_a_closed_client(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            pass
        with pytest.raises(ConfigurationError):
            await call(ev, "active")
        assert heard.everything == []


class TestRenewal:
    async def test_ahead_of_time_is_told_to_be_in_the_background(self) -> None:
        at = [500.0]
        heard = Recorder()
        sender = FakeSender(token_reply("t-1", expires_in=100), good("active"), good("active"), reply(500))
        config = make_config(base_url="https://ev.example", observer=heard, max_retries=0)
        source = ClientCredentials("my-id", "my-secret")
        manager = SessionManager(config, source, lambda: sender, hooks=Hooks(clock=lambda: at[0]))
        ev = AsyncShellEV._over(manager)
        await call(ev, "active")
        at[0] += 90
        await call(ev, "active")
        while len(heard.tokens) < 2 or not heard.tokens[1].ends:
            await asyncio.sleep(0)
        assert [asked.info.background for asked in heard.tokens] == [False, True]
        assert isinstance(heard.tokens[1].end.error, InternalServerError)
        assert [told.end.outcome for told in heard.calls] == ["success", "success"], "the old token serves on"


class TestSeveral:
    async def test_are_told_in_order_and_of_the_end_in_reverse(self, sandbox: Sandbox) -> None:
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
    async def test_a_copy_tells_the_same_observers(self, sandbox: Sandbox) -> None:
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev.with_options(timeout=3), "active")
            await call(ev.with_options(api_version="v1"), "active")
        assert [told.info.api_version for told in heard.calls] == [ApiVersion.V2, ApiVersion.V1]
        assert len(heard.tokens) == 1, "one token for all copies"

    async def test_a_copy_may_have_its_own_and_none(self, sandbox: Sandbox) -> None:
        heard, other = Recorder(), Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev.with_options(observer=other), "active")
            await call(ev.with_options(observer=()), "active")
        assert heard.calls == []
        assert len(other.calls) == 1
        assert (len(heard.tokens), len(other.tokens)) == (1, 0), "the token is the original's"

    def test_the_blocking_twin_tells_too(self) -> None:
        heard = Recorder()
        with Sandbox(stations=0) as sandbox:
            options: dict[str, Any] = {"base_url": sandbox.url, "observer": [heard]}
            with ShellEV(sandbox.client_id, sandbox.client_secret, **options) as ev:
                answer = ev.charging.active(CARD)
                ev.with_options(timeout=3).charging.active(CARD)
        first, second = heard.calls
        assert first.end.response is answer
        assert second.end.outcome == "success"

    def test_a_configuration_compares_and_prints_without_them(self) -> None:
        assert make_config(observer=Recorder()) == make_config()
        assert hash(make_config(observer=Recorder())) == hash(make_config())


class TestACharge:
    async def test_is_a_number_of_ordinary_calls(self, sandbox: Sandbox) -> None:
        sandbox.start_delay = sandbox.stop_delay = 0
        heard = Recorder()
        states: list[str] = []

        class States(Observer):
            def call_began(self, call: CallInfo) -> CallObserver | None:
                class Look(CallObserver):
                    def ended(self, event: CallEnded) -> None:
                        if event.response is not None:
                            states.append(event.response.data.state.value)

                return Look() if call.operation == "charging.retrieve" else None

        async with watched(sandbox, heard, States()) as ev, ev.charge(CARD, EVSE):
            pass
        assert {told.end.outcome for told in heard.calls} == {"success"}
        operations_seen = [told.info.operation for told in heard.calls]
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
        heard = Recorder()
        async with watched(sandbox, heard) as ev:
            await call(ev, "active")
            await outcome(ev, "retrieve")
        assert {type(event) for _, event in heard.everything} == {CallInfo, TryEnded, Waiting, CallEnded}
        assert isinstance(heard.calls[1].end.error, NotFoundError)
        for _, event in heard.everything:
            assert pickle.loads(pickle.dumps(event)) == event

    async def test_are_frozen(self) -> None:
        event = TryEnded(attempt=1, outcome="answered", status_code=200, elapsed=0.1)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.attempt = 2  # type: ignore[misc]

    @pytest.mark.parametrize("version", ApiVersion)
    async def test_the_redacted_url_names_no_id(self, version: ApiVersion) -> None:
        heard = Recorder()
        sender = FakeSender(always=LOST)
        ev = client_over(sender, observer=heard, api_version=version, base_url="https://ev.example/a", max_retries=0)
        for operation in CALLS:
            await outcome(ev, operation)
        for located in (ev.locations.get("SECRET-UID"), ev.locations.nearby(52.3731, 4.8932, limit=5)):
            with pytest.raises(TransportError):
                await located
        assert len(heard.calls) == 6
        planted = (SESSION, CARD, EVSE, "SECRET-UID", "52.3731", "4.8932")
        exposed = 0
        for told in heard.calls:
            redacted = told.info.redacted_url
            assert redacted.startswith("https://ev.example/a/")
            assert not any(secret in redacted for secret in planted)
            assert not any(secret in repr(told.info) for secret in planted)
            exposed += any(secret in told.info.url for secret in planted)
            # Names and shape are those of the URL that is sent.
            assert len(redacted.split("/")) == len(told.info.url.split("/"))
            assert redacted.count("=") == told.info.url.count("=")
            assert redacted.count("REDACTED") == told.info.url.count("=") + told.info.route.count("{")
        assert exposed >= 4, "those that have something to hide"
        table = {row.routes[version].path for row in vars(operations).values() if isinstance(row, operations.Operation)}
        assert {told.info.route for told in heard.calls} <= table


def test_the_recorder_listens_to_every_hook_there_is() -> None:
    hooks = {name for name in vars(CallObserver) if not name.startswith("_")}
    assert hooks <= set(vars(Heard))
    assert {name for name in vars(Observer) if not name.startswith("_")} <= set(vars(Recorder))
