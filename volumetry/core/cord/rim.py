"""A model of the rim: how far the half-level crossing lies from the true edge.

The crossing is exact only when both levels are. The fluid's is not: noise exaggerates its
extreme, and blur of a narrow ring fills it up. So rays are averaged along the crossing and a
blurred ring is fitted to the mean profile:

    p(u) = a + (b - a) Phi((u - e) / sigma) + r Phi((u - e - w) / sigma)

with u the distance from the crossing, e the true edge, a and b the levels of cord and fluid,
r >= 0 how far intensity comes back beyond the fluid, w the width of the fluid and sigma the
point spread across the edge.

Level and width of a thin ring hang together: half the width with twice the depth looks the
same. The fluid is one and the same around the cord, though; so its level is first fitted in
every sector, and then all sectors are fitted again with the level that they share.
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
MAX_OFFSET_MM = 1.0
MIN_RAYS = 40
ROUNDS = 25
A, B, BACK, WIDTH, SIGMA, OFFSET = range(6)
LOWEST = np.array([0.7, -3.0, 0.0, 0.3, 0.2, -MAX_OFFSET_MM])
HIGHEST = np.array([1.3, 0.3, 4.0, 6.0, 2.0, MAX_OFFSET_MM])
NOISE = 0.02
"""Usual error of a mean profile, share of the contrast: the scale of the priors."""
WIDTH_MM, WIDTH_SPREAD_MM = 2.5, 2.0
OFFSET_SPREAD_MM = 0.12
"""Trust in usual values: weak, for a sector in which little is seen."""
LEVEL_SPREAD = (0.3, 0.1)
"""How far the fluid's level may lie from nought, and then from the level around the cord."""
SIGMA_SPREAD_MM = (0.042, 0.025)
"""Trust in the voxel's own point spread, and then in what the sectors add to it together."""
WIDE_MM = 2.0
"""Where the fluid is wider than this its level is seen."""
U = np.arange(NEAR_MM, FAR_MM + 1e-9, STEP_MM)
# The rim counts most; deep in the cord and far beyond it other things begin.
WEIGHT = np.where(U < -1.2, 0.5, np.where(U < 2.0, 1.0, 0.4))


