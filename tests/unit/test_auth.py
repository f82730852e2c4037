"""Tokens: fetched once, renewed early, dropped when refused, and never shown."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from fakes import CALLS, FakeSender, call, client_over, good, reply, token_reply
from virtual_time import virtual_time

from shell_ev import (
    AccessToken,
    AuthenticationError,
    BadRequestError,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    CredentialsRefusedError,
    InternalServerError,
    ShellEVError,
    StaticToken,
    TokenSource,
    UnauthorizedError,
)
from shell_ev.core.auth import Grant, TokenCache, ValidatedSource, no_token, read_grant, read_lifetime
from shell_ev.core.call import Reply, Request, SendFailure
from shell_ev.redaction import Secrets

CREDENTIALS = ClientCredentials("my-id", "my-secret")


class Clock:
    """Time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = 500.0

    def __call__(self) -> float:
        return self.at


class Endpoint:
    """A fetch that counts, and answers when it is let."""

    def __init__(self, lifetime: float | None = 3600.0) -> None:
        self.lifetime = lifetime
        self.fetches = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Grant:
        self.fetches += 1
        number = self.fetches
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Grant(AccessToken(f"token-{number}"), self.lifetime)


def cache(lifetime: float | None = 3600.0) -> tuple[TokenCache, Endpoint, Clock]:
    clock, endpoint = Clock(), Endpoint(lifetime)
    return TokenCache(endpoint, clock), endpoint, clock


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class TestOneFetchForMany:
    async def test_1000_concurrent_callers_cost_one_fetch(self) -> None:
        tokens, endpoint, _ = cache()
        got = await asyncio.gather(*(tokens.acquire() for _ in range(1000)))
        assert endpoint.fetches == 1
        assert {token.value for token in got} == {"token-1"}

    async def test_200_callers_refused_together_cost_one_new_token(self) -> None:
        tokens, endpoint, _ = cache()
        old = await tokens.acquire()

        async def refused() -> str:
            tokens.invalidate(old)
            return (await tokens.acquire()).value

        assert set(await asyncio.gather(*(refused() for _ in range(200)))) == {"token-2"}
        assert endpoint.fetches == 2

    async def test_a_late_refusal_of_an_old_token_leaves_the_new_one_alone(self) -> None:
        tokens, endpoint, _ = cache()
        old = await tokens.acquire()
        tokens.invalidate(old)
        await tokens.acquire()
        tokens.invalidate(old)
        assert (await tokens.acquire()).value == "token-2"
        assert endpoint.fetches == 2

    async def test_a_caller_that_gives_up_does_not_take_the_token_from_the_others(self) -> None:
        tokens, endpoint, _ = cache()
        endpoint.gate.clear()
        first = asyncio.ensure_future(tokens.acquire())
        second = asyncio.ensure_future(tokens.acquire())
        await turns()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        endpoint.gate.set()
        assert (await second).value == "token-1"
        assert endpoint.fetches == 1

    async def test_every_waiter_gets_the_error_of_a_failed_fetch_and_the_next_caller_a_new_try(self) -> None:
        tokens, endpoint, _ = cache()
        endpoint.error = AuthenticationError("refused")
        got = await asyncio.gather(*(tokens.acquire() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, AuthenticationError) for error in got)
        assert endpoint.fetches == 1
        endpoint.error = None
        assert (await tokens.acquire()).value == "token-2"

    async def test_closing_during_a_fetch_fails_the_waiters_and_ends_the_fetch(self) -> None:
        tokens, endpoint, _ = cache()
        endpoint.gate.clear()
        waiters = [asyncio.ensure_future(tokens.acquire()) for _ in range(3)]
        await turns()
        await tokens.aclose()
        got = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(error) for error in got] == [ConfigurationError] * 3
        assert len(asyncio.all_tasks()) == 1

    def test_a_fetch_that_a_dead_loop_left_behind_does_not_hang_the_next_loop(self) -> None:
        tokens, endpoint, _ = cache()

        async def leave() -> None:
            endpoint.gate = asyncio.Event()
            waiter = asyncio.ensure_future(tokens.acquire())
            await turns()
            waiter.cancel()

        async def again() -> str:
            endpoint.gate = asyncio.Event()
            endpoint.gate.set()
            return (await asyncio.wait_for(tokens.acquire(), 1)).value

        asyncio.run(leave())
        assert asyncio.run(again()) == "token-2"

    def test_a_fetch_that_is_stuck_on_another_loop_is_not_waited_for(self) -> None:
        tokens, endpoint, _ = cache()
        here, there = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            endpoint.gate = asyncio.Event()
            stuck = here.create_task(tokens.acquire())
            here.run_until_complete(turns())
            endpoint.gate = asyncio.Event()
            endpoint.gate.set()
            assert there.run_until_complete(asyncio.wait_for(tokens.acquire(), 1)).value == "token-2"
            stuck.cancel()
            for task in asyncio.all_tasks(here):
                task.cancel()
            here.run_until_complete(turns())
        finally:
            here.close()
            there.close()


