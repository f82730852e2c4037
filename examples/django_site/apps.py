"""The app's configuration: the one place that knows the client and the ledger."""

from __future__ import annotations

from typing import cast

from django.apps import AppConfig, apps
from django.conf import settings
from process_client import ProcessClient
from start_once import Ledger, ledger_from_env

from shell_ev import ShellEV


class ChargingConfig(AppConfig):
    """Charging."""

    name = "django_site"
    label = "charging"

    ledger: Ledger
    _clients: ProcessClient

    def ready(self) -> None:
        """Prepare, without a client: with gunicorn's preload this runs before the workers are forked."""
        self.ledger = ledger_from_env()
        self._clients = ProcessClient(lambda: ShellEV.from_env(**settings.SHELL_EV))

    @property
    def ev(self) -> ShellEV:
        """This process's client, made by the first request that needs it."""
        return self._clients.get()


def charging() -> ChargingConfig:
    """The configuration in force."""
    return cast("ChargingConfig", apps.get_app_config("charging"))
