"""What a parameter set would cost: false flags and converters caught, in simulated people.

The people are the simulator's profile ``base``, or have the slopes, walk and errors that were
fitted to a clinic's patients; two sets are compared in the same people. A set that knows its
epochs meets epochs that it knows as well as it says. Not evidence about real patients.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Self

import numpy as np
from scipy import stats

from monitoring.core.evaluation import Alarms, Looks, alarms, look_at
from monitoring.core.parameter_set import Parameters
from monitoring.core.priors import EpochOffsets
from monitoring.core.profiles import PROFILES, Profile
from monitoring.core.series import FloatArray
from monitoring.core.simulation import Scanners, simulate_cohort, simulate_scanners

PEOPLE = 3000
"""About 14,000 patient-years: a rate of 0.3 per 100 then has a 95 % interval of +-0.09."""

SEED = 52
"""One seed for every set, so that two sets are compared on the same draws."""


FITTED = (
    "slope_mean",
    "slope_sd",
    "correlation_mild",
    "correlation_moderate",
    "slope_walk",
    "error_sd",
    "patient_epoch_sd",
    "dip_mean",
    "dip_sd",
)


def profile_document(profile: Profile) -> dict[str, Any]:
    """Return as JSON what `profile_of` took from a fit."""
    return {name: getattr(profile, name) for name in FITTED}


def profile_from(document: Mapping[str, Any]) -> Profile:
    """Return the profile of such a document; an empty one is ``base``."""
    fitted: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document.items()
        if name in FITTED
    }
    return replace(PROFILES["base"], **fitted)


@dataclass(frozen=True, slots=True)
class LevelCost:
    """One level: false first alarms per 100 patient-years with 95 % interval, share caught."""

    per_100_years: float
    low: float
    high: float
    caught: float


@dataclass(frozen=True, slots=True)
class ExpectedFlags:
    """What the levels of a parameter set would do."""

    flag: LevelCost
    watch: LevelCost
    stable: int
    converters: int
    patient_years: float

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` wrote."""
        fields = dict(document)
        flag, watch = (LevelCost(**fields.pop(name)) for name in ("flag", "watch"))
        return cls(flag=flag, watch=watch, **fields)


@cache
def literature_expected() -> ExpectedFlags:
    """Return the packaged result for the literature defaults in profile ``base``."""
    folder = resources.files("monitoring.core") / "parameters"
    text = (folder / "literature-expected.json").read_text(encoding="utf-8")
    return ExpectedFlags.from_document(json.loads(text))


def expected_flags(
    parameters: Parameters,
    *,
    profile: Profile = PROFILES["base"],
    people: int = PEOPLE,
    seed: int = SEED,
) -> ExpectedFlags:
    """Simulate people and count what the levels of a parameter set would do.

    Parameters
    ----------
    profile : Profile
        Who is simulated; `profile_of` makes one from fitted values.
    people : int
        Simulated people, converters included; positive.

    Returns
    -------
    ExpectedFlags
        Rates per 100 patient-years of people who neither convert nor accelerate, counted to
        their first alarm; ``caught`` is the share of converters alarmed before conversion.
    """
    rng = np.random.default_rng(seed)
    scanners = simulate_scanners(profile, rng=rng)
    cohort = simulate_cohort(profile, patients=people, rng=rng, scanners=scanners)
    judged = replace(parameters, epochs=_known_epochs(parameters, scanners, rng))
    looks = look_at(cohort, judged, with_rivals=False)
    flag = alarms(looks, looks.flagged(judged))
    watch = alarms(looks, looks.watched(judged))
    years = sum(one.series.now for one in cohort if one.is_stable)
    return ExpectedFlags(
        flag=_cost(looks, flag),
        watch=_cost(looks, watch),
        stable=flag.stable,
        converters=flag.converters,
        patient_years=years,
    )


def profile_of(parameters: Parameters) -> Profile:
    """Return profile ``base`` with the slopes, errors and dips of a fitted set.

    Give the values as fitted, not as guarded: the guards are wider than any people.
    """
    return replace(
        PROFILES["base"],
        slope_mean=parameters.slope_mean,
        slope_sd=parameters.slope_sd,
        correlation_mild=parameters.slope_correlation,
        correlation_moderate=parameters.slope_correlation,
        slope_walk=parameters.slope_walk_sd,
        error_sd=parameters.error_sd,
        patient_epoch_sd=parameters.patient_by_epoch_sd,
        dip_mean=parameters.pseudo_atrophy_mean,
        dip_sd=parameters.pseudo_atrophy_sd,
    )


def _known_epochs(
    parameters: Parameters, scanners: Scanners, rng: np.random.Generator
) -> EpochOffsets:
    """Return the simulated epochs as the set would know them; nothing where it knows none."""
    count = len(parameters.epochs.names)
    if not count:
        return EpochOffsets()
    spread = np.sqrt(np.maximum(np.diag(np.array(parameters.epochs.covariance)), 0.0))
    sd = (float(np.median(spread[:count])), float(np.median(spread[count:])))
    guessed: FloatArray = scanners.offsets + rng.normal(size=scanners.offsets.shape) * sd
    variance = np.repeat(np.square(sd), scanners.count)
    return EpochOffsets(
        names=tuple(f"E{number}" for number in range(scanners.count)),
        brain=tuple(float(value) for value in guessed[:, 0]),
        cord=tuple(float(value) for value in guessed[:, 1]),
        covariance=tuple(tuple(float(cell) for cell in row) for row in np.diag(variance)),
        patients=(int(np.median(parameters.epochs.patients)),) * scanners.count,
    )


def _cost(looks: Looks, counted: Alarms) -> LevelCost:
    """Return one level's rate with its exact Poisson interval (Garwood 1936)."""
    false = round((1 - counted.specificity) * counted.stable)
    years = 100 * false / counted.false_per_100_years if false else _stable_years(looks)
    low = stats.chi2.ppf(0.025, 2 * false) / 2 if false else 0.0
    high = stats.chi2.ppf(0.975, 2 * false + 2) / 2
    return LevelCost(
        per_100_years=100 * false / years,
        low=float(100 * low / years),
        high=float(100 * high / years),
        caught=counted.sensitivity,
    )


def _stable_years(looks: Looks) -> float:
    """Return the years of the people in whom nothing happens."""
    return sum(one.series.now for one in looks.patients if one.is_stable)