class TestEarlyRenewal:
    async def test_near_its_end_the_old_token_serves_while_a_new_one_is_fetched(self) -> None:
        tokens, endpoint, clock = cache(3600)
        await tokens.acquire()
        endpoint.gate.clear()
        clock.at += 3600 - 59
        assert [(await tokens.acquire()).value for _ in range(10)] == ["token-1"] * 10
        await turns()
        assert endpoint.fetches == 2
        endpoint.gate.set()
        await turns()
        assert (await tokens.acquire()).value == "token-2"

    async def test_well_before_its_end_it_is_left_alone(self) -> None:
        tokens, endpoint, clock = cache(3600)
        await tokens.acquire()
        clock.at += 3600 - 61
        await tokens.acquire()
        await turns()
        assert endpoint.fetches == 1

    async def test_a_failed_renewal_keeps_the_old_token_and_is_tried_again_after_a_while(self) -> None:
        tokens, endpoint, clock = cache(3600)
        await tokens.acquire()
        clock.at += 3600 - 50
        endpoint.error = ConnectError("no")
        for _ in range(5):
            assert (await tokens.acquire()).value == "token-1"
            await turns()
        assert endpoint.fetches == 2, "a renewal that failed is not tried again at once"
        clock.at += 6
        endpoint.error = None
        assert (await tokens.acquire()).value == "token-1"
        await turns()
        assert (await tokens.acquire()).value == "token-3"

    async def test_a_renewal_that_breaks_in_an_unforeseen_way_keeps_the_old_token(self) -> None:
        tokens, endpoint, clock = cache(3600)
        await tokens.acquire()
        clock.at += 3600 - 50
        endpoint.error = RuntimeError("a bug")
        assert (await tokens.acquire()).value == "token-1"
        await turns()
        assert (await tokens.acquire()).value == "token-1"

    async def test_past_its_end_callers_wait_for_the_new_token_and_get_its_error(self) -> None:
        tokens, endpoint, clock = cache(3600)
        await tokens.acquire()
        clock.at += 3600
        endpoint.error = ConnectError("no")
        with pytest.raises(ConnectError):
            await tokens.acquire()
        endpoint.error = None
        assert (await tokens.acquire()).value == "token-3"

    @pytest.mark.parametrize("lifetime", [0.5, 1, 5, 10, 59, 60, 61, 120, 300])
    async def test_skew_never_eats_a_short_lived_token(self, lifetime: float) -> None:
        tokens, endpoint, clock = cache(lifetime)
        await tokens.acquire()
        clock.at += lifetime * 0.79
        for _ in range(10):
            assert (await tokens.acquire()).value == "token-1"
        await turns()
        assert endpoint.fetches == 1, "used for at least four fifths of its life"
        clock.at += lifetime * 0.2
        assert (await tokens.acquire()).value == "token-1", "and served to its end while the next one is fetched"
        await turns()
        assert endpoint.fetches == 2

    async def test_a_token_of_no_life_is_used_once_by_all_who_waited(self) -> None:
        tokens, endpoint, _ = cache(0)
        assert {t.value for t in await asyncio.gather(*(tokens.acquire() for _ in range(9)))} == {"token-1"}
        assert (await tokens.acquire()).value == "token-2"
        assert endpoint.fetches == 2

    async def test_a_token_without_a_known_end_serves_until_it_is_refused(self) -> None:
        tokens, endpoint, clock = cache(None)
        await tokens.acquire()
        clock.at += 10**9
        assert (await tokens.acquire()).value == "token-1"
        await turns()
        assert endpoint.fetches == 1

    async def test_the_time_the_fetch_took_counts_against_the_token(self) -> None:
        clock = Clock()

        async def slow() -> Grant:
            clock.at += 50
            return Grant(AccessToken("slow"), 100.0)

        tokens = TokenCache(slow, clock)
        await tokens.acquire()
        fetches_at = clock.at
        clock.at += 51
        await tokens.acquire()
        assert clock.at == fetches_at + 51 + 50, "asked again: 101 seconds after it was asked for, it was at its end"


