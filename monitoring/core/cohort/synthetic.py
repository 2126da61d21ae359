"""Cohorts with a known truth, for tests, benchmarks and the check of the page.

Each EDSS band of the fine set has its own correlation of brain and cord, its own loss, and
patients whose cord accelerates before they convert. The null cohort has the same sizes and
noise, and nothing to find.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from monitoring.core.cohort.table import (
    COLUMNS,
    CONTROL,
    LEVELS,
    PHENOTYPES,
    SYSTEMS,
    Cohort,
    Kind,
    Lesions,
    Long,
    Readings,
    Statements,
    column,
)
from monitoring.core.series import FloatArray, IntArray, as_floats

FIRST_DAY = date(2012, 1, 1).toordinal()
MEAN_LOG = {
    "brain_parenchyma": 13.94,
    "grey_matter": 13.36,
    "white_matter": 13.12,
    "lateral_ventricles": 10.0,
    "intracranial": 14.15,
    "cord": 4.25,
}
"""ln of typical values, mm3 and mm2."""
WINDOW_MM = 20.0
"""Length of the cord over which area and volume are said to be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is planted; percent where not said otherwise.

    ``cord_step`` is the cord's difference between EDSS 3-3.5 and 2-2.5 in standard deviations
    (minus: smaller); the brain has none, so the cord is the only discriminator.
    """

    r_mild: float = 0.6
    r_severe: float = 0.2
    cord_step: float = -0.7
    cord_loss: tuple[float, ...] = (-2.0, -2.0, -9.0, -13.0, -16.0)
    slope_r_mild: float = 0.6
    slope_r_severe: float = 0.2
    d_hazard: float = 1.2
    """Log hazard ratio of worsening per 1 %/yr of cord excess loss."""
    hazard: float = 0.05
    lesion_slope: float = -0.25
    """Percent per year of brain and cord per new lesion a year."""


NULL = Truth(
    r_mild=0.4,
    r_severe=0.4,
    cord_step=0.0,
    cord_loss=(0.0,) * 5,
    slope_r_mild=0.4,
    slope_r_severe=0.4,
    d_hazard=0.0,
    lesion_slope=0.0,
)
"""Nothing differs between groups, nothing predicts, nothing goes with lesions."""

BAND_LOWEST = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
"""Lowest EDSS of each band of the fine set that is drawn; the others are half a point up."""
STARTS = np.repeat(np.arange(5), (6, 3, 5, 2, 4))
"""Bands at the first visit, in turn: so many convert that the last visit has them all."""
SD = {"brain": 5.0, "cord": 7.0}
ERROR = {"brain": 0.6, "cord": 1.5}
SLOPE = {"brain": (-0.4, 0.25), "cord": (-0.9, 0.55)}
KINDS = (
    Kind("brain", "synthetic-brain", "1"),
    Kind("cord_pmj_64mm", "synthetic-cord", "1", "T1-weighted"),
)


@dataclass(frozen=True, slots=True)
class _People:
    """Static columns of everybody, patients before controls."""

    band: IntArray
    age: FloatArray
    sex: FloatArray
    head: FloatArray
    duration: FloatArray
    slopes: FloatArray
    rate_new: FloatArray
    is_control: FloatArray


def synthetic_cohort(
    truth: Truth,
    *,
    rng: Generator,
    patients: int = 600,
    controls: int = 100,
    visits: int = 8,
) -> Cohort:
    """Draw a cohort of yearly visits; the last visit carries the planted cross-section."""
    total = patients + controls
    years = as_floats(np.arange(visits))
    excess = _excess(total, visits, rng)
    converted = _conversions(truth, excess, visits, rng)
    # What is asked of the last visit is planted there, after the conversions: an EDSS that
    # knew of a later conversion would be a covariate from the future.
    before, after = _scores(patients, converted[:patients] < visits)
    people = _people(truth, after, controls, rng)
    shift = _levels(truth, people, rng)
    readings = _readings(people, shift, years, rng)
    edss, systems = _edss(before, after, converted[:patients], visits)
    day = FIRST_DAY + np.round(365.25 * np.arange(visits)).astype(int)
    statements = _statements(people, excess, day, rng)
    names = tuple(f"S-C{i:05d}" if people.is_control[i] else f"S-{i:05d}" for i in range(total))
    phenotype = np.where(
        people.is_control == 1,
        PHENOTYPES.index(CONTROL),
        np.array([PHENOTYPES.index(n) for n in ("CIS", "RRMS", "RRMS", "SPMS", "PPMS")])[
            people.band
        ],
    )
    last_year = date.fromordinal(int(day[-1])).year
    return Cohort(
        ids=names,
        sex=people.sex,
        birth_year=np.round(last_year - people.age),
        onset=np.where(people.is_control == 1, np.nan, day[-1] - 365.25 * people.duration),
        phenotypes=Long(np.arange(total), np.full(total, int(day[0])), phenotype.astype(float)),
        readings=readings,
        kinds=KINDS,
        epochs=("Synthetic scanner",),
        epoch_ids=("synthetic",),
        edss=edss,
        systems=systems,
        relapses=Long.of([]),
        lesions=_lesions(people, day, rng),
        statements=statements,
        is_synthetic=True,
    )


def _scores(patients: int, has_converted: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return each patient's EDSS before and after: a step higher for whoever converted."""
    turn = np.arange(patients)
    before = BAND_LOWEST[STARTS[turn % STARTS.size]] + 0.5 * (turn // STARTS.size % 2)
    step = np.where(before < 6, 1.0, 0.5)
    return as_floats(before), as_floats(before + step * has_converted)


def _people(truth: Truth, edss: FloatArray, controls: int, rng: Generator) -> _People:
    """Draw who there is: bands by the last EDSS, slopes correlated as planted."""
    total = edss.size + controls
    is_control = (np.arange(total) >= edss.size).astype(float)
    band = np.zeros(total, dtype=np.int64)
    band[: edss.size] = np.searchsorted(BAND_LOWEST, edss, side="right") - 1
    new = np.where(is_control == 1, 0.0, rng.gamma(1.5, 0.6, total))
    rho = np.where(band <= 1, truth.slope_r_mild, truth.slope_r_severe)
    first, second = rng.normal(size=(2, total))
    brain = SLOPE["brain"][0] + SLOPE["brain"][1] * first
    cord = SLOPE["cord"][0] + SLOPE["cord"][1] * (rho * first + np.sqrt(1 - rho**2) * second)
    brain, cord = (s * (1 - 0.8 * is_control) + truth.lesion_slope * new for s in (brain, cord))
    return _People(
        band,
        rng.uniform(25, 65, total),
        (rng.random(total) < 0.35).astype(float),
        rng.normal(0, 7, total),
        rng.uniform(8.5, 25, total),
        np.column_stack([brain, cord]),
        new,
        is_control,
    )


def _levels(truth: Truth, people: _People, rng: Generator) -> FloatArray:
    """Draw brain and cord at the last visit, percent from the expected, shape (n, 2)."""
    n = people.band.size
    rho = np.where(people.band <= 2, truth.r_mild, truth.r_severe)
    rho = np.where(people.is_control == 1, truth.r_mild, rho)
    first, second = rng.normal(size=(2, n))
    brain = SD["brain"] * first
    cord = SD["cord"] * (rho * first + np.sqrt(1 - rho**2) * second)
    loss = 100 * np.log1p(np.array(truth.cord_loss) / 100)[people.band]
    if any(truth.cord_loss):
        # The planted step rules between the two bands that the seed compares.
        base = 100 * np.log1p(truth.cord_loss[1] / 100)
        loss = np.where(people.band == 2, base + truth.cord_step * SD["cord"], loss)
    return np.column_stack([brain, cord + np.where(people.is_control == 1, 0.0, loss)])


def _excess(total: int, visits: int, rng: Generator) -> FloatArray:
    """Draw each patient's cord excess loss as of each visit, %/yr, minus is faster."""
    own = rng.normal(0, 0.7, total)
    starts = rng.uniform(0, 1.6 * visits, total)
    bend = np.where(rng.random(total) < 0.3, -1.6, 0.0)
    later = np.arange(visits)[None, :] >= starts[:, None]
    return as_floats(own[:, None] + bend[:, None] * later)


def _conversions(truth: Truth, excess: FloatArray, visits: int, rng: Generator) -> IntArray:
    """Draw the visit of worsening from the excess one visit before; ``visits`` for none."""
    hazard = truth.hazard * np.exp(-truth.d_hazard * excess[:, :-1])
    happens = rng.random(hazard.shape) < -np.expm1(-hazard)
    first = np.where(happens.any(axis=1), happens.argmax(axis=1) + 1, visits)
    return first.astype(np.int64)


def _readings(
    people: _People, shift: FloatArray, years: FloatArray, rng: Generator
) -> Readings:
    """Draw one brain and one cord reading per visit."""
    n, visits = people.band.size, years.size
    back = years - years[-1]
    values = np.full((n, visits, len(COLUMNS)), np.nan)
    age = 0.15 * (45 - people.age)
    noise = rng.normal(size=(n, visits, 5))
    brain = (shift[:, 0] + age + 0.5 * people.head + 3 * people.sex)[:, None]
    brain = brain + people.slopes[:, :1] * back + ERROR["brain"] * noise[:, :, 0]
    cord = (shift[:, 1] + age + 0.2 * people.head + 4 * people.sex)[:, None]
    cord = cord + people.slopes[:, 1:] * back + ERROR["cord"] * noise[:, :, 1]
    parts = {
        "brain_parenchyma": brain,
        "grey_matter": brain + 1.5 * noise[:, :, 2],
        "white_matter": brain + 2.0 * noise[:, :, 3],
        "lateral_ventricles": -3 * brain + 15 * noise[:, :, 4],
        "intracranial": np.repeat(people.head[:, None], visits, axis=1),
        "cord": cord,
    }
    for name, percent in parts.items():
        values[:, :, column(name)] = np.exp(MEAN_LOG[name] + percent / 100)
    values[:, :, column("cord_volume")] = WINDOW_MM * values[:, :, column("cord")]
    day = FIRST_DAY + np.round(365.25 * years).astype(np.int64)
    patient = np.repeat(np.arange(n), visits)
    flat = values.reshape(n * visits, -1)
    brain_rows, cord_rows = flat.copy(), flat.copy()
    brain_rows[:, column("cord") :] = np.nan
    cord_rows[:, : column("cord")] = np.nan
    return Readings(
        patient=np.concatenate([patient, patient]),
        day=np.concatenate([np.tile(day, n)] * 2),
        epoch=np.zeros(2 * patient.size, dtype=np.int64),
        kind=np.repeat([0, 1], patient.size),
        values=np.concatenate([brain_rows, cord_rows]),
    )


def _edss(
    before: FloatArray, after: FloatArray, converted: IntArray, visits: int
) -> tuple[Long, FloatArray]:
    """Return EDSS at every visit: a step that stays at the conversion."""
    rose = np.arange(visits)[None, :] >= converted[:, None]
    value = np.where(rose, after[:, None], before[:, None])
    day = FIRST_DAY + np.round(365.25 * np.arange(visits)).astype(np.int64)
    patient = np.repeat(np.arange(before.size), visits)
    return (
        Long(patient, np.tile(day, before.size), value.ravel()),
        np.full((patient.size, len(SYSTEMS)), np.nan),
    )


def _lesions(people: _People, day: IntArray, rng: Generator) -> Lesions:
    """Draw new brain and cord lesions at the planted rate."""
    own = np.flatnonzero(people.is_control == 0)
    visits = day.size
    new = rng.poisson(people.rate_new[own][:, None], (own.size, visits)).astype(float)
    new[:, 0] = np.nan
    brain = 8 + np.nancumsum(new, axis=1)
    cord = 1 + np.cumsum(rng.poisson(0.15, (own.size, visits)), axis=1)
    patient = np.repeat(own, visits)
    return Lesions(
        patient,
        np.tile(day, own.size),
        brain.ravel(),
        cord.ravel().astype(float),
        new.ravel(),
        (rng.random(patient.size) < 0.1).astype(float),
        (rng.random(patient.size) < 0.2).astype(float),
    )


def _statements(
    people: _People, excess: FloatArray, day: IntArray, rng: Generator
) -> Statements:
    """State the excess as of each visit from the third on, with the model's rough error."""
    own = np.flatnonzero(people.is_control == 0)
    visits = day.size
    d = excess[own]
    level = np.where(d < -1.6, LEVELS.index("flag"), LEVELS.index("none"))
    level = np.where((d < -1.1) & (d >= -1.6), LEVELS.index("watch"), level)
    early = np.arange(visits)[None, :] < 2
    level = np.where(early, LEVELS.index("insufficient"), level)
    shown = np.where(early, np.nan, d)
    brain = np.where(early, np.nan, people.slopes[own][:, :1])
    brain = brain + rng.normal(0, 0.05, brain.shape)
    return Statements(
        patient=np.repeat(own, visits),
        day=np.tile(day, own.size),
        d=shown.ravel(),
        p_change=np.where(early, np.nan, 1 / (1 + np.exp(3 * (d + 1)))).ravel(),
        brain_slope=brain.ravel(),
        cord_slope=(brain + shown).ravel(),
        level=level.ravel(),
    )
