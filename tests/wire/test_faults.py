"""What happens to a call when the network or the service fails under it, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from fakes import CALLS, CARD, EVSE, GETS, POSTS, REQUEST_ID, call

from shell_ev import (
    ApiError,
    AsyncShellEV,
    ClientConfig,
    ClientCredentials,
    ConnectError,
    InternalServerError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ServiceUnavailableError,
    StaticToken,
    Timeout,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
)
from shell_ev.core.retry import RetryPolicy
from shell_ev.core.session_manager import Hooks, SessionManager
from shell_ev.core.transport import Transport
from shell_ev.options import make_config
from shell_ev.sandbox import Fault, Sandbox

LOSSES = {
    "the connection is reset": Fault.reset(),
    "the connection is closed": Fault.drop(),
    "the answer breaks off": Fault.truncate(),
    "no answer comes in time": Fault.hang(),
}
ARGUMENTS = {
    "start": {"ev_charge_number": CARD, "evse_id": EVSE},
    "stop": None,  # the session started in the test
}


def arrived(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == f"charging.{operation}" for request in sandbox.requests)


def over_sockets(base_url: str, *, source: Any = None, http_session: Any = None, **options: Any) -> AsyncShellEV:
    """A client with the shortest waits between attempts."""
    config = make_config(base_url=base_url, **options)
    hooks = Hooks(jitter=lambda _: 0.0, retry=RetryPolicy(floor=0.005))
    manager = SessionManager(config, source or StaticToken("t"), lambda: Transport(config, http_session), hooks=hooks)
    return AsyncShellEV._over(manager)


class TestAnAnswerThatIsLost:
    @pytest.mark.parametrize("loss", LOSSES)
    async def test_a_start_reaches_the_server_once_and_its_outcome_is_unknown(
        self, sandbox: Sandbox, hasty: AsyncShellEV, loss: str
    ) -> None:
        await hasty.charging.active(CARD)  # the token and a warm connection: the worst case for a blind repeat
        sandbox.faults.always("charging.start", LOSSES[loss])
        before = datetime.now(UTC)

        with pytest.raises(OutcomeUnknownError) as caught:
            await hasty.charging.start(CARD, EVSE, request_id=REQUEST_ID, timeout=0.3, max_retries=5)

        assert arrived(sandbox, "start") == 1
        assert len(sandbox.charges) == 1
        error = caught.value
        assert error.outcome_unknown
        assert error.request_sent
        assert error.operation == "charging.start"
        assert error.request_id == REQUEST_ID
        assert error.arguments == {"ev_charge_number": CARD, "evse_id": EVSE}
        assert error.attempts == 1
        assert error.sent_at is not None
        assert before - timedelta(seconds=1) <= error.sent_at <= datetime.now(UTC)
        found = await hasty.charging.active(CARD)
        assert [session.evse_id for session in found.data] == [EVSE]

    @pytest.mark.parametrize("loss", LOSSES)
    async def test_a_stop_reaches_the_server_once_and_its_outcome_is_unknown(
        self, sandbox: Sandbox, hasty: AsyncShellEV, loss: str
    ) -> None:
        session_id = (await hasty.charging.start(CARD, EVSE)).data.session_id
        sandbox.faults.always("charging.stop", LOSSES[loss])

        with pytest.raises(OutcomeUnknownError) as caught:
            await hasty.charging.stop(session_id, request_id=REQUEST_ID, timeout=0.3, max_retries=5)

        assert arrived(sandbox, "stop") == 1
        error = caught.value
        assert (error.operation, error.request_id) == ("charging.stop", REQUEST_ID)
        assert error.arguments == {"session_id": session_id}
        assert error.sent_at is not None

    @pytest.mark.parametrize("operation", GETS)
    @pytest.mark.parametrize("loss", ["the connection is reset", "the connection is closed", "the answer breaks off"])
    async def test_a_look_up_is_tried_again(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str, loss: str
    ) -> None:
        session_id = (await hasty.charging.start(CARD, EVSE)).data.session_id
        # Twice, because aiohttp itself repeats a GET once on a kept-alive connection that turns out to be dead.
        sandbox.faults.add(f"charging.{operation}", LOSSES[loss], times=2)

        argument = session_id if operation == "retrieve" else CARD
        response = await getattr(hasty.charging, operation)(argument, request_id=REQUEST_ID)

        assert response.attempts >= 2
        assert arrived(sandbox, operation) == 3
        sent_ids = {r.headers["RequestId"] for r in sandbox.requests if r.operation == f"charging.{operation}"}
        assert sent_ids == {REQUEST_ID}

    async def test_a_look_up_with_a_slow_answer_is_repeated_after_the_read_timeout(self, sandbox: Sandbox) -> None:
        sandbox.faults.add("charging.active", Fault.hang())
        async with over_sockets(
            sandbox.url,
            source=ClientCredentials(sandbox.client_id, sandbox.client_secret),
            timeout=Timeout(total=5, read=0.15),
        ) as ev:
            assert (await ev.charging.active(CARD)).attempts == 2

    @pytest.mark.parametrize("operation", POSTS)
    async def test_a_post_with_a_slow_answer_is_unknown_after_the_read_timeout(
        self, sandbox: Sandbox, operation: str
    ) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.hang())
        async with over_sockets(
            sandbox.url,
            source=ClientCredentials(sandbox.client_id, sandbox.client_secret),
            timeout=Timeout(total=5, read=0.15),
        ) as ev:
            with pytest.raises(OutcomeUnknownError, match="no answer in time"):
                await call(ev, operation)
        assert arrived(sandbox, operation) == 1

    @pytest.mark.parametrize("operation", GETS)
    async def test_a_look_up_that_stays_without_an_answer_says_so_after_all_its_tries(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str
    ) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.drop())
        with pytest.raises(TransportError) as caught:
            await call(hasty, operation, max_retries=1)
        assert type(caught.value) is TransportError
        assert caught.value.request_sent
        assert not caught.value.outcome_unknown
        assert caught.value.attempts == 2
        assert arrived(sandbox, operation) >= 2

    @pytest.mark.parametrize("operation", GETS)
    async def test_a_look_up_that_runs_out_of_time_is_a_timeout(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str
    ) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.hang())
        with pytest.raises(RequestTimeoutError) as caught:
            await call(hasty, operation, timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.request_sent
        assert not caught.value.outcome_unknown

    @pytest.mark.parametrize("operation", POSTS)
    async def test_cancelling_a_call_that_waits_for_its_answer_is_a_cancellation(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str
    ) -> None:
        await hasty.charging.active(CARD)
        sandbox.faults.always(f"charging.{operation}", Fault.hang())
        task = asyncio.ensure_future(call(hasty, operation))
        while not arrived(sandbox, operation):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert arrived(sandbox, operation) == 1
        sandbox.faults.clear()
        assert (await hasty.charging.active(CARD)).status_code == 200


class NoSuchHost(AbstractResolver):
    """A resolver that knows no host, as a deterministic stand-in for a DNS failure."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked += 1
        raise OSError(None, "Name or service not known")

    async def close(self) -> None:
        pass