class TestTheTokenEndpointsAnswer:
    @pytest.mark.parametrize(
        ("wire", "seconds"),
        [
            (3600, 3600.0),
            (1, 1.0),
            (0, 0.0),
            ("3600", 3600.0),
            (" 3600 ", 3600.0),
            ("3599.5", 3599.5),
            (3599.9, 3599.9),
            (None, None),
            ("", None),
            ("soon", None),
            ("nan", None),
            ("inf", None),
            (-1, None),
            ("-1", None),
            (True, None),
            (False, None),
            ([3600], None),
            ({"seconds": 3600}, None),
            (10**400, None),
            ("1" * 5000, None),
        ],
    )
    def test_expires_in_is_read_in_any_form(self, wire: Any, seconds: float | None) -> None:
        assert read_lifetime(wire) == seconds

    def test_expires_in_may_be_missing(self) -> None:
        grant = read_grant(token_reply("abc").body)
        assert grant is not None
        assert (grant.token.value, grant.lifetime) == ("abc", None)

    @pytest.mark.parametrize("type_", [None, "bearer", "MAC", 7])
    def test_the_token_type_is_ignored(self, type_: Any) -> None:
        grant = read_grant(json.dumps({"access_token": "abc", "token_type": type_}).encode())
        assert grant is not None
        assert grant.token.value == "abc"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b"null",
            b'"token"',
            b"{}",
            b'{"access_token": null}',
            b'{"access_token": ""}',
            b'{"access_token": 7}',
            b'{"access_token": "with space"}',
            b'{"access_token": "line\\nbreak"}',
            b'{"access_token": "t\\u00f6ken"}',
            b'{"access_tok',
            b"\xff\xfe",
            b"[" * 100_000,
        ],
    )
    def test_an_answer_without_a_usable_token_is_an_authentication_error(self, body: bytes) -> None:
        assert read_grant(body) is None
        error = no_token(reply(200, body), Secrets(()))
        assert type(error) is AuthenticationError
        assert error.status_code == 200
        assert "without a usable access_token" in str(error)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
    @pytest.mark.parametrize(
        ("body", "error", "description"),
        [
            ({"error": "invalid_client", "error_description": "No such client"}, "invalid_client", "No such client"),
            ({"error": "invalid_client"}, "invalid_client", None),
            ({"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"}, "invalid_client", "ClientId is Invalid"),
            ({"fault": {"faultstring": "Nope", "detail": {"errorcode": "oauth.x"}}}, "oauth.x", "Nope"),
            ("<html>", None, None),
            ([], None, None),
            ({}, None, None),
        ],
    )
    def test_both_shapes_of_a_refusal_are_read(
        self, status: int, body: Any, error: str | None, description: str | None
    ) -> None:
        raw = body if isinstance(body, str) else json.dumps(body)
        refusal = no_token(reply(status, raw.encode()), Secrets(()))
        assert refusal.error == error
        assert refusal.error_description == description
        assert refusal.status_code == status
        assert not refusal.outcome_unknown
        assert str(status) in str(refusal)
        for words in (error, description):
            assert words is None or words in str(refusal)

    @pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_grant", "access_denied"])
    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_an_oauth_error_in_either_shape_refuses_the_credentials(self, status: int, error: str) -> None:
        for body in (
            {"error": error, "error_description": "No"},
            {"error": error.upper()},
            {"ErrorCode": error, "Error": "No"},
        ):
            assert type(no_token(reply(status, body), Secrets(()))) is CredentialsRefusedError

    @pytest.mark.parametrize(
        ("status", "body", "refused"),
        [
            (401, b"<html>", True),
            (401, b"", True),
            (401, b'{"error": "temporarily_unavailable"}', True),
            (400, b'{"error": "invalid_request"}', False),
            (400, b'{"error": "invalid_scope"}', False),
            (403, b"<html>gateway</html>", False),
            (403, b'{"fault": {"faultstring": "Nope", "detail": {"errorcode": "oauth.x"}}}', False),
            (404, b'{"error": "invalid_client"}', False),
            (408, b"", False),
            (302, b"", False),
            (200, b"<html>", False),
            (200, b'{"error": "invalid_client"}', False),
        ],
    )
    def test_any_other_answer_without_a_token_may_pass(self, status: int, body: bytes, refused: bool) -> None:
        error = no_token(reply(status, body), Secrets(()))
        assert type(error) is (CredentialsRefusedError if refused else AuthenticationError)

    @pytest.mark.parametrize("status", [200, 302, 401])
    def test_the_headers_of_the_answer_come_along_without_a_secret(self, status: int) -> None:
        answer = reply(status, b"<html>", Content_Type="text/html", Location="https://portal.example/?was=the-secret")
        error = no_token(answer, Secrets(["the-secret"]))
        assert error.headers["content-type"] == "text/html"
        assert error.headers["location"] == "https://portal.example/?was=***"
        assert AuthenticationError("no answer at all").headers == {}


