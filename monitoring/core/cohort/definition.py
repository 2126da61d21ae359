"""What a cohort is: every choice that changes a number, dated by its hash."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from monitoring.core.cohort.table import BRAIN_STRUCTURES, CONTROL, FOLLOWED_STRUCTURES
from monitoring.core.edss import BANDS, EDSS_VALUES, Band, BandSet
from monitoring.core.errors import MonitoringError

SCHEMA = "neuraxis-cohort-1"
CUSTOM = "custom"


class InvalidDefinition(MonitoringError):
    """A cohort cannot be defined like this; the message says what to change."""


class Representative(StrEnum):
    """Which visit stands for a patient."""

    LATEST = "latest"
    FIRST = "first"


CORD_LEVELS = ("cord_c2_c3", "cord_pmj_64mm")

BAND_WORDS = {
    BandSet.FINE.value: "Fine: 0–1.5, 2–2.5, 3–3.5, 4–5.5, ≥ 6",
    BandSet.THREE_GROUPS.value: "Three groups: 0–3, 3.5–5.5, ≥ 6",
    BandSet.DICHOTOMY.value: "Two groups: ≤ 3, ≥ 3.5",
    CUSTOM: "Own groups",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A selection of patients and how they are grouped.

    Attributes
    ----------
    bands : str
        Id of the set of EDSS groups, or ``custom`` with ``custom_bands``.
    cord : str
        Level of the cord; empty: the one that most patients have.
    epochs : tuple of str
        Ids of scanner epochs; empty: all.
    edss_within_days : int
        How far the EDSS may lie from the scan.
    landmark_years : float
        Years after the first assessable statement at which Kaplan-Meier curves begin.
    """

    bands: str = BandSet.THREE_GROUPS.value
    custom_bands: tuple[Band, ...] = ()
    structures: tuple[str, ...] = FOLLOWED_STRUCTURES
    cord: str = ""
    phenotypes: tuple[str, ...] = ("CIS", "RRMS", "SPMS", "PPMS")
    visit: Representative = Representative.LATEST
    edss_within_days: int = 90
    age_from: int = 18
    age_to: int = 80
    since: date | None = None
    until: date | None = None
    epochs: tuple[str, ...] = field(default=())
    landmark_years: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what selects nobody."""
        if self.age_from > self.age_to:
            raise InvalidDefinition("The youngest age lies above the oldest.")
        if self.since and self.until and self.since > self.until:
            raise InvalidDefinition("The first day of scans lies after the last.")
        if not self.phenotypes or CONTROL in self.phenotypes:
            raise InvalidDefinition("Choose at least one phenotype; controls are always asked.")
        if not self.structures:
            raise InvalidDefinition("Choose at least one structure of the brain.")
        unknown = set(self.structures) - set(BRAIN_STRUCTURES)
        if unknown or (self.cord and self.cord not in CORD_LEVELS):
            raise InvalidDefinition("A structure or cord level is not known.")
        if self.bands == CUSTOM:
            check_bands(self.custom_bands)
        elif self.bands not in set(BandSet):
            raise InvalidDefinition("This set of EDSS groups is not known.")

    @property
    def groups(self) -> tuple[Band, ...]:
        """Return the EDSS groups, mildest first."""
        return self.custom_bands if self.bands == CUSTOM else BANDS[BandSet(self.bands)]

    def to_json(self) -> dict[str, Any]:
        """Return every choice as JSON values, in one fixed form."""
        fields = asdict(self)
        fields["schema"] = SCHEMA
        fields["visit"] = self.visit.value
        for name in ("since", "until"):
            fields[name] = fields[name].isoformat() if fields[name] else None
        for name in ("structures", "phenotypes", "epochs"):
            fields[name] = sorted(fields[name])
        fields["custom_bands"] = [[b.name, b.low, b.high] for b in self.custom_bands]
        return fields

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the choices: equal definitions have equal hashes."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def definition_from_json(fields: Mapping[str, Any]) -> Definition:
    """Read what `Definition.to_json` wrote.

    Raises
    ------
    InvalidDefinition
        For another schema, or choices that select nobody.
    """
    if fields.get("schema") != SCHEMA:
        raise InvalidDefinition(f"This is no definition of the form {SCHEMA}.")
    try:
        given = {key: fields[key] for key in Definition.__dataclass_fields__}
        given["custom_bands"] = tuple(
            Band(name, float(low), float(high)) for name, low, high in given["custom_bands"]
        )
        for name in ("structures", "phenotypes", "epochs"):
            given[name] = tuple(given[name])
        given["structures"] = tuple(s for s in BRAIN_STRUCTURES if s in given["structures"])
        given["visit"] = Representative(given["visit"])
        for name in ("since", "until"):
            given[name] = date.fromisoformat(given[name]) if given[name] else None
        return Definition(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidDefinition("The definition is incomplete or damaged.") from error


def check_bands(bands: tuple[Band, ...]) -> None:
    """Refuse EDSS groups that overlap or hold values that do not exist."""
    if len(bands) < 2:
        raise InvalidDefinition("Own EDSS groups need at least two, as in 0-1.5, 2-3, 3.5-10.")
    for band in bands:
        if band.low not in EDSS_VALUES or band.high not in EDSS_VALUES or band.low > band.high:
            raise InvalidDefinition(f"EDSS has no range {band.low:g}-{band.high:g}.")
    for first, second in itertools.pairwise(bands):
        if second.low <= first.high:
            raise InvalidDefinition("EDSS groups must rise and may not overlap.")


def parse_bands(text: str) -> tuple[Band, ...]:
    """Read own EDSS groups as a person writes them.

    Examples
    --------
    >>> [band.name for band in parse_bands("0-2.5, 3-5.5, 6-10")]
    ['0–2.5', '3–5.5', '6–10']
    """
    bands = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = re.fullmatch(r"(\d+(?:\.[05])?)\s*[-–]\s*(\d+(?:\.[05])?)", part)
        if not found:
            raise InvalidDefinition(f"“{part}” is no range of EDSS; write 0-1.5, 2-3, 3.5-10.")
        low, high = float(found[1]), float(found[2])
        bands.append(Band(f"{low:g}–{high:g}", low, high))
    check_bands(tuple(bands))
    return tuple(bands)