@dataclass(frozen=True, slots=True)
class Rim:
    """The fitted ring, block by block along the cord and sector by sector around it.

    Attributes
    ----------
    parameters : array, shape (blocks, GROUPS, 6)
        Levels a, b and the return r relative to cord (1) and fluid (0); width, point spread
        and edge minus crossing in mm.
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
    edge: Edge,
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
    edge : Edge
        Levels that the fractions are relative to.
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
    flat = means.reshape(-1, len(U))
    parameters, is_fitted = _rings_fit(
        flat, np.zeros(len(flat)), sigma.ravel(), LEVEL_SPREAD[0], SIGMA_SPREAD_MM[0]
    )
    alone = parameters.reshape(blocks, GROUPS, 6)
    middles = 0.5 * (bounds[1:] + bounds[:-1] - 1.0)
    if sectors_across(expected_sigma_mm).any():
        return Rim(alone, is_fitted.reshape(blocks, GROUPS), middles, count)
    level = _shared_level(alone, middles, edge)
    added = np.median(alone[..., SIGMA] ** 2 - sigma**2, axis=1, keepdims=True)
    shared = np.sqrt(np.maximum(sigma**2 + added, LOWEST[SIGMA] ** 2))
    parameters, _ = _rings_fit(
        flat, level.ravel(), shared.ravel(), LEVEL_SPREAD[1], SIGMA_SPREAD_MM[1]
    )
    return Rim(
        parameters.reshape(blocks, GROUPS, 6),
        is_fitted.reshape(blocks, GROUPS),
        middles,
        count,
    )


def sectors_across(expected_sigma_mm: Array) -> NDArray[np.bool_]:
    """Say which sectors lie across thick slices, where levels cannot be seen; (GROUPS,).

    Their levels and point spread say nothing of the others', and are not shared with them.
    """
    group = np.linspace(0, ANGLES, GROUPS, endpoint=False).astype(int)
    spread = expected_sigma_mm.mean(axis=0)[group]
    is_across = np.asarray(spread > 1.5 * spread.min())
    return is_across if not is_across.all() else np.zeros_like(is_across)


def _shared_level(parameters: Array, middles: Array, edge: Edge) -> Array:
    """Level of the fluid around the cord, relative to every sector's own; (blocks, GROUPS).

    The median of the sectors, in which wide fluid counts more.
    """
    group = np.linspace(0, ANGLES, GROUPS, endpoint=False).astype(int)
    rows = np.rint(middles).astype(int)
    outside = edge.outside[rows][:, group]
    step = np.maximum(edge.inside[rows][:, group] - outside, 1e-9)
    absolute = outside + parameters[..., B] * step
    weight = np.clip(parameters[..., WIDTH] / WIDE_MM, 0.05, 1.0) ** 4
    order = np.argsort(absolute, axis=1)
    sums = np.cumsum(np.take_along_axis(weight, order, 1), axis=1)
    at = (sums >= 0.5 * sums[:, -1:]).argmax(axis=1)[:, None]
    shared = np.take_along_axis(np.take_along_axis(absolute, order, 1), at, 1)
    return np.asarray((shared - outside) / step)


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


def _rings_fit(
    means: Array, level: Array, sigma: Array, level_spread: float, sigma_spread: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Fit all mean profiles at once by damped least squares (Levenberg and Marquardt).

    Parameters
    ----------
    means : array, shape (n, distances)
        NaN where unknown; a profile without any known value is not fitted.
    level, sigma : arrays, shape (n,)
        Expected level of the fluid and point spread (mm), with their spreads.
    """
    known = np.isfinite(means)
    is_fitted = np.asarray(known.any(axis=1))
    weight = np.where(known, WEIGHT, 0.0)
    data = np.where(known, means, 0.0)
    last = len(U) - 1 - np.argmax(known[:, ::-1], axis=1)
    end = np.take_along_axis(data, last[:, None], axis=1)[:, 0]
    one = np.ones(len(means))
    centre = np.stack([0 * one, level, 0 * one, WIDTH_MM * one, sigma, 0 * one], axis=1)
    prior = np.zeros(6)
    prior[[B, WIDTH, SIGMA, OFFSET]] = NOISE / np.array(
        [level_spread, WIDTH_SPREAD_MM, sigma_spread, OFFSET_SPREAD_MM]
    )
    back = np.maximum(0.1, end - level)
    start = np.stack([one, level, back, WIDTH_MM * one, sigma, 0 * one], axis=1)
    p = np.clip(start, LOWEST + 1e-6, HIGHEST - 1e-6)
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
    expected = np.clip(np.stack([one, level, one, 3 * one, sigma, 0 * one], 1), LOWEST, HIGHEST)
    return np.where(is_fitted[:, None], p, expected), is_fitted


def _ring(p: Array) -> tuple[Array, Array]:
    """Return the blurred ring at U and its derivatives, shapes (n, u) and (n, u, 6)."""
    a, b, back, width, sigma, offset = (column[:, None] for column in p.T)
    near, far = (U - offset) / sigma, (U - offset - width) / sigma
    first, second = ndtr(near), ndtr(far)
    peak = 1.0 / np.sqrt(2.0 * np.pi) / sigma
    fall = (b - a) * peak * np.exp(-0.5 * near**2)
    rise = back * peak * np.exp(-0.5 * far**2)
    ring = a + (b - a) * first + back * second
    slopes = [
        1.0 - first,
        first,
        second,
        -rise,
        -fall * near - rise * far,
        -fall - rise,
    ]
    return ring, np.stack(slopes, axis=-1)


def _cost(
    ring: Array, data: Array, weight: Array, p: Array, prior: Array, centre: Array
) -> Array:
    misfit = ((weight * (data - ring)) ** 2).sum(axis=1)
    return np.asarray(misfit + ((prior * (p - centre)) ** 2).sum(axis=1))
