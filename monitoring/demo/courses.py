"""Draw one patient's whole course from a story: pure, the same for the same generator."""

import math
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from monitoring.demo.events import (
    DrawnAssessment,
    DrawnLesions,
    DrawnRelapse,
    DrawnTreatment,
    assessments_draw,
    lesions_draw,
    relapses_draw,
    treatments_draw,
)
from monitoring.demo.stories import PLOTS, Plot, Story
from monitoring.models import Phenotype, Sex

DAYS_PER_YEAR = 365.25
BRAIN_MM3 = {Sex.FEMALE: 1.10e6, Sex.MALE: 1.22e6}
CORD_MM2 = {Sex.FEMALE: 70.0, Sex.MALE: 74.0}
LEVEL_SD = (0.05, 0.07)  # brain, cord: between people of one sex
LEVEL_CORRELATION = 0.45
ERROR_PERCENT = (0.5, 1.2)  # one scan of fair quality, brain and cord
CHECKS = ("pass", "warn", "fail")
QUALITY = (0.76, 0.18, 0.06)
UNREAD_QUALITY = (0.5, 0.2, 0.3)  # of newest scans that nobody has read yet
QUALITY_FACTOR = {"pass": 0.9, "warn": 1.25, "fail": 1.9}
DIP_PERCENT, DIP_YEARS = -0.9, 0.4  # brain after a treatment's start
ARTIFACT_PERCENT = -11.0
SWELLING_PERCENT = 3.5
UPGRADE_OFFSET = (1.2, 2.2)  # percent, brain and cord, of the newer scanner
UNREAD_SHARE = 0.22


@dataclass(frozen=True, slots=True)
class DrawnScan:
    """One visit to the scanner; a region that was not scanned is None.

    ``verdict`` and ``reason`` are a reader's word on the cord; empty: not read yet.
    """

    day: date
    brain_mm3: float | None
    cord_mm2: float | None
    scanner: int
    check: str
    verdict: str
    reason: str = ""

    @property
    def errors(self) -> tuple[float, float]:
        """Standard errors of brain and cord, share of the value."""
        factor = QUALITY_FACTOR[self.check] / 100
        return ERROR_PERCENT[0] * factor, ERROR_PERCENT[1] * factor


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that is known of one synthetic person."""

    story: Story
    sex: Sex
    birth_year: int
    onset: date | None
    phenotypes: tuple[tuple[date, Phenotype], ...]
    scans: tuple[DrawnScan, ...]
    intracranial_mm3: float
    assessments: tuple[DrawnAssessment, ...] = ()
    relapses: tuple[DrawnRelapse, ...] = ()
    treatments: tuple[DrawnTreatment, ...] = ()
    lesions: tuple[DrawnLesions, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """The true path: percent lost since the first day, brain and cord, before any error."""

    brain_slope: float
    cord_slope: float
    bend: float = 0.0
    bend_years: float = math.inf
    dips: tuple[float, ...] = field(default=())

    def brain(self, years: float) -> float:
        """Return 100 times the log of the brain's ratio to its first volume."""
        dips = sum(
            DIP_PERCENT * (1 - math.exp(-(years - start) / DIP_YEARS))
            for start in self.dips
            if years > start
        )
        return self.brain_slope * years + dips

    def excess(self, years: float) -> float:
        """Return how much the cord lost beyond its first slope, percent, not positive."""
        return self.bend * max(0.0, years - self.bend_years)

    def cord(self, years: float) -> float:
        """Return 100 times the log of the cord's ratio to its first area."""
        return self.cord_slope * years + self.excess(years)