def tokens_and_calls(*token_outcomes: Any, operation: str = "active") -> FakeSender:
    """A sender whose token endpoint gives these outcomes in order, and whose API always answers well."""
    left = list(token_outcomes)

    def answer(request: Request) -> Any:
        return left.pop(0) if request.url.endswith("/token") else good(operation)

    return FakeSender(always=answer)


class TestTheTokenCallInTheLoop:
    @virtual_time
    async def test_1000_concurrent_first_calls_send_one_token_request(self) -> None:
        sender = tokens_and_calls(token_reply())
        async with client_over(sender, CREDENTIALS) as ev:
            await asyncio.gather(*(call(ev, "active") for _ in range(1000)))
        assert sum(request.url.endswith("/token") for request in sender.requests) == 1
        assert len(sender.requests) == 1001

    @virtual_time
    async def test_200_concurrent_401s_with_an_old_token_cost_one_new_token_and_give_200_answers(self) -> None:
        issued = 0
        valid: str | None = None

        async def answer(request: Request) -> Any:
            nonlocal issued, valid
            fits = request.headers["Authorization"] == f"Bearer {valid}"
            await asyncio.sleep(0.05)  # so that all 200 are under way with the old token
            if request.url.endswith("/token"):
                issued += 1
                valid = f"tok-{issued}"
                return token_reply(valid, expires_in=3600)
            return good("active") if fits else reply(401)

        sender = FakeSender(always=answer)
        async with client_over(sender, CREDENTIALS, max_retries=0) as ev:
            await call(ev, "active")
            valid = None  # the service forgets its token
            answers = await asyncio.gather(*(call(ev, "active") for _ in range(200)))
        assert [answer.attempts for answer in answers] == [2] * 200
        assert issued == 2

    @pytest.mark.parametrize(
        "failure",
        [
            SendFailure("lost", sent=True),
            SendFailure("refused", sent=False),
            reply(500),
            reply(502),
            reply(503),
            reply(504),
            reply(429),
            reply(408),
            reply(425),
            reply(200, b"<html>a portal</html>"),
            reply(200, b'{"access_token": "cut off'),
        ],
        ids=["lost", "refused", "500", "502", "503", "504", "429", "408", "425", "html", "cut off"],
    )
    @pytest.mark.parametrize("operation", ["start", "active"])
    @virtual_time
    async def test_it_is_repeated_like_a_get_for_every_call(self, failure: Any, operation: str) -> None:
        sender = tokens_and_calls(failure, failure, token_reply(), operation=operation)
        async with client_over(sender, CREDENTIALS) as ev:
            response = await call(ev, operation)
        assert response.attempts == 1, "the tries of the token are not the call's"
        assert len(sender.requests) == 4

    @virtual_time
    async def test_it_obeys_retry_after(self) -> None:
        sender = tokens_and_calls(reply(429, Retry_After="7"), token_reply())
        async with client_over(sender, CREDENTIALS) as ev:
            await call(ev, "active")
        assert sender.waits[0] == pytest.approx(7)

    @pytest.mark.parametrize("operation", ["start", "active"])
    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (SendFailure("lost", sent=True), ShellEVError),
            (SendFailure("refused", sent=False), ConnectError),
            (reply(500), InternalServerError),
            (reply(401, {"error": "invalid_client"}), CredentialsRefusedError),
            (reply(408), AuthenticationError),
            (reply(400, {"error": "invalid_request"}), AuthenticationError),
            (reply(302, Location="https://elsewhere"), AuthenticationError),
            (reply(200, b"<html>"), AuthenticationError),
        ],
        ids=["lost", "refused", "500", "401", "408", "400", "302", "html"],
    )
    @virtual_time
    async def test_without_a_token_nothing_is_sent_and_the_outcome_is_known(
        self, operation: str, failure: Any, kind: type[ShellEVError]
    ) -> None:
        sender = FakeSender(always=failure)
        async with client_over(sender, CREDENTIALS) as ev:
            with pytest.raises(kind) as caught:
                await call(ev, operation)
        assert not caught.value.outcome_unknown
        assert all(request.url.endswith("/token") for request in sender.requests)

    @pytest.mark.parametrize("status", [400, 401, 403])
    @virtual_time
    async def test_a_refusal_is_not_repeated(self, status: int) -> None:
        sender = FakeSender(always=reply(status, {"error": "invalid_client"}))
        async with client_over(sender, CREDENTIALS, max_retries=5) as ev:
            with pytest.raises(AuthenticationError):
                await call(ev, "active")
        assert len(sender.requests) == 1

    @virtual_time
    async def test_running_out_of_time_while_the_token_is_fetched_is_known_not_to_be_sent(self) -> None:
        sender = FakeSender(always=lambda _: asyncio.get_running_loop().create_future())
        async with client_over(sender, CREDENTIALS) as ev:
            with pytest.raises(TimeoutError) as caught:
                await call(ev, "start", timeout=3)
            assert isinstance(caught.value, ShellEVError)
            assert not caught.value.outcome_unknown

    @virtual_time
    async def test_closing_the_client_during_a_fetch_ends_the_waiting_calls(self) -> None:
        sender = FakeSender(always=lambda _: asyncio.get_running_loop().create_future())
        ev = client_over(sender, CREDENTIALS)
        calls = [asyncio.ensure_future(call(ev, "start")) for _ in range(3)]
        await turns(10)
        await ev.aclose()
        got = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in got] == [ConfigurationError] * 3

    @virtual_time
    async def test_a_renewal_in_the_background_leaves_no_noise_when_it_fails(self) -> None:
        sender = tokens_and_calls(token_reply(expires_in=0.001), reply(401), token_reply("tok-2"))
        async with client_over(sender, CREDENTIALS) as ev:
            await call(ev, "active")
            await turns()


