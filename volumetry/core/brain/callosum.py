"""Area of the corpus callosum on the mid-sagittal plane. Experimental.

The scan is sampled on the plane of symmetry, a few parallel planes averaged. The callosum is
white matter near the bent template's outline; where the fornix joins it there is no edge, so
there the shape decides. The area counts mixed pixels by their share of white matter, linear
between the level inside and the darker level right outside that part of the edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from volumetry.core.brain.deform import DeepMap
from volumetry.core.brain.midplane import Midplane
from volumetry.core.brain.outlines import FAR_MM, callosum_distance
from volumetry.core.brain.shape import PRIOR_EDGE_MM, evidence, membership, transport
from volumetry.core.errors import EmptyStructure

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

STEP_MM = 0.5
AHEAD_MM, ABOVE_MM = (-62.0, 62.0), (-44.0, 34.0)
"""Extent of the sampled part of the plane around its point."""
BESIDE_MM = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Parallel planes that are averaged: the callosum runs straight across the midline."""
ROUNDS = 3
MIXED_SPREAD = 4.0
WALL_MM = 1.5
"""Mixed pixels lie within this of the edge."""
BEYOND_MM = 3.0
"""The level outside is taken between the mixed pixels and this distance."""
LEVEL_SIGMA = 3.0
LEAST_AREA_MM2 = 100.0
SLAB_MM = 3.0
"""The callosum's change is averaged over planes this far to both sides of the middle."""


@dataclass(frozen=True, slots=True)
class Callosum:
    """The callosum on the mid-sagittal plane.

    Attributes
    ----------
    area_mm2 : float
        Its area.
    section : float32, shape (a, b)
        The scan on the plane, 0.5 mm; axes to the front and upwards.
    share : float32, same shape
        Share of callosum per pixel.
    plane : Midplane
        Where the plane lies.
    """

    area_mm2: float
    section: Values
    share: Values
    plane: Midplane


def callosum_find(
    flat: Values,
    *,
    plane: Midplane,
    spacing_mm: tuple[float, float, float],
    deep: DeepMap,
    origin_mm: NDArray[np.float64],
    means: NDArray[np.float64],
    spread: float,
) -> Callosum:
    """Find the callosum on the mid-sagittal plane.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities.
    plane : Midplane
        The plane of symmetry.
    spacing_mm : tuple of float
        Voxel sides, mm.
    deep : DeepMap
        The bent template.
    origin_mm : float64, shape (3,)
        MNI millimetres of the template's first voxel.
    means : float64, shape (3,)
        White, grey, fluid.
    spread : float
        Standard deviation of white matter.

    Raises
    ------
    EmptyStructure
        If no white matter lies where the callosum should be.
    """
    spots = _spots(plane, np.array(spacing_mm))
    section = np.mean(
        [_sampled(flat, spots + b[:, None, None]) for b in _beside(plane, spacing_mm)], axis=0
    )
    distance = _prior(deep, spots, origin_mm)
    white, grey, fluid = (float(mean) for mean in means)
    middle = (white + fluid) / 2
    around = ((fluid, spread), (grey, spread), (middle, MIXED_SPREAD * spread))
    ratio = evidence(section, inside=(white, spread), around=around)
    moved = np.eye(3)
    found, placed = membership(ratio, distance, step_mm=STEP_MM), distance
    for _ in range(ROUNDS - 1):
        prior = special.expit(-placed / np.float32(PRIOR_EDGE_MM))
        moved = transport(np.asarray(prior, dtype=np.float32), found) @ moved
        back = np.linalg.inv(moved)
        placed = ndimage.affine_transform(
            distance, back[:2, :2], offset=back[:2, 2], order=1, cval=FAR_MM
        )
        found = membership(ratio, placed, step_mm=STEP_MM)
    share = _share(section, found > 0.5, white=white, grey=grey, fluid=fluid)
    area = float(share.sum(dtype=np.float64)) * STEP_MM**2
    if area < LEAST_AREA_MM2:
        raise EmptyStructure("No white matter was found where the corpus callosum should be.")
    return Callosum(area, section.astype(np.float32), share, plane)


