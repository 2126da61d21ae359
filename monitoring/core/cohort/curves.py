"""Kaplan-Meier curves and the log-rank test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.cohort_statistics import Z95, Test
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats


@dataclass(frozen=True, slots=True)
class Curve:
    """A survival curve with 95 % intervals (log-log, Greenwood's variance)."""

    times: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    people: int
    events: int


def kaplan_meier(years: FloatArray, is_event: NDArray[np.bool_]) -> Curve:
    """Return the share without an event over time, from (0, 1) on."""
    if years.size == 0:
        raise NotAssessable("A survival curve needs patients.")
    times, died = np.unique(years[is_event], return_counts=True)
    at_risk = years.size - np.searchsorted(np.sort(years), times, side="left")
    survival = np.cumprod(1 - died / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(died / (at_risk * (at_risk - died)))
        se = np.sqrt(greenwood) / np.abs(np.log(survival))
        low = survival ** np.exp(Z95 * se)
        high = survival ** np.exp(-Z95 * se)
    low, high = (np.where(np.isfinite(x), x, survival) for x in (low, high))
    start = np.array([1.0])
    return Curve(
        as_floats(np.append([0.0], times)),
        as_floats(np.append(start, survival)),
        as_floats(np.append(start, low)),
        as_floats(np.append(start, high)),
        years.size,
        int(is_event.sum()),
    )


def log_rank(years: FloatArray, is_event: NDArray[np.bool_], group: IntArray) -> Test:
    """Test whether two groups (0 and 1) have one curve.

    Raises
    ------
    NotAssessable
        Where a group is empty or nobody has an event.
    """
    if np.unique(group).size < 2 or not is_event.any():
        raise NotAssessable("A log-rank test needs two groups and an event.")
    times = np.unique(years[is_event])

    def at_risk(of: FloatArray) -> FloatArray:
        return as_floats(of.size - np.searchsorted(np.sort(of), times, side="left"))

    def died(of: FloatArray) -> FloatArray:
        return as_floats(np.bincount(np.searchsorted(times, of), minlength=times.size))

    n, n1 = at_risk(years), at_risk(years[group == 1])
    d, d1 = died(years[is_event]), died(years[is_event & (group == 1)])
    expected = d * n1 / n
    spread = d * (n1 / n) * (1 - n1 / n) * (n - d) / np.maximum(n - 1, 1)
    observed, variance = float((d1 - expected).sum()), float(spread.sum())
    if variance <= 0:
        raise NotAssessable("The groups are never at risk together.")
    statistic = observed**2 / variance
    return Test(float(statistic), 1.0, float(stats.chi2.sf(statistic, 1)))
