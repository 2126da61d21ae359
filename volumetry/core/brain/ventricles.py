"""The lateral ventricles: fluid that floods from their place in the template.

Large ventricles reach far beyond the template's. So the fluid itself is followed: a watershed
on its depth, from seeds in the lateral ventricles against seeds in the other fluid; it parts
at the narrow places (foramen of Monro, choroid fissure). At their walls a voxel half white
matter, half fluid looks like grey matter; there the fluid fraction is read from the intensity
between the fluid and the tissue right behind the wall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.skull import eroded, grown
from volumetry.core.brain.tissue import TissueModel
from volumetry.core.errors import EmptyStructure

LATERAL, OTHER, TISSUE = 1, 2, 3
SHALLOW_MM = 7.0
"""Fluid nearer than this to the skull is never ventricle."""
WALL_VOXELS = 2


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
        The shell of ``WALL_VOXELS`` on both sides of the boundary.
    """

    region: NDArray[np.bool_]
    fluid: NDArray[np.float32]
    wall: NDArray[np.bool_]


def lateral_ventricles_find(
    flat: NDArray[np.float32],
    *,
    fluid: NDArray[np.float32],
    ventricles: NDArray[np.float32],
    cisterns: NDArray[np.float32],
    depth_mm: NDArray[np.float32],
    model: TissueModel,
) -> Ventricles:
    """Find the lateral ventricles.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities.
    fluid : float32, same shape
        Fluid fraction.
    ventricles, cisterns : float32, same shape
        Priors of lateral ventricles and of the other deep fluid.
    depth_mm : float32, same shape
        Distance inside the intracranial boundary.
    model : TissueModel
        Tissue means.

    Raises
    ------
    EmptyStructure
        If no fluid lies where the lateral ventricles should be.
    """
    wet = fluid > 0.5
    seeds = np.zeros(fluid.shape, dtype=np.int16)
    seeds[~wet] = TISSUE
    seeds[wet & ((depth_mm < SHALLOW_MM) | (cisterns > 0.5))] = OTHER
    seeds[wet & (ventricles > 0.6) & (cisterns < 0.1)] = LATERAL
    if not np.any(seeds == LATERAL):
        raise EmptyStructure("No fluid was found where the lateral ventricles should be.")
    thickness = ndimage.distance_transform_edt(wet)
    height = np.clip(250 - 25 * thickness, 0, 250).astype(np.uint8)
    height[~wet] = 255
    flooded = ndimage.watershed_ift(height, seeds)
    region = np.asarray(flooded == LATERAL)
    wall = grown(region, WALL_VOXELS) & ~eroded(region, 1) & (flooded != OTHER)
    share = _wall_fluid(flat, model)
    volume = np.where(wall, share, region.astype(np.float32))
    return Ventricles(region, volume.astype(np.float32), wall)


def _wall_fluid(flat: NDArray[np.float32], model: TissueModel) -> NDArray[np.float32]:
    """Return the fluid fraction by linear mixing with the brightest tissue near by.

    Not clipped to 0..1 beyond a margin: clipping noise at one side would bias the sum.
    """
    white, grey, fluid = model.means
    behind = ndimage.maximum_filter(ndimage.gaussian_filter(flat, 1.0), size=5)
    behind = np.clip(behind, grey, white)
    return np.asarray(np.clip((behind - flat) / (behind - fluid), -0.3, 1.3), dtype=np.float32)
