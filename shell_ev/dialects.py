"""The dialects of the service: one :class:`Dialect` record holds every way in which one differs from the others.

A new dialect is a member of :class:`ApiVersion`, a record here, and a column of the table in ``wire/operations.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import attrs


class ApiVersion(StrEnum):
    """The dialect of the service that a client speaks."""

    V1_PASCAL = "v1-pascal"
    """The first one: PascalCase keys, session ids in the path."""
    V1 = "v1"
    """camelCase keys under ``/ev/v1``."""
    V2 = "v2"
    """camelCase keys under ``/ev/v2``, tariffs of elements. The default."""

    @property
    def token_path(self) -> str:
        """Path of the OAuth token endpoint of this version."""
        return DIALECTS[self].token_path


def camel(name: str) -> str:
    """``evse_id`` as ``evseId``."""
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def pascal(name: str) -> str:
    """``evse_id`` as ``EvseId``."""
    return "".join(word.capitalize() for word in name.split("_"))


_CHARGING_MODELS = "shell_ev.models.charging"
#: Wire names that follow no rule, in every dialect.
_WIRE_NAMES = {"FlatTariff.per_kwh": "perKWh"}
_NUMERIC_IDS = frozenset({"uid", "location_uid"})
#: The state of a session is an object that also holds its error.
_NESTED_STATE = {"ChargeSession.state": "sessionState.status", "ChargeSession.error": "sessionState.error"}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Dialect:
    """How one version of the service differs from the others. The defaults are those of V2."""

    token_path: str
    """Path of the OAuth token endpoint."""
    charging_path: str
    """Path before those of the charging operations."""
    locations_path: str
    """Path before those of the location operations."""
    wire_names: Mapping[str, str]
    """Wire names that are not the rule's, by ``Model.field``. A dot leads into an object: ``sessionState.status``."""
    spell: Callable[[str], str] = camel
    """Spells the keys of charging: arguments, envelope and models. Those of locations are camelCase everywhere."""
    flat_errors: bool = False
    """Whether the error of a session is spread over keys of the session, and not an object."""
    bare_locations: bool = False
    """Whether location answers come without an envelope."""
    numeric_ids: frozenset[str] = frozenset()
    """Fields of models that are numbers on the wire and text in the model."""
    zoned_times: bool = True
    """Whether every time has a zone, as RFC 3339 demands."""
    ema_id_lengths: tuple[int, int | None] = (14, 19)
    """Least and most characters of an EMA-ID in ``charging.active``."""
    max_per_page: int | None = 500
    """Most locations a page; None where it is not documented."""
    max_nearby: int | None = 100
    """Most locations of ``nearby``; None where it is not documented."""

    def wire_name(self, cls: type, field: str) -> str:
        """The key of a model's field, with a dot for each object it is inside of."""
        special = self.wire_names.get(f"{cls.__name__}.{field}")
        if special is not None:
            return special
        return self.spell(field) if cls.__module__ == _CHARGING_MODELS else camel(field)


DIALECTS: Mapping[ApiVersion, Dialect] = {
    ApiVersion.V1_PASCAL: Dialect(
        token_path="/v1/oauth/token",  # noqa: S106 - a path
        charging_path="/ev/v1/charge-session",
        locations_path="/locations/v1/ev",
        wire_names={
            **_WIRE_NAMES,
            "ChargeSession.state": "SessionState",
            "SessionError.code": "SessionCode",
            "SessionError.message": "SessionMessage",
        },
        spell=pascal,
        flat_errors=True,
        bare_locations=True,
        numeric_ids=_NUMERIC_IDS,
        zoned_times=False,
        ema_id_lengths=(1, None),
        max_per_page=None,
        max_nearby=None,
    ),
    ApiVersion.V1: Dialect(
        token_path="/v1/oauth/token",  # noqa: S106 - a path
        charging_path="/ev/v1/charge-session",
        locations_path="/ev/v1/locations",
        wire_names={**_WIRE_NAMES, **_NESTED_STATE},
        numeric_ids=_NUMERIC_IDS,
    ),
    ApiVersion.V2: Dialect(
        token_path="/v2/oauth/token",  # noqa: S106 - a path
        charging_path="/ev/v2/charge-session",
        locations_path="/ev/v2/locations",
        wire_names={**_WIRE_NAMES, **_NESTED_STATE},
    ),
}
