"""The app's configuration: the one place that knows the client."""

from __future__ import annotations

from typing import cast

from django.apps import AppConfig, apps
from django.conf import settings
from process_client import ProcessClient

from shell_ev import ShellEV


class ChargingConfig(AppConfig):
    """Charging."""

    name = "django_site"
    label = "charging"

    _clients: ProcessClient

    def ready(self) -> None:
        """Prepare, without a client: with gunicorn's preload this runs before the workers are forked."""
        self._clients = ProcessClient(lambda: ShellEV.from_env(**settings.SHELL_EV), recover=30)

    @property
    def ev(self) -> ShellEV:
        """This process's client, made by the first request that needs it."""
        return self._clients.get()


def charging() -> ChargingConfig:
    """The configuration in force."""
    return cast("ChargingConfig", apps.get_app_config("charging"))
