"""Draw the clinical side of a course: EDSS, relapses, treatments, lesion counts."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol

import numpy as np

from monitoring.demo.stories import DRUGS, Plot
from monitoring.models import EDSS_STEPS, Relapse, Treatment

DAYS_PER_YEAR = 365.25
EDSS_PER_PERCENT = 0.16  # per percent that the cord lost beyond its first slope
EDSS_LAG_YEARS = 0.8  # disability follows the tissue
SCORED_SHARE = 0.7  # visits at which the functional systems were written down

# One way to reach each step of the EDSS with its functional systems, Neurostatus-EDSS wording:
# up to 3.5 by the systems alone, from 4.5 on by the walking range.
SYSTEMS_OF_STEP: dict[str, dict[str, int]] = {
    "0.0": {},
    "1.0": {"sensory": 1},
    "1.5": {"sensory": 1, "pyramidal": 1},
    "2.0": {"pyramidal": 2, "sensory": 1},
    "2.5": {"pyramidal": 2, "sensory": 2},
    "3.0": {"pyramidal": 3, "sensory": 1},
    "3.5": {"pyramidal": 3, "sensory": 2},
    "4.0": {"pyramidal": 4, "sensory": 2},
    "4.5": {"pyramidal": 4, "sensory": 2, "ambulation": 2},
    "5.0": {"pyramidal": 4, "sensory": 2, "ambulation": 3},
    "5.5": {"pyramidal": 4, "sensory": 2, "ambulation": 4},
    "6.0": {"pyramidal": 4, "bowel_bladder": 2, "ambulation": 6},
    "6.5": {"pyramidal": 4, "bowel_bladder": 2, "ambulation": 8},
    "7.0": {"pyramidal": 5, "bowel_bladder": 3, "ambulation": 10},
}
HIGHEST_STEP = max(Decimal(step) for step in SYSTEMS_OF_STEP)


class LossPath(Protocol):
    """What the clinical side must know of the tissue."""

    def excess(self, years: float) -> float:
        """Return the cord's loss beyond its first slope, percent, not positive."""
        ...


@dataclass(frozen=True, slots=True)
class DrawnAssessment:
    """An EDSS, with functional systems where they were scored (None where not)."""

    day: date
    edss: Decimal
    systems: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class DrawnRelapse:
    """A relapse."""

    onset: date
    severity: Relapse.Severity
    is_spinal: bool
    steroids_on: date | None


@dataclass(frozen=True, slots=True)
class DrawnTreatment:
    """A period on one drug."""

    drug: str
    efficacy: Treatment.Efficacy
    starts_on: date
    ends_on: date | None
    stop_reason: str


@dataclass(frozen=True, slots=True)
class DrawnLesions:
    """What the reader counted on one scan; ``new`` is None on the first."""

    day: date
    brain: int
    cord: int
    new: int | None
    enhancing: int | None
    diffuse_cord: bool


def relapses_draw(
    *,
    onset: date,
    last: date,
    per_year: float,
    swelling_scan: date | None,
    rng: np.random.Generator,
) -> tuple[DrawnRelapse, ...]:
    """Draw relapses, rarer with the years; one just before ``swelling_scan`` if given."""
    drawn = []
    day = onset + timedelta(days=int(rng.integers(60, 400)))
    while per_year > 0 and day < last:
        years = (day - onset).days / DAYS_PER_YEAR
        if rng.random() < math.exp(-years / 8):
            drawn.append(_relapse(day, rng=rng))
        day += timedelta(days=max(90, round(float(rng.exponential(DAYS_PER_YEAR / per_year)))))
    if swelling_scan is not None:
        shadow = [r for r in drawn if abs((r.onset - swelling_scan).days) > 60]
        begins = swelling_scan - timedelta(days=12)
        drawn = [
            *shadow,
            DrawnRelapse(begins, Relapse.Severity.SEVERE, is_spinal=True, steroids_on=begins),
        ]
    return tuple(sorted(drawn, key=lambda relapse: relapse.onset))


def _relapse(day: date, *, rng: np.random.Generator) -> DrawnRelapse:
    severity = rng.choice([Relapse.Severity.MILD, Relapse.Severity.MODERATE], p=[0.6, 0.4])
    steroids = day + timedelta(days=int(rng.integers(2, 9))) if rng.random() < 0.5 else None
    return DrawnRelapse(day, Relapse.Severity(severity), bool(rng.random() < 0.35), steroids)


