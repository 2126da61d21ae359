"""Find the true edge by matching: which cord, drawn and measured, reads like this scan.

Indirect inference (Gourieroux, Monfort and Renault 1993, Journal of Applied Econometrics
8:S85): the same estimator (half-level crossing and ring model) is applied to the scan and to
a drawing with known edge, levels and blur; the drawing is changed until both read the same.
The estimator's own bias then cancels: pixelation of cords along a voxel axis, curvature, blur
that fills the ring of fluid, partial volume of thick slices.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from volumetry.core.cord.contour import ANGLES, Rays, harmonics_keep
from volumetry.core.cord.drawing import canvas_of
from volumetry.core.cord.edge import Edge, crossing_find, spread_covariance
from volumetry.core.cord.geometry import Array, Grid, Sections
from volumetry.core.cord.rim import (
    GROUPS,
    HIGHEST,
    LOWEST,
    OFFSET,
    SIGMA,
    WIDTH,
    A,
    B,
    Rim,
    expected_sigma,
    fraction_of,
    rays_that_count,
    rim_fit,
    sectors_across,
)

ROUNDS = 5
SETTLED_MM = 0.002
"""Mean shift of the edge in one round (0.1 % of the area) below which matching ends,
when the blur has settled too."""
SETTLED_MM2 = 0.005
INSIDE_SHARE = 0.4
"""How much of a sector's own cord level is drawn; the rest is the median around the cord."""
THIN_MM, THIN_SHARE = 2.0, 0.75
"""Fluid is thin where it is narrower than this, and than this share of what is usual around."""
HIDDEN = 0.05
"""Share of the fluid's depth that blur must hide for its width to be matched in full."""
MAX_SHIFT_MM = 1.2
"""Largest difference between the measured and the matched edge that is believed."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The matched edge.

    Attributes
    ----------
    radius_mm : array, shape (sections, angles)
    blur_mm : float
        Gaussian blur of the scanner.
    thin_fluid : float
        Share of the rim beside which the fluid is much thinner than elsewhere.
    """

    radius_mm: Array
    blur_mm: float
    thin_fluid: float


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the estimator reads: the edge (sections, angles) and the ring's parameters."""

    radius_mm: Array
    rim: Rim


def edge_match(
    grid: Grid,
    sections: Sections,
    rays: Rays,
    outline: Array,
    edge: Edge,
    *,
    blur_sigma_mm: float,
) -> Matched:
    """Find the edge whose drawing reads like the scan."""
    sigma = expected_sigma(sections, spread_covariance(grid, blur_sigma_mm=blur_sigma_mm))
    good = rays_that_count(rays, edge)
    step = sections.step_mm

    def read(fraction: Array) -> _Reading:
        crossing, _ = crossing_find(fraction, outline, step_mm=step)
        rim = rim_fit(fraction, crossing, good, sigma, edge, step_mm=step)
        return _Reading(crossing + rim.spread_out()[..., OFFSET], rim)

    seen = read(fraction_of(rays, edge))
    canvas = canvas_of(grid, sections, seen.radius_mm)
    blur = _Blur(blur_sigma_mm**2)
    ring, radius = seen.rim.parameters.copy(), seen.radius_mm
    free = _free(seen.rim, edge, sigma, ring)
    for _ in range(ROUNDS):
        ring[..., SIGMA] = np.sqrt(blur.variance)
        smooth = _smooth(radius, step)
        drawn = read(canvas.rays(smooth, seen.rim.spread_out(ring)))
        added = np.clip(drawn.radius_mm - smooth, -MAX_SHIFT_MM, MAX_SHIFT_MM)
        moved = float(np.abs(np.mean(seen.radius_mm - added - radius)))
        radius = seen.radius_mm - added
        gap = blur.gap(seen.rim, drawn.rim)
        if moved < SETTLED_MM and abs(gap) < SETTLED_MM2:
            break
        lacking = seen.rim.parameters - drawn.rim.parameters
        change = _common(lacking, seen.rim, ring) if free is None else free * lacking
        ring = np.clip(ring + change, LOWEST, HIGHEST)
        blur.update(gap)
    return Matched(radius, float(np.sqrt(blur.variance)), _thin_fluid(ring[..., WIDTH]))


