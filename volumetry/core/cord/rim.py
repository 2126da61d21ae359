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
from scipy.optimize import least_squares
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


@dataclass(frozen=True, slots=True)
class Rim:
    """What the model says: edge minus crossing, and point spread across the edge.

    Both have shape (sections, angles), mm.
    """

    offset_mm: Array
    sigma_mm: Array


def rim_fit(
    rays: Rays, radius: Array, edge: Edge, sections: Sections, covariance: Array
) -> Rim:
    """Fit the ring model sector by sector, block by block; smooth between them."""
    expected = expected_sigma(sections, covariance)
    count = len(sections)
    blocks = max(1, round(count * sections.step_mm / BLOCK_MM))
    bounds = np.linspace(0, count, blocks + 1).round().astype(int)
    width = ANGLES // GROUPS
    offsets, sigmas = np.zeros((blocks, GROUPS)), np.zeros((blocks, GROUPS))
    u = np.arange(NEAR_MM, FAR_MM + 1e-9, STEP_MM)
    fraction = _fraction_along(rays, radius, edge, u)
    for block in range(blocks):
        rows = slice(bounds[block], bounds[block + 1])
        for group in range(GROUPS):
            columns = (np.arange(width) + group * width - width // 2) % ANGLES
            part = fraction[rows][:, columns].reshape(-1, len(u))
            sigma = float(expected[rows][:, columns].mean())
            offsets[block, group], sigmas[block, group] = _fit(u, part, sigma)
    middles = 0.5 * (bounds[1:] + bounds[:-1])
    return Rim(_spread(offsets, middles, count), _spread(sigmas, middles, count))


def expected_sigma(sections: Sections, covariance: Array) -> Array:
    """Point spread across the edge that the voxel implies, mm, shape (sections, angles)."""
    normal = (
        np.cos(THETA)[None, :, None] * sections.x_axis[:, None, :]
        + np.sin(THETA)[None, :, None] * sections.y_axis[:, None, :]
    )
    return np.asarray(np.sqrt(np.einsum("sai,ij,saj->sa", normal, covariance, normal)))


def _fraction_along(rays: Rays, radius: Array, edge: Edge, u: Array) -> Array:
    """Normalised intensity (1 cord, 0 fluid) at distances from the crossing; NaN unseen."""
    at = (radius[..., None] + u - RADII_MM[0]) / (RADII_MM[1] - RADII_MM[0])
    inside = (at >= 0.0) & (at <= len(RADII_MM) - 1.0)
    base = np.clip(at.astype(int), 0, len(RADII_MM) - 2)
    weight = np.clip(at - base, 0.0, 1.0)
    lower = np.take_along_axis(rays.values, base, axis=-1)
    upper = np.take_along_axis(rays.values, base + 1, axis=-1)
    step = (edge.inside - edge.outside)[..., None]
    fraction = ((1.0 - weight) * lower + weight * upper - edge.outside[..., None]) / np.maximum(
        step, 1e-9
    )
    usual = float(np.median(step))
    good = inside & edge.is_seen[..., None] & rays.is_inside[..., None] & (step > 0.4 * usual)
    return np.asarray(np.where(good, fraction, np.nan))


def _fit(u: Array, rays: Array, sigma: float) -> tuple[float, float]:
    """Fit one mean profile; returns (0, expected sigma) where there is too little to fit."""
    enough = np.isfinite(rays).sum(axis=0) >= min(MIN_RAYS, 0.6 * len(rays))
    if enough.sum() < 20 or not enough[u <= 1.5].all():
        return 0.0, sigma
    mean = np.nanmean(rays[:, enough], axis=0)
    at = u[enough]

    def model(p: Array) -> Array:
        a, b, c, w, s, e = p
        ring = a + (b - a) * ndtr((at - e) / s) + (c - b) * ndtr((at - e - w) / s)
        return np.asarray(ring)

    def cost(p: Array) -> Array:
        prior = [0.12 * (p[4] - sigma) / SIGMA_SPREAD, 0.05 * p[5] / 0.3, 0.02 * (p[1] / 0.3)]
        return np.concatenate([(model(p) - mean) * _weight(at), prior])

    start = np.array([1.0, 0.0, float(mean[-1]), 2.5, sigma, 0.0])
    low = [0.7, -1.5, -2.0, 0.5, 0.2, -MAX_OFFSET_MM]
    high = [1.3, 0.3, 3.0, 6.0, 2.0, MAX_OFFSET_MM]
    start = np.clip(start, np.asarray(low) + 1e-6, np.asarray(high) - 1e-6)
    fitted = least_squares(cost, start, bounds=(low, high), max_nfev=60)
    return float(fitted.x[5]), float(fitted.x[4])


def _weight(u: Array) -> Array:
    """Trust the rim most; deep in the cord and far beyond it other things begin."""
    return np.asarray(np.where(u < -1.2, 0.5, np.where(u < 2.0, 1.0, 0.4)))


def _spread(values: Array, middles: Array, count: int) -> Array:
    """Interpolate (blocks, groups) to (sections, angles), periodic around the cord."""
    rows = np.arange(count)
    along = np.stack([np.interp(rows, middles, column) for column in values.T], axis=1)
    width = ANGLES // GROUPS
    centres = np.arange(-1, GROUPS + 2) * width - 0.5
    wrapped = along[:, np.arange(-1, GROUPS + 2) % GROUPS]
    angles = np.arange(ANGLES)
    return np.stack([np.interp(angles, centres, row) for row in wrapped])
