"""Real cities at their real coordinates, with invented operators and street names, for the generated network."""

from __future__ import annotations

import attrs


@attrs.frozen
class Country:
    """What the stations of one country have in common."""

    alpha2: str
    alpha3: str
    currency: str
    vat: float
    streets: tuple[str, ...]
    operators: tuple[tuple[str, str], ...]
    """Pairs of three-letter operator id and name. All invented."""
    number_first: bool = False
    """Whether the house number stands before the street."""


@attrs.frozen
class City:
    """A city around which stations cluster."""

    name: str
    country: Country
    latitude: float
    longitude: float
    postal_prefix: str
    weight: int
    """Its share of the stations, relative to the other cities."""


NETHERLANDS = Country(
    "NL", "NLD", "EUR", 21.0,
    ("Zonneweg", "Lindelaan", "Havenkade", "Molenpad", "Stationsplein", "Energieweg", "Parkdreef", "Kanaalstraat"),
    (("TNM", "Sandbox Laadnet"), ("LPD", "Laadpuntdelta"), ("VLT", "Voltkade"), ("GRS", "Groenstroom Laden")),
)  # fmt: skip
BELGIUM = Country(
    "BE", "BEL", "EUR", 21.0,
    ("Kouterstraat", "Beukendreef", "Rue du Lavoir", "Leiekaai", "Avenue des Tilleuls", "Steenweg", "Place Verte"),
    (("SBX", "Sandbox Charge Belgium"), ("LMN", "Lumenis"), ("ARD", "Ardenne Volt")),
)  # fmt: skip
LUXEMBOURG = Country(
    "LU", "LUX", "EUR", 17.0,
    ("Rue de la Forge", "Route du Moulin", "Boulevard des Roses", "Rue des Vignes"),
    (("LXC", "Letz Charge"), ("MSL", "Moselvolt")),
    number_first=True,
)  # fmt: skip
GERMANY = Country(
    "DE", "DEU", "EUR", 19.0,
    ("Lindenallee", "Am Hafen", "Gartenweg", "Werkstraße", "Bahnhofsplatz", "Mühlenweg", "Sonnenring", "Kastanienweg"),
    (("SBD", "Sandbox Ladenetz"), ("STW", "Stadtstrom"), ("RHV", "Rheinvolt"), ("NRD", "Nordlader")),
)  # fmt: skip
FRANCE = Country(
    "FR", "FRA", "EUR", 20.0,
    ("Rue des Érables", "Avenue du Parc", "Quai Neuf", "Place du Marché", "Chemin des Prés", "Boulevard Lumière"),
    (("SBF", "Sandbox Recharge France"), ("VLM", "Volt et Lumière"), ("BRN", "Bornéo")),
    number_first=True,
)  # fmt: skip
UNITED_KINGDOM = Country(
    "GB", "GBR", "GBP", 20.0,
    ("Mill Lane", "Station Road", "Orchard Way", "Canal Street", "Park Avenue", "Foundry Yard", "Harbour Walk"),
    (("SBG", "Sandbox Charge UK"), ("ALB", "Albion Volt"), ("THM", "Thameslight"), ("PNN", "Pennine Power")),
    number_first=True,
)  # fmt: skip

