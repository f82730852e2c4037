"""What an observer is told of a call, in which order, and in whose context."""

from __future__ import annotations

import asyncio
import contextvars
import time

import aiohttp
import attrs
import pytest
from fakes import (
    CALLS,
    CARD,
    EVSE,
    POSTS,
    FakeSender,
    call,
    client_over,
    good,
    never,
    reply,
    token_reply,
)
from listeners import Recorder, outcome, watched
from virtual_time import VirtualTimeLoop, virtual_time

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    InternalServerError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseDecodeError,
    ValidationError,
)
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.observing import CallInfo, CallObserver, Observer
from shell_ev.options import make_config
from shell_ev.sandbox import Fault, Sandbox


class TestASuccess:
    async def test_is_observed_from_its_beginning_to_its_answer(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            began = time.monotonic()
            answer = await ev.charging.start(CARD, EVSE)
            took = time.monotonic() - began
        assert recorder.hooks == ["call_began", "token_began", "try_ended", "ended", "try_ended", "ended"]
        info = recorder.only.info
        assert (info.operation, info.api_version, info.method) == ("charging.start", ApiVersion.V2, "POST")
        assert info.url == f"{sandbox.url}/ev/v2/charge-session/start"
        assert info.route == "/ev/v2/charge-session/start"
        assert info.request_id == sandbox.requests[-1].headers["RequestId"]
        assert info.arguments == {"ev_charge_number": CARD, "evse_id": EVSE}
        assert not info.background
        (tried,) = recorder.only.tries
        assert (tried.attempt, tried.outcome, tried.status_code, tried.failure) == (1, "answered", 202, None)
        assert tried.is_good
        end = recorder.only.end
        assert end.response is answer
        assert (end.error, end.outcome, end.outcome_unknown, end.attempts, end.status_code) == (
            None,
            "success",
            False,
            1,
            202,
        )
        assert 0 < tried.elapsed < end.elapsed <= took

    async def test_its_token_request_is_separate_and_not_shown(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev, "active")
            await call(ev, "active")
            token = (await ev._manager._connections.source.acquire()).value
        (asked,) = recorder.tokens
        assert asked.info == CallInfo(
            operation="token",
            api_version=ApiVersion.V2,
            method="POST",
            url=f"{sandbox.url}/v2/oauth/token",
            route="/v2/oauth/token",
        )
        assert [tried.status_code for tried in asked.tries] == [200]
        assert (asked.end.outcome, asked.end.response, asked.end.error) == ("success", None, None)
        reported = repr(recorder.everything) + "".join(repr(attrs.asdict(event)) for _, event in recorder.everything)
        assert "charging.active" in reported
        assert token not in reported
        assert sandbox.client_secret not in reported

    async def test_without_a_listener_there_are_no_more_events(self, sandbox: Sandbox) -> None:
        class Picky(Recorder):
            def call_began(self, call: CallInfo) -> CallObserver | None:
                return super().call_began(call) if call.operation == "charging.active" else None

        recorder = Picky()
        async with watched(sandbox, recorder, Observer()) as ev:
            await outcome(ev, "retrieve")
            await call(ev, "active")
        assert recorder.only.end.outcome == "success"
        assert recorder.hooks.count("ended") == 2, "of one call and the token"


class TestAFailure:
    async def test_that_is_retried(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.status(503))
        sandbox.faults.add("charging.active", Fault.rate_limit(0.2))
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev, "active")
        (only,) = recorder.calls
        assert [(tried.attempt, tried.status_code) for tried in only.tries] == [(1, 503), (2, 429), (3, 200)]
        first, second = only.waits_seen
        assert (first.attempt, first.status_code, first.retry_after, first.reason) == (1, 503, None, "status 503")
        assert first.seconds == 0.1
        assert (second.attempt, second.status_code, second.retry_after, second.seconds) == (2, 429, 0.2, 0.2)
        assert only.end.attempts == 3
        assert only.end.outcome == "success"
        assert only.end.elapsed > 0.3
        assert recorder.hooks[-6:] == ["try_ended", "waits", "try_ended", "waits", "try_ended", "ended"]

    async def test_by_a_refused_token_is_a_try_and_a_new_token(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.token_revoked())
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            await call(ev, "active")
        assert [tried.status_code for tried in recorder.only.tries] == [401, 200]
        assert recorder.only.waits_seen == []
        assert [asked.end.outcome for asked in recorder.tokens] == ["success", "success"]
        assert not any(asked.info.background for asked in recorder.tokens), "the call waits for both"

    @pytest.mark.parametrize("operation", CALLS)
    async def test_that_is_final(self, sandbox: Sandbox, operation: str) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.status(500))
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            error = await outcome(ev, operation)
        assert isinstance(error, InternalServerError)
        end = recorder.only.end
        assert end.error is error
        assert end.response is None
        assert end.status_code == 500
        assert end.attempts == len(recorder.only.tries) == (1 if operation in POSTS else 3)
        assert (end.outcome, end.outcome_unknown) == (("unknown", True) if operation in POSTS else ("error", False))

    async def test_of_a_start_with_a_lost_answer(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.start", Fault.drop())
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            error = await outcome(ev, "start")
        assert isinstance(error, OutcomeUnknownError)
        (tried,) = recorder.only.tries
        assert (tried.outcome, tried.status_code, tried.is_good) == ("no_answer", None, False)
        assert tried.failure == tried.reason
        assert "Disconnected" in tried.reason
        end = recorder.only.end
        assert (end.outcome, end.outcome_unknown, end.status_code, end.error) == ("unknown", True, None, error)

    async def test_to_connect(self, sandbox: Sandbox, closed_port: int) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder, base_url=f"http://127.0.0.1:{closed_port}", max_retries=1) as ev:
            error = await outcome(ev, "start")
        (asked,) = recorder.tokens
        assert [tried.outcome for tried in asked.tries] == ["not_sent", "not_sent"]
        assert [wait.outcome for wait in asked.waits_seen] == ["not_sent"]
        assert asked.end.error is error
        only = recorder.only
        assert (only.tries, only.end.attempts, only.end.status_code) == ([], 0, None)
        assert only.end.error is error
        assert only.end.outcome == "error", "a start that never left leaves nothing open"

    async def test_to_get_a_token(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            sandbox.faults.add("token", Fault.status(401))
            error = await outcome(ev, "active")
        assert isinstance(error, AuthenticationError)
        assert recorder.tokens[0].end.status_code == 401
        assert recorder.tokens[0].end.error is error
        assert recorder.only.end.error is error

    async def test_to_read_the_answer(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.start", Fault.garbage())
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            error = await outcome(ev, "start")
        assert isinstance(error, ResponseDecodeError)
        assert [tried.status_code for tried in recorder.only.tries] == [200]
        assert (recorder.only.end.error, recorder.only.end.outcome) == (error, "unknown")

    @virtual_time
    async def test_for_want_of_time_ends_the_try_too(self) -> None:
        recorder = Recorder()
        ev = client_over(FakeSender(always=never), timeout=3, observer=recorder)
        with pytest.raises(RequestTimeoutError):
            await call(ev, "retrieve")
        (tried,) = recorder.only.tries
        assert (tried.attempt, tried.outcome, tried.failure) == (1, "no_answer", "no answer in time")
        assert tried.elapsed == 3
        assert (recorder.only.end.elapsed, recorder.only.end.outcome) == (3, "error")

    @virtual_time
    async def test_of_a_try_does_not_count_what_an_observer_took_before_it(self) -> None:
        class Slow(Recorder):
            def call_began(self, call: CallInfo) -> CallObserver:
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualTimeLoop)
                loop.skip(2)
                return super().call_began(call)

        recorder = Slow()
        sender = FakeSender(token_reply(), good("active"), always=never)
        ev = client_over(sender, ClientCredentials("id", "secret"), timeout=5, observer=recorder)
        await call(ev, "active")  # from here on there is a token at hand
        with pytest.raises(RequestTimeoutError):
            await call(ev, "retrieve")
        assert [tried.elapsed for recorded in recorder.calls for tried in recorded.tries] == [0, 3]
        assert [recorded.end.elapsed for recorded in recorder.calls] == [2, 5]

    @virtual_time
    async def test_for_want_of_time_while_waiting_was_a_try_of_its_own(self) -> None:
        recorder = Recorder()
        sender = FakeSender(reply(503), always=never)
        ev = client_over(sender, timeout=3, observer=recorder)
        with pytest.raises(RequestTimeoutError):
            await call(ev, "retrieve")
        assert [(tried.attempt, tried.outcome) for tried in recorder.only.tries] == [(1, "answered"), (2, "no_answer")]
        assert recorder.only.end.status_code is None, "the last try got no answer"

    async def test_of_an_own_http_session_that_is_closed_is_a_try_that_was_not_sent(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        http_session = aiohttp.ClientSession()
        await http_session.close()
        async with watched(sandbox, recorder, http_session=http_session) as ev:
            error = await outcome(ev, "active")
        assert isinstance(error, ConfigurationError)
        assert [(tried.outcome, tried.failure) for tried in recorder.tokens[0].tries] == [
            ("not_sent", "ConfigurationError")
        ]
        assert recorder.only.end.error is error


class TestACancellation:
    @pytest.mark.parametrize("operation", CALLS)
    @virtual_time
    async def test_has_its_unknown_outcome(self, operation: str) -> None:
        recorder = Recorder()
        ev = client_over(FakeSender(always=never), observer=recorder)
        task = asyncio.create_task(call(ev, operation))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (tried,) = recorder.only.tries
        assert (tried.outcome, tried.failure, tried.elapsed) == ("cancelled", "cancelled", 1)
        end = recorder.only.end
        assert isinstance(end.error, asyncio.CancelledError)
        assert end.outcome == ("unknown" if operation in POSTS else "cancelled")
        assert end.outcome_unknown == (operation in POSTS)

    @virtual_time
    async def test_between_two_tries_of_a_start_leaves_nothing_open(self) -> None:
        recorder = Recorder()
        ev = client_over(FakeSender(reply(429, Retry_After="5")), observer=recorder)
        task = asyncio.create_task(call(ev, "start"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [tried.status_code for tried in recorder.only.tries] == [429]
        assert recorder.only.end.outcome == "cancelled"

    async def test_of_a_dropped_coroutine_is_observed(self) -> None:
        recorder = Recorder()
        thrown_away = call(client_over(FakeSender(always=never), observer=recorder), "start")
        thrown_away.send(None)
        contextvars.copy_context().run(thrown_away.close)
        assert isinstance(recorder.only.end.error, GeneratorExit)
        assert recorder.only.end.outcome == "unknown"


class TestWhatIsNoCall:
    async def test_refused_arguments(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            with pytest.raises(ValidationError):
                await ev.charging.start("", "NL*TNM")
        assert recorder.everything == []

    async def test_a_closed_client(self, sandbox: Sandbox) -> None:
        recorder = Recorder()
        async with watched(sandbox, recorder) as ev:
            pass
        with pytest.raises(ConfigurationError):
            await call(ev, "active")
        assert recorder.everything == []


class TestRenewal:
    async def test_ahead_of_time_is_marked_as_background(self) -> None:
        at = [500.0]
        recorder = Recorder()
        sender = FakeSender(token_reply("t-1", expires_in=100), good("active"), good("active"), reply(500))
        config = make_config(base_url="https://ev.example", observer=recorder, max_retries=0)
        source = ClientCredentials("my-id", "my-secret")
        manager = SessionManager(config, source, lambda: sender, hooks=Hooks(clock=lambda: at[0]))
        ev = AsyncShellEV._over(manager)
        await call(ev, "active")
        at[0] += 90
        await call(ev, "active")
        while len(recorder.tokens) < 2 or not recorder.tokens[1].ends:
            await asyncio.sleep(0)
        assert [asked.info.background for asked in recorder.tokens] == [False, True]
        assert isinstance(recorder.tokens[1].end.error, InternalServerError)
        assert [reported.end.outcome for reported in recorder.calls] == ["success", "success"], (
            "the old token serves on"
        )
