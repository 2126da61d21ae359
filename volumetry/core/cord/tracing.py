"""From a proposed tube to traced outlines: centreline, sections, outline, confidence."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from volumetry.core.cord.content import FOREIGN, foreign_share
from volumetry.core.cord.contour import (
    RADII_MM,
    Rays,
    centroid_offset,
    edge_strength,
    outline_area,
    outline_find,
    prior_from,
    rays_sample,
)
from volumetry.core.cord.edge import Edge, edge_find
from volumetry.core.cord.geometry import (
    THICK_SLICE_MM,
    Array,
    Curve,
    Grid,
    Sampler,
    Sections,
    curve_fit,
    sampler_around,
    sections_along,
    sections_in_slices,
)
from volumetry.core.cord.matching import edge_match

BLUR_SIGMA_MM = 0.3
"""Scanner blur beyond the voxel box, mm: a Fourier-encoded voxel is about that much wider
than its box [our phantoms: docs/cord.md]. Part of every provenance."""

MIN_SECTIONS = 4
"""With fewer sections there is no line to fit again."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The cord as traced.

    Attributes
    ----------
    sections : Sections
    outline_mm, prior_mm, radius_mm : arrays, shape (sections, angles)
        Outline on the ray grid; its smooth prior; the sub-voxel edge.
    edge : Edge
        Levels on both sides and whether the crossing was seen.
    area_mm2 : array, shape (sections,)
        Perpendicular to the cord.
    confidence : array, shape (sections,)
        0 ... 1.
    polarity : int
    """

    curve: Curve
    sections: Sections
    rays: Rays
    outline_mm: Array
    prior_mm: Array
    radius_mm: Array
    edge: Edge
    strength_at_edge: Array
    area_mm2: Array
    confidence: Array
    polarity: int
    height_mm: float
    """Height of the scan along its own axis."""
    blur_mm: float | None = None
    """Gaussian blur of the scanner as fitted; None where the edge is the bare crossing."""
    thin_fluid: float = 0.0
    """Share of the rim beside which the fluid is much thinner than elsewhere."""

    @property
    def contrast(self) -> float:
        """Median step from the cord's level to the fluid's, intensity units, positive."""
        return float(np.median(self.edge.inside - self.edge.outside))


@dataclass(frozen=True, slots=True)
class Outlined:
    """One pass of tracing: sections along a curve and the outlines found on them."""

    curve: Curve
    sections: Sections
    rays: Rays
    strength: Array
    outline_mm: Array
    prior_mm: Array

    def centres(self) -> Array:
        """Return the outlines' centroids in world mm, shape (sections, 3)."""
        offset = centroid_offset(self.outline_mm)
        return self.sections.points(offset[:, :1], offset[:, 1:])[:, 0]


def trace(
    grid: Grid,
    points_mm: Array,
    *,
    polarity: int,
    step_mm: float = 1.0,
    passes: int = 3,
    sampler: Sampler | None = None,
) -> Trace:
    """Trace the cord along proposed points; the sampler may be shared between proposals.

    Each pass cuts sections along the line, finds outlines, and moves the line to their
    centroids.
    """
    sampler = sampler or sampler_around(grid, points_mm)
    curve = _curve(grid, points_mm)
    outlined = _outlined(grid, sampler, curve, polarity=polarity, step_mm=step_mm, prior=None)
    for _ in range(passes - 1):
        if len(outlined.sections) < MIN_SECTIONS:
            break
        weights = outlined.rays.is_inside.mean(axis=1) + 1e-3
        curve = _curve(grid, outlined.centres(), weights=weights)
        outlined = _outlined(
            grid, sampler, curve, polarity=polarity, step_mm=step_mm, prior=outlined.prior_mm
        )
    return _trace_of(grid, outlined, polarity=polarity)


def refined(grid: Grid, traced: Trace) -> Trace:
    """Move the half-level crossing of a trusted trace to the true edge.

    Sections whose outline holds something else than cord lose their confidence.
    """
    matched = edge_match(
        grid,
        traced.sections,
        traced.rays,
        traced.outline_mm,
        traced.edge,
        blur_sigma_mm=BLUR_SIGMA_MM,
    )
    return replace(
        traced,
        radius_mm=matched.radius_mm,
        area_mm2=outline_area(matched.radius_mm) * traced.sections.cosine,
        blur_mm=matched.blur_mm,
        thin_fluid=matched.thin_fluid,
        confidence=np.minimum(traced.confidence, holds_cord(traced)),
    )


def holds_cord(traced: Trace) -> Array:
    """How sure it is that an outline holds cord and nothing else, per section, 0 ... 1."""
    foreign = foreign_share(
        traced.rays.values,
        traced.outline_mm,
        traced.edge.outside,
        contrast=traced.contrast,
        step_mm=traced.sections.step_mm,
    )
    return 1.0 - _ramp(foreign, low=FOREIGN[0], high=FOREIGN[1])


