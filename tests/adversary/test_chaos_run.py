"""The chaos run: nothing doubled, nothing adopted that is another's, nothing orphaned silently. And its judge."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shell_ev import OutcomeUnknownError

from .chaos_judge import Charge, ErrorLines, Judge
from .chaos_run import run, show
from .raw_server import Fault, RawServer, Seen, Session, drop_before_effect, lose_answer_after_effect, nothing
from .support import CARD, EVSE, OTHER_EVSE

SENT = 1_700_000_000.0
RID, OTHER_RID = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"


def check(figures: dict[str, Any]) -> None:
    """The promise, and that the run was hard enough to break it."""
    assert figures["doubled"] == 0
    assert figures["adopted wrongly"] == 0
    assert figures["orphaned silently"] == 0
    assert figures["tasks left"] == 0
    assert figures["untyped errors"] == 0, figures["untyped"]
    assert figures["adopted rightly"] >= 0.95 * figures["tellable"]
    assert figures["faulted"] > 0.5
    assert figures["carried out"] > figures["charges"] / 2
    assert figures["foreign sessions"] > figures["charges"] / 3
    assert figures["lost and carried out"] > figures["charges"] / 5
    assert figures["tellable"] > figures["charges"] / 20
    assert figures["cancelled"] > figures["charges"] / 20


@pytest.mark.servers
@pytest.mark.parametrize("seed", [1, 2])
def test_the_promise_holds_against_an_adversary(seed: int) -> None:
    figures = run(150, seed)
    print(show(figures))
    check(figures)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
def test_the_promise_holds_for_3000_charges(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(3000, seed)
    with capsys.disabled():
        print(show(figures))
    assert figures["charges"] >= 3000
    check(figures)


def test_a_run_is_the_same_every_time() -> None:
    assert run(30, 5) == run(30, 5)


class Scene:
    """Records as the server makes them, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = SENT
        self.server = RawServer(lambda: self.moment)
        self.lines = ErrorLines()
        self.charge = Charge(RID, "one", CARD, EVSE, began=SENT - 1, ended=SENT + 60)
        self.charges = [self.charge]

    def ask(self, operation: str, fault: Fault = nothing, *, client: str = "one", **fields: Any) -> Seen:
        seen = Seen(operation=operation, at=self.moment, connection=1, client=client, **{"request_id": RID, **fields})
        seen.fault = fault
        if fault.effect:
            seen.status, _ = getattr(self.server, f"_{operation}")(seen, fault)
        if fault.share >= 1:
            seen.answered_at = self.moment
        self.server.requests.append(seen)
        return seen

    def start(self, fault: Fault = nothing, **fields: Any) -> Session:
        session = self.ask("start", fault, card=CARD, evse=EVSE, **fields).session
        assert session is not None
        return session

    def judge(self) -> Judge:
        return Judge(self.server, self.charges, self.lines)


def test_the_judge_counts_a_second_session_of_one_start() -> None:
    scene = Scene()
    scene.start()
    assert scene.judge().doubled() == []
    second = scene.start()
    unasked = scene.start(request_id=OTHER_RID)
    assert scene.judge().doubled() == [second, unasked]


@pytest.mark.parametrize(
    ("began", "fields", "wrongly"),
    [
        (-30, {}, True),
        (-4, {}, True),
        (-2.5, {"fraction": False}, False),
        (-0.5, {}, False),
        (5, {}, False),
        (-300, {"without": frozenset({"startedAt"})}, True),
        (-20, {"without": frozenset({"startedAt"})}, False),
        (-20, {"without": frozenset({"startedAt"}), "ended": -10.0}, True),
    ],
)
@pytest.mark.parametrize("way", ["held", "stopped"])
def test_the_judge_counts_an_adopted_session_of_another_by_its_times(
    began: float, fields: dict[str, Any], wrongly: bool, way: str
) -> None:
    scene = Scene()
    theirs = scene.server.foreign(CARD, EVSE, began=began, **fields)
    scene.ask("start", drop_before_effect, card=CARD, evse=EVSE)
    scene.ask("active", card=CARD)
    if way == "held":
        scene.charge.held = theirs.id
    else:
        scene.ask("stop", session_id=theirs.id)
    wrong, untellable = scene.judge().adopted_of_another()
    assert (len(wrong), untellable) == (int(wrongly), int(not wrongly))


