"""Paint the measured cord onto the scan's own voxel grid as a soft mask."""

import numpy as np
from numpy.typing import NDArray

from volumetry.core.cord.contour import ANGLES
from volumetry.core.cord.geometry import Array, Grid, Sections

SUBDIVISION = 4


def mask_paint(
    grid: Grid, sections: Sections, radius_mm: Array, *, subdivision: int = SUBDIVISION
) -> NDArray[np.float32]:
    """Return the share of each voxel that lies within the outlines, 0 ... 1.

    In-plane the voxel is divided ``subdivision`` x ``subdivision``; between sections radii
    and axes are interpolated linearly.
    """
    mask = np.zeros(grid.values.shape, dtype=np.float32)
    if len(sections) < 2:
        return mask
    reach = float(radius_mm.max()) + 2.0
    voxels = grid.voxels(sections.centre_mm)
    margin = reach / grid.spacing_mm
    shape: Array = np.asarray(mask.shape, dtype=np.float64)
    divide = [subdivision, subdivision, 1 if grid.is_thick_axial else 2]
    if grid.slice_axis == 0:
        divide[0] = 2 * subdivision
    offsets = [((np.arange(n) + 0.5) / n - 0.5) for n in divide]
    sub_mm = float(min(grid.spacing_mm[0] / divide[0], grid.spacing_mm[1] / divide[1]))
    first, last = voxels[:, 2].min() - margin[2], voxels[:, 2].max() + margin[2]
    for k in range(max(0, int(np.floor(first))), int(min(shape[2], np.ceil(last) + 1))):
        near = voxels[np.abs(voxels[:, 2] - k) <= margin[2] + 1.0]
        low = np.clip(np.floor(near.min(0) - margin), 0, shape).astype(int)
        high = np.clip(np.ceil(near.max(0) + margin) + 1, 0, shape).astype(int)
        i, j = np.meshgrid(
            (np.arange(low[0], high[0])[:, None] + offsets[0]).ravel(),
            (np.arange(low[1], high[1])[:, None] + offsets[1]).ravel(),
            indexing="ij",
        )
        share = np.zeros(i.shape)
        for dk in offsets[2]:
            points = grid.world(np.stack([i, j, np.full(i.shape, k + dk)], axis=-1))
            share += inside_share(points, sections, radius_mm, ramp_mm=sub_mm)
        share /= len(offsets[2])
        blocks = share.reshape(high[0] - low[0], divide[0], high[1] - low[1], divide[1])
        mask[low[0] : high[0], low[1] : high[1], k] = blocks.mean(axis=(1, 3))
    return mask


def inside_share(
    points: Array, sections: Sections, radius_mm: Array, *, ramp_mm: float
) -> Array:
    """Return 1 inside the outline surface, 0 outside, a ramp of ``ramp_mm`` between."""
    position, x, y = locate(points, sections)
    radius = np.hypot(x, y)
    surface = radius_at(radius_mm, sections, position, np.arctan2(y, x))
    share = np.clip((surface - radius) / ramp_mm + 0.5, 0.0, 1.0)
    half = 0.5 * sections.step_mm
    ends = (position >= -half) & (position <= sections.position_mm[-1] + half)
    return np.asarray(np.where(ends, share, 0.0))


def locate(points: Array, sections: Sections) -> tuple[Array, Array, Array]:
    """Return arc length and in-plane offsets of world points (..., 3)."""
    normal = np.cross(sections.y_axis, sections.x_axis)
    mean_down = normal.mean(axis=0) / np.linalg.norm(normal.mean(axis=0))
    heights = sections.centre_mm @ mean_down
    position = np.interp(points @ mean_down, heights, sections.position_mm)
    beyond = points @ mean_down - np.clip(points @ mean_down, heights[0], heights[-1])
    for _ in range(2):
        centre = _rows(sections.centre_mm, sections, position)
        down = _rows(normal, sections, position)
        gap = np.einsum("...i,...i->...", points - centre, down)
        scale = np.einsum("...i,...i->...", _rows(sections.tangent, sections, position), down)
        position = position + np.where(beyond == 0.0, gap / np.maximum(scale, 0.3), 0.0)
    position = position + beyond
    centre = _rows(sections.centre_mm, sections, position)
    offset = points - centre
    x = np.einsum("...i,...i->...", offset, _rows(sections.x_axis, sections, position))
    y = np.einsum("...i,...i->...", offset, _rows(sections.y_axis, sections, position))
    return position, x, y


def radius_at(radius_mm: Array, sections: Sections, position: Array, angle: Array) -> Array:
    """Bilinear interpolation of the outline surface over arc length and angle."""
    row = np.interp(position, sections.position_mm, np.arange(len(sections)))
    below = np.minimum(row.astype(int), len(sections) - 2)
    up = row - below
    column = np.mod(angle, 2 * np.pi) / (2 * np.pi) * ANGLES
    left = column.astype(int) % ANGLES
    right = (left + 1) % ANGLES
    across = column - np.floor(column)
    lower = radius_mm[below, left] * (1 - across) + radius_mm[below, right] * across
    upper = radius_mm[below + 1, left] * (1 - across) + radius_mm[below + 1, right] * across
    return np.asarray(lower * (1 - up) + upper * up)


def _rows(rows: Array, sections: Sections, position: Array) -> Array:
    return np.stack(
        [np.interp(position, sections.position_mm, rows[:, axis]) for axis in range(3)], axis=-1
    )
