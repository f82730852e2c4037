"""The errors of keys and stores: made from their args, pickled whole, and never an unknown outcome."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from shell_ev import ChargeInProgressError, KeyReusedError, ShellEVError, StoreError, ValidationError


@pytest.mark.parametrize(
    "error",
    [
        KeyReusedError("key 'order-1' belongs to a charge on another EVSE"),
        ChargeInProgressError("busy", owner="host.1.ab", key="order-1", since=datetime(2026, 1, 2, tzinfo=UTC)),
        StoreError("the store charges.sqlite3: locked; end what holds it"),
    ],
)
def test_an_error_of_a_key_or_a_store_says_that_nothing_was_sent(error: ShellEVError) -> None:
    assert error.outcome_unknown is False
    again = type(error)(*error.args)
    assert str(again) == str(error)
    back = pickle.loads(pickle.dumps(error))
    assert back == error
    assert vars(back) == vars(error)


def test_a_reused_key_is_a_wrong_argument() -> None:
    assert issubclass(KeyReusedError, ValidationError)
    assert KeyReusedError("one fault").faults == ("one fault",)


def test_a_charge_in_progress_names_owner_key_and_time() -> None:
    bare = ChargeInProgressError("busy")
    assert (bare.owner, bare.key, bare.since) == (None, None, None)
