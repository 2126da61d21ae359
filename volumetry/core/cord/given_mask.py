"""Morphometry of a cord mask made elsewhere, with the measures of `sct_process_segmentation`.

The method (not the code) follows Spinal Cord Toolbox 7.4: a spline centreline of the mask;
per axial slice the patch is compressed along x and y by the cosine of the cord's angle in that
direction, normalised to 0 ... 1, and its values are summed; diameters come from the ellipse of
equal second moments of the patch upsampled to 0.1 mm, and from the patch turned onto it.
De Leener et al. 2017, NeuroImage 145:24-43.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import splev, splrep

from volumetry.core.cord.contour import RADII_MM, rays_sample
from volumetry.core.cord.geometry import Array, Grid, Sections, sampler_around
from volumetry.core.cord.profile import Profile
from volumetry.core.errors import NotMeasurable

SMOOTHING = 30.0
"""Spline smoothing per mm of slice spacing, divided by 3: SCT's default for morphometry."""
FINE_MM = 0.1
DIAMETER_BAND_MM = 3.0
PAD = 3
NOTHING = 1e-6
PLAUSIBLE_MM2 = (15.0, 300.0)


@dataclass(frozen=True, slots=True)
class SliceShape:
    """Measures of one slice, angle-corrected; lengths in mm, angles in degrees.

    ``index`` counts slices upwards from the lowest of the scan. ``length_mm`` is the slice's
    arc length along the cord.
    """

    index: int
    area_mm2: float
    ap_mm: float
    ap_ellipse_mm: float
    rl_mm: float
    orientation_degrees: float
    eccentricity: float
    length_mm: float
    cosine: float
    peak: float


@dataclass(frozen=True, slots=True)
class MaskShapes:
    """All slices of a mask, from the lowest upwards, and its centreline in voxel indices."""

    slices: tuple[SliceShape, ...]
    centre_voxels: Array


def mask_shapes(grid: Grid) -> MaskShapes:
    """Measure every axial slice of a mask.

    Parameters
    ----------
    grid : Grid
        The mask, binary or soft, in RAS order.

    Raises
    ------
    NotMeasurable
        If the mask is empty, negative, in several pieces, or not the size of a cord.
    """
    values = np.asarray(grid.values, dtype=np.float64)
    _check(values, grid)
    values, px = _square_pixels(values, grid)
    pz = float(grid.spacing_mm[2])
    rows = np.flatnonzero((values > NOTHING).any(axis=(0, 1)))
    indices = np.arange(rows[0], rows[-1] + 1)
    centre, slope = _centreline(values, rows, indices, pz)
    shapes = []
    for place, k in enumerate(indices):
        angle_x = np.arctan2(slope[place, 0] * px, pz)
        angle_y = np.arctan2(slope[place, 1] * px, pz)
        patch = _compressed(values[:, :, k], np.cos(angle_x), np.cos(angle_y))
        shape = _shape_of(patch, px, int(k), (float(angle_x), float(angle_y)), pz)
        if shape is not None:
            shapes.append(shape)
    if not shapes:
        raise NotMeasurable("The mask has no slice with one cross-section of a cord.")
    full = centre * np.array([px / grid.spacing_mm[0], px / grid.spacing_mm[1]])
    return MaskShapes(tuple(shapes), np.column_stack([full, indices.astype(np.float64)]))


def _check(values: Array, grid: Grid) -> None:
    if values.min() < -NOTHING or values.max() <= NOTHING:
        raise NotMeasurable("The mask is empty or holds negative values.")
    pieces, count = ndimage.label(values > 0.5 * values.max(), np.ones((3, 3, 3)))
    if count > 1:
        sizes = np.sort(np.bincount(pieces.ravel())[1:])
        if sizes[-2] > 0.05 * sizes[-1]:
            raise NotMeasurable(f"The mask is in {count} pieces; a cord is one.")
    pixel = float(grid.spacing_mm[0] * grid.spacing_mm[1])
    rows = (values > NOTHING).any(axis=(0, 1))
    area = float(np.median(values[:, :, rows].sum(axis=(0, 1)) / values.max() * pixel))
    if not PLAUSIBLE_MM2[0] <= area <= PLAUSIBLE_MM2[1]:
        raise NotMeasurable(
            f"The mask's cross-section of {area:.0f} mm² is not that of a cord "
            f"({PLAUSIBLE_MM2[0]:.0f} to {PLAUSIBLE_MM2[1]:.0f} mm²)."
        )


