"""The brain and the space inside the skull, by intensity and connection.

Starting from where the template lies, the brain is what is brighter than fluid and connected
with the deep brain through more than a thin bridge; the intracranial space adds the fluid
around it, up to the dark inner table of the skull.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.tissue import TissueModel
from volumetry.core.errors import NotMeasurable

Mask = NDArray[np.bool_]

BRAIN_REACH_MM, FLUID_REACH_MM = 10.0, 9.0
"""How far outside the affine template mask brain and fluid are looked for."""
BRIDGE_MM = 2
"""Connections thinner than twice this (vessels, meninges, nerves) do not join the brain."""
CLOSING_MM = 4


def grown(mask: Mask, radius: int) -> Mask:
    """Dilate by a ball, voxels."""
    ball = sitk.BinaryDilateImageFilter()
    ball.SetNumberOfThreads(1)
    ball.SetKernelRadius((radius,) * 3)
    ball.SetKernelType(sitk.sitkBall)
    source = sitk.GetImageFromArray(mask.astype(np.uint8))
    return np.asarray(sitk.GetArrayFromImage(ball.Execute(source)), dtype=bool)


def eroded(mask: Mask, radius: int) -> Mask:
    """Erode by a ball, voxels; outside the array counts as part of the mask."""
    return ~grown(~mask, radius)


def _largest(mask: Mask) -> Mask:
    """Return the largest connected part."""
    numbered, count = ndimage.label(mask)
    if count == 0:
        raise NotMeasurable("No brain was found in this image.")
    sizes = np.bincount(numbered.ravel())
    return np.asarray(numbered == 1 + int(np.argmax(sizes[1:])))


def brain_find(
    flat: NDArray[np.float32], *, distance_mm: NDArray[np.float32], model: TissueModel
) -> Mask:
    """Return the brain: brighter than fluid, connected with the deep brain.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities on 1 mm.
    distance_mm : float32, same shape
        Signed distance to the template's intracranial boundary, positive inside.
    model : TissueModel
        Tissue means.
    """
    white, grey, fluid = model.means
    smooth = ndimage.gaussian_filter(flat, 0.5)
    bright = (smooth > (fluid + grey) / 2) & (smooth < 1.35 * white)
    candidate = bright & (distance_mm > -BRAIN_REACH_MM)
    core = _largest(eroded(candidate, BRIDGE_MM))
    return _largest(grown(core, BRIDGE_MM + 1) & candidate)


def skull_level(flat: NDArray[np.float32], distance_mm: NDArray[np.float32]) -> float:
    """Return the intensity of cortical bone around the brain."""
    return float(np.percentile(flat[(distance_mm < -1) & (distance_mm > -6)], 15))


def intracranial_find(
    flat: NDArray[np.float32],
    *,
    brain: Mask,
    distance_mm: NDArray[np.float32],
    model: TissueModel,
) -> Mask:
    """Return the space inside the skull: the brain and the fluid around it."""
    _, grey, fluid = model.means
    smooth = ndimage.gaussian_filter(flat, 0.5)
    bone = min(skull_level(flat, distance_mm), 0.75 * fluid)
    wet = (smooth > (bone + fluid) / 2) & (smooth <= (fluid + grey) / 2)
    space = brain | (wet & (distance_mm > -FLUID_REACH_MM))
    core = _largest(eroded(space, 2))
    space = grown(core, 3) & space
    outside = _largest(~grown(space | brain, CLOSING_MM))
    space = eroded(~outside, CLOSING_MM) | brain
    space = ndimage.gaussian_filter(space.astype(np.float32), 1.5) > 0.5
    space = _peeled(ndimage.binary_fill_holes(space), smooth, bone=bone, model=model)
    return np.asarray(ndimage.binary_fill_holes(space))


def _peeled(
    space: Mask, smooth: NDArray[np.float32], *, bone: float, model: TissueModel
) -> Mask:
    """Drop boundary voxels that are more bone than what lies right behind them.

    One threshold between bone and fluid would put the boundary too far out wherever brain
    touches bone: there the half-way intensity is higher.
    """
    white, _, fluid = model.means
    core = eroded(space, 1)
    behind = ndimage.maximum_filter(np.where(core, smooth, 0.0), size=3)
    behind = np.clip(behind, fluid, white)
    return np.asarray(core | (space & (smooth > (behind + bone) / 2)))
