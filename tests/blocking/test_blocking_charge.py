"""The charge with plain calls: the block stops what it started, Ctrl-C included, and the iterators are plain ones."""

from __future__ import annotations

import signal
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest
from blocking_scripts import CARD, EVSE, Script

from shell_ev import (
    ChargeFailedError,
    ChargeNotStoppedError,
    ChargePendingError,
    ConfigurationError,
    OutcomeUnknownError,
    Polling,
    SessionState,
    ShellEV,
    ValidationError,
)
from shell_ev.sandbox import FAILING_EVSES, FAILING_STOP_EVSE, Fault, Sandbox
from shell_ev.sandbox import SessionState as TrueState

Run = Callable[..., Script]
Wait = Callable[[Callable[[], bool]], None]

QUICK = Polling(eager=0.02, steady=0.02, patient=0.02, started=0.02)
OTHER_EVSE = "NL*TNM*E02003451*1"
OPENING = """
from shell_ev import Polling
ev = ShellEV.from_env()
quick = Polling(eager=0.02, steady=0.02, patient=0.02, started=0.02)
"""


@pytest.fixture(autouse=True)
def quickly(sandbox: Sandbox) -> None:
    """Charges that start after a fifth of a second, and stop after a tenth."""
    sandbox.start_delay, sandbox.stop_delay = 12.0, 6.0


@pytest.fixture
def charges(script: Run) -> Run:
    """Runs a script that has a client and quick polling at hand."""
    return lambda source: script(OPENING + textwrap.dedent(source))


def count(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == f"charging.{operation}" for request in sandbox.requests)


class TestTheBlock:
    def test_starts_and_stops(self, sandbox: Sandbox, ev: ShellEV) -> None:
        with ev.charge(CARD, EVSE, polling=QUICK) as charge:
            assert charge.state is SessionState.STARTED
            assert charge.session is not None
            assert charge.request_id == sandbox.charges[0].request_id
            assert sandbox.charges[0].is_running
        assert charge.is_over
        assert sandbox.charges[0].state is TrueState.STOPPED
        assert repr(charge).startswith("Charge(")

    def test_keeps_the_exception_of_the_body(self, sandbox: Sandbox, ev: ShellEV) -> None:
        mistake = KeyError("a bug of the application")
        with pytest.raises(KeyError) as caught, ev.charge(CARD, EVSE, polling=QUICK):
            raise mistake
        assert caught.value is mistake
        assert not getattr(mistake, "__notes__", [])
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_is_loud_when_the_stop_fails(self, sandbox: Sandbox, ev: ShellEV, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ChargeNotStoppedError), ev.charge(CARD, FAILING_STOP_EVSE, polling=QUICK):
            pass
        sandbox.fail_stops(EVSE, -1)
        with pytest.raises(KeyError) as caught, ev.charge(CARD, EVSE, polling=QUICK):
            raise KeyError
        assert "may still be charging" in caught.value.__notes__[0]
        assert "may still be charging" in caplog.text

    def test_keep_running(self, sandbox: Sandbox, ev: ShellEV) -> None:
        with ev.charge(CARD, EVSE, polling=QUICK, keep_running=True):
            pass
        assert sandbox.charges[0].is_running
        assert count(sandbox, "stop") == 0

    def test_raises_typed_failures_on_entry(self, sandbox: Sandbox, ev: ShellEV) -> None:
        with pytest.raises(ValidationError), ev.charge("", EVSE):
            pass
        assert not sandbox.requests
        with pytest.raises(ChargeFailedError), ev.charge(CARD, FAILING_EVSES["EvseInUse"], polling=QUICK):
            pass
        sandbox.start_delay = 3_000.0
        with pytest.raises(ChargePendingError) as caught, ev.charge(CARD, EVSE, polling=QUICK, start_timeout=0.2):
            pass
        assert count(sandbox, "stop") == 0
        sandbox.end_charge(caught.value.session_id)

    def test_adopts_a_start_without_an_answer(self, sandbox: Sandbox, ev: ShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.drop())
        with ev.charge(CARD, EVSE, polling=QUICK) as charge:
            assert charge.session_id == sandbox.charges[0].session_id
        assert count(sandbox, "start") == 1

    def test_is_entered_once(self, ev: ShellEV) -> None:
        block = ev.charge(CARD, EVSE, polling=QUICK)
        with block:
            pass
        with pytest.raises(ConfigurationError), block:
            pass


