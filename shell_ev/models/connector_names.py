"""Names of connectors that people use, for :class:`~shell_ev.ConnectorType`: read, and shown."""

from __future__ import annotations

import re
from typing import Final

from .enums import ConnectorType

_SEPARATORS = re.compile(r"[\s_()/-]+")

#: Names that drivers, stations and OCPI use, folded. The service's own names are read too.
_NAMES: Final = {
    "ccs": ConnectorType.TYPE_2_COMBO,
    "ccs2": ConnectorType.TYPE_2_COMBO,
    "ccstype2": ConnectorType.TYPE_2_COMBO,
    "ccscombo2": ConnectorType.TYPE_2_COMBO,
    "combo2": ConnectorType.TYPE_2_COMBO,
    "combo": ConnectorType.TYPE_2_COMBO,
    "iec62196t2combo": ConnectorType.TYPE_2_COMBO,
    "ccs1": ConnectorType.TYPE_1_COMBO,
    "ccstype1": ConnectorType.TYPE_1_COMBO,
    "ccscombo1": ConnectorType.TYPE_1_COMBO,
    "combo1": ConnectorType.TYPE_1_COMBO,
    "iec62196t1combo": ConnectorType.TYPE_1_COMBO,
    "chademo": ConnectorType.TEPCO_CHADEMO,
    "mennekes": ConnectorType.TYPE_2,
    "iec62196t2": ConnectorType.TYPE_2,
    "yazaki": ConnectorType.TYPE_1,
    "j1772": ConnectorType.SAE_J1772,
    "iec62196t1": ConnectorType.TYPE_1,
    "scame": ConnectorType.TYPE_3,
    "schuko": ConnectorType.DOMESTIC,
    "domesticf": ConnectorType.DOMESTIC,
    "household": ConnectorType.DOMESTIC,
    "nema520": ConnectorType.NEMA_520,
}

_SHOWN: Final = {
    ConnectorType.TYPE_1: "Type 1",
    ConnectorType.TYPE_1_COMBO: "CCS1",
    ConnectorType.TYPE_2: "Type 2",
    ConnectorType.TYPE_2_COMBO: "CCS",
    ConnectorType.TYPE_3: "Type 3",
    ConnectorType.TEPCO_CHADEMO: "CHAdeMO",
    ConnectorType.DOMESTIC: "Domestic",
    ConnectorType.SAE_J1772: "J1772",
    ConnectorType.NEMA_520: "NEMA 5-20",
}


def connector_type_of(name: ConnectorType | str) -> ConnectorType:
    """The connector type of a name that people use, such as ``CCS``, ``Mennekes`` or ``Type 2``.

    Args:
        name: A name, in any case, with or without spaces and hyphens; the service's own names too.

    Returns:
        The type; one whose ``is_known`` is False for a name that stands for none.
    """
    if isinstance(name, ConnectorType):
        return name
    return _NAMES.get(_SEPARATORS.sub("", name).casefold()) or ConnectorType(name)


def connector_name_of(connector_type: ConnectorType | None) -> str:
    """The short name of a connector type that people use, such as ``CCS``; the service's own where there is none."""
    if connector_type is None:
        return "?"
    return _SHOWN.get(connector_type, connector_type.value)