class TestARequestThatIsRefusedBeforeItIsSent:
    @pytest.mark.parametrize("operation", CALLS)
    async def test_on_a_closed_port_it_is_tried_again_and_its_outcome_is_known(
        self, closed_port: int, operation: str
    ) -> None:
        async with over_sockets(f"http://127.0.0.1:{closed_port}") as ev:
            with pytest.raises(ConnectError) as caught:
                await call(ev, operation)
        assert caught.value.attempts == 3
        assert not caught.value.outcome_unknown
        assert not caught.value.request_sent
        assert caught.value.operation == f"charging.{operation}"

    @pytest.mark.parametrize("operation", CALLS)
    async def test_an_unknown_host_is_retried_and_the_outcome_is_known(self, operation: str) -> None:
        resolver = NoSuchHost()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver)) as session,
            over_sockets("http://ev.invalid", http_session=session) as ev,
        ):
            with pytest.raises(ConnectError) as caught:
                await call(ev, operation)
        assert caught.value.attempts == resolver.asked == 3
        assert not caught.value.outcome_unknown

    @pytest.mark.parametrize("operation", CALLS)
    async def test_a_tls_handshake_that_fails_is_tried_again_and_the_outcome_is_known(
        self, sandbox: Sandbox, operation: str
    ) -> None:
        async with over_sockets(sandbox.url.replace("http:", "https:"), ssl=ssl.create_default_context()) as ev:
            with pytest.raises(ConnectError) as caught:
                await call(ev, operation)
        assert caught.value.attempts == 3
        assert not caught.value.outcome_unknown
        assert not sandbox.requests

    @pytest.mark.parametrize("operation", CALLS)
    async def test_without_a_free_connection_in_time_it_is_tried_again_and_the_outcome_is_known(
        self, sandbox: Sandbox, operation: str
    ) -> None:
        credentials = ClientCredentials(sandbox.client_id, sandbox.client_secret)
        timeout = Timeout(total=5, connect=0.05)
        async with over_sockets(sandbox.url, source=credentials, max_connections=1, timeout=timeout) as ev:
            await ev.charging.active(CARD)
            sandbox.faults.add("charging.active", Fault.hang())
            holder = asyncio.ensure_future(ev.charging.active(CARD))
            while arrived(sandbox, "active") < 2:
                await asyncio.sleep(0.001)
            try:
                with pytest.raises(RequestTimeoutError) as caught:
                    await call(ev, operation, max_retries=1)
            finally:
                holder.cancel()
                await asyncio.wait([holder])
        assert caught.value.attempts == 2
        assert not caught.value.outcome_unknown
        assert not caught.value.request_sent
        assert arrived(sandbox, "start") == arrived(sandbox, "stop") == arrived(sandbox, "retrieve") == 0

    @pytest.mark.parametrize("operation", POSTS)
    async def test_running_out_of_the_whole_time_while_waiting_for_a_connection_is_known_not_to_be_sent(
        self, sandbox: Sandbox, operation: str
    ) -> None:
        credentials = ClientCredentials(sandbox.client_id, sandbox.client_secret)
        async with over_sockets(sandbox.url, source=credentials, max_connections=1, timeout=5) as ev:
            await ev.charging.active(CARD)
            sandbox.faults.add("charging.active", Fault.hang())
            holder = asyncio.ensure_future(ev.charging.active(CARD))
            while arrived(sandbox, "active") < 2:
                await asyncio.sleep(0.001)
            try:
                with pytest.raises(RequestTimeoutError) as caught:
                    await call(ev, operation, timeout=0.1)
            finally:
                holder.cancel()
                await asyncio.wait([holder])
        assert not caught.value.outcome_unknown
        assert arrived(sandbox, operation) == 0

    async def test_a_start_gets_through_once_the_service_listens_again(self, sandbox: Sandbox) -> None:
        credentials = ClientCredentials(sandbox.client_id, sandbox.client_secret)
        async with over_sockets(sandbox.url, source=credentials, max_retries=100) as ev:
            await ev.charging.active(CARD)
            await sandbox.close()
            starting = asyncio.ensure_future(ev.charging.start(CARD, EVSE))
            await asyncio.sleep(0.02)
            assert not starting.done()
            await sandbox.start()
            started = await starting
        assert started.attempts > 1
        assert arrived(sandbox, "start") == len(sandbox.charges) == 1

    async def test_a_host_name_no_resolver_takes_is_no_unknown_outcome(self) -> None:
        # Past the checks of the constructor: such a name may still come from a proxy's or a session's settings.
        config = ClientConfig(base_url=f"http://{'a' * 64}.example", max_retries=0)
        manager = SessionManager(config, StaticToken("t"), lambda: Transport(config, None))
        async with AsyncShellEV._over(manager) as ev:
            with pytest.raises(ConnectError) as caught:
                await ev.charging.start(CARD, EVSE)
        assert not caught.value.outcome_unknown


