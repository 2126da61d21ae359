"""Draw the scan that a measured cord would give: the forward model of the measurement.

A cord of level a in a ring of fluid of level b and some width, with level c beyond it, is
averaged over the box of every voxel (thick slices included) after a Gaussian blur, and then
sampled along the same rays as the scan itself. What the measurement reads on this drawing,
whose edge is known, is what it adds to the truth: pixelation, blur, curvature, partial volume.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from volumetry.core.cord.contour import ANGLES, RADII_MM, THETA, harmonics_keep
from volumetry.core.cord.edge import curvature
from volumetry.core.cord.geometry import Array, Grid, Sections
from volumetry.core.cord.painting import locate
from volumetry.core.cord.rim import BACK, SIGMA, WIDTH, A, B, expected_sigma

SUB_MM = 0.5
"""Voxels are divided into boxes of about this size; the rest of the box is put into sigma."""
BEYOND_MM = 6.5
"""How far around the cord the drawing reaches."""
LEAST_SIGMA_MM = 0.12


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the drawing's voxels and their parts lie on the straightened cord.

    Attributes
    ----------
    shape : (int, int, int)
        Block of voxels that is drawn.
    at : array, shape (3, n)
        Indices in the block of the voxels near the cord.
    row, column : arrays, shape (n, parts)
        Section and ray, in fractions, of every part of a voxel.
    radius_mm : array, shape (n, parts)
    coordinates : array, shape (3, sections, angles, radii)
        Where the rays are sampled, indices in the block.
    box_sigma_mm : array, shape (sections, angles)
        Standard deviation across the edge of one part of a voxel.
    """

    shape: tuple[int, int, int]
    at: tuple[NDArray[np.intp], ...]
    row: NDArray[np.float32]
    column: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    coordinates: Array
    box_sigma_mm: Array

    def rays(self, radius_mm: Array, ring: Array) -> Array:
        """Draw and sample.

        Parameters
        ----------
        radius_mm : array, shape (sections, angles)
            The true edge.
        ring : array, shape (sections, angles, 6)
            Parameters as in `volumetry.core.cord.rim`; SIGMA is the Gaussian blur alone.

        Returns
        -------
        array, shape (sections, angles, radii)
        """
        sigma = np.maximum(np.hypot(ring[..., SIGMA], self.box_sigma_mm), LEAST_SIGMA_MM)
        fields = _fields(radius_mm, ring, sigma)
        surface = _bilinear(radius_mm, self.row, self.column)
        rows = np.clip(np.rint(self.row).astype(np.intp), 0, len(radius_mm) - 1)
        columns = np.rint(self.column).astype(np.intp) % ANGLES
        flat = rows * ANGLES + columns
        cosine, bend, inside, fluid, back, width, inverse = (
            field.ravel()[flat] for field in fields
        )
        depth = (self.radius_mm - surface) * cosine
        near = ndtr((depth + bend) * inverse)
        far = ndtr((depth - width) * inverse)
        drawn = inside + (fluid - inside) * near + back * far
        block = np.full(
            self.shape, float(np.mean(ring[..., B] + ring[..., BACK])), dtype=np.float32
        )
        block[self.at] = drawn.mean(axis=1)
        spline = ndimage.spline_filter(block, order=3, output=np.float32, mode="mirror")
        return ndimage.map_coordinates(
            spline, self.coordinates, order=3, mode="mirror", prefilter=False, output=np.float64
        )


