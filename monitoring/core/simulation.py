"""A simulator of patients with known truth: for tests, teaching and the detector benchmark.

It shares the bend and the random slopes with the model, and differs from it in the ramp,
relapse steps, a mixture of correlations, error tails, the hazard, patients who convert without
diverging, and undetected outliers. Its values come from the literature listed in
`docs/divergence.md`; several are assumptions. It is not evidence about real patients.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from monitoring.core.errors import NotAssessable
from monitoring.core.profiles import Profile
from monitoring.core.series import BRAIN, CORD, FloatArray, Series, as_floats, dip_share

CALENDAR_YEARS = 20.0
STEP_YEARS = 1 / 24
DIP_YEARS = 0.4
QUALITY_SHARES = (0.70, 0.22, 0.08)
QUALITY_MULTIPLIERS = (0.9, 1.25, 1.9)
OUTLIER_FACTORS = (4.0, 5.0)

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class SimulatedPatient:
    """One patient: what a clinic would hold, and the truth behind it.

    Attributes
    ----------
    series : Series
        Usable rows on the patient's own clock; ``series.years`` starts at the first usable
        scan, ``offset_years`` after onset.
    entry : float
        Onset on the calendar of the scanners, years.
    acceleration, conversion : float
        Years from onset at which the cord begins to accelerate and the latent conversion
        comes, also beyond the follow-up; infinity means never.
    true_years : array, shape (visits,)
        Years from onset of every visit, also of those without a usable scan.
    true_slopes : array, shape (2, steps)
        Percent per year of brain and cord on a grid of `STEP_YEARS` from onset.
    """

    series: Series
    entry: float
    offset_years: float
    follow_up: float
    conversion: float
    acceleration: float
    true_years: FloatArray
    true_slopes: FloatArray

    @property
    def is_converter(self) -> bool:
        """Whether the latent conversion lies in view."""
        return self.conversion < self.follow_up

    @property
    def is_stable(self) -> bool:
        """Whether neither conversion nor acceleration lies in view."""
        return not self.is_converter and self.acceleration >= self.follow_up

    def slopes_at(self, years: float) -> tuple[float, float]:
        """Return the true brain and cord slope at a time since onset."""
        index = min(int(years / STEP_YEARS), self.true_slopes.shape[1] - 1)
        return (float(self.true_slopes[BRAIN, index]), float(self.true_slopes[CORD, index]))


@dataclass(frozen=True)
class Scanners:
    """Scanner epochs of every site over the calendar, with their offsets."""

    starts: tuple[FloatArray, ...]
    first_index: tuple[int, ...]
    offsets: FloatArray

    @cached_property
    def count(self) -> int:
        """Return the number of epochs."""
        return int(self.offsets.shape[0])

    def epoch(self, site: IntArray, calendar: FloatArray) -> IntArray:
        """Return the epoch number in use at a site on a calendar time."""
        result = np.zeros(site.shape, dtype=np.int64)
        for number, starts in enumerate(self.starts):
            at_site = site == number
            place = np.searchsorted(starts, calendar[at_site], side="right")
            result[at_site] = self.first_index[number] + place
        return result


def simulate_scanners(profile: Profile, *, rng: Generator) -> Scanners:
    """Draw upgrades of every site and one offset per epoch."""
    starts: list[FloatArray] = []
    first: list[int] = []
    count = 0
    for _ in range(profile.sites):
        upgrades = [rng.uniform(0, profile.upgrade_years)]
        while upgrades[-1] < CALENDAR_YEARS:
            upgrades.append(upgrades[-1] + rng.uniform(0.7, 1.3) * profile.upgrade_years)
        kept = np.array([one for one in upgrades if one < CALENDAR_YEARS], dtype=np.float64)
        starts.append(kept)
        first.append(count)
        count += kept.size + 1
    offsets = rng.normal(size=(count, 2)) * np.array(profile.offset_sd)
    return Scanners(tuple(starts), tuple(first), offsets)


def simulate_cohort(
    profile: Profile, *, patients: int, rng: Generator, scanners: Scanners | None = None
) -> list[SimulatedPatient]:
    """Simulate patients who share one set of scanners.

    Parameters
    ----------
    patients : int
        Positive.
    scanners : Scanners or None
        Pass the same scanners to cohorts that must share them.

    Raises
    ------
    NotAssessable
        Without patients.
    """
    if patients < 1:
        raise NotAssessable("A cohort needs at least one patient.")
    machines = scanners or simulate_scanners(profile, rng=rng)
    lives = _lives(profile, patients, rng)
    paths, slopes = _paths(profile, lives, rng)
    visits = _visits(profile, lives, rng)
    return _measured(profile, machines, lives, paths, slopes, visits, rng)


@dataclass(frozen=True, slots=True)
class _Lives:
    """Fates of P patients, years since onset; infinity means never."""

    entry: FloatArray
    follow_up: FloatArray
    conversion: FloatArray
    acceleration: FloatArray
    bend: FloatArray
    global_change: FloatArray
    therapy: FloatArray


def _lives(profile: Profile, count: int, rng: Generator) -> _Lives:
    """Draw entry, follow-up, conversion, acceleration and treatment."""
    entry = rng.uniform(0, CALENDAR_YEARS - 2, count)
    follow_up = np.minimum(rng.uniform(2, 15, count), CALENDAR_YEARS - entry)
    conversion = profile.hazard_start + rng.exponential(1 / profile.hazard, count)
    lead = np.exp(rng.normal(np.log(profile.lead_median), profile.lead_log_sd, count))
    lead = np.clip(lead, 2.0, profile.lead_max)
    diverges = rng.random(count) >= profile.p_no_divergence
    acceleration = np.where(diverges, np.maximum(conversion - lead, 0.0), np.inf)
    bend = np.minimum(rng.normal(profile.bend_mean, profile.bend_sd, count), -0.2)
    is_global = rng.random(count) < profile.p_global
    global_change = np.where(is_global, rng.uniform(0, 8, count), np.inf)
    is_treated = rng.random(count) < profile.p_treated
    therapy = np.where(is_treated, rng.uniform(0.2, 5, count), np.inf)
    return _Lives(entry, follow_up, conversion, acceleration, bend, global_change, therapy)


def _pairs(
    count: int, sd: tuple[float, float], correlation: FloatArray | float, rng: Generator
) -> FloatArray:
    """Draw correlated (brain, cord) normals, shape (P, 2)."""
    first, second = rng.normal(size=(2, count))
    mixed = correlation * first + np.sqrt(1 - np.square(correlation)) * second
    return np.stack([sd[0] * first, sd[1] * mixed], axis=1)


def _paths(profile: Profile, lives: _Lives, rng: Generator) -> tuple[FloatArray, FloatArray]:
    """Integrate the true paths on the grid of STEP_YEARS; both of shape (P, 2, steps)."""
    count = lives.entry.size
    times = as_floats(np.arange(int(15 / STEP_YEARS) + 2) * STEP_YEARS)
    is_moderate = rng.random(count) < profile.p_moderate
    rho = np.where(is_moderate, profile.correlation_moderate, profile.correlation_mild)
    slope = np.array(profile.slope_mean) + _pairs(count, profile.slope_sd, rho, rng)
    wander = rng.normal(size=(count, 2, times.size - 1)) * np.sqrt(STEP_YEARS)
    wander *= np.array(profile.slope_walk)[:, None]
    slopes = np.repeat(slope[:, :, None], times.size, axis=2)
    slopes[:, :, 1:] += np.cumsum(wander, axis=2)
    since = times - lives.acceleration[:, None]
    share = np.clip(since / profile.ramp, 0.0, 1.0)
    share[lives.acceleration == 0] = 1.0
    slopes[:, CORD] += lives.bend[:, None] * share
    slopes[:, BRAIN] += profile.bend_brain * share
    both = np.clip(times - lives.global_change[:, None], 0.0, 1.0)
    slopes[:, BRAIN] += -0.7 * both
    slopes[:, CORD] += -1.0 * both
    paths = np.zeros_like(slopes)
    paths[:, :, 1:] = np.cumsum(slopes[:, :, :-1], axis=2) * STEP_YEARS
    level = _pairs(count, profile.level_sd, profile.level_correlation, rng)
    paths += level[:, :, None]
    dip = dip_share(times[None, :], therapy=lives.therapy[:, None], time_constant=DIP_YEARS)
    size = rng.normal(profile.dip_mean, profile.dip_sd, (count, 2))
    paths += size[:, :, None] * dip[:, None, :]
    for patient in np.flatnonzero(rng.random(count) < -np.expm1(-profile.step_rate * 15)):
        # At least one step in 15 years: the number is a Poisson count conditioned on that.
        number = 0
        while number == 0:
            number = int(rng.poisson(profile.step_rate * 15))
        for when in rng.uniform(0, 15, number):
            size_of_step = min(rng.normal(profile.step_mean, profile.step_sd), 0.0)
            paths[patient, CORD, times >= when] += size_of_step
    return paths, slopes


@dataclass(frozen=True, slots=True)
class _Visits:
    """Visit times and sites, shape (P, V), NaN after the follow-up."""

    years: FloatArray
    site: IntArray


def _visits(profile: Profile, lives: _Lives, rng: Generator) -> _Visits:
    """Draw visits and the site of each."""
    count = lives.entry.size
    is_sparse = rng.random(count) < profile.p_sparse
    years = [np.zeros(count)]
    site = [rng.integers(profile.sites, size=count)]
    while np.any(years[-1] <= lives.follow_up):
        gap = 1 + profile.visit_sd * rng.normal(size=count)
        long = is_sparse & (rng.random(count) < 0.7)
        gap = np.where(long, rng.uniform(2, 3, count), gap)
        extra = rng.random(count) < profile.p_extra
        gap = np.where(extra, rng.uniform(0.25, 0.7, count), gap)
        years.append(years[-1] + np.maximum(gap, 0.2))
        switched = rng.random(count) < profile.p_switch
        site.append(np.where(switched, rng.integers(profile.sites, size=count), site[-1]))
    stacked = np.stack(years, axis=1)
    stacked = np.where(stacked <= lives.follow_up[:, None], stacked, np.nan)
    return _Visits(stacked, np.stack(site, axis=1).astype(np.int64))


def _measured(
    profile: Profile,
    machines: Scanners,
    lives: _Lives,
    paths: FloatArray,
    slopes: FloatArray,
    visits: _Visits,
    rng: Generator,
) -> list[SimulatedPatient]:
    """Measure the paths at the visits and keep what quality control lets through."""
    shape = visits.years.shape
    happened: BoolArray = np.asarray(np.isfinite(visits.years))
    years = np.where(happened, visits.years, 0.0)
    epoch = machines.epoch(visits.site, lives.entry[:, None] + years)
    step = np.round(years / STEP_YEARS).astype(np.int64)
    quality = rng.choice(3, p=QUALITY_SHARES, size=(*shape, 2))
    late: BoolArray = np.asarray(rng.random(shape[0]) < profile.p_late_cord)
    y, usable = np.zeros((*shape, 2)), np.zeros((*shape, 2), dtype=np.bool_)
    for region in (BRAIN, CORD):
        path = np.take_along_axis(paths[:, region], step, axis=1)
        own = rng.normal(size=(shape[0], machines.count)) * profile.patient_epoch_sd[region]
        own_then = np.take_along_axis(own, epoch, axis=1)
        is_outlier = rng.random(shape) < profile.p_outlier
        size = profile.error_sd[region] * np.array(QUALITY_MULTIPLIERS)[quality[..., region]]
        size = np.where(is_outlier, size * OUTLIER_FACTORS[region], size)
        error = size * rng.normal(size=shape)
        y[..., region] = path + machines.offsets[epoch, region] + own_then + error
        caught = is_outlier & (rng.random(shape) < profile.qc_catch)
        falsely = rng.random(shape) < profile.qc_false
        is_missing = rng.random(shape) < profile.missing[region]
        usable[..., region] = happened & ~caught & ~falsely & ~is_missing
    usable[..., CORD] &= ~(late[:, None] & (years < 3))
    cohort = []
    for patient in range(shape[0]):
        series, offset = _rows(
            years[patient],
            y[patient],
            usable[patient],
            quality[patient],
            epoch[patient],
            therapy=float(lives.therapy[patient]),
        )
        cohort.append(
            SimulatedPatient(
                series=series,
                entry=float(lives.entry[patient]),
                offset_years=offset,
                follow_up=float(lives.follow_up[patient]),
                conversion=float(lives.conversion[patient]),
                acceleration=float(lives.acceleration[patient]),
                true_years=years[patient][happened[patient]],
                true_slopes=slopes[patient],
            )
        )
    return cohort


def _rows(
    years: FloatArray,
    y: FloatArray,
    usable: BoolArray,
    quality: IntArray,
    epoch: IntArray,
    *,
    therapy: float,
) -> tuple[Series, float]:
    """Return the usable rows of one patient and the time of the first."""
    visit, region = np.nonzero(usable)
    when = years[visit]
    start = float(when[0]) if when.size else 0.0
    series = Series(
        years=when - start,
        y=y[visit, region],
        region=cast("IntArray", region.astype(np.int64)),
        quality=cast("IntArray", quality[visit, region].astype(np.int64)),
        epochs=tuple(f"E{number}" for number in epoch[visit]),
        therapy_years=therapy - start if np.isfinite(therapy) else None,
    )
    return series, start