def callosum_slab(
    callosum: Callosum, shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> Values:
    """Return the callosum as a slab of the scan's box: its section, carried to both sides."""
    plane = callosum.plane
    axes = [
        np.arange(side) * step - start
        for side, step, start in zip(shape, spacing_mm, plane.point_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    across = plane.normal[0] * x + plane.normal[1] * y + plane.normal[2] * z
    near = np.nonzero(np.abs(across) <= SLAB_MM)
    points = np.stack([axis[spot] for axis, spot in zip(axes, near, strict=True)])
    where = [
        (plane.forward @ points - AHEAD_MM[0]) / STEP_MM,
        (plane.up @ points - ABOVE_MM[0]) / STEP_MM,
    ]
    slab = np.zeros(shape, dtype=np.float32)
    slab[near] = ndimage.map_coordinates(callosum.share, where, order=1)
    return slab


def _spots(plane: Midplane, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the voxel (fractional) of every pixel of the plane, shape (3, a, b)."""
    ahead, above = (np.arange(low, high, STEP_MM) for low, high in (AHEAD_MM, ABOVE_MM))
    points = (
        plane.point_mm[:, None, None]
        + plane.forward[:, None, None] * ahead[None, :, None]
        + plane.up[:, None, None] * above[None, None, :]
    )
    return np.asarray(points / spacing[:, None, None])


def _beside(
    plane: Midplane, spacing_mm: tuple[float, float, float]
) -> list[NDArray[np.float64]]:
    """Return the voxel shifts of the parallel planes."""
    return [plane.normal * step / np.array(spacing_mm) for step in BESIDE_MM]


def _sampled(values: Values, spots: NDArray[np.float64]) -> Values:
    """Sample at fractional voxels, linear."""
    return np.asarray(ndimage.map_coordinates(values, spots, order=1, mode="nearest"))


def _prior(deep: DeepMap, spots: NDArray[np.float64], origin_mm: NDArray[np.float64]) -> Values:
    """Return the signed distance to the bent template's callosum, mm."""
    corner = np.array([side.start for side in deep.box], dtype=np.float64)
    inside = spots - corner[:, None, None]
    y, z = (
        ndimage.map_coordinates(deep.spots[axis], inside, order=1, mode="nearest")
        + origin_mm[axis]
        for axis in (1, 2)
    )
    outline, (first, second) = callosum_distance(step_mm=STEP_MM)
    where = [(y - first) / STEP_MM, (z - second) / STEP_MM]
    return np.asarray(
        ndimage.map_coordinates(outline, where, order=1, mode="nearest"), dtype=np.float32
    )


def _share(section: Values, region: Mask, *, white: float, grey: float, fluid: float) -> Values:
    """Return the share of callosum per pixel, the edge settled by linear mixing."""
    inwards = ndimage.distance_transform_edt(region) * STEP_MM
    outwards = ndimage.distance_transform_edt(~region) * STEP_MM
    wall = ((inwards > 0) & (inwards <= WALL_MM)) | ((outwards > 0) & (outwards <= WALL_MM))
    core = inwards > WALL_MM
    dark = section < (white + grey) / 2
    outside = dark & (outwards > WALL_MM) & (outwards <= BEYOND_MM)
    inside, sure = _local_mean(section, core)
    inside = (inside + 0.05 * white) / (sure + 0.05)
    level, known = _local_mean(section, outside)
    level = np.clip(level / np.maximum(known, 1e-3), 0.8 * fluid, grey)
    mixed = np.clip((section - level) / (inside - level), -0.3, 1.3)
    # beside the fornix nothing dark lies outside: there the edge of the shape stands
    mixed = np.where(known > 0.02, mixed, region)
    mixed = np.where((outwards > 0) & ~dark, 0.0, mixed)
    return np.where(core, 1.0, np.where(wall, mixed, 0.0)).astype(np.float32)


def _local_mean(values: Values, where: Mask) -> tuple[Values, Values]:
    """Return the smoothed values of some pixels, and the smoothed count of them."""
    return (
        ndimage.gaussian_filter(np.where(where, values, 0.0), LEVEL_SIGMA),
        ndimage.gaussian_filter(where.astype(np.float64), LEVEL_SIGMA),
    )