def course_draw(
    story: Story,
    *,
    number: int,
    rng: np.random.Generator,
    today: date,
    plot: Plot | None = None,
) -> Course:
    """Draw a course; ``number`` counts the patients of a story and rotates its phenotypes.

    ``plot`` draws the story otherwise than `PLOTS` says.
    """
    plot = plot or PLOTS[story]
    years = float(rng.uniform(*plot.years))
    first = today - timedelta(days=round(years * DAYS_PER_YEAR))
    phenotype = plot.phenotypes[number % len(plot.phenotypes)]
    is_patient = phenotype is not Phenotype.HC
    sex = Sex.FEMALE if rng.random() < 0.7 else Sex.MALE
    days = _scan_days(plot, first=first, today=today, rng=rng)
    treatments = (
        treatments_draw(
            onset=first,
            last=days[-1],
            begins_before_end=plot.treated_before_end,
            is_treated=phenotype in (Phenotype.RRMS, Phenotype.SPMS, Phenotype.PPMS),
            rng=rng,
        )
        if is_patient
        else ()
    )
    path = _path_draw(plot, years=years, first=first, treatments=treatments, rng=rng)
    swelling = days[len(days) // 2] if plot.has_swelling else None
    relapses = relapses_draw(
        onset=first,
        last=days[-1],
        per_year=plot.relapses_per_year,
        swelling_scan=swelling,
        rng=rng,
    )
    scans, intracranial = _scans_draw(
        plot, path=path, days=days, first=first, sex=sex, swelling=swelling, rng=rng
    )
    return Course(
        story=story,
        sex=sex,
        birth_year=first.year - int(rng.integers(22, 48)),
        onset=first if is_patient else None,
        phenotypes=_phenotypes(phenotype, first=first, path=path, last=days[-1]),
        scans=scans,
        intracranial_mm3=intracranial,
        assessments=(
            assessments_draw(
                days, onset=first, plot=plot, path=path, relapses=relapses, rng=rng
            )
            if is_patient
            else ()
        ),
        relapses=relapses,
        treatments=treatments,
        lesions=(
            lesions_draw(days, relapses=relapses, path=path, onset=first, rng=rng)
            if is_patient
            else ()
        ),
    )


def years_between(first: date, day: date) -> float:
    """Return the years from one day to another."""
    return (day - first).days / DAYS_PER_YEAR


def _scan_days(plot: Plot, *, first: date, today: date, rng: np.random.Generator) -> list[date]:
    """Return yearly scan days with some slack, the last within a year before today."""
    at = float(rng.uniform(0.05, 0.35))
    end = years_between(first, today) - float(rng.uniform(0.02, 0.3))
    days: list[date] = []
    while at <= end and len(days) < plot.most_scans:
        days.append(first + timedelta(days=round(at * DAYS_PER_YEAR)))
        at += max(0.3, 1.0 + 0.12 * float(rng.normal()))
    if plot.treated_before_end is not None:
        # A visit a few months after the start is what shows the dip.
        early = today - timedelta(days=round(0.9 * DAYS_PER_YEAR))
        days = sorted({*days, early})
    return days


def _path_draw(
    plot: Plot,
    *,
    years: float,
    first: date,
    treatments: tuple[DrawnTreatment, ...],
    rng: np.random.Generator,
) -> Path:
    """Draw slopes and the bend; every treatment's start makes its dip."""
    brain, cord = rng.normal(*plot.brain_slope), rng.normal(*plot.cord_slope)
    dips = tuple(years_between(first, treatment.starts_on) for treatment in treatments[:1])
    if plot.bend is None:
        return Path(min(float(brain), 0.0), min(float(cord), 0.0), dips=dips)
    bend = min(float(rng.normal(*plot.bend)), -1.2)
    start = years * float(rng.uniform(*plot.bend_after))
    return Path(float(brain), float(cord), bend, start, dips)


def _scans_draw(
    plot: Plot,
    *,
    path: Path,
    days: list[date],
    first: date,
    sex: Sex,
    swelling: date | None,
    rng: np.random.Generator,
) -> tuple[tuple[DrawnScan, ...], float]:
    """Draw the scans with their errors; return them and the intracranial volume, mm³."""
    shared, brain_own, cord_own = rng.normal(size=3)
    own = math.sqrt(1 - LEVEL_CORRELATION)
    share = math.sqrt(LEVEL_CORRELATION)
    brain_mm3 = BRAIN_MM3[sex] * math.exp(LEVEL_SD[0] * (share * shared + own * brain_own))
    cord_mm2 = CORD_MM2[sex] * math.exp(LEVEL_SD[1] * (share * shared + own * cord_own))
    cord_from = float(rng.uniform(*plot.cord_from))
    changed = len(days) // 2 if plot.changes_scanner else len(days)
    artifact = len(days) - 2 if plot.has_artifact else -1
    scans = []
    for index, day in enumerate(days):
        years = years_between(first, day)
        is_newest = index == len(days) - 1
        is_unread = is_newest and rng.random() < UNREAD_SHARE
        check = str(rng.choice(CHECKS, p=UNREAD_QUALITY if is_unread else QUALITY))
        noise = rng.normal(size=2) * np.array(ERROR_PERCENT) * QUALITY_FACTOR[check]
        brain, cord = path.brain(years) + noise[0], path.cord(years) + noise[1]
        if index >= changed:
            brain, cord = brain + UPGRADE_OFFSET[0], cord + UPGRADE_OFFSET[1]
        if index == artifact:
            cord, check = cord + ARTIFACT_PERCENT, "warn"
        if day == swelling:
            cord += SWELLING_PERCENT
        has_cord = years >= cord_from and (is_newest or rng.random() > 0.04)
        rejected = index == artifact
        scans.append(
            DrawnScan(
                day=day,
                brain_mm3=brain_mm3 * math.exp(brain / 100),
                cord_mm2=cord_mm2 * math.exp(cord / 100) if has_cord or rejected else None,
                scanner=int(index >= changed),
                check=check,
                verdict="" if is_unread else "rejected" if rejected else "accepted",
                reason="artifact" if rejected else "",
            )
        )
    return tuple(scans), brain_mm3 * float(rng.normal(1.26, 0.015))


def _phenotypes(
    phenotype: Phenotype, *, first: date, path: Path, last: date
) -> tuple[tuple[date, Phenotype], ...]:
    """Return the course of disease: SPMS follows RRMS, years after the cord accelerated."""
    if phenotype is not Phenotype.SPMS:
        return ((first, phenotype),)
    begins = first + timedelta(days=round((path.bend_years + 2.0) * DAYS_PER_YEAR))
    if begins >= last:
        return ((first, Phenotype.RRMS),)
    return ((first, Phenotype.RRMS), (begins, Phenotype.SPMS))