def test_the_judge_counts_a_session_of_the_baseline_or_of_another_own_start() -> None:
    scene = Scene()
    theirs = scene.server.foreign(CARD, EVSE, began=5)
    other = Charge(OTHER_RID, "one", CARD, EVSE, began=SENT, ended=SENT + 30)
    scene.charges.append(other)
    scene.moment = SENT - 0.5
    scene.ask("active", card=CARD)
    scene.moment = SENT
    scene.ask("start", drop_before_effect, card=CARD, evse=EVSE)
    others = scene.start(request_id=OTHER_RID)
    for session in (theirs, others):
        scene.charge.held = session.id
        assert len(scene.judge().adopted_of_another()[0]) == 1


def test_the_judge_finds_nothing_wrong_with_the_own_session() -> None:
    scene = Scene()
    scene.server.foreign(CARD, EVSE, began=-30)
    session = scene.start(lose_answer_after_effect)
    scene.ask("active", card=CARD)
    scene.ask("stop", session_id=session.id)
    scene.charge.held = session.id
    judge = scene.judge()
    assert judge.adopted_of_another() == ([], 0)
    assert judge.lost() == (1, [scene.charge], [scene.charge])


@pytest.mark.parametrize("reason", ["second candidate", "another start", "cancelled", "not listed", "not lost"])
def test_the_judge_does_not_expect_an_adoption_without_one_candidate(reason: str) -> None:
    scene = Scene()
    session = scene.start(nothing if reason == "not lost" else lose_answer_after_effect)
    if reason == "second candidate":
        scene.server.foreign(CARD, EVSE, began=-1)
    elif reason == "another start":
        scene.charges.append(Charge(OTHER_RID, "one", CARD, EVSE, began=SENT + 5))
    elif reason == "not listed":
        session.shown_from = SENT + 100
    scene.charge.cancelled = reason == "cancelled"
    scene.ask("active", card=CARD)
    assert scene.judge().lost()[1:] == ([], [])


def test_the_judge_knows_when_a_running_session_is_said() -> None:
    scene = Scene()
    session = scene.start(lose_answer_after_effect)
    assert scene.judge().orphaned_silently() == [session]
    scene.charge.errors.append(asyncio.CancelledError())
    assert scene.judge().orphaned_silently() == [session]
    scene.charge.errors[0].add_note(f"session {session.id} may still be charging")
    assert scene.judge().orphaned_silently() == []
    scene.charge.errors[:] = [OutcomeUnknownError("no answer", operation="charging.start")]
    assert scene.judge().orphaned_silently() == []
    scene.charge.errors.clear()
    scene.lines.emit(logging.LogRecord("shell_ev", logging.ERROR, "", 0, "request %s", (RID,), None))
    assert scene.judge().orphaned_silently() == []


def test_the_judge_takes_a_charge_in_hand_as_said_until_it_was_asked_to_stop() -> None:
    scene = Scene()
    session = scene.start()
    scene.charge.held = session.id
    assert scene.judge().orphaned_silently() == []
    scene.charge.asked_to_stop = True
    assert scene.judge().orphaned_silently() == [session]
    scene.ask("stop", session_id=session.id)
    scene.moment += 60
    assert scene.judge().orphaned_silently() == []


def test_the_judge_counts_errors_that_are_not_typed() -> None:
    scene = Scene()
    scene.charge.errors += [KeyError("x"), asyncio.CancelledError()]
    assert [type(error) for error in scene.judge().untyped((asyncio.CancelledError,))] == [KeyError]


def test_the_judge_counts_a_marked_adoption_that_no_field_distinguishes_apart() -> None:
    scene = Scene()
    session = scene.start(lose_answer_after_effect)
    session.shown_from = SENT + 100
    theirs = scene.server.foreign(CARD, EVSE, began=1)
    scene.ask("active", card=CARD)
    scene.charge.held = theirs.id
    assert scene.judge().orphaned_silently() == [session], "not marked"
    line = ("start (request %s): adopted session x", (RID,))
    scene.lines.emit(logging.LogRecord("shell_ev", logging.INFO, "", 0, *line, None))
    judge = scene.judge()
    assert (judge.orphaned_silently(), judge.orphaned_and_marked()) == ([], [session])
    theirs.evse = OTHER_EVSE
    assert scene.judge().orphaned_silently() == [session], "it could be known"


def test_a_session_that_another_start_has_got_is_no_second_candidate() -> None:
    scene = Scene()
    scene.charges.append(Charge(OTHER_RID, "one", CARD, EVSE, began=SENT - 1, ended=SENT + 30))
    scene.start(request_id=OTHER_RID)
    theirs = scene.server.foreign(CARD, EVSE, began=0.5)
    scene.ask("start", drop_before_effect, card=CARD, evse=EVSE)
    scene.moment += 1
    scene.ask("active", card=CARD)
    scene.charge.held = theirs.id
    assert scene.judge().adopted_of_another() == ([], 1)
