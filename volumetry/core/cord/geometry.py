"""Where the cord runs: sampling a scan in world millimetres, centreline, cross-sections."""

from dataclasses import dataclass
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import BSpline, make_lsq_spline

from volumetry.core.types import ScanImage

Array = NDArray[np.float64]

THICK_SLICE_MM = 2.9
"""From this slice spacing on, axial slices are measured in their own planes: interpolating
between slices that far apart would invent tissue."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A scan turned to the RAS axis order nearest to its own axes; nothing is resampled.

    Attributes
    ----------
    values : array, shape (i, j, k)
        Intensities; i grows to the right, j to the front, k upwards.
    affine : array, shape (4, 4)
        Voxel index to world millimetres.
    """

    values: NDArray[np.float32]
    affine: Array

    @property
    def spacing_mm(self) -> Array:
        """Voxel spacing along i, j, k in mm, shape (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def axes(self) -> Array:
        """Unit vectors of i, j, k in world space, as columns, shape (3, 3)."""
        return np.asarray(self.affine[:3, :3] / self.spacing_mm)

    @property
    def slice_axis(self) -> int | None:
        """The axis along which voxels are at least 1.5 times as long, or None."""
        order = np.argsort(self.spacing_mm)
        longest, middle = self.spacing_mm[order[2]], self.spacing_mm[order[1]]
        return int(order[2]) if longest >= 1.5 * middle else None

    @property
    def is_thick_axial(self) -> bool:
        """Whether slices are axial and too far apart to interpolate between them."""
        return self.slice_axis == 2 and bool(self.spacing_mm[2] >= THICK_SLICE_MM)

    def world(self, voxels: Array) -> Array:
        """Voxel indices to world mm, shape (..., 3)."""
        return np.asarray(voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    def voxels(self, points_mm: Array) -> Array:
        """World mm to voxel indices, shape (..., 3)."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return np.asarray((points_mm - self.affine[:3, 3]) @ inverse.T)


def grid_of(image: ScanImage) -> Grid:
    """Turn an image to RAS axis order."""
    orientation = nib.orientations.io_orientation(image.affine)
    values = nib.orientations.apply_orientation(image.intensities, orientation)
    turn = nib.orientations.inv_ornt_aff(orientation, image.intensities.shape)
    return Grid(np.ascontiguousarray(values), np.asarray(image.affine @ turn))


def values_to_input_order(values: NDArray[np.float32], image: ScanImage) -> NDArray[np.float32]:
    """Turn an array from RAS order back to the image's own axis order."""
    there = nib.orientations.io_orientation(image.affine)
    ras = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    back = nib.orientations.ornt_transform(ras, there)
    return np.ascontiguousarray(nib.orientations.apply_orientation(values, back))


