"""The sandbox of a test, driven as an application drives it: real clients, real sockets, the test's time."""

from __future__ import annotations

import asyncio
import threading
import unittest
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from shell_ev import (
    ApiVersion,
    AsyncShellEV,
    ChargeFailedError,
    ConfigurationError,
    ConnectError,
    NotFoundError,
    OutcomeUnknownError,
    ShellEV,
    StaticToken,
    Timeout,
)
from shell_ev.sandbox import EXAMPLE_CARD, EXAMPLE_EVSE, FAILING_EVSES, FAILING_STOP_EVSE, Dialect, Fault, Sandbox
from shell_ev.testing import ControlledSandbox, ControlledTime

CARD, EVSE = EXAMPLE_CARD, EXAMPLE_EVSE
EVSES = [f"NL*TNM*E02003453*{number}" for number in range(1, 5)]
pytestmark = pytest.mark.usefixtures("quick")


class TestWithoutAServer:
    async def test_while_it_is_down(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        url = sandbox.url
        with sandbox.down(), pytest.raises(ConnectError):
            await ev.charging.start(CARD, EVSE)
        assert sandbox.url == url
        sandbox.assert_nothing_started()
        await ev.charging.start(CARD, EVSE)
        sandbox.assert_started_once()

    async def test_a_restart_takes_test_time(self, sandbox: ControlledSandbox) -> None:
        ev = sandbox.client(max_retries=10)
        await ev.charging.active(CARD)
        restarting = asyncio.ensure_future(sandbox.restart(downtime=6))
        await asyncio.sleep(0)
        assert (await ev.charging.active(CARD)).elapsed > 6
        await restarting

    def test_before_it_is_up(self) -> None:
        sandbox = ControlledSandbox()
        for act in (lambda: sandbox.url, lambda: sandbox.client(), lambda: sandbox.after(1, print)):
            with pytest.raises(RuntimeError, match="has not been started"):
                act()
        with pytest.raises(RuntimeError, match="has not been started"), sandbox.down():
            pass


class TestWhatIsAsserted:
    async def test_nothing_has_happened(self, sandbox: ControlledSandbox) -> None:
        sandbox.assert_nothing_started()
        sandbox.assert_nothing_running()
        sandbox.assert_faults_used()
        sandbox.assert_requested("charging.start", 0)
        with pytest.raises(AssertionError, match=r"expected one start to take effect, and 0 did\n(.*\n)*  none"):
            sandbox.assert_started_once()
        with pytest.raises(AssertionError, match="expected one charge, and there were 0"):
            sandbox.only_charge()

    async def test_started_once_counts_what_took_effect(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.rate_limit(3))
        await ev.charging.start(CARD, EVSE)
        sandbox.assert_started_once()
        sandbox.assert_requested("charging.start", 2)
        with pytest.raises(AssertionError, match=r"expected 1 requests of charging\.start, and 2 reached the sandbox"):
            sandbox.assert_requested("charging.start", 1)
        with pytest.raises(AssertionError, match="expected no start to take effect, and 1 did"):
            sandbox.assert_nothing_started()
        await ev.charging.start(CARD, EVSES[0])
        with pytest.raises(AssertionError, match="expected one start to take effect, and 2 did"):
            sandbox.assert_started_once()

    async def test_left_running(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        def left() -> int:
            count = len(sandbox.running())
            if count:
                with pytest.raises(AssertionError, match=f"charges left running: {count} of"):
                    sandbox.assert_nothing_running()
            else:
                sandbox.assert_nothing_running()
            return count

        pending = await ev.charging.start(CARD, EVSE)
        assert left() == 1
        await ev.charging.start(CARD, FAILING_EVSES["EvNotConnectedToEvse"])
        assert left() == 1  # that one will not start
        sandbox.advance(20)
        assert left() == 1
        await ev.charging.stop(pending.data.session_id)
        assert left() == 0  # it is stopping
        unstoppable = await ev.charging.start(CARD, FAILING_STOP_EVSE)
        sandbox.advance(20)
        await ev.charging.stop(unstoppable.data.session_id)
        assert left() == 1
        sandbox.end_charge(unstoppable.data.session_id)
        assert left() == 0

    async def test_faults_that_hit_nothing(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.drop(), times=2)
        sandbox.faults.add("*", Fault.status(500))
        with pytest.raises(AssertionError, match=r"hit no call: 2 on charging.start, 1 on \*"):
            sandbox.assert_faults_used()
        with pytest.raises(OutcomeUnknownError):
            await ev.charging.start(CARD, EVSE)
        sandbox.faults.clear("*")
        with pytest.raises(AssertionError, match=r"hit no call: 1 on charging\.start"):
            sandbox.assert_faults_used()

    def test_an_operation_that_does_not_exist(self, sandbox: ControlledSandbox) -> None:
        with pytest.raises(ValueError, match=r"unknown operation 'start'; known are token, charging\.start"):
            sandbox.requests_to("start")

    async def test_the_story(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.drop())
        charge = await ev.start_charge(CARD, FAILING_EVSES["EvNotConnectedToEvse"])
        with pytest.raises(ChargeFailedError):
            await charge.wait_started()
        async with aiohttp.ClientSession() as session, session.get(f"{sandbox.url}/nowhere"):
            pass
        reported = sandbox.story()
        assert reported.splitlines() == [
            "requests that reached the sandbox:",
            "       0.0 s  token              200",
            "       0.0 s  charging.start     202, but the connection was closed instead",
            "       0.0 s  charging.active    200",
            "       0.0 s  charging.retrieve  200  (11 times until 20.0 s)",
            "      20.0 s  charging.active    200",
            "      20.0 s  GET /nowhere       404",
            "charges:",
            f"  {charge.session_id} on {FAILING_EVSES['EvNotConnectedToEvse']} for {CARD}",
            "       0.0 s  start-requested",
            "      20.0 s  failed-to-start",
            "              EvNotConnectedToEvse: No vehicle was connected to the EVSE in time.",
        ]
        assert sandbox.client_secret not in reported

    async def test_requests_are_recorded_as_they_are_sent_in_real_life(self) -> None:
        async with (
            Sandbox(stations=0) as real,
            AsyncShellEV(real.client_id, real.client_secret, base_url=real.url) as ev,
        ):
            await ev.charging.active(CARD)
        with ControlledSandbox() as sandbox:
            await sandbox.client().charging.active(CARD)
        assert set(sandbox.requests[-1].headers) == set(real.requests[-1].headers)

    async def test_no_request_is_forgotten(self, sandbox: ControlledSandbox) -> None:
        assert sandbox.requests.maxlen is None


class TestItsClients:
    @pytest.mark.parametrize("version", list(ApiVersion))
    async def test_options(self, version: ApiVersion) -> None:
        with ControlledSandbox(client_options={"api_version": version, "max_retries": 0}) as sandbox:
            for ev in (sandbox.client(), AsyncShellEV.from_env(sandbox.env)):
                assert (ev.config.api_version, ev.config.max_retries) == (version, 0)
                await ev.charging.active(CARD)
                assert sandbox.requests[-1].dialect is Dialect(version.value)
                await ev.aclose()
            assert sandbox.client(max_retries=5).config.max_retries == 5
            assert sandbox.blocking_client().config.api_version is version

    async def test_the_environment_says_what_it_can(self) -> None:
        with ControlledSandbox(client_options={"timeout": Timeout(total=3)}) as sandbox:
            assert set(sandbox.env) == {"SHELL_EV_CLIENT_ID", "SHELL_EV_CLIENT_SECRET", "SHELL_EV_BASE_URL"}
        with ControlledSandbox(client_options={"timeout": 3.5}) as sandbox:
            assert AsyncShellEV.from_env(sandbox.env).config.timeout.total == 3.5

    async def test_a_token_source_of_their_own(self, sandbox: ControlledSandbox) -> None:
        from shell_ev import UnauthorizedError

        with pytest.raises(UnauthorizedError):
            await sandbox.client(token_source=StaticToken("none-of-theirs")).charging.active(CARD)

    def test_one_client_on_several_loops(self, sandbox: ControlledSandbox) -> None:
        ev = sandbox.client()

        async def charge() -> None:
            async with ev.charge(CARD, EVSE):
                pass

        for _ in range(3):
            asyncio.run(charge())
        assert len(sandbox.charges) == 3
        sandbox.assert_nothing_running()

    async def test_a_client_that_the_application_makes_is_on_the_same_time(self, sandbox: ControlledSandbox) -> None:
        async with AsyncShellEV.from_env(sandbox.env) as own, own.charge(CARD, EVSE):
            assert sandbox.time.elapsed == 20

    def test_a_blocking_one_in_a_thread_too(self, sandbox: ControlledSandbox) -> None:
        def work() -> None:
            with ShellEV.from_env(sandbox.env) as own, own.charge(CARD, EVSE):
                pass

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(2)
        assert sandbox.time.elapsed == 30

    async def test_two_sandboxes_on_one_clock(self) -> None:
        with ControlledTime() as clock, ControlledSandbox(time=clock) as one:
            with ControlledSandbox(time=clock) as other:
                async with one.client().charge(CARD, EVSE), other.client().charge(CARD, EVSE):
                    assert clock.elapsed == 40
                assert (len(one.charges), len(other.charges)) == (1, 1)
            async with one.client().charge(CARD, EVSE):
                assert clock.elapsed == 80

    async def test_as_async_context_manager(self) -> None:
        async with ControlledSandbox() as sandbox, sandbox.client().charge(CARD, EVSE):
            pass
        assert sandbox.time.elapsed == 30

    async def test_after_the_test_they_say_so(self) -> None:
        with ControlledSandbox() as sandbox:
            ev, blocking = sandbox.client(), sandbox.blocking_client()
            app = AsyncShellEV.from_env(sandbox.env, max_retries=0)
            await app.charging.active(CARD)
        for late in (ev, app):
            with pytest.raises(ConfigurationError, match="the test that this client was made in is over"):
                await late.charging.start(CARD, EVSE)
        with pytest.raises(ConfigurationError, match="closed"):
            blocking.charging.start(CARD, EVSE)
        await app.aclose()

    async def test_a_task_that_outlives_the_test_ends(self) -> None:
        with ControlledSandbox() as sandbox:
            sandbox.time.auto = False
            charge = await sandbox.client().start_charge(CARD, EVSE)
            following = asyncio.ensure_future(charge.wait_started())
            await sandbox.time.settled()
        with pytest.raises(ConfigurationError, match="is over"):
            await asyncio.wait_for(following, 1)

    async def test_errors_carry_the_times_of_the_test(self, sandbox: ControlledSandbox, ev: AsyncShellEV) -> None:
        sandbox.advance(timedelta(days=30))
        sandbox.faults.add("charging.start", Fault.drop())
        with pytest.raises(OutcomeUnknownError) as caught:
            await ev.charging.start(CARD, EVSE)
        assert caught.value.sent_at == sandbox.time.utcnow() == datetime.fromtimestamp(sandbox.now(), UTC)

    @pytest.mark.parametrize("limits", [Timeout(connect=1e-6), Timeout(total=1e-4)])
    async def test_connecting_takes_real_time_and_no_time_of_the_test(
        self, sandbox: ControlledSandbox, limits: Timeout
    ) -> None:
        assert (await sandbox.client(timeout=limits).charging.active(CARD)).elapsed == 0

    async def test_a_server_that_never_answers_and_is_not_the_sandbox_is_given_up_for_real(
        self, sandbox: ControlledSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shell_ev.testing.sending._REAL_PATIENCE", 0.05)
        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1")
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}"
            stranger = AsyncShellEV(token_source=StaticToken("4711"), base_url=url, max_retries=0)
            with pytest.raises(OutcomeUnknownError, match="no answer in time"):
                await stranger.charging.start(CARD, EVSE)
            assert sandbox.time.elapsed == 0
            await stranger.aclose()
            for writer in writers:
                writer.close()

    async def test_a_server_that_is_not_the_sandbox(self, sandbox: ControlledSandbox) -> None:
        """Its answers take real time, during which the test's stands still."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1")
        async with server:
            port = server.sockets[0].getsockname()[1]
            short = Timeout(total=1, connect=1, read=0.02)
            stranger = AsyncShellEV(token_source=StaticToken("t"), base_url=f"http://127.0.0.1:{port}", timeout=short)
            charging = sandbox.client().charge(CARD, EVSE)
            asking = asyncio.ensure_future(stranger.charging.active(CARD))
            async with charging:
                pass
            with pytest.raises(NotFoundError):
                await asking
            await stranger.aclose()


class TestWithUnittest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.sandbox = self.enterContext(ControlledSandbox())

    async def test_a_charge(self) -> None:
        async with self.sandbox.client().charge(CARD, EVSE):
            pass
        self.sandbox.assert_started_once()
        self.sandbox.assert_nothing_running()


def test_options_that_do_not_exist() -> None:
    wrong: Any = {"speed": 60}
    with pytest.raises(TypeError, match="speed"):
        ControlledSandbox(**wrong)
