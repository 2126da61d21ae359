"""Tissue means and the smooth bias field: expectation-maximisation on unmixed voxels.

Gaussian tissues with spatial priors and a multiplicative bias of low-order cosines, after Van
Leemput et al. 1999, IEEE Trans Med Imaging 18:885, doi 10.1109/42.811268. Only voxels of low
gradient are used: means taken from blurred boundary voxels drown the fluid in grey matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.errors import NotMeasurable

MAX_SAMPLES = 60_000
BIAS_ORDER = 5
ITERATIONS = 24
WIDEST = 1.2
"""Largest standard deviation of grey matter or fluid, in those of white matter."""
LEAST_FLUID = 30.0
"""With less pure fluid than this many samples its first estimate is kept."""
LOW_GRADIENT = 0.5
"""Fraction of voxels, those of lowest gradient, that are taken as unmixed."""


@dataclass(frozen=True, slots=True)
class TissueModel:
    """Means, standard deviations and bias coefficients.

    Attributes
    ----------
    means, deviations : float64, shape (3,)
        White, grey, fluid; intensities after bias correction.
    weights : float64, shape (n,)
        Coefficients of the cosines of the log bias field.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    weights: NDArray[np.float64]


def bias_orders() -> list[tuple[int, int, int]]:
    """Return the cosine orders used; the first is the constant, which keeps the mean at 1."""
    steps = range(BIAS_ORDER + 1)
    return [(a, b, c) for a in steps for b in steps for c in steps if a + b + c <= BIAS_ORDER]


