"""A model of the rim: how far the half-level crossing lies from the true edge.

The crossing is exact only when both levels are. The fluid's is not: noise exaggerates its
extreme, and blur of a narrow ring fills it up. So rays are averaged along the crossing and a
blurred ring is fitted to the mean profile:

    p(u) = a + (b - a) Phi((u - e) / sigma) + (c - b) Phi((u - e - w) / sigma)

with u the distance from the crossing, e the true edge, a, b, c the levels of cord, fluid and
what lies beyond it, w the width of the fluid and sigma the point spread across the edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from volumetry.core.cord.contour import ANGLES, RADII_MM, THETA, Rays
from volumetry.core.cord.edge import Edge
from volumetry.core.cord.geometry import Array, Sections

GROUPS = 8
"""Rays are averaged over this many sectors around the cord."""
BLOCK_MM = 30.0
"""... and over about this length along it."""
NEAR_MM, FAR_MM, STEP_MM = -2.4, 4.2, 0.15
SIGMA_SPREAD = 0.25
"""Trust in the voxel's own point spread against the fitted one, mm."""
MAX_OFFSET_MM = 1.0
MIN_RAYS = 40
ROUNDS = 25
A, B, C, WIDTH, SIGMA, OFFSET = range(6)
LOWEST = np.array([0.7, -1.5, -2.0, 0.5, 0.2, -MAX_OFFSET_MM])
HIGHEST = np.array([1.3, 0.3, 3.0, 6.0, 2.0, MAX_OFFSET_MM])
U = np.arange(NEAR_MM, FAR_MM + 1e-9, STEP_MM)
# The rim counts most; deep in the cord and far beyond it other things begin.
WEIGHT = np.where(U < -1.2, 0.5, np.where(U < 2.0, 1.0, 0.4))


@dataclass(frozen=True, slots=True)
class Rim:
    """The fitted ring, block by block along the cord and sector by sector around it.

    Attributes
    ----------
    parameters : array, shape (blocks, GROUPS, 6)
        Levels a, b, c relative to cord (1) and fluid (0); width, point spread and edge minus
        crossing in mm.
    is_fitted : array, shape (blocks, GROUPS)
        False where too little was seen: there the parameters are the expected ones.
    middles : array, shape (blocks,)
        Row of each block's middle.
    count : int
        Number of sections.
    """

    parameters: Array
    is_fitted: NDArray[np.bool_]
    middles: Array
    count: int

    def spread_out(self, parameters: Array | None = None) -> Array:
        """Interpolate to every section and ray, shape (sections, angles, 6)."""
        values = self.parameters if parameters is None else parameters
        rows = np.clip(np.arange(self.count), self.middles[0], self.middles[-1])
        base = np.clip(np.searchsorted(self.middles, rows) - 1, 0, max(0, len(values) - 2))
        upper = np.minimum(base + 1, len(values) - 1)
        gap = np.maximum(self.middles[upper] - self.middles[base], 1e-9)
        share = ((rows - self.middles[base]) / gap)[:, None, None]
        along = (1.0 - share) * values[base] + share * values[upper]
        column = np.arange(ANGLES) * GROUPS / ANGLES
        left = column.astype(int)
        across = (column - left)[None, :, None]
        right = (left + 1) % GROUPS
        return np.asarray((1.0 - across) * along[:, left] + across * along[:, right])