def treatments_draw(
    *,
    onset: date,
    last: date,
    begins_before_end: tuple[float, float] | None,
    is_treated: bool,
    rng: np.random.Generator,
) -> tuple[DrawnTreatment, ...]:
    """Draw treatment periods: moderate first, then perhaps high; or one that begins late."""
    if not is_treated:
        return ()
    moderate, high = Treatment.Efficacy.MODERATE, Treatment.Efficacy.HIGH
    if begins_before_end is not None:
        before = timedelta(days=round(float(rng.uniform(*begins_before_end)) * DAYS_PER_YEAR))
        return (DrawnTreatment(str(rng.choice(DRUGS[high])), high, last - before, None, ""),)
    starts = onset + timedelta(days=int(rng.integers(90, 500)))
    if starts >= last:
        return ()
    first = str(rng.choice(DRUGS[moderate]))
    switch = starts + timedelta(days=round(float(rng.uniform(1.5, 4.5)) * DAYS_PER_YEAR))
    if switch >= last or rng.random() < 0.4:
        return (DrawnTreatment(first, moderate, starts, None, ""),)
    reason = str(rng.choice(["disease activity", "side effects", "patient's wish"]))
    begins = switch + timedelta(days=int(rng.integers(14, 75)))
    return (
        DrawnTreatment(first, moderate, starts, switch, reason),
        DrawnTreatment(str(rng.choice(DRUGS[high])), high, begins, None, ""),
    )


def assessments_draw(
    scan_days: list[date],
    *,
    onset: date,
    plot: Plot,
    path: LossPath,
    relapses: tuple[DrawnRelapse, ...],
    rng: np.random.Generator,
) -> tuple[DrawnAssessment, ...]:
    """Draw an EDSS at every scan and at some visits between; it follows the cord with a lag."""
    start, rate = float(rng.uniform(*plot.edss_start)), float(rng.uniform(*plot.edss_per_year))
    between = {
        day + timedelta(days=int(rng.integers(140, 220)))
        for day in scan_days[:-1]
        if rng.random() < 0.5
    }
    days = sorted({*scan_days, *(day for day in between if day < scan_days[-1])})
    drawn = []
    for day in days:
        years = (day - onset).days / DAYS_PER_YEAR
        level = start + rate * years
        level -= EDSS_PER_PERCENT * path.excess(years - EDSS_LAG_YEARS)
        level += sum(_relapse_bump(day, relapse) for relapse in relapses)
        level += 0.2 * float(rng.normal())
        edss = edss_step(level)
        scored = rng.random() < SCORED_SHARE
        drawn.append(DrawnAssessment(day, edss, SYSTEMS_OF_STEP[str(edss)] if scored else None))
    return tuple(drawn)


def _relapse_bump(day: date, relapse: DrawnRelapse) -> float:
    """Return what a relapse adds to the EDSS of a day: gone after about three months."""
    days = (day - relapse.onset).days
    size = {"mild": 0.5, "moderate": 1.0, "severe": 2.0}[relapse.severity]
    return size * math.exp(-days / 45) if days >= 0 else 0.0


def edss_step(level: float) -> Decimal:
    """Return the nearest step of the scale; 0.5 is none.

    Examples
    --------
    >>> edss_step(0.6), edss_step(3.3), edss_step(-1.0)
    (Decimal('1.0'), Decimal('3.5'), Decimal('0.0'))
    """
    steps = [step for step in EDSS_STEPS if step <= HIGHEST_STEP]
    nearest = min(steps, key=lambda step: abs(float(step) - level))
    return nearest.quantize(Decimal("0.1"))


def lesions_draw(
    scan_days: list[date],
    *,
    onset: date,
    relapses: tuple[DrawnRelapse, ...],
    path: LossPath,
    rng: np.random.Generator,
) -> tuple[DrawnLesions, ...]:
    """Draw lesion counts: relapses bring new lesions, spinal ones new cord lesions."""
    brain, cord = int(rng.integers(4, 22)), int(rng.integers(0, 3))
    drawn: list[DrawnLesions] = []
    previous = onset
    for day in scan_days:
        recent = [relapse for relapse in relapses if previous < relapse.onset <= day]
        new = int(rng.poisson(0.4)) + int(rng.poisson(1.5)) * len(recent)
        cord += sum(relapse.is_spinal for relapse in recent)
        brain += new
        fresh = any((day - relapse.onset).days < 60 for relapse in recent)
        drawn.append(
            DrawnLesions(
                day=day,
                brain=brain,
                cord=cord,
                new=new if drawn else None,
                enhancing=int(rng.integers(1, 4)) if fresh else None,
                diffuse_cord=path.excess((day - onset).days / DAYS_PER_YEAR) < -4.0,
            )
        )
        previous = day
    return tuple(drawn)