CITIES: tuple[City, ...] = (
    City("Amsterdam", NETHERLANDS, 52.3676, 4.9041, "10", 30),
    City("Rotterdam", NETHERLANDS, 51.9244, 4.4777, "30", 22),
    City("Den Haag", NETHERLANDS, 52.0705, 4.3007, "25", 18),
    City("Utrecht", NETHERLANDS, 52.0907, 5.1214, "35", 18),
    City("Eindhoven", NETHERLANDS, 51.4416, 5.4697, "56", 12),
    City("Groningen", NETHERLANDS, 53.2194, 6.5665, "97", 8),
    City("Tilburg", NETHERLANDS, 51.5555, 5.0913, "50", 7),
    City("Almere", NETHERLANDS, 52.3508, 5.2647, "13", 6),
    City("Breda", NETHERLANDS, 51.5719, 4.7683, "48", 6),
    City("Nijmegen", NETHERLANDS, 51.8126, 5.8372, "65", 6),
    City("Arnhem", NETHERLANDS, 51.9851, 5.8987, "68", 6),
    City("Enschede", NETHERLANDS, 52.2215, 6.8937, "75", 5),
    City("Zwolle", NETHERLANDS, 52.5168, 6.0830, "80", 5),
    City("Maastricht", NETHERLANDS, 50.8514, 5.6910, "62", 5),
    City("Leeuwarden", NETHERLANDS, 53.2012, 5.7999, "89", 4),
    City("Middelburg", NETHERLANDS, 51.4988, 3.6110, "43", 3),
    City("Brussel", BELGIUM, 50.8503, 4.3517, "10", 16),
    City("Antwerpen", BELGIUM, 51.2194, 4.4025, "20", 14),
    City("Gent", BELGIUM, 51.0543, 3.7174, "90", 10),
    City("Brugge", BELGIUM, 51.2093, 3.2247, "80", 5),
    City("Leuven", BELGIUM, 50.8798, 4.7005, "30", 5),
    City("Liège", BELGIUM, 50.6326, 5.5797, "40", 6),
    City("Namur", BELGIUM, 50.4674, 4.8720, "50", 4),
    City("Luxembourg", LUXEMBOURG, 49.6116, 6.1319, "12", 6),
    City("Esch-sur-Alzette", LUXEMBOURG, 49.4958, 5.9806, "40", 3),
    City("Berlin", GERMANY, 52.5200, 13.4050, "101", 20),
    City("Hamburg", GERMANY, 53.5511, 9.9937, "203", 15),
    City("München", GERMANY, 48.1351, 11.5820, "803", 15),
    City("Köln", GERMANY, 50.9375, 6.9603, "506", 12),
    City("Frankfurt am Main", GERMANY, 50.1109, 8.6821, "603", 11),
    City("Stuttgart", GERMANY, 48.7758, 9.1829, "701", 10),
    City("Düsseldorf", GERMANY, 51.2277, 6.7735, "402", 10),
    City("Leipzig", GERMANY, 51.3397, 12.3731, "041", 7),
    City("Dortmund", GERMANY, 51.5136, 7.4653, "441", 7),
    City("Bremen", GERMANY, 53.0793, 8.8017, "281", 6),
    City("Hannover", GERMANY, 52.3759, 9.7320, "301", 7),
    City("Nürnberg", GERMANY, 49.4521, 11.0767, "904", 6),
    City("Dresden", GERMANY, 51.0504, 13.7373, "010", 5),
    City("Freiburg im Breisgau", GERMANY, 47.9990, 7.8421, "791", 4),
    City("Paris", FRANCE, 48.8566, 2.3522, "750", 20),
    City("Lyon", FRANCE, 45.7640, 4.8357, "690", 10),
    City("Marseille", FRANCE, 43.2965, 5.3698, "130", 9),
    City("Lille", FRANCE, 50.6292, 3.0573, "590", 8),
    City("Bordeaux", FRANCE, 44.8378, -0.5792, "330", 7),
    City("Nantes", FRANCE, 47.2184, -1.5536, "440", 6),
    City("Strasbourg", FRANCE, 48.5734, 7.7521, "670", 6),
    City("Toulouse", FRANCE, 43.6047, 1.4442, "310", 7),
    City("Rennes", FRANCE, 48.1173, -1.6778, "350", 4),
    City("London", UNITED_KINGDOM, 51.5074, -0.1278, "SE", 24),
    City("Birmingham", UNITED_KINGDOM, 52.4862, -1.8904, "B", 9),
    City("Manchester", UNITED_KINGDOM, 53.4808, -2.2426, "M", 9),
    City("Leeds", UNITED_KINGDOM, 53.8008, -1.5491, "LS", 7),
    City("Bristol", UNITED_KINGDOM, 51.4545, -2.5879, "BS", 6),
    City("Glasgow", UNITED_KINGDOM, 55.8642, -4.2518, "G", 6),
    City("Edinburgh", UNITED_KINGDOM, 55.9533, -3.1883, "EH", 6),
    City("Cardiff", UNITED_KINGDOM, 51.4816, -3.1791, "CF", 4),
    City("Newcastle upon Tyne", UNITED_KINGDOM, 54.9783, -1.6178, "NE", 4),
    City("Cambridge", UNITED_KINGDOM, 52.2053, 0.1218, "CB", 4),
)
"""Where the generated network stands."""