class TestAnAnswerThatAsksToWait:
    @pytest.mark.parametrize(
        ("operation", "fault"),
        [*((operation, Fault.rate_limit(0.1)) for operation in CALLS), ("active", Fault.unavailable(0.1))],
    )
    async def test_retry_after_is_obeyed(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str, fault: Fault
    ) -> None:
        started = await hasty.charging.start(CARD, EVSE)
        sandbox.requests.clear()
        sandbox.faults.add(f"charging.{operation}", fault)
        arguments = (started.data.session_id,) if operation in ("stop", "retrieve") else CALLS[operation]
        response = await getattr(hasty.charging, operation)(*arguments)
        assert response.attempts == 2
        assert response.elapsed >= 0.1
        assert arrived(sandbox, operation) == 2

    @pytest.mark.parametrize(
        ("operation", "fault", "kind"),
        [
            *((operation, Fault.rate_limit(30), TooManyRequestsError) for operation in CALLS),
            ("active", Fault.unavailable(30), ServiceUnavailableError),
        ],
    )
    async def test_retry_after_beyond_the_time_left_is_raised_at_once(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str, fault: Fault, kind: type[ApiError]
    ) -> None:
        sandbox.faults.always(f"charging.{operation}", fault)
        with pytest.raises(kind) as caught:
            await asyncio.wait_for(call(hasty, operation, timeout=10), 3)
        assert caught.value.retry_after == 30
        assert caught.value.attempts == 1
        assert not caught.value.outcome_unknown
        assert arrived(sandbox, operation) == 1