def _square_pixels(values: Array, grid: Grid) -> tuple[Array, float]:
    """Resample linearly to square pixels of the smaller in-plane spacing, if they are not."""
    sx, sy = float(grid.spacing_mm[0]), float(grid.spacing_mm[1])
    fine = min(sx, sy)
    if abs(sx - sy) < 1e-3 * fine:
        return values, fine
    zoomed = ndimage.zoom(values, (sx / fine, sy / fine, 1.0), order=1, grid_mode=False)
    return np.asarray(zoomed), fine


def _centreline(
    values: Array, rows: NDArray[np.intp], indices: NDArray[np.intp], pz: float
) -> tuple[Array, Array]:
    """Smoothing-spline centre and slope (pixels per slice) of every slice, shape (n, 2)."""
    means = []
    for k in rows:
        i, j = np.nonzero(values[:, :, k])
        means.append((i.mean(), j.mean()))
    mean = np.asarray(means)
    degree = 3 if len(rows) > 3 else 1
    if len(rows) < 2:
        raise NotMeasurable("The mask covers a single slice; a cord has a direction.")
    smoothing = (len(rows) / len(indices)) ** 2 * SMOOTHING * pz / 3.0
    centre, slope = [], []
    for axis in range(2):
        spline = splrep(rows, mean[:, axis], s=smoothing, k=degree)
        centre.append(splev(indices, spline))
        slope.append(splev(indices, spline, der=1))
    return np.stack(centre, axis=1), np.stack(slope, axis=1)


def _compressed(patch: Array, cos_x: float, cos_y: float) -> Array:
    """Shrink a slice along x and y by the cosines of the cord's angles, linearly."""
    i = np.arange(patch.shape[0])[:, None] / cos_x
    j = np.arange(patch.shape[1])[None, :] / cos_y
    at = np.broadcast_arrays(i, j)
    return np.asarray(
        ndimage.map_coordinates(patch, np.stack(at), order=1, mode="constant", cval=0.0)
    )


def _shape_of(
    patch: Array, px: float, index: int, angles: tuple[float, float], pz: float
) -> SliceShape | None:
    """Measure one compressed slice; None when it is empty or in several pieces."""
    peak = float(patch.max())
    if peak < NOTHING:
        return None
    soft = (patch - patch.min()) / (peak - patch.min())
    binary = soft > 0.5
    _, count = ndimage.label(binary, np.ones((3, 3)))
    if count != 1:
        return None
    i, j = np.nonzero(binary)
    window = soft[
        max(0, i.min() - PAD) : i.max() + 1 + PAD, max(0, j.min() - PAD) : j.max() + 1 + PAD
    ]
    factor = max(1, round(px / FINE_MM))
    fine = _upsampled(window, factor)
    size = px / factor
    area = float(fine.sum() * size * size)
    axes = _ellipse(fine > 0.5)
    cosine = float(np.cos(angles[0]) * np.cos(angles[1]))
    return SliceShape(
        index=index,
        area_mm2=area,
        ap_mm=_ap_extent(fine, axes.tilt, size),
        ap_ellipse_mm=axes.ap * size,
        rl_mm=axes.rl * size,
        orientation_degrees=float(np.degrees(axes.tilt)),
        eccentricity=axes.eccentricity,
        length_mm=pz / cosine,
        cosine=cosine,
        peak=peak,
    )


