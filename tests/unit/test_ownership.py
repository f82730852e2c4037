"""What a client holds, and which of its starts are in flight."""

from __future__ import annotations

import pytest
from fakes import CARD, EVSE, REQUEST_ID, SESSION

from shell_ev.core.ownership import Ownership, OwnStart

OTHER_REQUEST = "5d1b9a52-61c4-4c5e-a3c5-9b9e3e0f7a11"
OTHER_EVSE = "NL*TNM*E02003451*1"


class Client:
    def __init__(self) -> None:
        self.now = 100.0
        self.ownership = Ownership(lambda: self.now)

    def sent(self, request_id: str = REQUEST_ID, evse_id: str = EVSE, card: str = CARD) -> OwnStart:
        start = self.ownership.begin((card,), evse_id, request_id)
        start.begin(self.now)
        return start


def test_a_session_belongs_to_its_start_and_is_found_by_its_request_id() -> None:
    client = Client()
    client.sent().accepted(SESSION)
    assert client.ownership.is_held(SESSION, OTHER_REQUEST)
    assert client.ownership.is_held(SESSION, None)
    assert not client.ownership.is_held(SESSION, REQUEST_ID)
    assert not client.ownership.is_held("another", OTHER_REQUEST)


def test_a_session_of_no_known_request_belongs_to_no_start() -> None:
    client = Client()
    client.ownership.hold(SESSION, None)
    assert client.ownership.is_held(SESSION, None)
    assert client.ownership.is_held(SESSION, REQUEST_ID)


def test_an_adoption_is_remembered_for_its_request() -> None:
    client = Client()
    client.sent().adopted(SESSION)
    assert client.ownership.adopted_for(REQUEST_ID) == SESSION
    assert client.ownership.adopted_for(OTHER_REQUEST) is None
    assert client.ownership.adopted_for(None) is None
    client.sent(OTHER_REQUEST).accepted("second")
    assert client.ownership.adopted_for(OTHER_REQUEST) is None


def test_what_is_remembered_is_bounded_and_the_latest_stay() -> None:
    client = Client()
    for number in range(10_100):
        client.ownership.hold(f"held {number}", REQUEST_ID)
        client.ownership.watch(f"watched {number}")
        client.ownership.adopt(f"held {number}", f"request {number}")
        client.sent(f"request {number}").lost()
    ownership = client.ownership
    start = client.sent(OTHER_REQUEST)
    assert not ownership.is_held("held 0", None)
    assert ownership.is_held("held 10099", None)
    assert not ownership.was_watched("watched 0", start, 0)
    assert ownership.was_watched("watched 10099", start, 0)
    assert ownership.adopted_for("request 0") is None
    assert ownership.find("request 0", EVSE) is None
    assert ownership.find("request 10099", EVSE) is not None
    assert {len(kept) for kept in (ownership._held, ownership._watched, ownership._starts, ownership._adopted)} == {
        10_000
    }


def test_the_order_of_events_decides_what_was_watched_before_a_start() -> None:
    # All at the same time on the clock.
    client = Client()
    client.ownership.watch("before")
    start = client.sent()
    client.ownership.watch("after")
    client.ownership.watch("before")
    assert client.ownership.was_watched("before", start, client.now)
    assert not client.ownership.was_watched("after", start, client.now)


def test_for_the_start_of_another_client_the_time_decides() -> None:
    client = Client()
    client.ownership.watch(SESSION)
    start = client.ownership.begin((CARD,), EVSE, REQUEST_ID)
    start.is_foreign = True
    assert client.ownership.was_watched(SESSION, start, left_at=101)
    assert not client.ownership.was_watched(SESSION, start, left_at=99)


def test_two_starts_in_flight_on_one_card_and_evse_are_rivals() -> None:
    client = Client()
    one, other = client.sent(), client.sent(OTHER_REQUEST)
    assert (client.ownership.rivals(one), client.ownership.rivals(other)) == (1, 1)
    one.lost()
    assert client.ownership.rivals(other) == 1, "it was in flight meanwhile"
    one.look_up()
    assert (client.ownership.rivals(one), client.ownership.rivals(other)) == (1, 1)


@pytest.mark.parametrize("settle", [lambda start: start.accepted(SESSION), lambda start: start.void()])
def test_a_start_with_a_known_outcome_is_no_rival(settle: object) -> None:
    client = Client()
    one, other = client.sent(), client.sent(OTHER_REQUEST)
    settle(other)  # type: ignore[operator]
    assert client.ownership.rivals(one) == 0


def test_a_start_that_was_given_up_before_the_other_was_sent_is_no_rival() -> None:
    client = Client()
    one = client.sent()
    one.lost()
    other = client.sent(OTHER_REQUEST)
    assert client.ownership.rivals(other) == 0
    one.look_up()
    assert (client.ownership.rivals(one), client.ownership.rivals(other)) == (1, 1), "it is looked up again"


@pytest.mark.parametrize(
    "fields", [{"evse_id": OTHER_EVSE}, {"card": "NL-TNM-C00122046-K"}, {"request_id": REQUEST_ID}], ids=str
)
def test_a_start_elsewhere_or_the_same_start_is_no_rival(fields: dict[str, str]) -> None:
    client = Client()
    one = client.sent()
    client.sent(**{"request_id": OTHER_REQUEST, **fields})
    assert client.ownership.rivals(one) == 0


def test_a_start_that_was_not_sent_yet_is_no_rival() -> None:
    client = Client()
    one = client.sent()
    other = client.ownership.begin((CARD,), EVSE, OTHER_REQUEST)
    assert client.ownership.rivals(one) == 0
    other.begin(client.now)
    assert client.ownership.rivals(one) == 1


def test_cards_are_the_same_by_any_of_their_names() -> None:
    client = Client()
    one = client.sent(card="04A2B3C4D5E6F7")
    client.sent(OTHER_REQUEST, card=CARD.lower().replace("-", ""))
    assert client.ownership.rivals(one) == 0
    one.look_up(CARD)
    assert client.ownership.rivals(one) == 1


def test_the_latest_open_start_of_a_request_is_found() -> None:
    client = Client()
    first, second = client.sent(), client.sent()
    assert client.ownership.find(REQUEST_ID, EVSE) is second
    second.void()
    assert client.ownership.find(REQUEST_ID, EVSE.replace("*", "")) is first
    assert client.ownership.find(REQUEST_ID, OTHER_EVSE) is None
    assert client.ownership.find(OTHER_REQUEST, EVSE) is None
    assert client.ownership.find(None, EVSE) is None
