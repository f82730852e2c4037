"""What the location operations answer with. A room of its own because of the models: to build them takes as long as all
the rest of the codec, and who charges without looking for a place needs none. Knows nothing of how they are read.
"""

from __future__ import annotations

from ..models.locations import Accessibility, ElectricalProperties, Location, OpeningHours
from ..models.markers import LocationMarker
from ..models.tariffs import PowerRange, TariffAltText, TariffElement
from .results import Result

#: They are frozen and equal by value, so one can stand in many places: half of the memory and half of the time of a
#: page of 500 full locations.
_REPEATED = frozenset({Accessibility, ElectricalProperties, OpeningHours, PowerRange, TariffAltText, TariffElement})

LOCATIONS = Result(model=Location, count="many", of_locations=True, repeated=_REPEATED)
LOCATION = Result(model=Location, count="one", of_locations=True)
MARKERS = Result(model=LocationMarker, count="many", of_locations=True)
