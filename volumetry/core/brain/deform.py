"""How the deep brain of this head differs from the template: a local, non-linear refinement.

The affine map puts large ventricles beside the template's small ones. The template is painted
with this scan's own tissue means, so that the contrast matches by construction, and symmetric
demons (Vercauteren et al. 2009, NeuroImage 45:S61, doi 10.1016/j.neuroimage.2008.10.040) bend
it into the scan, coarse to fine, in a box around the ventricles. Only positions of regions are
carried over by it; volumes are read from the scan.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.grid import to_sitk
from volumetry.core.brain.template import Template

DEEP_BOX_MNI_MM = ((-66, 66), (-104, 66), (-46, 62))
"""The lateral ventricles, their horns and the fluid next to them, with 15 mm around."""
LEVELS = ((8, 30), (4, 30), (2, 20))
"""Voxel side in mm, iterations."""
FIELD_SIGMA, UPDATE_SIGMA = 1.5, 1.0
"""Smoothing of displacement and update, voxels (at 1.0 the field folded in 2 % of it)."""
T1_KNOTS = (0.244, 0.649, 0.875, 1.0)
"""Template T1 of fluid, grey and white matter (means where sure), and its maximum."""
BRIGHTEST = 0.3
"""Fat and vessels are clipped to white matter plus this share of white minus grey."""


@dataclass(frozen=True, slots=True)
class DeepMap:
    """Where each voxel of the scan's deep brain lies in the template.

    Attributes
    ----------
    spots : float32, shape (3, a, b, c)
        Template voxel (fractional) at each voxel of ``box``.
    box : tuple of slice
        The deep brain within the scan's box.
    shape : tuple of int
        Shape of the scan's box.
    """

    spots: NDArray[np.float32]
    box: tuple[slice, slice, slice]
    shape: tuple[int, ...]

    def pull(self, values: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        """Sample a template map (linear) at every voxel of the scan's box."""
        found = np.full(self.shape, outside, dtype=np.float32)
        found[self.box] = ndimage.map_coordinates(values, self.spots, order=1, cval=outside)
        return found


def deep_map(
    flat: NDArray[np.float32],
    *,
    spacing_mm: tuple[float, float, float],
    matrix: NDArray[np.float64],
    space: NDArray[np.bool_],
    means: NDArray[np.float64],
    template: Template,
) -> DeepMap:
    """Bend the template into the scan.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities of the brain's box.
    spacing_mm : tuple of float
        Voxel sides, mm.
    matrix : float64, shape (4, 4)
        MNI millimetres to the box's work millimetres.
    space : bool, same shape as flat
        Intracranial space: what lies outside is painted as fluid on both sides.
    means : float64, shape (3,)
        White, grey, fluid.
    template : Template
        The template's maps.
    """
    white, grey, fluid = (float(mean) for mean in means)
    top = white + BRIGHTEST * (white - grey)
    low = np.array([side[0] for side in DEEP_BOX_MNI_MM], dtype=np.float64)
    shape = tuple(b - a for a, b in DEEP_BOX_MNI_MM)
    to_voxel = np.diag([*(1 / np.array(spacing_mm)), 1.0]) @ matrix
    seen = np.where(space, np.clip(flat, 0.8 * fluid, top), fluid).astype(np.float32)
    fixed = ndimage.affine_transform(
        seen,
        to_voxel[:3, :3],
        offset=to_voxel[:3, :3] @ low + to_voxel[:3, 3],
        output_shape=shape,
        order=1,
        cval=fluid,
    )
    start = np.round(low - template.origin_mm).astype(int)
    box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, shape, strict=True))
    painted = np.interp(template.t1[box], T1_KNOTS, (fluid, grey, white, top))
    moving = np.where(template.distance_mm[box] > 0, painted, fluid).astype(np.float32)
    contrast = white - fluid
    field, step = demons(fixed / contrast, moving / contrast)
    inside = _box_in_scan(to_voxel, flat.shape)
    spots = _spots(field, step, low, to_voxel, inside, template.origin_mm)
    return DeepMap(spots, inside, flat.shape)


def _box_in_scan(
    to_voxel: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[slice, slice, slice]:
    """Return the scan's voxels that may lie in the deep box."""
    corners = np.array([[*corner, 1.0] for corner in product(*DEEP_BOX_MNI_MM)])
    spots = (corners @ to_voxel.T)[:, :3]
    low = np.clip(np.floor(spots.min(axis=0)).astype(int), 0, None)
    high = np.minimum(np.ceil(spots.max(axis=0)).astype(int) + 1, shape)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def demons(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    *,
    levels: tuple[tuple[int, int], ...] = LEVELS,
) -> tuple[NDArray[np.float32], int]:
    """Return the displacement that bends one image into another, and its voxel side, mm.

    Parameters
    ----------
    fixed, moving : float32, shape (i, j, k)
        Images on the same 1 mm grid, intensities of the same scale.
    levels : tuple
        Voxel side in mm and iterations, coarse to fine.

    Returns
    -------
    displacement : float32, shape (3, a, b, c)
        From a point of ``fixed`` to the same anatomy in ``moving``, mm.
    step : int
        Voxel side of the displacement, mm.
    """
    field: sitk.Image | None = None
    for step, iterations in levels:
        sigma = 0.42 * float(np.sqrt(step**2 - 1))
        images = [
            to_sitk(ndimage.gaussian_filter(image, sigma)[::step, ::step, ::step], (step,) * 3)
            for image in (fixed, moving)
        ]
        bend = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        bend.SetNumberOfThreads(1)
        bend.SetNumberOfIterations(iterations)
        bend.SmoothDisplacementFieldOn()
        bend.SetStandardDeviations(FIELD_SIGMA)
        bend.SmoothUpdateFieldOn()
        bend.SetUpdateFieldStandardDeviations(UPDATE_SIGMA)
        bend.SetMaximumUpdateStepLength(1.5)
        if field is None:
            field = bend.Execute(*images)
            continue
        finer = sitk.Resample(
            field, images[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID()
        )
        field = bend.Execute(*images, finer)
    moved = np.moveaxis(sitk.GetArrayFromImage(field), -1, 0).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(moved, dtype=np.float32), levels[-1][0]


def _spots(
    field: NDArray[np.float32],
    step: int,
    low_mm: NDArray[np.float64],
    to_voxel: NDArray[np.float64],
    box: tuple[slice, slice, slice],
    origin_mm: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return the template index of every voxel: the affine map plus the displacement."""
    inverse = np.linalg.inv(to_voxel)
    grids = np.meshgrid(
        *(np.arange(side.start, side.stop, dtype=np.float32) for side in box),
        indexing="ij",
        sparse=True,
    )
    shape = tuple(side.stop - side.start for side in box)
    corner = np.array([side.start for side in box])
    spots = np.empty((3, *shape), dtype=np.float32)
    for axis, row in enumerate(inverse[:3].astype(np.float32)):
        straight = sum((r * g for r, g in zip(row[:3], grids, strict=True)), start=row[3])
        bent = ndimage.affine_transform(
            field[axis],
            inverse[:3, :3] / step,
            offset=(inverse[:3, :3] @ corner + inverse[:3, 3] - low_mm) / step,
            output_shape=shape,
            order=1,
            mode="nearest",
        )
        spots[axis] = straight + bent - np.float32(origin_mm[axis])
    return spots