def _upsampled(window: Array, factor: int) -> Array:
    """Upsample linearly, pixel centres aligned."""
    at = [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in window.shape]
    grid = np.stack(np.meshgrid(*at, indexing="ij"))
    return np.asarray(ndimage.map_coordinates(window, grid, order=1, mode="reflect"))


@dataclass(frozen=True, slots=True)
class _Axes:
    """Ellipse of equal second moments: diameters in pixels, tilt of RL against x (radians)."""

    ap: float
    rl: float
    tilt: float
    eccentricity: float


def _ellipse(binary: NDArray[np.bool_]) -> _Axes:
    i, j = (axis.astype(np.float64) for axis in np.nonzero(binary))
    covariance = np.cov(np.stack([i, j]), bias=True) + np.eye(2) / 12.0
    values, vectors = np.linalg.eigh(covariance)
    lengths = 4.0 * np.sqrt(values)
    rl = int(np.argmax(np.abs(vectors[0])))
    direction = vectors[:, rl] * np.sign(vectors[0, rl])
    return _Axes(
        ap=float(lengths[1 - rl]),
        rl=float(lengths[rl]),
        tilt=float(np.arctan2(direction[1], direction[0])),
        eccentricity=float(np.sqrt(1.0 - values[0] / values[1])),
    )


def _ap_extent(fine: Array, tilt: float, size: float) -> float:
    """Mean extent along AP over 3 mm around the centroid, the patch turned onto its axes."""
    binary = fine > 0.5
    i, j = np.nonzero(binary)
    centre = np.array([i.mean(), j.mean()])
    reach = int(np.hypot(*fine.shape) / 2) + 1
    u, v = np.meshgrid(
        np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij"
    )
    cosine, sine = np.cos(tilt), np.sin(tilt)
    at = np.stack([centre[0] + cosine * u - sine * v, centre[1] + sine * u + cosine * v])
    turned = ndimage.map_coordinates(fine, at, order=1, mode="constant", cval=0.0) > 0.5
    half = round(DIAMETER_BAND_MM / size / 2.0)
    band = turned[reach - half : reach + half + 1]
    return float(band.sum(axis=1).mean() * size)


def mask_profile(grid: Grid, shapes: MaskShapes) -> Profile:
    """Arrange the slices of a mask as a profile, from the upper end downwards.

    Outlines for the pictures are the half-level crossings along rays; they are not measured.
    """
    rows = np.array([shape.index for shape in shapes.slices])[::-1]
    first = int(shapes.centre_voxels[0, 2])
    centre = grid.world(shapes.centre_voxels[rows - first])
    length = np.array([shape.length_mm for shape in shapes.slices])[::-1]
    position = np.r_[0.0, np.cumsum(0.5 * (length[1:] + length[:-1]) * np.abs(np.diff(rows)))]
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.cross(grid.axes[:, 0], grid.axes[:, 1])
    sections = Sections(
        position,
        centre,
        tangent,
        np.tile(grid.axes[:, 0], (len(rows), 1)),
        np.tile(np.cross(normal, grid.axes[:, 0]), (len(rows), 1)),
        np.array([shape.cosine for shape in shapes.slices])[::-1],
        float(length.mean()),
    )
    return Profile(
        sections,
        mask_outlines(grid, sections),
        np.array([shape.area_mm2 for shape in shapes.slices])[::-1],
        np.array([shape.ap_mm for shape in shapes.slices])[::-1],
        np.array([shape.rl_mm for shape in shapes.slices])[::-1],
        np.ones(len(rows)),
        0,
    )


def mask_outlines(grid: Grid, sections: Sections) -> Array:
    """Radius at which the mask falls below half of its slice's peak, per ray."""
    rays = rays_sample(sampler_around(grid, sections.centre_mm), sections, polarity=1)
    half = 0.5 * rays.values[:, :, :5].max(axis=(1, 2), keepdims=True)
    below = rays.values < half
    return np.asarray(np.where(below.any(axis=2), RADII_MM[below.argmax(axis=2)], RADII_MM[-1]))
