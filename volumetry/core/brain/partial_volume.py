"""Tissue fractions of every voxel, with mixtures of two tissues modelled explicitly.

First pure tissues with spatial priors and a Markov random field (mean field), then classes of
two mixed tissues at 25, 50 and 75 % (Tohka et al. 2004, NeuroImage 23:84,
doi 10.1016/j.neuroimage.2004.05.007: mixture means, here with discrete fractions).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.tissue import TissueModel

BETA = 0.3
SWEEPS = 2
MIXED = ((0, 1), (1, 2), (0, 2))
FRACTIONS = (0.25, 0.5, 0.75)
MIXED_WEIGHT = 0.6


def tissue_fractions(
    flat: NDArray[np.float32],
    *,
    inside: NDArray[np.bool_],
    priors: NDArray[np.float32],
    model: TissueModel,
) -> NDArray[np.float32]:
    """Return the fraction of white, grey and fluid per voxel, shape (3, i, j, k).

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities.
    inside : bool, same shape
        Intracranial space; fractions sum to one inside and are zero outside.
    priors : float32, shape (3, i, j, k)
        Spatial priors of white, grey, fluid.
    model : TissueModel
        Tissue means and deviations.
    """
    pure = pure_shares(flat, inside=inside, priors=priors, model=model)
    around = np.stack([ndimage.uniform_filter(p, 3) for p in pure])[:, inside] + 1e-4
    around /= around.sum(axis=0)
    seen = flat[inside]
    variance = model.deviations**2
    smallest = 0.8 * float(variance.min())
    result = np.zeros((3, seen.size), dtype=np.float64)
    total = np.zeros(seen.size)
    for tissue in range(3):
        weight = around[tissue] * _gauss(seen, model.means[tissue], variance[tissue])
        result[tissue] += weight
        total += weight
    for first, second in MIXED:
        share = MIXED_WEIGHT * np.sqrt(around[first] * around[second]) / len(FRACTIONS)
        if (first, second) == (0, 2):
            share = np.where(around[1] < 0.2, 0.5 * share, 0.0)
        for part in FRACTIONS:
            mean = part * model.means[first] + (1 - part) * model.means[second]
            weight = share * _gauss(seen, mean, smallest)
            result[first] += part * weight
            result[second] += (1 - part) * weight
            total += weight
    nearest = np.abs(seen - model.means[:, None]).argmin(axis=0)
    lost = total < 1e-12
    fractions = np.zeros((3, *flat.shape), dtype=np.float32)
    settled = np.where(
        lost, nearest == np.arange(3)[:, None], result / np.maximum(total, 1e-12)
    )
    fractions[:, inside] = settled
    return fractions


def _gauss(seen: NDArray[np.float32], mean: float, variance: float) -> NDArray[np.float64]:
    """Return a Gaussian density."""
    return np.asarray(np.exp(-0.5 * (seen - mean) ** 2 / variance) / np.sqrt(variance))


def pure_shares(
    flat: NDArray[np.float32],
    *,
    inside: NDArray[np.bool_],
    priors: NDArray[np.float32],
    model: TissueModel,
) -> NDArray[np.float32]:
    """Return the share of each pure tissue after a few mean-field sweeps."""
    seen = flat[inside]
    prior = np.stack([ndimage.gaussian_filter(p, 1.5)[inside] for p in priors]) + 0.15
    likelihood = np.stack(
        [
            prior[tissue] * _gauss(seen, model.means[tissue], model.deviations[tissue] ** 2)
            for tissue in range(3)
        ]
    )
    likelihood += 1e-12
    share = likelihood / likelihood.sum(axis=0)
    shares = np.zeros((3, *flat.shape), dtype=np.float32)
    kernel = ndimage.generate_binary_structure(3, 1).astype(np.float32)
    kernel[1, 1, 1] = 0.0
    for _ in range(SWEEPS):
        shares[:, inside] = share
        near = np.stack([ndimage.convolve(s, kernel, mode="constant")[inside] for s in shares])
        share = likelihood * np.exp(BETA * near)
        share /= share.sum(axis=0)
    shares[:, inside] = share
    return shares
