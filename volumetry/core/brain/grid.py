"""The engine's working grid: axes in RAS order, 1 mm, whatever the file's own grid was.

Work coordinates are millimetres along the image's own (reordered) axes, from voxel (0, 0, 0);
they differ from world coordinates by a rotation and a shift only.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.types import ScanImage

RESAMPLE_TOLERANCE = 0.15
"""A spacing off 1 mm by more than this fraction is resampled (one interpolation, B-spline)."""


@dataclass(frozen=True, slots=True)
class WorkImage:
    """An image on the working grid.

    Attributes
    ----------
    values : float32, shape (i, j, k)
        Intensities, not negative.
    spacing_mm : tuple of float
        Distance between voxel centres.
    to_world : float64, shape (4, 4)
        Work millimetres to world millimetres (RAS+).
    """

    values: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    to_world: NDArray[np.float64]

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to world millimetres."""
        return self.to_world @ np.diag([*self.spacing_mm, 1.0])

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm³ (exact also for a sheared grid)."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


def work_image(image: ScanImage) -> WorkImage:
    """Reorder the axes to RAS and resample to 1 mm where the spacing is far from it."""
    source = nib.Nifti1Image(image.intensities, image.affine)
    canonical = nib.as_closest_canonical(source)
    values = np.clip(np.asarray(canonical.dataobj, dtype=np.float32), 0.0, None)
    affine = np.asarray(canonical.affine, dtype=np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    to_world = affine @ np.diag([*(1.0 / spacing), 1.0])
    wanted = np.where(np.abs(spacing - 1.0) > RESAMPLE_TOLERANCE, 1.0, spacing)
    if np.any(wanted != spacing):
        values = _resample(values, spacing, wanted)
    return WorkImage(values, _triple(wanted), to_world)


def _resample(
    values: NDArray[np.float32], spacing: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Resample to another spacing; finer grids are averaged first so that noise is used."""
    ratio = np.maximum(wanted / spacing, 1.0)
    smooth = np.where(ratio > 1.2, 0.42 * np.sqrt(ratio**2 - 1.0), 0.0)
    if np.any(smooth > 0):
        values = ndimage.gaussian_filter(values, smooth)
    shape = np.floor((np.array(values.shape) - 1) * spacing / wanted).astype(int) + 1
    resample = sitk.ResampleImageFilter()
    resample.SetNumberOfThreads(1)
    resample.SetSize([int(side) for side in shape])
    resample.SetOutputSpacing([float(step) for step in wanted])
    resample.SetInterpolator(sitk.sitkBSpline)
    result = resample.Execute(to_sitk(values, _triple(spacing)))
    return np.clip(from_sitk(result), 0.0, None)


def _triple(numbers: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return three floats."""
    return (float(numbers[0]), float(numbers[1]), float(numbers[2]))


def to_sitk(
    values: NDArray[np.generic],
    spacing_mm: tuple[float, float, float],
    origin_mm: NDArray[np.float64] | None = None,
) -> sitk.Image:
    """Return a SimpleITK image whose physical space is work millimetres (no direction)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing_mm)
    if origin_mm is not None:
        image.SetOrigin([float(o) for o in origin_mm])
    return image


def from_sitk(image: sitk.Image) -> NDArray[np.float32]:
    """Return the array of a SimpleITK image in (i, j, k) order."""
    return np.asarray(sitk.GetArrayFromImage(image).T, dtype=np.float32)


def shrink(work: WorkImage, *, step_mm: float) -> WorkImage:
    """Return the image on a coarser grid: Gaussian average, then linear sampling."""
    factors = [max(1.0, step_mm / side) for side in work.spacing_mm]
    sigma = [0.42 * np.sqrt(max(factor**2 - 1, 0.0)) for factor in factors]
    smooth = ndimage.gaussian_filter(work.values, sigma)
    shape = [int((n - 1) / f) + 1 for n, f in zip(work.values.shape, factors, strict=True)]
    values = ndimage.affine_transform(smooth, factors, output_shape=tuple(shape), order=1)
    spacing = tuple(s * f for s, f in zip(work.spacing_mm, factors, strict=True))
    return WorkImage(values, (spacing[0], spacing[1], spacing[2]), work.to_world)