class TestStaticTokens:
    @pytest.mark.parametrize("operation", CALLS)
    @virtual_time
    async def test_a_refused_one_is_an_error_at_once(self, operation: str) -> None:
        sender = FakeSender(reply(401))
        async with client_over(sender, StaticToken("abc")) as ev:
            with pytest.raises(UnauthorizedError) as caught:
                await call(ev, operation)
        assert caught.value.attempts == 1
        assert sender.requests[0].headers["Authorization"] == "Bearer abc"

    @pytest.mark.parametrize("token", ["", " abc", "abc\n", "with space", "t\u00f6ken", None, 7, b"abc"])
    def test_one_that_cannot_travel_is_a_configuration_error(self, token: Any) -> None:
        with pytest.raises(ConfigurationError, match="token"):
            StaticToken(token)


class Custom:
    """A token source of the user's."""

    def __init__(self, acquire: Callable[[], Any], invalidate: Callable[[AccessToken], None] = lambda _: None) -> None:
        self._acquire = acquire
        self._invalidate = invalidate

    async def acquire(self) -> AccessToken:
        token: AccessToken = self._acquire()
        return token

    def invalidate(self, token: AccessToken) -> None:
        self._invalidate(token)


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


class TestTokenSourcesOfTheUser:
    @virtual_time
    async def test_a_refused_token_is_invalidated_at_its_source_and_the_next_one_is_used(self) -> None:
        tokens = iter([AccessToken("one"), AccessToken("two")])
        refused: list[str] = []
        sender = FakeSender(reply(401), good("start"))
        source = Custom(lambda: next(tokens), lambda token: refused.append(token.value))
        async with client_over(sender, source) as ev:
            await call(ev, "start")
        assert refused == ["one"]
        assert [r.headers["Authorization"] for r in sender.requests] == ["Bearer one", "Bearer two"]

    @virtual_time
    async def test_a_token_renewed_in_place_is_a_new_one_and_the_old_stays_hidden(self) -> None:
        class Renewed:
            value = "the-old-one"

        token = Renewed()
        renewed = iter(["the-new-one", "the-newest"])

        def renew(_: Any) -> None:
            token.value = next(renewed)

        def refuse(_: Request) -> Reply:
            renew(token)
            return reply(400, b'{"code": "x", "message": "no the-old-one, no the-new-one"}')

        sender = FakeSender(reply(401), refuse)
        async with client_over(sender, Custom(lambda: token, renew)) as ev:
            with pytest.raises(BadRequestError) as caught:
                await call(ev, "start")
        assert [r.headers["Authorization"] for r in sender.requests] == ["Bearer the-old-one", "Bearer the-new-one"]
        assert caught.value.message == "no ***, no ***"

    @pytest.mark.parametrize("error", [ValueError("secret-in-text"), TimeoutError(), OSError(5), KeyError("x")])
    @virtual_time
    async def test_every_exception_becomes_an_authentication_error(self, error: Exception) -> None:
        async with client_over(FakeSender(), Custom(raising(error))) as ev:
            with pytest.raises(AuthenticationError) as caught:
                await call(ev, "start")
        assert caught.value.__cause__ is error
        assert "secret-in-text" not in str(caught.value)
        assert not caught.value.outcome_unknown

    @virtual_time
    async def test_our_own_errors_pass_through_it(self) -> None:
        error = ConnectError("vault is away")
        async with client_over(FakeSender(), Custom(raising(error))) as ev:
            with pytest.raises(ConnectError) as caught:
                await call(ev, "start")
        assert caught.value is error

    @virtual_time
    async def test_an_invalidate_that_raises_becomes_an_authentication_error(self) -> None:
        source = Custom(lambda: AccessToken("one"), raising(RuntimeError("boom")))
        async with client_over(FakeSender(reply(401)), source) as ev:
            with pytest.raises(AuthenticationError) as caught:
                await call(ev, "start")
        assert not caught.value.outcome_unknown

    @pytest.mark.parametrize("given", [None, "abc", AccessToken(""), AccessToken("a b"), AccessToken("a\nb"), object()])
    async def test_something_that_is_no_token_is_an_authentication_error(self, given: Any) -> None:
        with pytest.raises(AuthenticationError):
            await ValidatedSource(Custom(lambda: given)).acquire()

    def test_any_object_with_both_methods_is_a_token_source(self) -> None:
        assert isinstance(Custom(lambda: None), TokenSource)
        assert isinstance(StaticToken("x"), TokenSource)