class _Blur:
    """The scanner's Gaussian blur (variance, mm²), found by the secant rule."""

    def __init__(self, variance: float) -> None:
        self.variance = variance
        self._last: tuple[float, float] | None = None

    @staticmethod
    def gap(seen: Rim, drawn: Rim) -> float:
        """Variance across the edge that the drawing lacks, mm²: median over the sectors."""
        if not seen.is_fitted.any():
            return 0.0
        one, other = (rim.parameters[..., SIGMA][seen.is_fitted] ** 2 for rim in (seen, drawn))
        return float(np.median(one - other))

    def update(self, gap: float) -> None:
        """Move the blur so that the drawing's point spread comes to that of the scan."""
        slope = 1.0
        if self._last is not None and abs(self.variance - self._last[0]) > 1e-4:
            slope = (self._last[1] - gap) / (self.variance - self._last[0])
        self._last = (self.variance, gap)
        self.variance = float(
            np.clip(self.variance + gap / np.clip(slope, 0.3, 1.5), 0.01, 2.0)
        )


def _common(lacking: Array, rim: Rim, ring: Array) -> Array:
    """Return what the drawn fluid lacks in level and width all round.

    Where the fluid is narrow for the scan's blur everywhere, its level is read too shallow in
    every sector; a drawing of the level that was read would be read shallower still. The width
    counts as far as it hides the level: 2 Phi(-w / 2 sigma) of it is missing in the middle.
    """
    step = np.zeros(lacking.shape[-1])
    if rim.is_fitted.any():
        for one in (B, WIDTH):
            step[one] = np.median(lacking[..., one][rim.is_fitted])
        spread = rim.parameters[..., SIGMA]
        hidden = 2.0 * ndtr(-0.5 * ring[..., WIDTH] / spread)[rim.is_fitted]
        step[WIDTH] *= min(1.0, float(np.median(hidden)) / HIDDEN)
    return step


def _thin_fluid(width_mm: Array) -> float:
    """Return the share of blocks and sectors in which the fluid is thin."""
    usual = np.median(width_mm, axis=1, keepdims=True)
    return float(np.mean(width_mm < np.minimum(THIN_MM, THIN_SHARE * usual)))


def _free(rim: Rim, edge: Edge, sigma: Array, ring: Array) -> Array | None:
    """Prepare the ring that is drawn (in place) and say which of its parameters are matched.

    Usually none but the fluid all round (`_common`): matching every sector by itself follows
    noise and anatomy (on a reposed head it scattered the area by 1.7 instead of 0.4 %). Across
    thick sagittal slices the levels of cord and fluid cannot be seen: there the levels of the
    directions within the slices are put in, and the rest is matched.
    """
    is_blurred = sectors_across(sigma)
    if not is_blurred.any():
        usual = np.median(ring[..., A], axis=1, keepdims=True)
        ring[..., A] = usual + INSIDE_SHARE * (ring[..., A] - usual)
        return None
    group = np.linspace(0, ANGLES, GROUPS, endpoint=False).astype(int)
    free = np.ones_like(ring)
    rows = np.clip(np.rint(rim.middles).astype(int), 0, rim.count - 1)
    inside, outside = edge.inside[rows][:, group], edge.outside[rows][:, group]
    step = inside - outside
    for level in (A, B):
        absolute = outside + ring[..., level] * step
        shared = np.median(absolute[:, ~is_blurred], axis=1, keepdims=True)
        ring[:, is_blurred, level] = ((shared - outside) / step)[:, is_blurred]
        free[:, is_blurred, level] = 0.0
    return free


def _smooth(radius: Array, step_mm: float) -> Array:
    """Return the shape that is drawn: without the noise of single rays."""
    along = ndimage.gaussian_filter1d(radius, 3.0 / step_mm, axis=0, mode="nearest")
    return harmonics_keep(along if step_mm < 2.0 else radius, count=6)
