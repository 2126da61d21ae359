"""No evidence of disease activity, and worsening by functional tests."""

from dataclasses import dataclass, fields
from enum import StrEnum

from monitoring.core.errors import NotAssessable

BRAIN_LOSS_LIMIT_PERCENT_PER_YEAR = 0.4
"""NEDA-4: annual brain loss below 0.4 %; ECTRIMS 2015, abstract."""

FUNCTION_TEST_LIMIT = 0.20
"""EDSS-plus: 20 % on T25FW or 9HPT."""

SDMT_LIMIT_POINTS = 4.0
"""pymsprog documents "3 points or 10 %" and codes min(20 %, 4 points); we use 4 points."""


class Answer(StrEnum):
    """Yes, no, or unknown because a component is missing."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ActivityYear:
    """What one year held; None is "not examined", never "nothing found"."""

    relapse: bool | None
    confirmed_worsening: bool | None
    new_t2_lesion: bool | None
    gadolinium_lesion: bool | None


def neda3(year: ActivityYear) -> Answer:
    """Say whether there was no relapse, no confirmed worsening and no MRI activity.

    One known sign of activity answers "no", whatever else is missing; without one, a missing
    component makes the answer unknown, never yes.
    """
    components = [getattr(year, field.name) for field in fields(year)]
    if any(component is True for component in components):
        return Answer.NO
    if any(component is None for component in components):
        return Answer.UNKNOWN
    return Answer.YES


def neda4(year: ActivityYear, *, brain_percent_per_year: float | None) -> Answer:
    """NEDA-3 and an annual brain loss below 0.4 %."""
    three = neda3(year)
    if brain_percent_per_year is None:
        return Answer.NO if three is Answer.NO else Answer.UNKNOWN
    if brain_percent_per_year <= -BRAIN_LOSS_LIMIT_PERCENT_PER_YEAR:
        return Answer.NO
    return three


def is_slower(*, baseline_seconds: float, seconds: float) -> bool:
    """Say whether T25FW or 9HPT worsened by 20 % or more."""
    if baseline_seconds <= 0 or seconds <= 0:
        raise NotAssessable("A timed test takes longer than 0 seconds.")
    return seconds >= (1 + FUNCTION_TEST_LIMIT) * baseline_seconds


def is_sdmt_worse(*, baseline_points: float, points: float) -> bool:
    """Say whether the SDMT fell by 4 points or more."""
    return baseline_points - points >= SDMT_LIMIT_POINTS


def edss_plus(*, edss: bool | None, t25fw: bool | None, nine_hole_peg: bool | None) -> Answer:
    """Say whether any of EDSS, T25FW and 9HPT shows (confirmed) worsening."""
    components = (edss, t25fw, nine_hole_peg)
    if any(component is True for component in components):
        return Answer.YES
    return Answer.UNKNOWN if None in components else Answer.NO