class TestServerErrors:
    @pytest.mark.parametrize("operation", POSTS)
    @pytest.mark.parametrize(
        "fault",
        [
            *(Fault.status(code, after_effect=True) for code in (500, 502, 504)),
            *(Fault.unavailable(wait, after_effect=True) for wait in (None, 0, 0.1)),
        ],
        ids=["500", "502", "504", "503", "503 with Retry-After 0", "503 with Retry-After"],
    )
    async def test_a_start_or_stop_is_sent_once_and_its_outcome_is_unknown(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str, fault: Fault
    ) -> None:
        sandbox.faults.always(f"charging.{operation}", fault)
        with pytest.raises(InternalServerError, match="it may have taken effect") as caught:
            await call(hasty, operation, max_retries=5)
        assert caught.value.outcome_unknown
        assert caught.value.sent_at is not None
        assert arrived(sandbox, operation) == 1
        assert len(sandbox.charges) == (operation == "start")

    @pytest.mark.parametrize("operation", GETS)
    @pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
    async def test_a_look_up_is_repeated(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str, status: int
    ) -> None:
        sandbox.faults.add(f"charging.{operation}", Fault.status(status))
        with pytest.raises(ApiError) if operation == "retrieve" else _nothing() as caught:  # an unknown session: 404
            await call(hasty, operation)
        if caught is not None:
            assert caught.value.status_code == 404
        assert arrived(sandbox, operation) == 2


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class TestARefusedToken:
    @pytest.mark.parametrize("operation", ["start", "active"])
    async def test_a_call_is_replayed_once_with_a_fresh_token(
        self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str
    ) -> None:
        await hasty.charging.active(CARD)
        sandbox.requests.clear()
        sandbox.faults.add(f"charging.{operation}", Fault.token_revoked())

        response = await call(hasty, operation, max_retries=0)

        assert response.attempts == 2
        first, second = [r for r in sandbox.requests if r.operation == f"charging.{operation}"]
        assert first.headers["Authorization"] != second.headers["Authorization"]
        assert first.headers["RequestId"] == second.headers["RequestId"]
        assert sandbox.service.tokens.issued == 2
        assert len(sandbox.charges) == (operation == "start")

    @pytest.mark.parametrize("operation", CALLS)
    async def test_a_second_refusal_is_raised(self, sandbox: Sandbox, hasty: AsyncShellEV, operation: str) -> None:
        sandbox.faults.always(f"charging.{operation}", Fault.token_revoked())
        with pytest.raises(UnauthorizedError) as caught:
            await call(hasty, operation)
        assert caught.value.attempts == 2
        assert not caught.value.outcome_unknown
        assert arrived(sandbox, operation) == 2
        assert sandbox.service.tokens.issued == 2

    async def test_200_calls_refused_together_cost_one_new_token_and_get_200_answers(
        self, sandbox: Sandbox, hasty: AsyncShellEV
    ) -> None:
        await hasty.charging.active(CARD)
        sandbox.revoke_tokens()
        answers = await asyncio.gather(*(hasty.charging.active(CARD, timeout=30) for _ in range(200)))
        assert [answer.status_code for answer in answers] == [200] * 200
        assert sandbox.service.tokens.issued == 2

    async def test_1000_concurrent_first_calls_cost_one_token_request(self, sandbox: Sandbox) -> None:
        async with AsyncShellEV(sandbox.client_id, sandbox.client_secret, base_url=sandbox.url) as ev:
            answers = await asyncio.gather(*(ev.charging.active(CARD) for _ in range(1000)))
        assert len(answers) == 1000
        assert sum(request.operation == "token" for request in sandbox.requests) == 1


class TestPerCallOptions:
    async def test_a_call_may_set_its_own_request_id_headers_retries_and_timeout(
        self, sandbox: Sandbox, hasty: AsyncShellEV
    ) -> None:
        sandbox.faults.add("charging.active", Fault.status(502))
        with pytest.raises(InternalServerError) as caught:
            await hasty.charging.active(CARD, request_id=REQUEST_ID, max_retries=0, headers={"X-Trace": "abc"})
        assert caught.value.attempts == 1
        (request,) = [r for r in sandbox.requests if r.operation == "charging.active"]
        assert request.headers["RequestId"] == REQUEST_ID
        assert request.headers["X-Trace"] == "abc"

        sandbox.faults.add("charging.active", Fault.hang(), times=3)
        began = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeoutError):
            await hasty.charging.active(CARD, timeout=0.1)
        assert asyncio.get_running_loop().time() - began < 2

    async def test_a_call_may_set_its_own_read_and_connect_limits(self, sandbox: Sandbox, hasty: AsyncShellEV) -> None:
        sandbox.faults.add("charging.active", Fault.hang())
        response = await hasty.charging.active(CARD, timeout=Timeout(total=5, read=0.1))
        assert response.attempts == 2
