"""The bivariate log-volume model: exact posterior of one or many patients.

Equations, notation and units as in `docs/divergence.md` ("model in equations"). One dense
linear-Gaussian system per patient; patients are stacked along the first axis. The change in
the cord's slope is integrated in closed form over its size and summed over a grid of onsets.
"""

from dataclasses import dataclass

import numpy as np

from monitoring.core.alternatives import Alternatives
from monitoring.core.mixtures import Mixture
from monitoring.core.parameter_set import Parameters
from monitoring.core.series import CORD, Batch, FloatArray, as_floats

VARIANCE_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Solved:
    """The conditioned system of a batch: P patients, N rows, K candidate onsets.

    Attributes
    ----------
    precision : array, shape (P, N, N)
        Inverse of V.
    solved_residual : array, shape (P, N)
        V^-1 r.
    solved_bend : array, shape (P, N, K)
        V^-1 g_tau.
    kappa, kappa_precision : arrays, shape (P, K)
        Posterior mean and precision of the bend given its onset.
    probability : array, shape (P, K + 1)
        Posterior of "no change", then of each onset.
    prior_change : array, shape (P,)
    weights, residual : arrays, shape (P, N)
    """

    alternatives: Alternatives
    batch: Batch
    precision: FloatArray
    solved_residual: FloatArray
    solved_bend: FloatArray
    kappa: FloatArray
    kappa_precision: FloatArray
    probability: FloatArray
    prior_change: FloatArray
    weights: FloatArray
    residual: FloatArray
    log_bayes_factor: FloatArray

    @property
    def p_change(self) -> FloatArray:
        """Return P(change), shape (P,): a bend has begun; a step is no change of rate."""
        return bend_chance(self.probability, self.alternatives)

    @property
    def p_step(self) -> FloatArray:
        """Return the probability that the cord lost area at once, shape (P,)."""
        return as_floats(self.probability[:, 1:] @ self.alternatives.is_step)


@dataclass(frozen=True, slots=True)
class Functional:
    """F linear functionals of the latent path of each patient.

    Attributes
    ----------
    covariance : array, shape (P, N, F)
        Covariance with each row.
    variance, mean : arrays, shape (P, F) or broadcastable
    bend : array, shape (P, F, K) or broadcastable
        Coefficient of kappa for each candidate onset.
    """

    covariance: FloatArray
    variance: FloatArray
    mean: FloatArray
    bend: FloatArray


def walk_kernel(s: FloatArray, t: FloatArray) -> FloatArray:
    """Return K(s, t) = m^2 (3 M - m) / 6, covariance of an integrated random walk."""
    low, high = np.minimum(s, t), np.maximum(s, t)
    return as_floats(low**2 * (3 * high - low) / 6)


def _by_region(batch: Batch, pair: tuple[float, float]) -> FloatArray:
    """Return the region's entry of a (brain, cord) pair for each row, shape (P, N)."""
    return as_floats(np.array(pair)[batch.region])


def path_covariance(batch: Batch, parameters: Parameters) -> FloatArray:
    """Return C of section 3, shape (P, N, N), zero on padding."""
    region, years = batch.region, batch.years
    row, column = region[:, :, None], region[:, None, :]
    same_region = row == column
    same_epoch = batch.epoch[:, :, None] == batch.epoch[:, None, :]
    walk = _by_region(batch, parameters.slope_walk_sd) ** 2
    epoch = _by_region(batch, parameters.patient_by_epoch_sd) ** 2
    dip = _by_region(batch, parameters.pseudo_atrophy_sd) * batch.dip
    own = (
        walk[:, :, None] * walk_kernel(years[:, :, None], years[:, None, :])
        + epoch[:, :, None] * same_epoch
        + dip[:, :, None] * dip[:, None, :]
    )
    level = parameters.level_covariance()[row, column]
    slope = parameters.slope_covariance()[row, column]
    both = batch.used[:, :, None] & batch.used[:, None, :]
    total = level + slope * years[:, :, None] * years[:, None, :] + same_region * own
    return np.where(both, total, 0.0)