class TestCredentials:
    def test_they_become_a_basic_header_without_percent_encoding(self) -> None:
        # Python: base64.b64encode("client+id:sécret/%:x".encode())
        credentials = ClientCredentials("client+id", "s\u00e9cret/%:x")
        assert credentials.basic == "Basic Y2xpZW50K2lkOnPDqWNyZXQvJTp4"

    def test_the_form_names_the_grant_and_the_scope_when_there_is_one(self) -> None:
        assert CREDENTIALS.form == b"grant_type=client_credentials"
        assert ClientCredentials("a", "b", scope="x:read y").form == b"grant_type=client_credentials&scope=x%3Aread+y"

    @virtual_time
    async def test_id_and_secret_can_be_sent_in_the_body(self) -> None:
        sender = tokens_and_calls(token_reply())
        async with client_over(sender, ClientCredentials("my:id", "s/cret", scope="x", auth="body")) as ev:
            await call(ev, "active")
        request = sender.requests[0]
        assert "Authorization" not in request.headers
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.body == b"grant_type=client_credentials&client_id=my%3Aid&client_secret=s%2Fcret&scope=x"

    @pytest.mark.parametrize("auth", ["post", "", None, 7])
    def test_another_place_for_id_and_secret_is_a_configuration_error(self, auth: Any) -> None:
        with pytest.raises(ConfigurationError, match="auth must be 'basic' or 'body'"):
            ClientCredentials("id", "secret", auth=auth)

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (("", "s"), ["client_id"]),
            (("i", ""), ["client_secret"]),
            (("", ""), ["client_id", "client_secret"]),
            ((None, 7), ["client_id", "client_secret"]),
            ((" i", "s\n"), ["client_id", "client_secret"]),
            (("a:b", "s"), ["client_id"]),
            (("i", "\ud800s"), ["client_secret"]),
            (("i", "s", ""), ["scope"]),
        ],
    )
    def test_invalid_credentials_are_refused_at_once_and_without_the_secret(
        self, arguments: tuple[Any, ...], named: list[str]
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            ClientCredentials(*arguments)
        for name in named:
            assert name in str(caught.value)

    @pytest.mark.parametrize(
        "holder", [CREDENTIALS, StaticToken("my-secret"), AccessToken("my-secret")], ids=lambda h: type(h).__name__
    )
    def test_secrets_are_neither_shown_nor_pickled(self, holder: object) -> None:
        assert "my-secret" not in repr(holder)
        assert "my-secret" not in str(holder)
        with pytest.raises(TypeError, match="secret") as caught:
            pickle.dumps(holder)
        assert "my-secret" not in str(caught.value)
        with pytest.raises(TypeError):
            copy.deepcopy(holder)
