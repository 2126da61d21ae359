"""The lateral ventricles: dark voxels that flood from where the bent template has them.

Large ventricles reach beyond the template's, even after bending. So the fluid itself is
followed: a watershed on its thickness, from seeds at the template's lateral ventricles against
seeds at its other fluid; it parts at the narrow places (foramen of Monro, choroid fissure).

The volume is read at the wall, where a voxel half white matter, half fluid looks like grey
matter: there the fluid fraction is linear between the level inside (fluid, or choroid plexus,
which counts as ventricle) and the tissue right behind that place of the wall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.regions import LATERAL, OTHER, TISSUE
from volumetry.core.brain.skull import grown
from volumetry.core.errors import EmptyStructure

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

DARK_SHARE = 0.55
"""Ventricle is darker than fluid plus this share of grey minus fluid: choroid plexus lies at
about 0.4 on T1, grey matter at 1."""
SHALLOW_MM = 7.0
"""Fluid nearer than this to the skull is never ventricle."""
NEAR_MM = 0.8
"""Dark voxels this near to one of the template's fluids are seeds of it."""
OTHER_REACH_MM, OTHER_LEAD_MM = 5.0, 4.0
"""Fluid within this reach of the other fluid, and nearer to it by this lead, is a seed too."""
CORE_MM, SHELL_MM = 2.0, 2.3
"""Deeper than this inside a voxel is all ventricle; mixtures reach this far outside."""
BEHIND_MM = (2.0, 5.0)
"""Tissue behind the wall is looked for at this distance: beyond the mixtures, within the next
structure."""
REACH_MM = 25.0
"""Farther than this from the bent template's ventricles nothing is looked for."""
NOTHING = "No fluid was found where the lateral ventricles should be."
SMOOTH_VOXELS = 1.0
LEAST_WEIGHT = 0.05
"""Weight of the mean fluid where few unmixed voxels lie inside (thin horns)."""


@dataclass(frozen=True, slots=True)
class Ventricles:
    """Lateral ventricles.

    Attributes
    ----------
    region : bool, shape (i, j, k)
        Voxels mostly of ventricular fluid.
    fluid : float32, shape (i, j, k)
        Ventricular fluid per voxel, the wall included; its sum is the volume.
    wall : bool, shape (i, j, k)
        The mixed voxels on both sides of the boundary.
    """

    region: Mask
    fluid: Values
    wall: Mask


def lateral_ventricles_find(
    flat: Values,
    *,
    space: Mask,
    lateral_mm: Values,
    other_mm: Values,
    means: NDArray[np.float64],
) -> Ventricles:
    """Find the lateral ventricles.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities on 1 mm.
    space : bool, same shape
        Intracranial space.
    lateral_mm, other_mm : float32, same shape
        Distances to the bent template's lateral ventricles and to its other fluid.
    means : float64, shape (3,)
        White, grey, fluid.

    Raises
    ------
    EmptyStructure
        If no fluid lies where the lateral ventricles should be.
    """
    near = ndimage.find_objects((lateral_mm < REACH_MM).astype(np.int8))
    if not near:
        raise EmptyStructure(NOTHING)
    box = near[0]
    found = _in_box(flat[box], space[box], lateral_mm[box], other_mm[box], means)
    region, wall = np.zeros(flat.shape, dtype=bool), np.zeros(flat.shape, dtype=bool)
    volume = np.zeros(flat.shape, dtype=np.float32)
    region[box], volume[box], wall[box] = found.region, found.fluid, found.wall
    return Ventricles(region, volume, wall)


def _in_box(
    flat: Values, space: Mask, lateral_mm: Values, other_mm: Values, means: NDArray[np.float64]
) -> Ventricles:
    """Flood within a box that holds the ventricles with room around them."""
    _, grey, fluid = means
    limit = fluid + DARK_SHARE * (grey - fluid)
    dark = space & (ndimage.gaussian_filter(flat, 0.5) < limit)
    shallow = ndimage.distance_transform_edt(space) < SHALLOW_MM
    elsewhere = (other_mm < OTHER_REACH_MM) & (lateral_mm > other_mm + OTHER_LEAD_MM)
    seeds = np.full(flat.shape, TISSUE, dtype=np.int16)
    seeds[dark] = 0
    seeds[dark & (shallow | (other_mm < NEAR_MM) | elsewhere)] = OTHER
    seeds[dark & (lateral_mm < NEAR_MM) & (lateral_mm < other_mm)] = LATERAL
    if not np.any(seeds == LATERAL):
        raise EmptyStructure(NOTHING)
    height = np.clip(200 - 25 * ndimage.distance_transform_edt(dark), 0, 200)
    height[~dark] = 255
    flooded = ndimage.watershed_ift(height.astype(np.uint8), seeds)
    return _with_wall(
        flat, region=flooded == LATERAL, other=flooded == OTHER, means=means, limit=limit
    )


def _with_wall(
    flat: Values, *, region: Mask, other: Mask, means: NDArray[np.float64], limit: float
) -> Ventricles:
    """Settle the mixed voxels: linear between the level inside and the tissue behind."""
    white, grey, fluid = means
    core = ndimage.distance_transform_edt(region) >= CORE_MM
    outside = ndimage.distance_transform_edt(~region)
    wall = (region & ~core) | (~region & (outside <= SHELL_MM) & ~other)
    tissue = (outside >= BEHIND_MM[0]) & (outside <= BEHIND_MM[1]) & ~grown(other, 1)
    tissue &= flat > (fluid + grey) / 2
    level, weight = _local_mean(flat, tissue)
    level = np.where(weight > 1e-3, level / np.maximum(weight, 1e-3), white)
    nearest = ndimage.distance_transform_edt(
        ~tissue, return_distances=False, return_indices=True
    )
    behind = np.clip(level[tuple(nearest)], 0.9 * grey, 1.05 * white)
    level, weight = _local_mean(flat, core)
    inside = (level + LEAST_WEIGHT * fluid) / (weight + LEAST_WEIGHT)
    inside = np.clip(inside, 0.8 * fluid, limit)
    # not clipped to 0..1 but with a margin: clipping noise at one side would bias the sum
    share = np.clip((behind - flat) / (behind - inside), -0.3, 1.3)
    volume = np.where(core, 1.0, np.where(wall, share, 0.0))
    return Ventricles(region, volume.astype(np.float32), wall)


def _local_mean(values: Values, where: Mask) -> tuple[Values, Values]:
    """Return the smoothed values of some voxels, and the smoothed count of them."""
    return (
        ndimage.gaussian_filter(np.where(where, values, np.float32(0)), SMOOTH_VOXELS),
        ndimage.gaussian_filter(where.astype(np.float32), SMOOTH_VOXELS),
    )