def offset_moments(
    batch: Batch, parameters: Parameters
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what is known of each row's epoch offset.

    Returns
    -------
    mean : array, shape (P, N)
        Estimated offset; 0 for an epoch never seen.
    known : array, shape (P, N, N)
        Z C_delta Z' of epochs in the parameter set.
    unseen : array, shape (P, N, N)
        Prior covariance of epochs that the set never saw.
    """
    count = len(parameters.epochs.names)
    is_known = (batch.epoch < count) & batch.used
    mean = np.zeros(batch.years.shape)
    known = np.zeros((*batch.years.shape, batch.years.shape[1]))
    if count:
        offsets = np.array([*parameters.epochs.brain, *parameters.epochs.cord])
        covariance = np.array(parameters.epochs.covariance)
        index = np.where(is_known, batch.epoch + count * batch.region, 0)
        mean = np.where(is_known, offsets[index], 0.0)
        pairs = is_known[:, :, None] & is_known[:, None, :]
        known = np.where(pairs, covariance[index[:, :, None], index[:, None, :]], 0.0)
    is_unseen = batch.used & ~is_known
    same = (batch.epoch[:, :, None] == batch.epoch[:, None, :]) & (
        batch.region[:, :, None] == batch.region[:, None, :]
    )
    prior = _by_region(batch, parameters.epoch_offset_prior_sd) ** 2
    pairs = is_unseen[:, :, None] & is_unseen[:, None, :] & same
    return mean, known, np.where(pairs, prior[:, :, None], 0.0)


def fixed_mean(batch: Batch, parameters: Parameters) -> FloatArray:
    """Return the expected y without offsets and change, shape (P, N)."""
    level = parameters.level_mean or (0.0, 0.0)
    return (
        _by_region(batch, level)
        + _by_region(batch, parameters.slope_mean) * batch.years
        + _by_region(batch, parameters.pseudo_atrophy_mean) * batch.dip
    )


def _diagonal(values: FloatArray) -> FloatArray:
    """Return diagonal matrices, shape (P, N, N), from their diagonals, shape (P, N)."""
    matrices = np.zeros((*values.shape, values.shape[1]))
    index = np.arange(values.shape[1])
    matrices[:, index, index] = values
    return matrices


def error_variance(batch: Batch, parameters: Parameters) -> FloatArray:
    """Return R0 = sigma^2 m^2, shape (P, N), 1 on padding."""
    variance = (_by_region(batch, parameters.error_sd) * batch.multiplier) ** 2
    return np.where(batch.used, variance, 1.0)


def robust_weights(
    batch: Batch,
    parameters: Parameters,
    *,
    covariance: FloatArray,
    residual: FloatArray,
    rounds: int,
) -> FloatArray:
    """Return Student-t weights by iterated reweighting, shape (P, N).

    The cord's walk variance is raised inside the rounds so that a *real* bend is not taken
    for an outlier. Offsets of unseen epochs stay in ``covariance``: without them every scan
    after a change to an unknown scanner would look like one.
    """
    base_error = error_variance(batch, parameters)
    is_cord = batch.region == CORD
    slack = (is_cord[:, :, None] & is_cord[:, None, :]) * walk_kernel(
        batch.years[:, :, None], batch.years[:, None, :]
    )
    both = batch.used[:, :, None] & batch.used[:, None, :]
    loose = covariance + np.where(
        both, parameters.robustness.extra_cord_walk_variance * slack, 0.0
    )
    nu = parameters.robustness.nu
    weights = np.ones(batch.years.shape)
    for _ in range(rounds):
        error = base_error / weights
        inverse = np.linalg.inv(loose + _diagonal(error))
        estimate = error * np.einsum("pij,pj->pi", inverse, residual)
        remaining = error - error**2 * np.diagonal(inverse, axis1=1, axis2=2)
        remaining = np.maximum(remaining, 0.0)
        updated = (nu + 1) / (nu + (estimate**2 + remaining) / base_error)
        weights = np.where(batch.used, updated, 1.0)
    return weights


def row_covariance(batch: Batch, parameters: Parameters, weights: FloatArray) -> FloatArray:
    """Return V = C + diag(R) + Z C_delta Z' of section 3, shape (P, N, N)."""
    _, known, unseen = offset_moments(batch, parameters)
    error = error_variance(batch, parameters) / weights
    return path_covariance(batch, parameters) + unseen + known + _diagonal(error)


def alternatives_of(batch: Batch, parameters: Parameters) -> Alternatives:
    """Return the alternatives that any patient of a batch may have lived through."""
    return parameters.alternatives(until=float(batch.now.max(initial=0.0)))


def event_rows(batch: Batch, alternatives: Alternatives) -> FloatArray:
    """Return g, what each alternative of size 1 adds to each row, shape (P, N, K)."""
    is_cord = (batch.region == CORD) & batch.used
    return as_floats(alternatives.level(batch.years) * is_cord[:, :, None])


def bend_chance(probability: FloatArray, alternatives: Alternatives) -> FloatArray:
    """Return the share of probabilities, shape (P, K + 1), that are bends, shape (P,)."""
    return as_floats(probability[:, 1:] @ ~alternatives.is_step)


def solve(batch: Batch, parameters: Parameters, *, robust: bool = True) -> Solved:
    """Condition every patient of a batch on its rows (section 4).

    Parameters
    ----------
    robust : bool
        False gives every scan weight 1 (Gaussian errors), for comparison only.
    """
    path = path_covariance(batch, parameters)
    offset, known, unseen = offset_moments(batch, parameters)
    residual = np.where(batch.used, batch.y - fixed_mean(batch, parameters) - offset, 0.0)
    rounds = parameters.robustness.rounds if robust else 0
    weights = robust_weights(
        batch, parameters, covariance=path + unseen, residual=residual, rounds=rounds
    )
    total = path + unseen + known + _diagonal(error_variance(batch, parameters) / weights)
    precision = as_floats(np.linalg.inv(total))
    alternatives = alternatives_of(batch, parameters)
    bend = event_rows(batch, alternatives)
    solved_residual = np.einsum("pij,pj->pi", precision, residual)
    solved_bend = precision @ bend
    change = change_posterior(
        alternatives,
        projection=np.einsum("pik,pi->pk", bend, solved_residual),
        information=np.einsum("pik,pik->pk", bend, solved_bend),
        now=batch.now,
    )
    return Solved(
        alternatives=alternatives,
        batch=batch,
        precision=precision,
        solved_residual=solved_residual,
        solved_bend=solved_bend,
        kappa=change.kappa,
        kappa_precision=change.kappa_precision,
        probability=change.probability,
        prior_change=change.prior,
        weights=weights,
        residual=residual,
        log_bayes_factor=change.log_bayes_factor,
    )


@dataclass(frozen=True, slots=True)
class ChangePosterior:
    """The bend and its onset given the rows; shapes as in `Solved`."""

    kappa: FloatArray
    kappa_precision: FloatArray
    probability: FloatArray
    prior: FloatArray
    log_bayes_factor: FloatArray


def change_posterior(
    alternatives: Alternatives,
    *,
    projection: FloatArray,
    information: FloatArray,
    now: FloatArray,
) -> ChangePosterior:
    """Integrate the size in closed form and sum over the alternatives (section 4).

    Parameters
    ----------
    projection, information : arrays, shape (P, K)
        a = g' V^-1 r and b = g' V^-1 g.
    now : array, shape (P,)
    """
    mean, prior_precision = alternatives.mean, 1 / alternatives.sd**2
    kappa_precision = information + prior_precision
    kappa = (projection + mean * prior_precision) / kappa_precision
    log_factor = -0.5 * np.log1p(information / prior_precision) + 0.5 * (
        kappa**2 * kappa_precision - mean**2 * prior_precision
    )
    is_past = alternatives.is_past(now)
    prior = np.where(is_past, alternatives.prior, 0.0)
    p_none = 1 - prior.sum(axis=1)
    highest = np.maximum(np.where(is_past, log_factor, 0.0).max(axis=1), 0.0)[:, None]
    evidence = prior * np.exp(np.where(is_past, log_factor, -np.inf) - highest)
    joint = np.concatenate([p_none[:, None] * np.exp(-highest), evidence], axis=1)
    probability = joint / joint.sum(axis=1, keepdims=True)
    of_bend = as_floats(prior @ ~alternatives.is_step)
    return ChangePosterior(kappa, kappa_precision, probability, of_bend, log_factor)


def mixture(solved: Solved, functional: Functional) -> Mixture:
    """Return the posterior of linear functionals as Gaussian mixtures (section 4)."""
    cov = functional.covariance
    mean = functional.mean + np.einsum("pnf,pn->pf", cov, solved.solved_residual)
    gain = solved.precision @ cov
    variance = functional.variance - np.einsum("pnf,pnf->pf", cov, gain)
    variance = np.maximum(variance, VARIANCE_FLOOR)
    seen = np.einsum("pnf,pnk->pfk", cov, solved.solved_bend)
    unseen = functional.bend - seen
    means = mean[..., None] + solved.kappa[:, None, :] * unseen
    variances = variance[..., None] + unseen**2 / solved.kappa_precision[:, None, :]
    return Mixture(
        mean_of=np.concatenate([mean[..., None], means], axis=-1),
        sd_of=np.sqrt(np.concatenate([variance[..., None], variances], axis=-1)),
        probability=solved.probability,
    )
