"""What a kiosk does while a car charges, and what it prints if none does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from shell_ev import ChargeFailedError, ShellEV
from shell_ev.sandbox import FAILING_EVSES, Fault
from shell_ev.testing import ControlledSandbox

import kiosk

CARD = "NL-TNM-C00122045-K"
EVSE = "NL*TNM*E02003451*0"

pytestmark = pytest.mark.usefixtures("shell_ev_nothing_left_running")


def test_the_driver_pulls_the_plug(
    shell_ev_blocking_client: ShellEV, shell_ev_sandbox: ControlledSandbox
) -> None:
    def pull() -> None:
        shell_ev_sandbox.end_charge(shell_ev_sandbox.only_charge().session_id)

    shell_ev_sandbox.after(60 * 60, pull)
    receipt = kiosk.charge_one_car(shell_ev_blocking_client, CARD, EVSE)
    assert receipt.charged_for == timedelta(minutes=59, seconds=40)


def test_the_token_runs_out_meanwhile(
    shell_ev_blocking_client: ShellEV, shell_ev_sandbox: ControlledSandbox
) -> None:
    def pull() -> None:
        shell_ev_sandbox.end_charge(shell_ev_sandbox.only_charge().session_id)

    shell_ev_sandbox.after(3 * 60 * 60, pull)
    receipt = kiosk.charge_one_car(shell_ev_blocking_client, CARD, EVSE)
    assert receipt.charged_for > timedelta(hours=2, minutes=59)
    assert len(shell_ev_sandbox.requests_to("token")) >= 3


def test_no_car_is_plugged_in(shell_ev_blocking_client: ShellEV) -> None:
    with pytest.raises(ChargeFailedError) as caught:
        kiosk.charge_one_car(
            shell_ev_blocking_client, CARD, FAILING_EVSES["EvNotConnectedToEvse"]
        )
    assert caught.value.code == "EvNotConnectedToEvse"


@pytest.mark.usefixtures("shell_ev_env")
class TestTheProgram:
    """It reads its settings from the environment, which leads it to the sandbox."""

    @pytest.fixture(autouse=True)
    def arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.argv", ["kiosk", CARD, EVSE])

    def test_it_charges(
        self, shell_ev_sandbox: ControlledSandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def pull() -> None:
            shell_ev_sandbox.end_charge(shell_ev_sandbox.only_charge().session_id)

        shell_ev_sandbox.after(20 + 30 * 60, pull)
        assert kiosk.main() == 0
        assert capsys.readouterr().out == "Charged for 0:30:00.\n"

    def test_it_may_not(
        self, shell_ev_sandbox: ControlledSandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shell_ev_sandbox.faults.add("charging.start", Fault.status(403))
        assert kiosk.main() == 1
        assert capsys.readouterr().out.startswith("Not charged: status 403")