class TestAClientClosedInsideTheBlock:
    """Nothing can be sent any more: the car goes on charging, and nobody may overlook that."""

    def test_is_a_charge_not_stopped(self, sandbox: Sandbox, ev: ShellEV, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ChargeNotStoppedError) as caught, ev.charge(CARD, EVSE, polling=QUICK) as charge:
            ev.close()
        assert caught.value.session_id == charge.session_id
        assert caught.value.outcome_unknown
        assert caught.value.session is charge.session
        assert "may still be charging" in str(caught.value)
        assert "client is closed" in str(caught.value)
        [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert charge.session_id in line
        assert sandbox.charges[0].is_running

    def test_by_another_thread_while_the_stop_is_under_way(
        self, sandbox: Sandbox, ev: ShellEV, wait_until: Wait, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.stop_delay = 60_000.0

        def close() -> None:
            wait_until(lambda: count(sandbox, "stop") == 1)
            ev.close()

        closing = threading.Thread(target=close)
        with (
            pytest.raises(ChargeNotStoppedError, match="closed during the call"),
            ev.charge(CARD, EVSE, polling=QUICK) as charge,
        ):
            closing.start()
        closing.join(20)
        assert any(charge.session_id in r.getMessage() for r in caplog.records if r.levelname == "ERROR")

    def test_keeps_the_exception_of_the_body_and_notes_the_charge(
        self, sandbox: Sandbox, ev: ShellEV, caplog: pytest.LogCaptureFixture
    ) -> None:
        mistake = KeyError("a bug of the application")
        with pytest.raises(KeyError) as caught, ev.charge(CARD, EVSE, polling=QUICK) as charge:
            ev.close()
            raise mistake
        assert caught.value is mistake
        [note] = mistake.__notes__
        assert charge.session_id in note
        assert "may still be charging" in note
        assert note in caplog.text

    @pytest.mark.parametrize("quiet", ["kept running", "over already"])
    def test_is_silent_where_nothing_was_to_be_stopped(
        self, sandbox: Sandbox, ev: ShellEV, quiet: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ev.charge(CARD, EVSE, polling=QUICK, keep_running=quiet == "kept running") as charge:
            if quiet == "over already":
                charge.stop()
            ev.close()
        assert "ERROR" not in caplog.text

    @pytest.mark.parametrize("kept", [False, True])
    def test_the_end_of_the_process_names_a_block_that_was_not_left(
        self, sandbox: Sandbox, charges: Run, kept: bool
    ) -> None:
        running = charges(f"""
            import threading
            entered = threading.Event()

            def sit():
                with ev.charge(CARD, EVSE, polling=quick, keep_running={kept}):
                    entered.set()
                    threading.Event().wait()

            threading.Thread(target=sit, daemon=True).start()
            entered.wait()
        """)
        out, err = running.process.communicate(timeout=25)
        [charge] = sandbox.charges
        assert (running.process.returncode, out) == (0, "")
        assert charge.is_running
        if kept:
            assert err == ""
        else:
            assert "may still be charging" in err
            assert charge.session_id in err
            assert "Traceback" not in err


class TestWithoutABlock:
    def test_start_wait_refresh_stop(self, sandbox: Sandbox, ev: ShellEV) -> None:
        charge = ev.start_charge(CARD, EVSE, polling=QUICK)
        assert charge.state is None
        assert charge.wait_started().state is SessionState.STARTED
        again = ev.attach(charge.session_id, polling=QUICK)
        assert again.refresh().state is SessionState.STARTED
        session = again.stop()
        assert session is not None
        assert session.state is SessionState.STOPPED

    def test_reconcile(self, sandbox: Sandbox, ev: ShellEV) -> None:
        sandbox.faults.add("charging.start", Fault.reset())
        with pytest.raises(OutcomeUnknownError) as caught:
            ev.charging.start(CARD, EVSE)
        charge = ev.reconcile(caught.value, polling=QUICK)
        assert charge.session_id == sandbox.charges[0].session_id
        charge.stop()
        assert sandbox.charges[0].is_over

    def test_from_many_threads(self, sandbox: Sandbox, ev: ShellEV) -> None:
        evses = [EVSE, OTHER_EVSE, "NL*TNM*E02003452*1", "NL*TNM*E02003452*2"]

        def run(evse: str) -> None:
            with ev.charge(CARD, evse, polling=QUICK):
                pass

        threads = [threading.Thread(target=run, args=(evse,)) for evse in evses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [charge.state for charge in sandbox.charges] == [TrueState.STOPPED] * 4


class TestIterators:
    def test_changes_is_a_plain_iterator(self, sandbox: Sandbox, ev: ShellEV) -> None:
        charge = ev.start_charge(CARD, EVSE, polling=QUICK)
        seen = []
        for session in charge.changes():
            seen.append(session.state)
            if session.state is SessionState.STARTED:
                sandbox.end_charge(charge.session_id)
        assert seen == [SessionState.START_REQUESTED, SessionState.STARTED, SessionState.STOPPED]

    def test_changes_left_early_stops_looking(self, sandbox: Sandbox, ev: ShellEV) -> None:
        charge = ev.start_charge(CARD, EVSE, polling=QUICK)
        for _ in charge.changes():
            break
        before = count(sandbox, "retrieve")
        threading.Event().wait(0.15)
        assert count(sandbox, "retrieve") == before
        charge.stop()

    def test_follow_is_a_plain_iterator(self, sandbox: Sandbox, ev: ShellEV) -> None:
        charges = [ev.start_charge(CARD, evse, polling=QUICK) for evse in (EVSE, OTHER_EVSE)]
        seen: dict[str, list[Any]] = {}
        for session_id, session in ev.follow([charges[0], charges[1].session_id], budget=200, polling=QUICK):
            seen.setdefault(session_id, []).append(session.state)
            if session.state is SessionState.STARTED:
                sandbox.end_charge(session_id)
        assert {session_id: states[-1] for session_id, states in seen.items()} == {
            charge.session_id: SessionState.STOPPED for charge in charges
        }
        assert charges[0].is_over

    def test_follow_left_early_stops_looking(self, sandbox: Sandbox, ev: ShellEV) -> None:
        charge = ev.start_charge(CARD, EVSE, polling=QUICK)
        for _ in ev.follow([charge], budget=200, polling=QUICK):
            break
        before = count(sandbox, "retrieve")
        threading.Event().wait(0.15)
        assert count(sandbox, "retrieve") == before
        charge.stop()

    def test_follow_checks_at_once(self, ev: ShellEV) -> None:
        with pytest.raises(ValidationError, match="budget"):
            ev.follow([], budget=0)


class TestCtrlC:
    def test_in_the_body_stops_the_charge(self, sandbox: Sandbox, charges: Run) -> None:
        running = charges("""
            try:
                with ev.charge(CARD, EVSE, polling=quick) as charge:
                    print("body", flush=True)
                    time.sleep(60)
            except KeyboardInterrupt as error:
                print("interrupted", charge.state, getattr(error, "__notes__", []))
        """)
        assert running.line() == "body"
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted stopped []")
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_in_a_call_in_the_body_stops_the_charge(self, sandbox: Sandbox, charges: Run) -> None:
        running = charges("""
            try:
                with ev.charge(CARD, EVSE, polling=quick) as charge:
                    print("body", flush=True)
                    for session in charge.changes():
                        pass
            except KeyboardInterrupt:
                print("interrupted", charge.state)
        """)
        assert running.line() == "body"
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted stopped")
        assert sandbox.charges[0].state is TrueState.STOPPED

    @pytest.mark.parametrize("phase", ["the start under way", "waiting for it to start", "looking for it"])
    def test_while_entering_stops_the_charge(
        self, sandbox: Sandbox, charges: Run, wait_until: Wait, phase: str
    ) -> None:
        if phase == "the start under way":
            sandbox.faults.add("charging.start", Fault.delay(0.5))
        elif phase == "looking for it":
            sandbox.show_sessions_after = 60.0  # a second
            sandbox.faults.add("charging.start", Fault.drop())
        else:
            sandbox.start_delay = 60.0
        running = charges("""
            try:
                with ev.charge(CARD, EVSE, polling=quick):
                    print("body")
            except KeyboardInterrupt as error:
                print("interrupted", getattr(error, "__notes__", []))
        """)
        lookups = {"looking for it": "active", "waiting for it to start": "retrieve"}
        wait_until(lambda: count(sandbox, lookups.get(phase, "start")) >= 1)
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted []")
        [charge] = sandbox.charges
        assert charge.is_over
        assert charge.stops
        assert count(sandbox, "start") == 1

    def test_during_the_stop_still_sees_it_stopped(self, sandbox: Sandbox, charges: Run, wait_until: Wait) -> None:
        sandbox.stop_delay = 60.0
        running = charges("""
            try:
                with ev.charge(CARD, EVSE, polling=quick) as charge:
                    pass
            except KeyboardInterrupt:
                print("interrupted", charge.state)
        """)
        wait_until(lambda: count(sandbox, "stop") == 1)
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted stopped")
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_twice_lets_go_and_says_that_the_car_may_still_be_charging(
        self, sandbox: Sandbox, charges: Run, wait_until: Wait
    ) -> None:
        sandbox.stop_delay = 60_000.0
        running = charges("""
            try:
                with ShellEV.from_env() as ev:
                    with ev.charge(CARD, EVSE, polling=quick) as charge:
                        print("body", flush=True)
                        time.sleep(60)
            except KeyboardInterrupt:
                print("interrupted", charge.state)
        """)
        assert running.line() == "body"
        running.process.send_signal(signal.SIGINT)
        wait_until(lambda: count(sandbox, "stop") == 1)
        seen = count(sandbox, "retrieve")
        wait_until(lambda: count(sandbox, "retrieve") >= seen + 2)  # the answer to the first has arrived
        running.process.send_signal(signal.SIGINT)
        out, err = running.process.communicate(timeout=25)
        assert out == "interrupted stop-requested\n"
        assert "may still be charging" in err
        assert "Traceback" not in err

    def test_an_exit_in_the_body_stops_the_charge(self, sandbox: Sandbox, charges: Run) -> None:
        running = charges("""
            with ev.charge(CARD, EVSE, polling=quick):
                sys.exit(3)
        """)
        running.ends(code=3)
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_that_is_not_caught_is_what_the_user_sees(self, sandbox: Sandbox, charges: Run) -> None:
        running = charges("""
            sys.excepthook = lambda kind, error, traceback: print(kind.__name__)
            with ev.charge(CARD, EVSE, polling=quick) as charge:
                print("body", flush=True)
                time.sleep(60)
        """)
        assert running.line() == "body"
        running.process.send_signal(signal.SIGINT)
        running.ends("KeyboardInterrupt", code=-signal.SIGINT)
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_in_start_charge_stops_what_it_started(self, sandbox: Sandbox, charges: Run, wait_until: Wait) -> None:
        sandbox.faults.add("charging.start", Fault.delay(0.5))
        running = charges("""
            try:
                ev.start_charge(CARD, EVSE, polling=quick)
            except KeyboardInterrupt:
                print("interrupted")
        """)
        wait_until(lambda: count(sandbox, "start") == 1)
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted")
        assert sandbox.charges[0].is_over

    def test_while_following_ends_it_and_the_client_stays_usable(self, sandbox: Sandbox, charges: Run) -> None:
        running = charges("""
            charge = ev.start_charge(CARD, EVSE, polling=quick)
            try:
                for session_id, session in ev.follow([charge], budget=100, polling=quick):
                    print(session.state, flush=True)
            except KeyboardInterrupt:
                print("interrupted", charge.stop().state)
        """)
        assert running.line() == "start-requested"
        assert running.line() == "started"
        running.process.send_signal(signal.SIGINT)
        running.ends("interrupted stopped")


class TestCtrlCInTheCracks:
    """At the moments when the call has ended or not begun, and the block does not know."""

    @pytest.mark.parametrize("keep_running", [False, True])
    def test_when_the_charge_has_started_and_the_block_is_not_entered_yet(
        self, sandbox: Sandbox, ev: ShellEV, monkeypatch: pytest.MonkeyPatch, keep_running: bool
    ) -> None:
        block = ev.charge(CARD, EVSE, polling=QUICK, keep_running=keep_running)
        run, interrupts = ev._portal.run, [1]

        def interrupted_after(*arguments: Any) -> Any:
            result = run(*arguments)
            if interrupts:
                interrupts.pop()
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(ev._portal, "run", interrupted_after)
        with pytest.raises(KeyboardInterrupt), block:
            raise AssertionError("not entered")
        assert sandbox.charges[0].state is TrueState.STOPPED

    @pytest.mark.parametrize("error", [None, KeyError()], ids=repr)
    def test_when_the_stop_has_not_begun(
        self, sandbox: Sandbox, ev: ShellEV, monkeypatch: pytest.MonkeyPatch, error: Exception | None
    ) -> None:
        block = ev.charge(CARD, EVSE, polling=QUICK)
        run = ev._portal.run

        def interrupted_before(coroutine: Any, *rest: Any) -> Any:
            monkeypatch.undo()
            coroutine.close()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), block:
            monkeypatch.setattr(ev._portal, "run", interrupted_before)
            if error is not None:
                raise error
        assert ev._portal.run == run
        assert sandbox.charges[0].state is TrueState.STOPPED

    def test_when_start_charge_has_ended_and_the_charge_is_not_assigned_yet(
        self, sandbox: Sandbox, ev: ShellEV, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = ev._portal.run

        def interrupted_after(*arguments: Any) -> Any:
            run(*arguments)
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(ev._portal, "run", interrupted_after)
        with pytest.raises(KeyboardInterrupt):
            ev.start_charge(CARD, EVSE, polling=QUICK)
        stopped = sandbox.charges[0].is_over
        assert stopped or "may still be charging" in caplog.text


class TestClosing:
    def test_the_client_while_another_thread_enters_leaves_nothing_running_unsaid(
        self,
        sandbox: Sandbox,
        make_client: Callable[..., ShellEV],
        wait_until: Wait,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("shell_ev.core.portal.CLOSE_GRACE", 1.0)
        sandbox.start_delay, sandbox.stop_delay = 600.0, 6_000.0
        ev = make_client()
        reported: list[BaseException] = []

        def enter() -> None:
            try:
                with ev.charge(CARD, EVSE, polling=QUICK):
                    raise AssertionError("not started")
            except BaseException as error:
                reported.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        wait_until(lambda: count(sandbox, "retrieve") > 1)
        ev.close()
        thread.join(20)
        assert not thread.is_alive()
        assert isinstance(reported[0], ConfigurationError)
        assert reported[0].outcome_unknown
        assert sandbox.charges[0].is_over or "may still be charging" in caplog.text

    def test_the_client_in_the_body_is_loud_on_leaving(self, sandbox: Sandbox, make_client: Any) -> None:
        ev = make_client()
        with pytest.raises((ConfigurationError, ChargeNotStoppedError)), ev.charge(CARD, EVSE, polling=QUICK):
            ev.close()
        assert sandbox.charges[0].is_running