def rim_fit(
    fraction: Array,
    crossing_mm: Array,
    good: NDArray[np.bool_],
    expected_sigma_mm: Array,
    *,
    step_mm: float,
) -> Rim:
    """Fit the ring model in every block and sector.

    Parameters
    ----------
    fraction : array, shape (sections, angles, radii)
        Intensity along the rays, 1 cord, 0 fluid.
    crossing_mm : array, shape (sections, angles)
        The half-level crossing.
    good : array, shape (sections, angles)
        Which rays count.
    expected_sigma_mm : array, shape (sections, angles)
        Point spread that the voxel implies.
    step_mm : float
        Distance of the sections.
    """
    count = len(fraction)
    blocks = max(1, round(count * step_mm / BLOCK_MM))
    bounds = np.linspace(0, count, blocks + 1).round().astype(int)
    profiles = _along_crossing(fraction, crossing_mm, good)
    width = ANGLES // GROUPS
    means = np.full((blocks, GROUPS, len(U)), np.nan)
    sigma = np.empty((blocks, GROUPS))
    for block in range(blocks):
        rows = slice(bounds[block], bounds[block + 1])
        for group in range(GROUPS):
            columns = (np.arange(width + 1) + group * width - width // 2) % ANGLES
            part = profiles[rows][:, columns].reshape(-1, len(U))
            known = np.isfinite(part).sum(axis=0)
            enough = known >= min(MIN_RAYS, 0.6 * len(part))
            if enough.sum() >= 20 and enough[U <= 1.5].all():
                means[block, group, enough] = np.nanmean(part[:, enough], axis=0)
            sigma[block, group] = expected_sigma_mm[rows][:, columns].mean()
    parameters, is_fitted = _rings_fit(means.reshape(-1, len(U)), sigma.ravel())
    return Rim(
        parameters.reshape(blocks, GROUPS, 6),
        is_fitted.reshape(blocks, GROUPS),
        0.5 * (bounds[1:] + bounds[:-1] - 1.0),
        count,
    )


def fraction_of(rays: Rays, edge: Edge) -> Array:
    """Intensity along the rays between fluid (0) and cord (1)."""
    step = np.maximum(edge.inside - edge.outside, 1e-9)[..., None]
    return np.asarray((rays.values - edge.outside[..., None]) / step)


def rays_that_count(rays: Rays, edge: Edge) -> NDArray[np.bool_]:
    """Rays inside the scan with a crossing and a usual contrast."""
    step = edge.inside - edge.outside
    usual = float(np.median(step))
    return np.asarray(edge.is_seen & rays.is_inside & (step > 0.4 * usual))


def expected_sigma(sections: Sections, covariance: Array) -> Array:
    """Point spread across the edge that the voxel implies, mm, shape (sections, angles)."""
    normal = (
        np.cos(THETA)[None, :, None] * sections.x_axis[:, None, :]
        + np.sin(THETA)[None, :, None] * sections.y_axis[:, None, :]
    )
    return np.asarray(np.sqrt(np.einsum("sai,ij,saj->sa", normal, covariance, normal)))


def _along_crossing(fraction: Array, radius: Array, good: NDArray[np.bool_]) -> Array:
    """Fraction at the distances U from the crossing; NaN on rays that do not count."""
    at = (radius[..., None] + U - RADII_MM[0]) / (RADII_MM[1] - RADII_MM[0])
    inside = (at >= 0.0) & (at <= len(RADII_MM) - 1.0)
    base = np.clip(at.astype(int), 0, len(RADII_MM) - 2)
    weight = np.clip(at - base, 0.0, 1.0)
    lower = np.take_along_axis(fraction, base, axis=-1)
    upper = np.take_along_axis(fraction, base + 1, axis=-1)
    profile = (1.0 - weight) * lower + weight * upper
    return np.asarray(np.where(inside & good[..., None], profile, np.nan))


def _rings_fit(means: Array, sigma: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Fit all mean profiles at once by damped least squares (Levenberg and Marquardt).

    Parameters
    ----------
    means : array, shape (n, distances)
        NaN where unknown; a profile without any known value is not fitted.
    sigma : array, shape (n,)
        Expected point spread, mm: a weak prior, like one for no offset and a fluid of level 0.
    """
    known = np.isfinite(means)
    is_fitted = np.asarray(known.any(axis=1))
    weight = np.where(known, WEIGHT, 0.0)
    data = np.where(known, means, 0.0)
    last = len(U) - 1 - np.argmax(known[:, ::-1], axis=1)
    end = np.take_along_axis(data, last[:, None], axis=1)[:, 0]
    one = np.ones(len(means))
    start = np.stack([one, 0 * one, end, 2.5 * one, sigma, 0 * one], axis=1)
    p = np.clip(start, LOWEST + 1e-6, HIGHEST - 1e-6)
    prior = np.zeros(6)
    prior[[B, SIGMA, OFFSET]] = 0.02 / 0.3, 0.12 / SIGMA_SPREAD, 0.05 / 0.3
    centre = np.zeros_like(p)
    centre[:, SIGMA] = sigma
    damping = np.full(len(means), 1e-3)
    ring, slope = _ring(p)
    cost = _cost(ring, data, weight, p, prior, centre)
    for _ in range(ROUNDS):
        weighted = slope * weight[..., None]
        normal = np.einsum("nui,nuj->nij", weighted, weighted) + np.diag(prior**2)
        gap = weight * (data - ring)
        pull = np.einsum("nui,nu->ni", weighted, gap) - prior**2 * (p - centre)
        scale = damping[:, None, None] * (np.einsum("nii->ni", normal) + 1e-9)[:, :, None]
        step = np.linalg.solve(normal + scale * np.eye(6), pull[..., None])[..., 0]
        tried = np.clip(p + step, LOWEST, HIGHEST)
        tried_ring, tried_slope = _ring(tried)
        tried_cost = _cost(tried_ring, data, weight, tried, prior, centre)
        better = tried_cost < cost
        p = np.where(better[:, None], tried, p)
        cost = np.where(better, tried_cost, cost)
        ring = np.where(better[:, None], tried_ring, ring)
        slope = np.where(better[:, None, None], tried_slope, slope)
        damping = np.clip(np.where(better, damping * 0.3, damping * 5.0), 1e-6, 1e6)
    expected = np.clip(
        np.stack([one, 0 * one, one, 3 * one, sigma, 0 * one], 1), LOWEST, HIGHEST
    )
    return np.where(is_fitted[:, None], p, expected), is_fitted


def _ring(p: Array) -> tuple[Array, Array]:
    """Return the blurred ring at U and its derivatives, shapes (n, u) and (n, u, 6)."""
    a, b, c, width, sigma, offset = (column[:, None] for column in p.T)
    near, far = (U - offset) / sigma, (U - offset - width) / sigma
    first, second = ndtr(near), ndtr(far)
    peak = 1.0 / np.sqrt(2.0 * np.pi) / sigma
    rise = (b - a) * peak * np.exp(-0.5 * near**2)
    back = (c - b) * peak * np.exp(-0.5 * far**2)
    ring = a + (b - a) * first + (c - b) * second
    slopes = [
        1.0 - first,
        first - second,
        second,
        -back,
        -rise * near - back * far,
        -rise - back,
    ]
    return ring, np.stack(slopes, axis=-1)


def _cost(
    ring: Array, data: Array, weight: Array, p: Array, prior: Array, centre: Array
) -> Array:
    misfit = ((weight * (data - ring)) ** 2).sum(axis=1)
    return np.asarray(misfit + ((prior * (p - centre)) ** 2).sum(axis=1))
