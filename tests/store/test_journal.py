"""The tables of the journal: what a repeated key meets, what follows from a crash, what an entry may become."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from shell_ev.errors import ValidationError
from shell_ev.store import journal
from shell_ev.store.journal import Entry, Looking, Meeting, Recovery, State
from store.entries import entry, in_state

NOW = 1_700_001_000.0
S, M, R, L = State, Meeting, Recovery, Looking


def _meet(found: Entry | None, *, owned: bool, evse: str | None = None, card: str | None = "name:digest") -> Meeting:
    wanted = evse or (found.evse if found else "NLTNME1")
    return journal.meet(found, card_digest=card, evse=wanted, owned=owned)


@pytest.mark.parametrize(
    ("state", "owned", "meeting"),
    [
        (None, False, M.START),
        (S.WAITING, False, M.START),
        (S.WAITING, True, M.IN_PROGRESS),
        (S.SENT, False, M.RECOVER),
        (S.SENT, True, M.IN_PROGRESS),
        (S.ACCEPTED, False, M.ATTACH),
        (S.ACCEPTED, True, M.IN_PROGRESS),
        (S.OVER, False, M.ENDED),
        (S.OVER, True, M.ENDED),
        (S.UNKNOWN, False, M.UNKNOWN),
        (S.UNKNOWN, True, M.UNKNOWN),
        (S.GIVEN_UP, False, M.START),
    ],
)
def test_a_repeated_key_meets_what_the_state_and_the_owner_say(
    state: State | None, owned: bool, meeting: Meeting
) -> None:
    assert _meet(None if state is None else in_state(state), owned=owned) is meeting


@pytest.mark.parametrize("state", [S.SENT, S.ACCEPTED, S.OVER, S.UNKNOWN])
@pytest.mark.parametrize("owned", [True, False])
def test_a_key_with_another_card_or_evse_is_reused_in_every_state(state: State, owned: bool) -> None:
    found = in_state(state)
    assert _meet(found, owned=owned, evse="NLTNMEOTHER") is M.REUSED
    assert _meet(found, owned=owned, card="name:other") is M.REUSED


@pytest.mark.parametrize("state", [S.WAITING, S.GIVEN_UP])
def test_a_key_without_a_charge_starts_with_any_arguments(state: State) -> None:
    assert _meet(in_state(state), owned=False, evse="NLTNMEOTHER", card="name:other") is M.START


def test_a_waiting_key_of_a_live_process_is_reused_by_other_arguments() -> None:
    assert _meet(in_state(S.WAITING), owned=True, evse="NLTNMEOTHER") is M.REUSED


def test_a_card_that_cannot_be_compared_leaves_the_evse_to_compare() -> None:
    found = in_state(S.ACCEPTED)
    assert _meet(found, owned=False, card=None) is M.ATTACH
    assert _meet(found, owned=False, card=None, evse="NLTNMEOTHER") is M.REUSED


@pytest.mark.parametrize(
    ("state", "changes", "looking", "recovery"),
    [
        (S.WAITING, {}, L.POSSIBLE, R.DROP),
        (S.WAITING, {}, L.UNREADABLE, R.DROP),
        (S.SENT, {}, L.POSSIBLE, R.LOOK_FOR),
        (S.SENT, {"next_look_at": NOW + 1}, L.POSSIBLE, R.NOTHING),
        (S.SENT, {}, L.NO_EMA_ID, R.CALL_UNKNOWN),
        (S.SENT, {}, L.UNREADABLE, R.FAIL),
        (S.ACCEPTED, {"on_crash": "stop"}, L.POSSIBLE, R.STOP),
        (S.ACCEPTED, {"on_crash": "keep"}, L.POSSIBLE, R.KEEP),
        (S.ACCEPTED, {"on_crash": "stop"}, L.UNREADABLE, R.STOP),
        (S.OVER, {}, L.POSSIBLE, R.NOTHING),
        (S.UNKNOWN, {}, L.POSSIBLE, R.LOOK_FOR),
        (S.UNKNOWN, {"next_look_at": NOW + 1}, L.POSSIBLE, R.NOTHING),
        (S.UNKNOWN, {"looked_since": NOW - journal.LOOK_AGAIN_FOR - 1}, L.POSSIBLE, R.NOTHING),
        (S.UNKNOWN, {}, L.NO_EMA_ID, R.NOTHING),
        (S.ACCEPTED, {"on_crash": "stop", "next_look_at": NOW + 1}, L.POSSIBLE, R.NOTHING),
        (S.ACCEPTED, {"on_crash": "keep", "next_look_at": NOW + 1}, L.POSSIBLE, R.KEEP),
        (S.GIVEN_UP, {"card": b"sealed"}, L.POSSIBLE, R.WATCH),
        (S.GIVEN_UP, {"card": b"sealed", "next_look_at": NOW + 1}, L.POSSIBLE, R.NOTHING),
        (S.GIVEN_UP, {"card": b"sealed", "looked_since": NOW - journal.LOOK_AGAIN_FOR - 1}, L.POSSIBLE, R.FORGET),
        (S.GIVEN_UP, {"card": b"sealed", "looked_since": NOW - journal.LOOK_AGAIN_FOR - 1}, L.UNREADABLE, R.FORGET),
        (S.GIVEN_UP, {"card": b"sealed"}, L.UNREADABLE, R.NOTHING),
        (S.GIVEN_UP, {"card": b"sealed"}, L.NO_EMA_ID, R.FORGET),
        (S.GIVEN_UP, {"card": None}, L.POSSIBLE, R.NOTHING),
    ],
)
def test_what_follows_from_a_crash(
    state: State, changes: dict[str, object], looking: Looking, recovery: Recovery
) -> None:
    left = in_state(state, **changes)
    assert journal.after_crash(left, owned=False, now=NOW, looking=looking) is recovery
    assert journal.after_crash(left, owned=True, now=NOW, looking=looking) is R.NOTHING


MOVES: dict[str, Callable[[Entry], Entry]] = {
    "sent": lambda e: journal.sent(e, sent_at=NOW, sent_at_error=1.0),
    "put back": journal.put_back,
    "accepted": lambda e: journal.accepted(e, e.session_id or "session-1"),
    "over": lambda e: journal.over(e, now=NOW),
    "looked in vain": lambda e: journal.looked_in_vain(e, now=NOW, answered_for=60.0),
    "given up": lambda e: journal.given_up(e, now=NOW),
}
# What the table in the journal allows, written out once more.
ALLOWED = {
    "sent": {S.WAITING, S.SENT},
    "put back": {S.WAITING, S.SENT},
    "accepted": {S.SENT, S.UNKNOWN, S.ACCEPTED, S.GIVEN_UP},
    "over": {S.ACCEPTED, S.OVER},
    "looked in vain": {S.SENT, S.UNKNOWN},
    "given up": {S.SENT, S.UNKNOWN, S.GIVEN_UP},
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("move", list(MOVES))
def test_an_entry_becomes_only_what_follows_its_state(move: str, state: State) -> None:
    before = in_state(state)
    if state not in ALLOWED[move]:
        with pytest.raises(ValueError, match="cannot become"):
            MOVES[move](before)
        return
    after = MOVES[move](before)
    assert after.fence == before.fence, "only a takeover raises the fence"
    assert (after.namespace, after.key, after.evse) == (before.namespace, before.key, before.evse)
    if move in ("over", "given up"):
        assert after.card == (None if move == "over" else before.card), "the card is blanked when the charge is over"
        assert after.card_digest == before.card_digest
        assert after.owner is None
        assert after.over_at == NOW or before.state is after.state


def test_the_intent_keeps_when_it_was_sent_and_by_how_much_that_may_be_wrong() -> None:
    intent = journal.sent(entry(), sent_at=NOW, sent_at_error=70.0, not_ours=("before",))
    assert (intent.state, intent.sent_at, intent.sent_at_error, intent.not_ours) == (S.SENT, NOW, 70.0, ("before",))
    assert journal.put_back(intent).sent_at is None


def test_an_entry_keeps_its_session() -> None:
    with pytest.raises(ValueError, match="keeps its session"):
        journal.accepted(in_state(S.ACCEPTED), "another")


def test_a_takeover_raises_the_fence_and_only_a_block_changes_what_a_crash_means() -> None:
    left = in_state(S.ACCEPTED, owner="dead", on_crash="keep", fence=3)
    taken = journal.taken_over(left, "alive")
    assert (taken.owner, taken.fence, taken.on_crash) == ("alive", 4, "keep")
    assert journal.taken_over(left, "alive", on_crash="stop").on_crash == "stop"
    assert journal.released(taken) == attrs.evolve(taken, owner=None)


def test_a_restarted_entry_fences_off_the_writer_of_the_old_one() -> None:
    fresh = journal.restarted(in_state(S.GIVEN_UP, fence=7), entry(request_id="fresh"))
    assert (fresh.fence, fresh.state, fresh.request_id) == (8, S.WAITING, "fresh")


def test_an_unknown_entry_is_looked_up_ever_more_rarely_for_24_hours() -> None:
    now, left, pauses = NOW, in_state(S.SENT), []
    while journal.after_crash(left, owned=False, now=now) is R.LOOK_FOR:
        left = journal.looked_in_vain(left, now=now, answered_for=60.0)
        pauses.append(left.next_look_at - now)
        now = left.next_look_at
    assert pauses == sorted(pauses)
    assert pauses[0] == 30.0
    assert max(pauses) == 3600.0
    assert 20 < len(pauses) < 40, "24 hours are a few dozen look-ups"
    assert 24 * 3600 < now - NOW < 26 * 3600


def test_a_look_up_without_an_answer_leaves_the_entry_as_it_is_and_is_repeated_sooner() -> None:
    left = in_state(S.SENT)
    for _ in range(100):
        left = journal.look_failed(left, now=NOW)
        assert left.state is S.SENT
        assert left.answered_for == 0.0
        assert 0 < left.next_look_at - NOW <= 300.0


def test_a_stop_that_fails_is_repeated_ever_more_rarely_and_at_once_for_a_new_session() -> None:
    left, pauses = in_state(S.ACCEPTED, on_crash="stop"), []
    for _ in range(12):
        left = journal.stop_failed(left, now=NOW)
        assert left.state is S.ACCEPTED
        pauses.append(left.next_look_at - NOW)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, *[300.0] * 6]
    unknown = journal.looked_in_vain(in_state(S.SENT), now=NOW, answered_for=1.0)
    assert journal.accepted(unknown, "session-1").next_look_at == 0.0


def test_a_start_that_was_given_up_is_looked_up_for_a_day_and_its_card_is_blanked_then() -> None:
    unknown = journal.looked_in_vain(in_state(S.SENT, card=b"sealed"), now=NOW, answered_for=60.0)
    now, looks, left = NOW, 0, journal.given_up(unknown, now=NOW)
    while journal.after_crash(left, owned=False, now=now) is R.WATCH:
        left, looks = journal.watched(left, now=now), looks + 1
        now = left.next_look_at
    assert 20 < looks < 40
    assert journal.after_crash(left, owned=False, now=now) is R.FORGET
    assert journal.after_crash(journal.forgotten(left), owned=False, now=now) is R.NOTHING


def test_a_start_that_was_given_up_is_set_aside_when_its_key_starts_again() -> None:
    left = journal.given_up(in_state(S.SENT, card=b"sealed", fence=4), now=NOW)
    aside = journal.set_aside(left)
    assert journal.is_own_key(aside.key)
    assert attrs.evolve(aside, key=left.key, fence=left.fence) == left


def test_an_unknown_entry_is_given_up_only_after_that_many_answered_seconds() -> None:
    left = journal.looked_in_vain(in_state(S.SENT), now=NOW, answered_for=3599.0)
    assert not journal.may_give_up(left, None)
    assert not journal.may_give_up(left, 3600.0)
    assert journal.may_give_up(left, 3599.0)
    assert not journal.may_give_up(attrs.evolve(left, state=S.SENT), 3599.0)
    failed = journal.look_failed(left, now=NOW + 10_000)
    assert not journal.may_give_up(failed, 3600.0), "an outage is no answer"


@pytest.mark.parametrize("key", ["", " order", "order ", "~order", "a\nb", "x" * 256, 7, None, b"order"])
def test_a_key_that_cannot_be_kept_is_refused_in_one_line(key: object) -> None:
    with pytest.raises(ValidationError, match="key must be a text of 1 to 255 printable characters") as caught:
        journal.checked_key(key)
    assert "\n" not in str(caught.value)


def test_keys_of_callers_and_own_keys_do_not_meet() -> None:
    assert journal.checked_key("order 42/ü") == "order 42/ü"
    own = journal.own_key()
    assert journal.is_own_key(own)
    assert own != journal.own_key()
    with pytest.raises(ValidationError):
        journal.checked_key(own)


def test_one_evse_or_card_has_one_form_with_any_separators_and_case() -> None:
    assert journal.normal_evse("nl*tnm*e02003451*0") == journal.normal_evse("NLTNME020034510")
    assert journal.normal_evse("+49*810*000*438") != journal.normal_evse("+49*8100*00*438"), "DIN: the parts decide"
    assert journal.normal_evse("no evse*id") == "NO EVSEID"
    assert journal.normal_card("nl-tnm-c00122045-k") == journal.normal_card("NLTNMC00122045")
    assert journal.normal_card("04a2b3") == "04A2B3"


def test_a_namespace_is_the_host_and_a_hash_of_the_client_id() -> None:
    one = journal.namespace_of("https://API.shell.com/x", "client-1")
    assert one == journal.namespace_of("https://api.shell.com:443", "client-1")
    assert one.startswith("api.shell.com/")
    assert "client-1" not in one
    others = {
        journal.namespace_of("https://api.shell.com", "client-2"),
        journal.namespace_of("https://api-test.shell.com", "client-1"),
        journal.namespace_of("http://127.0.0.1:8080", "client-1"),
        journal.namespace_of("http://127.0.0.1:8081", "client-1"),
        journal.namespace_of("https://api.shell.com", None),
    }
    assert len(others | {one}) == 6


def test_an_entry_shows_no_card_in_its_repr() -> None:
    assert "sealed" not in repr(entry(card=b"sealed card"))