def bias_field(
    weights: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Return the bias field (factor, about 1) on a box of voxels."""
    waves = [
        [
            np.cos(np.pi * order * (np.arange(side) + 0.5) / side)
            for order in range(BIAS_ORDER + 1)
        ]
        for side in shape
    ]
    table = np.zeros((BIAS_ORDER + 1,) * 3)
    for (a, b, c), weight in zip(bias_orders(), weights, strict=True):
        table[a, b, c] = weight
    x, y, z = (np.array(wave, dtype=np.float32) for wave in waves)
    log_field = np.einsum("abc,ai,bj,ck->ijk", table, x, y, z, optimize=True)
    return np.asarray(np.exp(log_field), dtype=np.float32)


def tissue_fit(
    values: NDArray[np.float32],
    *,
    priors: NDArray[np.float32],
    inside: NDArray[np.bool_],
    start: TissueModel | None = None,
) -> TissueModel:
    """Fit tissue means, spreads and the bias field.

    Parameters
    ----------
    values : float32, shape (i, j, k)
        Intensities of the brain's box, not bias-corrected.
    priors : float32, shape (3, i, j, k)
        White, grey, fluid.
    inside : bool, shape (i, j, k)
        Where samples may be taken: safely inside the skull.
    start : TissueModel, optional
        An earlier fit to start from.

    Raises
    ------
    NotMeasurable
        If the tissues do not order as on a T1 scan.
    """
    where = _unmixed(values, inside)
    seen = np.maximum(values[where].astype(np.float64), 1e-3)
    prior = np.maximum(np.stack([p[where] for p in priors]).astype(np.float64), 0.02)
    prior /= prior.sum(axis=0)
    waves = _waves(where, values.shape)
    weights = np.zeros(waves.shape[1]) if start is None else start.weights
    if start is None:
        means, deviations = _first_means(seen, prior)
    else:
        means, deviations = start.means, start.deviations
    for iteration in range(ITERATIONS if start is None else ITERATIONS // 2):
        flat = seen * np.exp(-waves @ weights)
        share = _responsibility(flat, prior, means, deviations)
        means, deviations = _moments(flat, share, prior, means)
        if iteration % 2:
            continue
        order = 2 if start is None and iteration < 6 else BIAS_ORDER
        weights = _bias_weights(seen, share, means, deviations, waves, order=order)
    if not means[0] > 1.04 * means[1] > 1.04 * 1.2 * means[2]:
        raise NotMeasurable(
            "White matter, grey matter and fluid do not differ as on a T1-weighted brain scan."
        )
    return TissueModel(means, deviations, weights)


def _unmixed(
    values: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], ...]:
    """Return the positions of low-gradient voxels, thinned regularly."""
    gradient = ndimage.gaussian_gradient_magnitude(values, 0.8)
    # relative to the local level, so that a bright region is not emptied by its own noise
    limit = np.quantile(gradient[inside], LOW_GRADIENT)
    where = np.nonzero(inside & (gradient <= limit))
    stride = max(1, where[0].size // MAX_SAMPLES)
    return tuple(axis[::stride] for axis in where)


def _waves(where: tuple[NDArray[np.intp], ...], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the cosines at the samples, shape (n, waves)."""
    cosines = [
        [np.cos(np.pi * order * (axis + 0.5) / side) for order in range(BIAS_ORDER + 1)]
        for axis, side in zip(where, shape, strict=True)
    ]
    return np.stack(
        [cosines[0][a] * cosines[1][b] * cosines[2][c] for a, b, c in bias_orders()], axis=1
    )


def _first_means(
    seen: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return robust first means: medians where each prior is sure, fluid from the dark end."""
    white = float(np.median(seen[prior[0] > 0.8]))
    grey = float(np.median(seen[prior[1] > 0.7]))
    grey = min(grey, 0.88 * white)
    fluid = float(np.percentile(seen[prior[2] > 0.5], 20))
    fluid = min(fluid, 0.55 * grey)
    means = np.array([white, grey, fluid])
    return means, np.array([0.08, 0.1, 0.1]) * white


def _responsibility(
    flat: NDArray[np.float64],
    prior: NDArray[np.float64],
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the share of each tissue in each sample; outliers belong to none."""
    scaled = (flat - means[:, None]) / deviations[:, None]
    likelihood = prior * np.exp(-0.5 * scaled**2) / deviations[:, None]
    outlier = 0.02 / (means[0] + 1e-9)
    return np.asarray(likelihood / (likelihood.sum(axis=0) + outlier))


def _moments(
    flat: NDArray[np.float64],
    share: NDArray[np.float64],
    prior: NDArray[np.float64],
    last: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return new means and deviations; fluid only where its prior is strong.

    Mixtures of fluid and grey matter nearer to grey never count as fluid: on thick slices
    they would pull its mean up step by step until no fluid is left.
    """
    used = share.copy()
    sure = (prior[2] > 0.5) & (flat < (last[1] + last[2]) / 2)
    used[2] = np.where(sure, used[2], 0.0)
    mass = used.sum(axis=1) + 1e-9
    means = used @ flat / mass
    if mass[2] < LEAST_FLUID:
        means[2] = last[2]
    variance = (used * (flat - means[:, None]) ** 2).sum(axis=1) / mass
    floor = (0.02 * means[0]) ** 2
    white = min(max(variance[0], floor), (0.09 * means[0]) ** 2)
    # noise is common to all tissues; a much wider one has swallowed its neighbour's mixtures
    return means, np.sqrt(np.clip(variance, floor, WIDEST**2 * white))


def _bias_weights(
    seen: NDArray[np.float64],
    share: NDArray[np.float64],
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    waves: NDArray[np.float64],
    *,
    order: int,
) -> NDArray[np.float64]:
    """Return the cosine coefficients that best explain the log residuals."""
    # variance of a log intensity is (deviation / mean)^2: white matter says most
    precision = (means / deviations) ** 2
    weight = (share * precision[:, None]).sum(axis=0)
    expected = (share * (precision * np.log(means))[:, None]).sum(axis=0) / (weight + 1e-9)
    used = np.array([sum(orders) <= order for orders in bias_orders()])
    basis = waves[:, used]
    residual = np.log(seen) - expected
    left = basis.T @ (basis * weight[:, None])
    left[np.diag_indices_from(left)] += 1e-6 * np.trace(left) / len(left)
    solved = np.linalg.solve(left, basis.T @ (weight * residual))
    weights = np.zeros(waves.shape[1])
    weights[used] = solved
    weights[0] = 0.0
    weights[0] = -float((waves @ weights).mean())
    return weights
