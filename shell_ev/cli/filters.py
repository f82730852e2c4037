"""The filters of the location commands, as options. Knows click; what a filter means is the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..models.enums import AuthorizationMethod, ConnectorType, EvseStatus, OpenEnum
from .values import moment

F = TypeVar("F", bound=Callable[..., Any])

FORMAT_HELP = "How to write it; --json is --format json."


def _choice(enum: type[OpenEnum]) -> click.Choice[str]:
    return click.Choice([member.value for member in enum], case_sensitive=False)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "evse_status": click.option("--status", "evse_status", multiple=True, type=_choice(EvseStatus), help="Of an EVSE."),
    "connector_types": click.option(
        "--connector",
        "connector_types",
        multiple=True,
        type=_choice(ConnectorType),
        metavar="TYPE",
        help="Such as Type2, Type2Combo (CCS), TepcoCHAdeMO.",
    ),
    "connector_min_power": click.option(
        "--min-power", "connector_min_power", type=float, metavar="KW", help="Of a connector, at least."
    ),
    "authorization_methods": click.option(
        "--authorization",
        "authorization_methods",
        multiple=True,
        type=_choice(AuthorizationMethod),
        metavar="METHOD",
        help="NewMotionApp, RFIDToken or PnC.",
    ),
    "country": click.option("--country", multiple=True, metavar="CODE", help="ISO 3166-1 alpha-3, such as NLD."),
    "exclude_country": click.option("--exclude-country", multiple=True, metavar="CODE", help="All but this one."),
    "operator_name": click.option("--operator", "operator_name", metavar="NAME", help="Name of the operator."),
    "evse_id": click.option("--evse", "evse_id", metavar="EVSE", help="Where this EVSE is."),
    "location_external_id": click.option("--external-id", "location_external_id", metavar="ID", help="The operator's."),
    "evse_external_id": click.option("--evse-external-id", metavar="ID", help="The operator's, of an EVSE."),
    "updated_since": click.option("--updated-since", type=moment, metavar="TIME", help="ISO 8601, with a time zone."),
}


def filter_options(*names: str) -> Callable[[F], F]:
    """The filters a command takes, all optional; those marked CODE, TYPE and so on may be repeated."""

    def add(function: F) -> F:
        for name in reversed(names):
            function = _OPTIONS[name](function)
        return function

    return add


def given(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that were written: what was not is left to the service."""
    return {name: value for name, value in filters.items() if value is not None and value != ()}


COMMON = (
    "evse_status",
    "connector_types",
    "connector_min_power",
    "authorization_methods",
    "country",
    "exclude_country",
    "evse_id",
    "location_external_id",
    "evse_external_id",
)
