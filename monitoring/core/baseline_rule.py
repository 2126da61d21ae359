"""The simple weighted-slope rule (amber, red): a yardstick for the cohort page only.

It never drives the worklist; its words are not the levels of the divergence model. Slopes and
gaps here are *excess* over the age expectation; D is something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from monitoring.core.errors import NotAssessable
from monitoring.core.types import Region

AMBER_EXCESS = -1.25
"""%/yr, midway between the excess gaps of stable RRMS (-0.70) and pre-SPMS (-1.81)."""

PRIOR_MEAN, PRIOR_VARIANCE = -0.7, 0.81
BIOLOGICAL_SD = 0.25
RED_PROBABILITY = 0.8
DISTORTED_CORD_SD, MERGED_CORD_SD, MERGED_BRAIN_SD = 5.0, 3.0, 1.5


class BaselineWord(StrEnum):
    """What the simple rule says."""

    NOT_ELIGIBLE = "not_eligible"
    NOTHING = "nothing"
    AMBER = "amber"
    RED = "red"


def expected_cord_rate(age: float) -> float:
    """Return the healthy cord slope, %/yr, by age."""
    return float(np.interp(age, [45, 60, 75], [0.0, -0.30, -0.50]))


def expected_brain_rate(age: float) -> float:
    """Return the healthy brain slope, %/yr, by age; with a step at 35."""
    if age <= 35:
        return -0.10
    return float(np.interp(age, [35, 60], [-0.20, -0.50]))


@dataclass(frozen=True, slots=True)
class BaselineScan:
    """One value with its SD (percent of one scan) and the stratum it is comparable in."""

    years: float
    region: Region
    value: float
    sd_percent: float
    stratum: str


@dataclass(frozen=True, slots=True)
class WeightedSlope:
    """A slope, %/yr, with its standard error; one intercept per stratum was fitted."""

    slope: float
    standard_error: float
    scans: int
    years: float


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """The rule's word, its numbers (None where not eligible), and why, in words."""

    word: BaselineWord
    excess_gap: float | None
    standard_error: float | None
    probability: float | None
    reason: str


def weighted_slope(scans: Sequence[BaselineScan]) -> WeightedSlope:
    """Fit one slope with an intercept per stratum, weights 1/sd^2.

    The standard error comes from the stated SDs, inflated where the residuals exceed them.
    """
    years = np.array([scan.years for scan in scans])
    strata = sorted({scan.stratum for scan in scans})
    columns = [[float(scan.stratum == s) for scan in scans] for s in strata]
    design = np.column_stack([*columns, years])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise NotAssessable("A slope needs two times within one stratum.")
    y = 100 * np.log(np.array([scan.value for scan in scans]))
    weight = 1 / np.array([scan.sd_percent for scan in scans]) ** 2
    bread = np.linalg.inv(design.T @ (weight[:, None] * design))
    beta = bread @ design.T @ (weight * y)
    df = years.size - design.shape[1]
    chi2 = float(weight @ (y - design @ beta) ** 2)
    inflation = max(1.0, float(np.sqrt(chi2 / df))) if df >= 2 else 1.0
    error = float(np.sqrt(bread[-1, -1])) * inflation
    return WeightedSlope(float(beta[-1]), error, years.size, float(np.ptp(years)))


def baseline_rule(scans: Sequence[BaselineScan], *, age: float) -> BaselineResult:
    """Apply the rule to one patient; ``age`` is that in the middle of the follow-up."""
    brain = [scan for scan in scans if scan.region is Region.BRAIN]
    cord = [scan for scan in scans if scan.region is Region.CORD]
    reason = _not_eligible(brain, cord)
    if reason:
        return BaselineResult(BaselineWord.NOT_ELIGIBLE, None, None, None, reason)
    fitted_cord, fitted_brain = weighted_slope(cord), weighted_slope(brain)
    excess_cord = fitted_cord.slope - expected_cord_rate(age)
    excess_brain = fitted_brain.slope - expected_brain_rate(age)
    gap = excess_cord - excess_brain
    variance = fitted_cord.standard_error**2 + BIOLOGICAL_SD**2
    error = float(np.sqrt(variance + fitted_brain.standard_error**2))
    is_amber = (
        gap <= AMBER_EXCESS
        and gap + 1.645 * error < 0
        and excess_cord + 1.645 * float(np.sqrt(variance)) < 0
    )
    probability = excess_probability(gap, error)[2]
    word = BaselineWord.NOTHING
    if is_amber:
        word = BaselineWord.RED if probability > RED_PROBABILITY else BaselineWord.AMBER
    return BaselineResult(word, gap, error, probability, f"Excess gap {gap:.2f} %/yr.")


def excess_probability(gap: float, error: float) -> tuple[float, float, float]:
    """Return posterior variance, mean, and P(excess gap < -1.25) under the rule's prior."""
    variance = 1 / (1 / PRIOR_VARIANCE + 1 / error**2)
    mean = variance * (PRIOR_MEAN / PRIOR_VARIANCE + gap / error**2)
    p = float(stats.norm.cdf((AMBER_EXCESS - mean) / np.sqrt(variance)))
    return variance, mean, p


def _not_eligible(brain: Sequence[BaselineScan], cord: Sequence[BaselineScan]) -> str:
    """Return why the rule is silent, or an empty string."""
    if min(len(brain), len(cord)) < 3:
        return "Needs three brain and three cord scans."
    is_precise = max(scan.sd_percent for scan in cord) <= 1.0
    scans, years = (3, 2.0) if is_precise else (4, 3.0)
    times = [scan.years for scan in cord]
    if len(cord) < scans or max(times) - min(times) < years:
        return f"Needs {scans} cord scans over {years:g} years at this precision."
    return ""