@dataclass(frozen=True, slots=True)
class Sampler:
    """Cubic-spline samples of the original scan on sections: one interpolation only."""

    coefficients: NDArray[np.float32]
    offset_voxels: Array
    inverse: Array
    shape: tuple[int, int, int]
    order: Literal[1, 3] = 3

    def __call__(self, points_mm: Array) -> Array:
        """Sample at world points of shape (..., 3); outside the scan NaN is returned."""
        voxels = points_mm @ self.inverse[:3, :3].T + self.inverse[:3, 3]
        sampled, outside = self._sampled(np.moveaxis(voxels, -1, 0))
        sampled[outside] = np.nan
        return sampled

    def on_sections(
        self, sections: "Sections", x_mm: Array, y_mm: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Sample every section at the same in-plane offsets, both of shape (...).

        Voxel coordinates are built from each section's centre and axes in voxels: points in
        world millimetres would be three times as much to compute.

        Returns
        -------
        tuple of array
            Values and whether they lie outside the scan, both of shape (sections, ...).
        """
        turn = self.inverse[:3, :3].T
        centre = sections.centre_mm @ turn + self.inverse[:3, 3]
        right, front = sections.x_axis @ turn, sections.y_axis @ turn
        tail = (1,) * x_mm.ndim
        voxels = np.empty((3, len(sections), *x_mm.shape))
        for axis in range(3):
            start, dx, dy = (
                part[:, axis].reshape(-1, *tail) for part in (centre, right, front)
            )
            np.add(start + dx * x_mm, dy * y_mm, out=voxels[axis])
        return self._sampled(voxels)

    def _sampled(self, voxels: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Sample at voxel indices of shape (3, ...)."""
        outside = np.zeros(voxels.shape[1:], dtype=np.bool_)
        for along, count in zip(voxels, self.shape, strict=True):
            outside |= (along < -0.5) | (along > count - 0.5)
        values = ndimage.map_coordinates(
            self.coefficients,
            voxels - self.offset_voxels.reshape((3,) + (1,) * outside.ndim),
            order=self.order,
            mode="mirror",
            prefilter=False,
            output=np.float64,
        )
        return np.asarray(values), outside


def sampler_around(
    grid: Grid, points_mm: Array, *, margin_mm: float = 22.0, order: Literal[1, 3] = 3
) -> Sampler:
    """Prefilter the part of a scan that lies within a margin of some points.

    Order 3 for measuring; order 1 needs no prefilter and is enough to rank proposals.
    """
    voxels = grid.voxels(points_mm)
    margin = margin_mm / grid.spacing_mm
    shape = np.asarray(grid.values.shape)
    low = np.clip(np.floor(voxels.min(axis=0) - margin), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=0) + margin) + 1, 1, shape).astype(int)
    part = grid.values[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    coefficients = (
        ndimage.spline_filter(part, order=order, output=np.float32, mode="mirror")
        if order > 1
        else np.ascontiguousarray(part, dtype=np.float32)
    )
    i, j, k = grid.values.shape
    inverse = np.linalg.inv(grid.affine).astype(np.float64)
    return Sampler(coefficients, low.astype(np.float64), inverse, (i, j, k), order)


@dataclass(frozen=True, slots=True)
class Curve:
    """A smooth centreline, parametrised by height along ``up`` (world unit vector).

    ``offset`` is the spline's point (3,) as a function of height; heights run over
    ``low`` ... ``high`` mm.
    """

    spline: BSpline
    up: Array
    low: float
    high: float

    def at(self, height: Array) -> Array:
        """World points at heights, shape (n, 3)."""
        return np.asarray(self.spline(np.clip(height, self.low, self.high)))


def curve_fit(
    points_mm: Array, *, up: Array, knot_mm: float, weights: Array | None = None
) -> Curve:
    """Fit a cubic spline through points with robust weights (three reweightings).

    Weights are 1 / max(1, r / 2s) with r the distance to the fit and
    s = max(0.3 mm, 1.48 median r), so a few strayed points do not bend the line.
    """
    height = points_mm @ up
    order = np.argsort(height)
    height, points = height[order], points_mm[order]
    base = np.ones(len(height)) if weights is None else weights[order]
    low, high = float(height[0]), float(height[-1])
    degree = int(min(3, len(height) - 1))
    spans = max(1, min(round((high - low) / knot_mm), (len(height) - degree) // 2))
    inner = np.linspace(low, high, spans + 1)[1:-1]
    knots = np.r_[[low] * (degree + 1), inner, [high] * (degree + 1)]
    robust = np.ones(len(height))
    for _ in range(4):
        spline = make_lsq_spline(height, points, knots, k=degree, w=base * robust)
        distance = np.linalg.norm(points - spline(height), axis=1)
        scale = max(0.3, 1.48 * float(np.median(distance)))
        robust = 1.0 / np.maximum(1.0, distance / (2.0 * scale))
    return Curve(spline, up, low, high)


@dataclass(frozen=True, slots=True)
class Sections:
    """Cross-sections of the cord, from the upper end downwards.

    Attributes
    ----------
    position_mm : array, shape (n,)
        Arc length from the upper end.
    centre_mm, tangent, x_axis, y_axis : arrays, shape (n, 3)
        Centre in world mm; unit tangent (downwards); in-plane axes: right and front.
    cosine : array, shape (n,)
        1 for planes perpendicular to the cord; for planes of thick slices the cosine of the
        angle between slice normal and cord, by which an in-plane area is multiplied.
    step_mm : float
        Arc length between neighbouring sections.
    """

    position_mm: Array
    centre_mm: Array
    tangent: Array
    x_axis: Array
    y_axis: Array
    cosine: Array
    step_mm: float

    def __len__(self) -> int:
        """Count the sections."""
        return len(self.position_mm)

    def points(self, x_mm: Array, y_mm: Array) -> Array:
        """World points at in-plane offsets; both (n, ...) -> (n, ..., 3)."""
        tail = (1,) * (x_mm.ndim - 1)
        shape = (len(self), *tail, 3)
        return np.asarray(
            self.centre_mm.reshape(shape)
            + x_mm[..., None] * self.x_axis.reshape(shape)
            + y_mm[..., None] * self.y_axis.reshape(shape)
        )


def sections_along(curve: Curve, *, step_mm: float, right: Array) -> Sections:
    """Cut planes perpendicular to the centreline, every ``step_mm`` of arc length."""
    heights = np.arange(curve.high, curve.low, -0.1)
    fine = curve.at(heights)
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))]
    position = np.arange(0.0, arc[-1] + 1e-9, step_mm)
    at = np.interp(position, arc, heights)
    centre = curve.at(at)
    tangent = _unit(curve.at(at - 0.5) - curve.at(at + 0.5))
    x_axis, y_axis = _frame(tangent, right)
    ones = np.ones(len(position))
    return Sections(position, centre, tangent, x_axis, y_axis, ones, step_mm)


def sections_in_slices(curve: Curve, grid: Grid) -> Sections:
    """Cut along the scan's own thick axial slices, with the cosine of each angle."""
    normal = np.cross(grid.axes[:, 0], grid.axes[:, 1])
    spacing = float(grid.spacing_mm[2])
    count = grid.values.shape[2]
    origin = grid.affine[:3, 3] @ normal
    levels = origin + np.arange(count)[::-1] * (grid.affine[:3, 2] @ normal)
    heights = np.arange(curve.high, curve.low - 1e-9, -0.1)
    fine = curve.at(heights)
    level_of = fine @ normal
    inside = levels[(levels <= level_of.max() + 0.5) & (levels >= level_of.min() - 0.5)]
    at = np.interp(-inside, -level_of, heights)
    centre = curve.at(at)
    centre = centre + ((inside - centre @ normal)[:, None]) * normal
    tangent = _unit(curve.at(at - 0.5) - curve.at(at + 0.5))
    cosine = np.abs(tangent @ normal)
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(centre, axis=0), axis=1))]
    x_axis = np.tile(grid.axes[:, 0], (len(at), 1))
    y_axis = np.tile(np.cross(normal, grid.axes[:, 0]), (len(at), 1))
    step = float(np.mean(np.diff(arc))) if len(arc) > 1 else spacing
    return Sections(arc, centre, tangent, x_axis, y_axis, cosine, step)


def _frame(tangent: Array, right: Array) -> tuple[Array, Array]:
    """Return the in-plane axes: right made perpendicular to the cord, and front."""
    x_axis = _unit(right - (tangent @ right)[:, None] * tangent)
    return x_axis, np.cross(x_axis, tangent)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
