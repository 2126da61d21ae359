"""The quantities read off the latent path: slopes, D, the gap, fitted lines, offsets.

Each function returns the covariance with every row, the variance, the prior mean and the
coefficient of the bend, as in the table of section 4 of the model.
"""

import numpy as np

from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import (
    Functional,
    alternatives_of,
    offset_moments,
    walk_kernel,
)
from monitoring.core.series import BRAIN, CORD, Batch, FloatArray, dip_share


def brain_effect(parameters: Parameters) -> float:
    """Return beta, the cord's expected percent per percent of the brain."""
    psi = parameters.slope_covariance()
    return float(psi[BRAIN, CORD] / psi[BRAIN, BRAIN])


def present_slopes(batch: Batch, parameters: Parameters) -> Functional:
    """Return brain slope, cord slope and D at the last row, in this order (F = 3).

    D is the cord's slope minus the slope that this patient's brain predicts.
    """
    psi = parameters.slope_covariance()
    walk_b, walk_c = (sd**2 for sd in parameters.slope_walk_sd)
    beta = brain_effect(parameters)
    years, is_cord = batch.years, batch.region == CORD
    half_square = years**2 / 2
    brain = np.where(is_cord, psi[0, 1] * years, psi[0, 0] * years + walk_b * half_square)
    cord = np.where(is_cord, psi[1, 1] * years + walk_c * half_square, psi[0, 1] * years)
    covariance = np.stack([brain, cord, cord - beta * brain], axis=-1)
    now = batch.now
    variance = np.stack(
        [
            psi[0, 0] + walk_b * now,
            psi[1, 1] + walk_c * now,
            _divergence_variance(parameters) + (walk_c + beta**2 * walk_b) * now,
        ],
        axis=-1,
    )
    slope = alternatives_of(batch, parameters).slope(now)
    bend = np.stack([np.zeros_like(slope), slope, slope], axis=1)
    mean = np.array([parameters.slope_mean[0], parameters.slope_mean[1], 0.0])
    return Functional(_used(batch, covariance), variance, mean, bend)


def _divergence_variance(parameters: Parameters) -> float:
    """Return the prior variance of D at time 0."""
    psi, beta = parameters.slope_covariance(), brain_effect(parameters)
    return float(psi[1, 1] - 2 * beta * psi[0, 1] + beta**2 * psi[0, 0])


def _used(batch: Batch, covariance: FloatArray) -> FloatArray:
    """Blank the padding rows of a covariance, shape (P, N, F)."""
    return np.where(batch.used[:, :, None], covariance, 0.0)


def gap_at(batch: Batch, parameters: Parameters, times: FloatArray) -> Functional:
    """Return G(T), the integral of D from 0 to T, at times of shape (P, F)."""
    psi = parameters.slope_covariance()
    walk_b, walk_c = (sd**2 for sd in parameters.slope_walk_sd)
    beta = brain_effect(parameters)
    at, rows = times[:, None, :], batch.years[:, :, None]
    kernel = walk_kernel(rows, at)
    on_brain = (psi[0, 1] - beta * psi[0, 0]) * rows * at - beta * walk_b * kernel
    on_cord = (psi[1, 1] - beta * psi[0, 1]) * rows * at + walk_c * kernel
    covariance = np.where((batch.region == CORD)[:, :, None], on_cord, on_brain)
    variance = _divergence_variance(parameters) * times**2
    variance = variance + (walk_c + beta**2 * walk_b) * times**3 / 3
    bend = alternatives_of(batch, parameters).gap(times)
    return Functional(_used(batch, covariance), variance, np.zeros_like(times), bend)


def path_at(
    batch: Batch, parameters: Parameters, times: FloatArray, *, region: int, therapy: float
) -> Functional:
    """Return a region's latent level (percent, without scanner offsets), times (P, F)."""
    k0, psi = parameters.level_covariance(), parameters.slope_covariance()
    walk = parameters.slope_walk_sd[region] ** 2
    dip_sd = parameters.pseudo_atrophy_sd[region]
    dip = dip_share(
        times,
        therapy=np.full(1, therapy),
        time_constant=parameters.pseudo_atrophy_years,
    )
    at, rows = times[:, None, :], batch.years[:, :, None]
    other = batch.region[:, :, None]
    own = walk * walk_kernel(rows, at) + dip_sd**2 * batch.dip[:, :, None] * dip[:, None, :]
    covariance = k0[other, region] + psi[other, region] * rows * at + (other == region) * own
    variance = (
        k0[region, region]
        + psi[region, region] * times**2
        + walk * times**3 / 3
        + (dip_sd * dip) ** 2
    )
    level = (parameters.level_mean or (0.0, 0.0))[region]
    mean = (
        level
        + parameters.slope_mean[region] * times
        + parameters.pseudo_atrophy_mean[region] * dip
    )
    bend = alternatives_of(batch, parameters).level(times) * (region == CORD)
    return Functional(_used(batch, covariance), variance, mean, bend)


def offset_of_rows(batch: Batch, parameters: Parameters) -> Functional:
    """Return the epoch offset of each row (shared and patient part), F = N."""
    mean, known, unseen = offset_moments(batch, parameters)
    same = (batch.epoch[:, :, None] == batch.epoch[:, None, :]) & (
        batch.region[:, :, None] == batch.region[:, None, :]
    )
    own = (np.array(parameters.patient_by_epoch_sd) ** 2)[batch.region]
    both = batch.used[:, :, None] & batch.used[:, None, :]
    covariance = known + unseen + np.where(both & same, own[:, :, None], 0.0)
    variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0)
    bend = np.zeros((1, 1, alternatives_of(batch, parameters).onset.size))
    return Functional(_used(batch, covariance), variance, mean, bend)
