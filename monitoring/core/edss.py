"""EDSS: which values exist, which bands they fall in, how large a worsening must be."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from monitoring.core.errors import InvalidObservation

EDSS_VALUES = (0.0, *(half / 2 for half in range(2, 21)))
"""0, then 1.0 to 10.0 in halves; 0.5 does not exist."""

_EXISTING = frozenset(EDSS_VALUES)


class StepAt55(StrEnum):
    """Sources differ on the step from a baseline of 5.5."""

    HALF = "half"
    """+0.5: usual trial rule, pymsprog; our default for CDW and PIRA."""
    ONE = "one"
    """+1.0: MSoutcomes and the Lorscheider rule."""


def valid_edss(value: float) -> float:
    """Return an EDSS value, or refuse what is none.

    Raises
    ------
    InvalidObservation
        For 0.5, quarter steps and everything outside 0 to 10.

    Examples
    --------
    >>> valid_edss(3.5)
    3.5
    """
    if value not in _EXISTING:
        raise InvalidObservation(f"EDSS {value:g} does not exist: 0, or 1.0 to 10.0 in halves.")
    return float(value)


@cache
def worsening_step(baseline: float, *, at_55: StepAt55 = StepAt55.HALF) -> float:
    """Return the rise from a baseline that counts as worsening.

    1.5 from 0; 1.0 from 1.0 to 5.0; 0.5 from 6.0 on; at 5.5 sources differ.
    """
    baseline = valid_edss(baseline)
    if baseline == 0:
        return 1.5
    if baseline <= 5.0 or (baseline == 5.5 and at_55 is StepAt55.ONE):
        return 1.0
    return 0.5


def is_worse(value: float, baseline: float, *, at_55: StepAt55 = StepAt55.HALF) -> bool:
    """Say whether a value is a worsening from a baseline."""
    return valid_edss(value) >= baseline + worsening_step(baseline, at_55=at_55)


def is_better(value: float, baseline: float, *, at_55: StepAt55 = StepAt55.HALF) -> bool:
    """Say whether a value is an improvement: a fall by the step of the baseline."""
    return valid_edss(value) <= baseline - worsening_step(baseline, at_55=at_55)


@dataclass(frozen=True, slots=True)
class Band:
    """A closed range of EDSS with its printed name."""

    name: str
    low: float
    high: float


class BandSet(StrEnum):
    """The three sets that are shipped; which to use is configuration."""

    FINE = "fine"
    THREE_GROUPS = "three_groups"
    DICHOTOMY = "dichotomy"


BANDS: dict[BandSet, tuple[Band, ...]] = {
    BandSet.FINE: (
        Band("0–1.5", 0, 1.5),
        Band("2–2.5", 2, 2.5),
        Band("3–3.5", 3, 3.5),
        Band("4–5.5", 4, 5.5),
        Band("≥ 6", 6, 10),
    ),
    BandSet.THREE_GROUPS: (
        Band("0–3", 0, 3.0),
        Band("3.5–5.5", 3.5, 5.5),
        Band("≥ 6", 6, 10),
    ),
    BandSet.DICHOTOMY: (
        Band("mild (≤ 3)", 0, 3.0),
        Band("moderate (>= 3.5)", 3.5, 10),
    ),
}


def edss_band(value: float, bands: BandSet) -> Band:
    """Return the band of a value; the sets have no gaps between existing values."""
    edss = valid_edss(value)
    return next(band for band in BANDS[bands] if band.low <= edss <= band.high)