def canvas_of(grid: Grid, sections: Sections, radius_mm: Array) -> Canvas:
    """Prepare the drawing of a cord: which voxels, and where on the cord their parts lie."""
    reach = float(radius_mm.max()) + BEYOND_MM
    voxels = grid.voxels(sections.centre_mm)
    margin = reach / grid.spacing_mm + 1.0
    low = np.floor(voxels.min(axis=0) - margin).astype(int)
    high = np.ceil(voxels.max(axis=0) + margin).astype(int) + 1
    i, j, k = (int(n) for n in high - low)
    near = np.zeros((i, j, k), dtype=np.bool_)
    half = reach / grid.spacing_mm
    for centre in voxels - low:
        first = np.maximum(0, np.floor(centre - half)).astype(int)
        last = np.ceil(centre + half).astype(int) + 1
        near[first[0] : last[0], first[1] : last[1], first[2] : last[2]] = True
    at = np.nonzero(near)
    world = grid.world(np.stack(at, axis=-1) + low.astype(float))
    position, x, y = locate(world, sections)
    kept = np.hypot(x, y) < reach
    at = tuple(index[kept] for index in at)
    row = np.interp(position[kept], sections.position_mm, np.arange(len(sections)))
    divide = np.maximum(1, np.ceil(grid.spacing_mm / SUB_MM - 0.2)).astype(int)
    part_row, part_x, part_y = _parts(grid, sections, row, divide)
    part_x, part_y = part_x + x[kept][:, None], part_y + y[kept][:, None]
    column = np.mod(np.arctan2(part_y, part_x), 2 * np.pi) / (2 * np.pi) * ANGLES
    rays_x = (np.cos(THETA)[:, None] * RADII_MM)[None]
    rays_y = (np.sin(THETA)[:, None] * RADII_MM)[None]
    shape = (len(sections), ANGLES, len(RADII_MM))
    points = sections.points(np.broadcast_to(rays_x, shape), np.broadcast_to(rays_y, shape))
    box = grid.axes @ np.diag((grid.spacing_mm / divide) ** 2 / 12.0) @ grid.axes.T
    return Canvas(
        (i, j, k),
        at,
        part_row.astype(np.float32),
        column.astype(np.float32),
        np.hypot(part_x, part_y).astype(np.float32),
        np.moveaxis(grid.voxels(points) - low, -1, 0),
        expected_sigma(sections, box),
    )


def _parts(
    grid: Grid, sections: Sections, row: Array, divide: NDArray[np.int_]
) -> tuple[Array, Array, Array]:
    """Row, and in-plane offsets from the voxel's middle, of all parts; (voxels, parts)."""
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in divide]
    mesh = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    offset = mesh * grid.spacing_mm @ grid.axes.T
    nearest = np.clip(np.rint(row).astype(int), 0, len(sections) - 1)
    normal = np.cross(sections.y_axis, sections.x_axis)
    slope = np.einsum("si,si->s", sections.tangent, normal)[:, None]
    along = normal @ offset.T / slope
    x = sections.x_axis @ offset.T
    y = sections.y_axis @ offset.T
    x = x - along * np.einsum("si,si->s", sections.tangent, sections.x_axis)[:, None]
    y = y - along * np.einsum("si,si->s", sections.tangent, sections.y_axis)[:, None]
    rows = row[:, None] + along[nearest] / sections.step_mm
    return np.clip(rows, 0.0, len(sections) - 1.0), x[nearest], y[nearest]


def _fields(radius: Array, ring: Array, sigma: Array) -> tuple[Array, ...]:
    """Per section and ray: cosine of the edge to the ray, shift by curvature, levels, width."""
    smooth = harmonics_keep(radius, count=8)
    spectrum = np.fft.rfft(smooth, axis=1)
    slope = np.fft.irfft(1j * np.arange(spectrum.shape[1]) * spectrum, n=ANGLES, axis=1)
    cosine = radius / np.hypot(radius, slope)
    bend = 0.5 * np.clip(curvature(radius), 0.0, 0.6) * sigma**2
    fields = (cosine, bend, ring[..., A], ring[..., B], ring[..., BACK], ring[..., WIDTH])
    return tuple(f.astype(np.float32) for f in (*fields, 1.0 / sigma))


def _bilinear(
    values: Array, row: NDArray[np.float32], column: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interpolate (sections, angles) at fractional rows and rays, periodic around the cord."""
    flat = values.astype(np.float32).ravel()
    below = np.minimum(row.astype(np.intp), max(0, len(values) - 2))
    left = column.astype(np.intp)
    up, across = row - below, column - left
    left = left % ANGLES
    right = (left + 1) % ANGLES
    above = np.minimum(below + 1, len(values) - 1)
    lower = flat[below * ANGLES + left] * (1 - across) + flat[below * ANGLES + right] * across
    upper = flat[above * ANGLES + left] * (1 - across) + flat[above * ANGLES + right] * across
    return np.asarray(lower * (1 - up) + upper * up, dtype=np.float32)
