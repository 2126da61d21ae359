"""Simple detectors of divergence, kept to compare the model with; none drives a level.

Each returns a score per patient for the rows known so far, larger meaning worse, and NaN where
it cannot be computed.
"""

from functools import cache
from statistics import median

import numpy as np
from numpy.typing import NDArray

from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import (
    error_variance,
    fixed_mean,
    offset_moments,
    path_covariance,
)
from monitoring.core.series import BRAIN, CORD, FloatArray, Series, pack

SHORTEST_NAIVE_YEARS = 0.9
SHORTEST_PAIR_YEARS = 0.4
CUSUM_SLACK = 0.5
CUSUM_CLIP = 3.0


def naive_rate(series: Series) -> float:
    """Return brain minus cord percent per year, last against first value of each."""
    rates = []
    for region in (BRAIN, CORD):
        rows = np.flatnonzero(series.region == region)
        if rows.size < 2:
            return float("nan")
        span = series.years[rows[-1]] - series.years[rows[0]]
        if span < SHORTEST_NAIVE_YEARS:
            return float("nan")
        rates.append((series.y[rows[-1]] - series.y[rows[0]]) / span)
    return float(rates[BRAIN] - rates[CORD])


def ols_rate(series: Series) -> float:
    """Return the difference of ordinary least squares slopes, >= 3 values of each."""
    rates = []
    for region in (BRAIN, CORD):
        rows = series.region == region
        years = series.years[rows]
        if years.size < 3 or np.ptp(years) == 0:
            return float("nan")
        centred = years - years.mean()
        rates.append(float(centred @ series.y[rows] / (centred @ centred)))
    return rates[BRAIN] - rates[CORD]


@cache
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the index pairs of a count of values: many patients share few counts."""
    first, second = np.triu_indices(count, k=1)
    return first, second


def theil_sen_rate(series: Series) -> float:
    """Return the difference of median pairwise slopes, pairs more than 0.4 years apart."""
    rates = []
    for region in (BRAIN, CORD):
        rows = series.region == region
        years, y = series.years[rows], series.y[rows]
        first, second = _pairs(years.size)
        gap = years[second] - years[first]
        is_wide = gap > SHORTEST_PAIR_YEARS
        if years.size < 3 or not is_wide.any():
            return float("nan")
        slopes: list[float] = ((y[second] - y[first])[is_wide] / gap[is_wide]).tolist()
        rates.append(median(slopes))
    return rates[BRAIN] - rates[CORD]


def cusum_path(series: Series, parameters: Parameters) -> FloatArray:
    """Return the CUSUM after each row, from the model's one-step cord innovations.

    z is minus the standardised innovation of a cord row given the past and the concurrent
    brain, without change, weights 1; S = max(0, S + z - 0.5) with z clipped to +-3.
    """
    batch = pack([series], parameters)
    offset, known, unseen = offset_moments(batch, parameters)
    residual = batch.y - fixed_mean(batch, parameters) - offset
    total = path_covariance(batch, parameters) + known + unseen
    index = np.arange(series.years.size)
    total[:, index, index] += error_variance(batch, parameters)
    factor = np.linalg.cholesky(total[0])
    innovation = np.linalg.solve(factor, residual[0])
    path = np.zeros(series.years.size)
    current = 0.0
    for row, value in enumerate(innovation):
        if series.region[row] == CORD:
            step = float(np.clip(-value, -CUSUM_CLIP, CUSUM_CLIP)) - CUSUM_SLACK
            current = max(0.0, current + step)
        path[row] = current
    return path


def cusum(series: Series, parameters: Parameters) -> float:
    """Return the CUSUM after the last row."""
    return float(cusum_path(series, parameters)[-1]) if series.years.size else float("nan")


def log_odds(probability: FloatArray) -> FloatArray:
    """Return log odds, finite for 0 and 1."""
    tiny = 1e-15
    clipped = np.clip(probability, tiny, 1 - tiny)
    return np.log(clipped) - np.log1p(-clipped)
