"""The phantom's brain: tissue fractions from the MNI152 maps that nilearn carries.

The maps are probabilities over many people; squared and normalised they become the fractions
of one brain with sharper borders. Atrophy is fluid gaining ground at every border of tissue
and fluid: sulci widen, ventricles grow, the skull stays. The parenchyma that remains is then
counted, so the truth needs no segmentation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]

TEMPLATE_SCALE = 0.90
"""Linear size of the phantom's head against the template, whose brain is larger than most:
1,678 ml of tissue become about 1,200 ml."""

FLUID_WEIGHT = 1.25
"""Weight of fluid against tissue before any atrophy."""

HEAVIEST_FLUID_WEIGHT = 40.0
SUBARACHNOID_MM = 1.4
"""Fluid between the template's brain mask and the inner table of the skull."""


@dataclass(frozen=True, slots=True)
class BrainMaps:
    """Tissue fractions on the template's grid.

    Attributes
    ----------
    grey, white : array, shape (i, j, k)
        Fractions of a voxel, 0 ... 1.
    outside_mm : array, shape (i, j, k)
        Distance to the inner table of the skull on a grid of its own, phantom millimetres,
        negative inside.
    affine, outside_affine : array, shape (4, 4)
        Voxel to phantom millimetres.
    parenchyma_mm3 : float
        Grey and white matter together, counted.
    """

    grey: Map
    white: Map
    outside_mm: Map
    affine: NDArray[np.float64]
    outside_affine: NDArray[np.float64]
    parenchyma_mm3: float


def brain_maps(*, remaining: float = 1.0) -> BrainMaps:
    """Return the fractions of a brain of which the share ``remaining`` is left.

    Parameters
    ----------
    remaining : float
        Parenchyma over parenchyma at baseline, 0.8 ... 1.

    Raises
    ------
    ValueError
        If the share cannot be reached.
    """
    # nilearn takes seconds to import (scikit-learn): only when a phantom is drawn.
    from nilearn import datasets  # noqa: PLC0415

    if not 0.8 <= remaining <= 1.0:
        raise ValueError("The phantom's brain can lose at most a fifth.")
    template = datasets.load_mni152_gm_template(resolution=1)
    grey = np.asanyarray(template.dataobj, dtype=np.float32)
    white = np.asanyarray(
        datasets.load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32
    )
    mask = np.asanyarray(datasets.load_mni152_brain_mask(resolution=1).dataobj) > 0
    affine = np.diag([TEMPLATE_SCALE] * 3 + [1.0]) @ np.asarray(template.affine, dtype=float)
    fractions = _fractions(grey[mask], white[mask], remaining=remaining)
    grey, white = np.zeros_like(grey), np.zeros_like(white)
    grey[mask], white[mask] = fractions
    voxel_mm3 = abs(np.linalg.det(affine[:3, :3]))
    outside, outside_affine = _distance_map(mask, affine)
    return BrainMaps(
        grey=grey,
        white=white,
        outside_mm=outside,
        affine=affine,
        outside_affine=outside_affine,
        parenchyma_mm3=float((fractions[0] + fractions[1]).sum(dtype=np.float64) * voxel_mm3),
    )


def _fractions(grey: Map, white: Map, *, remaining: float) -> tuple[Map, Map]:
    """Return grey and white fractions of the voxels inside the brain mask."""
    tissue = grey**2 + white**2
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0) ** 2

    def kept(weight: float) -> Map:
        shares: Map = tissue / np.maximum(tissue + weight**2 * fluid, 1e-9)
        return shares

    baseline = float(kept(FLUID_WEIGHT).sum(dtype=np.float64))
    low, high = FLUID_WEIGHT, HEAVIEST_FLUID_WEIGHT
    if remaining < 1.0:
        for _ in range(40):
            middle = float(np.sqrt(low * high))
            is_more = float(kept(middle).sum(dtype=np.float64)) > remaining * baseline
            low, high = (middle, high) if is_more else (low, middle)
    share = kept(low)
    if abs(float(share.sum(dtype=np.float64)) / baseline - remaining) > 1e-4:
        raise ValueError("This loss cannot be reached by widening the fluid spaces alone.")
    grey_share = grey**2 / np.maximum(tissue, 1e-9)
    return share * grey_share, share * (1.0 - grey_share)


def _distance_map(
    mask: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[Map, NDArray[np.float64]]:
    """Return the distance to the inner table on a coarse grid with room for the scalp."""
    pad, step = 40, 2
    coarse = np.pad(mask, pad)[::step, ::step, ::step]
    spacing = TEMPLATE_SCALE * step
    distance = ndimage.distance_transform_edt(~coarse) - ndimage.distance_transform_edt(coarse)
    signed = ndimage.gaussian_filter(distance.astype(np.float32) * spacing, 1.0)
    grid = affine.copy()
    grid[:3, 3] -= affine[:3, :3] @ np.full(3, float(pad))
    grid[:3, :3] *= step
    return signed - np.float32(SUBARACHNOID_MM), grid
