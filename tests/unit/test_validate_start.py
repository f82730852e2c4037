"""``validate_start`` and the ids' length checks: arguments are checked as for a start, and nothing is sent."""

from __future__ import annotations

import pytest

from shell_ev import ENVIRONMENT_VARIABLES, AsyncShellEV, ChargeSession, EmaId, Evse, EvseId, ShellEV, ValidationError
from shell_ev.options import options_from_env

CARD, EVSE = "NL-TNM-C00122045-K", "NL*TNM*E02003451*0"
#: Nothing listens there: a request would fail with another error.
OPTIONS = {"client_id": "some-client", "client_secret": "some-secret", "base_url": "http://127.0.0.1:9"}


async def test_validate_start_lists_every_fault_at_once() -> None:
    async with AsyncShellEV(**OPTIONS) as ev:
        with pytest.raises(ValidationError) as caught:
            ev.validate_start("", "NL*TNM", ema_id="short")
    assert caught.value.faults == (
        "ev_charge_number must be 1 to 50 characters, it has 0: ''",
        "evse_id must be 18 to 36 characters, it has 6: 'NL*TNM'",
        "ema_id must be 14 to 19 characters, it has 5: 'short'",
    )


def test_validate_start_works_on_the_blocking_client() -> None:
    with ShellEV(**OPTIONS) as ev:
        ev.validate_start(CARD, EVSE, ema_id=CARD)
        with pytest.raises(ValidationError, match="evse_id must be"):
            ev.validate_start(CARD, "NL*TNM")


async def test_validate_start_accepts_ids_as_objects_and_any_card_number() -> None:
    async with AsyncShellEV(**OPTIONS) as ev:
        ev.validate_start(EmaId.parse(CARD), EvseId.parse(EVSE), ema_id=EmaId.parse(CARD))
        ev.validate_start("A CARD WITHOUT EMA-ID", EVSE)


async def test_validate_start_accepts_an_evse_and_says_when_it_has_no_id() -> None:
    async with AsyncShellEV(**OPTIONS) as ev:
        ev.validate_start(CARD, Evse(evse_id=EVSE))
        for unnamed in (Evse(uid="1"), Evse(evse_id="")):
            with pytest.raises(ValidationError) as caught:
                ev.validate_start(CARD, unnamed)
            assert caught.value.faults == ("evse_id: this Evse has no evse_id, so no charge can be started on it",)
        with pytest.raises(ValidationError, match="evse_id must be text, not ChargeSession"):
            ev.validate_start(CARD, ChargeSession(evse_id=EVSE))  # type: ignore[arg-type]


async def test_validate_start_has_no_length_for_an_ema_id_in_v1_pascal() -> None:
    async with AsyncShellEV(**OPTIONS, api_version="v1-pascal") as ev:
        ev.validate_start(CARD, EVSE, ema_id="short")
        with pytest.raises(ValidationError, match="ema_id must not be empty"):
            ev.validate_start(CARD, EVSE, ema_id="")


@pytest.mark.parametrize("length", [0, 17, 18, 36, 37])
async def test_the_length_check_of_an_evse_id_agrees_with_validate_start(length: int) -> None:
    text = "N" * length
    async with AsyncShellEV(**OPTIONS) as ev:
        try:
            ev.validate_start(CARD, text)
        except ValidationError:
            accepted = False
        else:
            accepted = True
    assert EvseId.has_valid_length(text) is accepted is (18 <= length <= 36)


@pytest.mark.parametrize("length", [0, 13, 14, 19, 20])
async def test_the_length_check_of_an_ema_id_agrees_with_validate_start(length: int) -> None:
    text = "N" * length
    async with AsyncShellEV(**OPTIONS) as ev:
        try:
            ev.validate_start(CARD, EVSE, ema_id=text)
        except ValidationError:
            accepted = False
        else:
            accepted = True
    assert EmaId.has_valid_length(text) is accepted is (14 <= length <= 19)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CARD, True),
        ("NL-TNM-C00122045-X", True),  # wrong check digit
        ("nltnmc00122045", True),
        ("NL*TNM*012204*5", True),
        ("NLTNM0122045", False),  # too short for charging.active
        ("A CARD WITHOUT ID", False),
        ("NL-TNM-C00122045-K\n", False),
        ("ΝL-TNM-C00122045-K", False),  # Greek capital nu
    ],
)
def test_looks_like_checks_form_and_length_and_not_the_check_digit(text: str, expected: bool) -> None:
    assert EmaId.looks_like(text) is expected


def test_environment_variables_are_all_that_from_env_reads() -> None:
    read: list[str] = []

    class Environ(dict[str, str]):
        def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
            read.append(key)
            return "1"

    options_from_env(Environ(), {})
    assert set(read) == set(ENVIRONMENT_VARIABLES)
