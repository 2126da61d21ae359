"""Where the edge is seen: the half-way crossing along every ray.

Along each ray intensity crosses the middle between the cord's own level and that of the fluid
beside it. On a straight edge in wide fluid this is exact for any symmetric blur; what curves,
narrow fluid, pixels and thick slices add is found by `volumetry.core.cord.matching`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from volumetry.core.cord.contour import ANGLES, RADII_MM, RAY_STEP_MM, Rays
from volumetry.core.cord.geometry import Array, Grid

SEARCH_MM = 2.0
EDGE_DEFINITION = "half level between cord and fluid, matched to a drawn cord of known edge"


@dataclass(frozen=True, slots=True)
class Edge:
    """The sub-voxel edge of every section.

    Attributes
    ----------
    radius_mm : array, shape (sections, angles)
    inside, outside : arrays, shape (sections, angles)
        Levels on the cord's side and on the fluid's side, intensity times polarity.
    is_seen : array, shape (sections, angles)
        Whether a crossing was found near the outline.
    """

    radius_mm: Array
    inside: Array
    outside: Array
    is_seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def edge_find(rays: Rays, outline: Array, *, step_mm: float) -> Edge:
    """Find the half-level crossing within 2 mm of the outline on every ray."""
    smooth_s = min(2.0, 2.0 / step_mm)
    inside_weight = (0.3 * outline[..., None] < RADII_MM) & (
        0.7 * outline[..., None] > RADII_MM
    )
    inside = (rays.values * inside_weight).sum(-1) / np.maximum(inside_weight.sum(-1), 1)
    ahead = RADII_MM - outline[..., None]
    beyond = np.where((ahead > 0.0) & (ahead <= SEARCH_MM), rays.values, np.inf)
    outside = beyond.min(-1)
    inside = _level_smooth(inside, smooth_s, around=6.0)
    outside = _level_smooth(outside, smooth_s, around=2.0)
    middle = 0.5 * (inside + outside)
    radius, is_seen = _crossing(rays.values, middle, outline)
    return Edge(_despeckle(radius, step_mm), inside, outside, is_seen)


def crossing_find(
    fraction: Array, outline: Array, *, step_mm: float
) -> tuple[Array, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Find where fractions (1 cord, 0 fluid) fall through one half, as `edge_find` does."""
    radius, is_seen = _crossing(fraction, np.full(outline.shape, 0.5), outline)
    return _despeckle(radius, step_mm), is_seen


def _level_smooth(level: Array, along: float, *, around: float) -> Array:
    smooth = ndimage.gaussian_filter1d(level, along, axis=0, mode="nearest")
    return np.asarray(ndimage.gaussian_filter1d(smooth, around, axis=1, mode="wrap"))


def _crossing(
    values: Array, middle: Array, outline: Array
) -> tuple[Array, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """First fall through the middle level, going outwards from 2 mm inside the outline."""
    above = values - middle[..., None]
    falls = (above[..., :-1] > 0) & (above[..., 1:] <= 0)
    ahead = RADII_MM[:-1] - outline[..., None]
    falls &= np.abs(ahead) <= SEARCH_MM
    # The crossing nearest to the outline: noise near the centre also falls through it.
    distance = np.where(falls, np.abs(ahead), np.inf)
    index = distance.argmin(-1)
    is_seen = np.isfinite(np.take_along_axis(distance, index[..., None], -1)[..., 0])
    before = np.take_along_axis(above, index[..., None], -1)[..., 0]
    after = np.take_along_axis(above, index[..., None] + 1, -1)[..., 0]
    drop = np.where(is_seen, before - after, 1.0)
    radius = RADII_MM[index] + RAY_STEP_MM * before / drop
    return np.where(is_seen, radius, outline), is_seen


def _despeckle(radius: Array, step_mm: float) -> Array:
    """Replace radii more than 0.8 mm off their neighbourhood's median; smooth lightly."""
    reach = max(1, 2 * round(2.5 / step_mm) + 1)
    wrapped = np.pad(radius, ((0, 0), (1, 1)), mode="wrap")
    usual = ndimage.median_filter(wrapped, (reach, 3), mode="nearest")[:, 1:-1]
    kept = np.where(np.abs(radius - usual) > 0.8, usual, radius)
    if step_mm < 2.0:
        kept = ndimage.gaussian_filter1d(kept, 1.0 / step_mm, axis=0, mode="nearest")
    return np.asarray(ndimage.gaussian_filter1d(kept, 1.0, axis=1, mode="wrap"))


def curvature(radius: Array) -> Array:
    """Curvature of each outline, 1/mm, from its lowest six harmonics."""
    spectrum = np.fft.rfft(radius, axis=1)
    order = np.arange(spectrum.shape[1])
    spectrum[:, 7:] = 0.0
    r = np.fft.irfft(spectrum, n=ANGLES, axis=1)
    r1 = np.fft.irfft(1j * order * spectrum, n=ANGLES, axis=1)
    r2 = np.fft.irfft(-(order**2) * spectrum, n=ANGLES, axis=1)
    return np.asarray((r * r + 2 * r1 * r1 - r * r2) / (r * r + r1 * r1) ** 1.5)


def spread_covariance(grid: Grid, *, blur_sigma_mm: float) -> Array:
    """Covariance of the point spread, mm², world axes, shape (3, 3).

    A voxel averages over its box (variance h²/12 along each axis); the scanner's own blur is
    taken as an isotropic Gaussian of ``blur_sigma_mm``.
    """
    box = np.diag(grid.spacing_mm**2 / 12.0)
    return np.asarray(grid.axes @ box @ grid.axes.T + blur_sigma_mm**2 * np.eye(3))
