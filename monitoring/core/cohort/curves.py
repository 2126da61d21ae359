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
    """Test whether two or more groups, numbered from 0, have one curve.

    Raises
    ------
    NotAssessable
        Where there are not two groups, nobody has an event, or the groups are never at risk
        together.
    """
    count = int(group.max(initial=0)) + 1
    if np.unique(group).size < 2 or not is_event.any():
        raise NotAssessable("A log-rank test needs two groups and an event.")
    times = np.unique(years[is_event])
    risk, died = np.zeros((count, times.size)), np.zeros((count, times.size))
    for one in range(count):
        own = years[group == one]
        risk[one] = own.size - np.searchsorted(np.sort(own), times, side="left")
        failed = np.searchsorted(times, years[is_event & (group == one)])
        died[one] = np.bincount(failed, minlength=times.size)
    n, d = risk.sum(axis=0), died.sum(axis=0)
    share = risk / n
    surplus = (died - d * share).sum(axis=1)
    # Hypergeometric covariance at each time (Kalbfleisch and Prentice 2002, 1.5).
    weight = d * (n - d) / np.maximum(n - 1, 1)
    covariance = np.diag((weight * share).sum(axis=1)) - (weight * share) @ share.T
    freedom = int(np.linalg.matrix_rank(covariance))
    if freedom == 0:
        raise NotAssessable("The groups are never at risk together.")
    statistic = float(surplus @ np.linalg.pinv(covariance) @ surplus)
    return Test(statistic, float(freedom), float(stats.chi2.sf(statistic, freedom)))