def _curve(grid: Grid, points_mm: Array, *, weights: Array | None = None) -> Curve:
    up = grid.axes[:, 2]
    return curve_fit(points_mm, up=up, knot_mm=knot_mm(grid, points_mm, up), weights=weights)


def _outlined(
    grid: Grid,
    sampler: Sampler,
    curve: Curve,
    *,
    polarity: int,
    step_mm: float,
    prior: Array | None,
) -> Outlined:
    """Find outlines along a curve; without a prior in two rounds, the first from a circle."""
    sections = cut(curve, grid, step_mm=step_mm)
    rays = rays_sample(sampler, sections, polarity=polarity)
    blur = 3.0 / sections.step_mm if sections.step_mm < THICK_SLICE_MM else 0.0
    strength = edge_strength(rays, along_sections=blur)
    if prior is None:
        first = outline_find(strength, prior_mm=None, prior_weight=0.01)
        prior = prior_from(first, step_mm=sections.step_mm)
    else:
        prior = _resample_rows(prior, len(sections))
    outline = outline_find(strength, prior_mm=prior, prior_weight=0.25)
    smooth = prior_from(outline, step_mm=sections.step_mm)
    return Outlined(curve, sections, rays, strength, outline, smooth)


def _trace_of(grid: Grid, outlined: Outlined, *, polarity: int) -> Trace:
    """Refine outlines to the half-level crossing and say how sure each section is."""
    sections, rays, outline = outlined.sections, outlined.rays, outlined.outline_mm
    edge = edge_find(rays, outline, step_mm=sections.step_mm)
    radius = edge.radius_mm
    at_edge = _strength_near(outlined.strength, outline)
    return Trace(
        curve=outlined.curve,
        sections=sections,
        rays=rays,
        outline_mm=outline,
        prior_mm=outlined.prior_mm,
        radius_mm=radius,
        edge=edge,
        strength_at_edge=at_edge,
        area_mm2=outline_area(radius) * sections.cosine,
        confidence=_confidence(edge, at_edge, outline, outlined.prior_mm, rays),
        polarity=polarity,
        height_mm=float(grid.values.shape[2] * grid.spacing_mm[2]),
    )


def cut(curve: Curve, grid: Grid, *, step_mm: float) -> Sections:
    """Cut sections the way the scan allows: its own thick slices, or perpendicular planes."""
    if grid.is_thick_axial:
        return sections_in_slices(curve, grid)
    return sections_along(curve, step_mm=step_mm, right=grid.axes[:, 0])


def knot_mm(grid: Grid, points_mm: Array, up: Array) -> float:
    """Knot distance of the centreline: 15 mm, more where slices are few and thick."""
    if grid.is_thick_axial:
        return max(35.0, 2.0 * float(grid.spacing_mm[2]))
    return 15.0 if float(np.ptp(points_mm @ up)) > 30.0 else 30.0


def _resample_rows(rows: Array, count: int) -> Array:
    at = np.linspace(0, len(rows) - 1, count)
    return np.asarray(
        ndimage.map_coordinates(
            rows, np.meshgrid(at, np.arange(rows.shape[1]), indexing="ij"), order=1
        )
    )


def _strength_near(strength: Array, outline: Array) -> Array:
    """Strongest edge within 0.6 mm of the outline, per ray."""
    near = np.abs(RADII_MM - outline[..., None]) <= 0.6
    return np.asarray(np.where(near, strength, -1.0).max(-1))


def _confidence(edge: Edge, at_edge: Array, outline: Array, prior: Array, rays: Rays) -> Array:
    """Confidence per section, 0 ... 1: the weakest of four looks at its rim.

    A rim must be seen nearly all round, with the contrast that the rest of the cord has,
    close to the smooth outline, and inside the scan.
    """
    step = edge.inside - edge.outside
    usual = max(float(np.median(step)), 1e-9)
    has_contrast = (step > 0.3 * usual).mean(axis=1)
    has_edge = (edge.is_seen & (at_edge > 0.2)).mean(axis=1)
    apart = np.sqrt(np.mean((outline - prior) ** 2, axis=1))
    steady = np.exp(-np.maximum(0.0, apart - 0.4) / 0.6)
    within = rays.is_inside.mean(axis=1)
    looks = np.stack([_ramp(has_contrast), _ramp(has_edge), steady, within**4])
    return np.asarray(looks.min(axis=0))


def _ramp(fraction: Array, *, low: float = 0.4, high: float = 0.85) -> Array:
    return np.asarray(np.clip((fraction - low) / (high - low), 0.0, 1.0))
