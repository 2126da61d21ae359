"""A structure found by the shape that the template gives it and by its intensity.

Every voxel is judged by a log ratio of intensities (this structure against what may lie around
it) plus the log odds of a shape prior, the signed distance to the template's outline over a
width, with a term for agreeing neighbours (mean field). The outline is then fitted to what was
found and the judgement repeated, so that a structure larger or smaller than the template's, or
elsewhere, pulls its own prior along: the affine map is the one that carries the moments of the
outline to those of the structure (optimal transport between Gaussians: Takatsu 2011, Osaka J
Math 48:1005), which needs no search.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

Values = NDArray[np.float32]
Matrix = NDArray[np.float64]
Gauss = tuple[float, float]

WIDTH_MM = 1.8
"""Width of the shape prior: an outline may lie this far off, per unit of log odds."""
EVIDENCE_CAP = 4.0
"""Largest log ratio that one voxel's intensity may hold against the shape."""
EVIDENCE_SIGMA, NEIGHBOUR_SIGMA = 0.8, 1.0
"""Smoothing of evidence and of the neighbours' vote, voxels."""
NEIGHBOUR_WEIGHT = 3.0
SWEEPS = 8
REACH_MM = 7.0
"""Nothing is found farther than this outside the outline."""
PRIOR_EDGE_MM = 0.7
"""Softness of the outline when its moments are taken."""


def evidence(
    values: Values, *, inside: Gauss, around: tuple[Gauss, ...], trust: Values | float = 1.0
) -> Values:
    """Return the capped log ratio of intensities, smoothed: positive where the structure is.

    Parameters
    ----------
    values : float32, any shape
        Intensities.
    inside : tuple of float
        Mean and standard deviation of the structure.
    around : tuple of pairs of float
        The same of what may lie around it; the likeliest counts.
    trust : float32, same shape, or float
        How much intensity counts, 0 to 1.
    """
    other = np.maximum.reduce([_log_likelihood(values, gauss) for gauss in around])
    ratio = _log_likelihood(values, inside) - other
    ratio = np.clip(ratio, -EVIDENCE_CAP, EVIDENCE_CAP) * trust
    return np.asarray(ndimage.gaussian_filter(ratio, EVIDENCE_SIGMA), dtype=np.float32)


def _log_likelihood(values: Values, gauss: Gauss) -> Values:
    """Return the log density of a Gaussian, up to a constant."""
    mean, spread = gauss
    return np.asarray(-((values - mean) ** 2) / (2 * spread**2) - np.log(spread))


def membership(ratio: Values, distance_mm: Values, *, step_mm: float = 1.0) -> Values:
    """Return how far each voxel belongs to the structure, 0 to 1.

    Parameters
    ----------
    ratio : float32, any shape
        Log ratio of intensities.
    distance_mm : float32, same shape
        Signed distance to the outline, negative inside.
    step_mm : float
        Voxel side.
    """
    odds = ratio - distance_mm / np.float32(WIDTH_MM)
    reach = distance_mm < REACH_MM
    found = special.expit(-distance_mm / np.float32(WIDTH_MM))
    even = np.float32(0.5) + _curved(distance_mm, step_mm=step_mm)
    for _ in range(SWEEPS):
        vote = ndimage.gaussian_filter(found, NEIGHBOUR_SIGMA) - even
        found = special.expit(odds + np.float32(NEIGHBOUR_WEIGHT) * vote) * reach
    return np.asarray(found, dtype=np.float32)


def _curved(distance_mm: Values, *, step_mm: float) -> Values:
    """Return by how much the neighbours' vote is off because the outline is curved.

    Around a ball fewer neighbours lie inside than at a flat edge; uncorrected, the vote would
    draw every round structure in (a ball of 10 mm by 4.5 %).
    """
    voted = ndimage.gaussian_filter((distance_mm < 0).astype(np.float32), NEIGHBOUR_SIGMA)
    flat = special.ndtr(-distance_mm / np.float32(step_mm * NEIGHBOUR_SIGMA))
    return np.asarray(voted - flat, dtype=np.float32)


def outline_fitted(matrix: Matrix, *, distance_mm: Values, found: Values) -> Matrix:
    """Return the map template to voxel, moved so that the outline has the moments found.

    Parameters
    ----------
    matrix : float64, shape (n + 1, n + 1)
        Template millimetres to voxels of the array.
    distance_mm : float32, n axes
        Signed distance to the outline under ``matrix``.
    found : float32, same shape
        Membership.
    """
    prior = special.expit(-distance_mm / np.float32(PRIOR_EDGE_MM))
    return np.asarray(transport(prior, found) @ matrix)


def transport(one: Values, other: Values) -> Matrix:
    """Return the affine map (voxel to voxel) that carries the moments of one to the other's."""
    (centre, spread), (goal, wanted) = _moments(one), _moments(other)
    root = _root(spread)
    back = np.linalg.inv(root)
    linear = back @ _root(root @ wanted @ root) @ back
    matrix = np.eye(len(centre) + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = goal - linear @ centre
    return matrix


def _moments(weights: Values) -> tuple[Matrix, Matrix]:
    """Return centre and covariance of a weighted set of voxels."""
    spots = np.argwhere(weights > 0.02)
    weight = weights[tuple(spots.T)].astype(np.float64)
    centre = weight @ spots / weight.sum()
    off = spots - centre
    return centre, (off * weight[:, None]).T @ off / weight.sum()


def _root(matrix: Matrix) -> Matrix:
    """Return the symmetric square root of a positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-9))) @ vectors.T)
