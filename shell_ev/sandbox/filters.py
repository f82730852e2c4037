"""Query arguments of the location operations: read, checked, and gathered into filters."""

from __future__ import annotations

import datetime
import math
import re

import attrs

from shell_ev.sandbox.records import Dialect

EVSE_STATUSES = frozenset({"Available", "Occupied", "Unavailable", "Unknown"})
CONNECTOR_TYPES = frozenset(
    {
        *("Avcon", "Domestic", "Industrial2PDc", "IndustrialPneAc", "Industrial3PEAc", "Industrial3PENAc", "Type1"),
        *("Type1Combo", "Type2", "Type2Combo", "Type3", "LPI", "Nema520", "SAEJ1772", "SPI", "TepcoCHAdeMO", "Tesla"),
        "Unspecified",
    }
)
AUTHORIZATION_METHODS = frozenset({"NewMotionApp", "RFIDToken", "PnC"})

_INDEXED = re.compile(r"(.+)\[\d*\]")
_ZONE_NAME = re.compile(r"\[[^\]]*\]$")

Query = tuple[tuple[str, str], ...]


class BadQuery(Exception):
    """Arguments the contract refuses, all of them at once."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep one sentence per problem."""
        super().__init__(*problems)
        self.problems = problems


class Arguments:
    """Reads query arguments and gathers what is wrong with them.

    An empty value counts as absent. A list may come indexed (`country[0]=NLD`), repeated or separated by commas.
    G1.0 documents no bounds, so in that dialect numbers out of bounds are moved to the nearest bound.
    """

    def __init__(self, query: Query, dialect: Dialect) -> None:
        """Read a query as one dialect does."""
        self._values: dict[str, list[str]] = {}
        for name, value in query:
            indexed = _INDEXED.fullmatch(name)
            if value:
                self._values.setdefault(indexed.group(1) if indexed else name, []).append(value)
        self.lenient: bool = dialect is Dialect.V1_PASCAL
        self.problems: list[str] = []

    def check(self) -> None:
        """Raise `BadQuery` when anything was wrong so far."""
        if self.problems:
            raise BadQuery(tuple(self.problems))

    def text(self, name: str) -> str | None:
        """Read a single text."""
        values = self._values.get(name)
        return values[0] if values else None

    def several(self, name: str) -> tuple[str, ...]:
        """Read a list of texts."""
        return tuple(part for value in self._values.get(name, ()) for part in value.split(",") if part)

    def members(self, name: str, known: frozenset[str]) -> frozenset[str]:
        """Read one or several values of an enum."""
        values = frozenset(self.several(name))
        for value in sorted(values - known):
            self.problems.append(f"{name} does not know the value {value!r}.")
        return values

    def countries(self, name: str) -> frozenset[str]:
        """Read ISO 3166-1 alpha-3 codes; G1.0 does not have them and ignores them."""
        if self.lenient:
            return frozenset()
        values = frozenset(self.several(name))
        for value in sorted(values):
            if not re.fullmatch(r"[A-Z]{3}", value):
                self.problems.append(f"{name} must hold ISO 3166-1 alpha-3 codes, not {value!r}.")
        return values

    def flag(self, name: str) -> bool | None:
        """Read `true` or `false`, None when absent."""
        value = self.text(name)
        if value not in (None, "true", "false"):
            self.problems.append(f"{name} must be true or false.")
        return None if value is None else value == "true"

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """Read a number between bounds; without a default it is required."""
        value = self.text(name)
        if value is None:
            if default is None:
                self.problems.append(f"{name} is missing.")
            return default or 0.0
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.problems.append(f"{name} must be a number.")
            return 0.0
        if not low <= number <= high:
            if self.lenient:
                return min(max(number, low), high)
            self.problems.append(f"{name} must lie between {low:g} and {high:g}.")
        return number

    def whole(self, name: str, low: int, high: int, default: int | None) -> int:
        """Read a whole number between bounds."""
        number = self.number(name, low, high, default)
        if number != int(number):
            self.problems.append(f"{name} must be a whole number.")
        return int(number)

    def moment(self, name: str) -> float | None:
        """Read a moment as unix seconds; one without an offset is taken for UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.datetime.fromisoformat(_ZONE_NAME.sub("", value))
        except ValueError:
            self.problems.append(f"{name} must be a date and time.")
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()


@attrs.frozen
class Filters:
    """What a station must have to be in the answer. Empty sets and None ask for nothing."""

    statuses: frozenset[str]
    connector_types: frozenset[str]
    min_power: float
    methods: frozenset[str]
    evse_id: str | None
    location_external_id: str | None
    evse_external_id: str | None
    operator_name: str | None
    countries: frozenset[str]
    excluded: frozenset[str]
    updated_since: float | None

    @property
    def is_empty(self) -> bool:
        """Whether every station passes."""
        return self == NO_FILTERS

    @classmethod
    def read(cls, arguments: Arguments, *, listing: bool) -> Filters:
        """Read the filters; the list knows updatedSince but not operatorName, nearby and markers the reverse."""
        return cls(
            statuses=arguments.members("evseStatus", EVSE_STATUSES),
            connector_types=arguments.members("connectorTypes", CONNECTOR_TYPES),
            min_power=arguments.number("connectorMinPower", 0.0, math.inf, 0.0),
            methods=arguments.members("authorizationMethods", AUTHORIZATION_METHODS),
            evse_id=arguments.text("evseId"),
            location_external_id=arguments.text("locationExternalId"),
            evse_external_id=arguments.text("evseExternalId"),
            operator_name=None if listing else arguments.text("operatorName"),
            countries=arguments.countries("country"),
            excluded=arguments.countries("excludeCountry"),
            updated_since=arguments.moment("updatedSince") if listing else None,
        )


_NONE: frozenset[str] = frozenset()
NO_FILTERS = Filters(_NONE, _NONE, 0.0, _NONE, None, None, None, None, _NONE, _NONE, None)
"""Lets every station pass."""
