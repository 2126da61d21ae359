"""The door for masks: a NIfTI file on the grid of a scan that is held, or a sentence.

A mask passes the same gate as any image and is rewritten without a word of its header. It must
lie on exactly the voxels of its scan: a mask that was resampled on the way would be measured
wrong without anybody seeing it.
"""

from enum import StrEnum
from pathlib import Path

import numpy as np

from volumetry.core.brain.corrected import mask_volume_mm3
from volumetry.core.brain.lesions import LARGEST_ML
from volumetry.core.cord.geometry import grid_of
from volumetry.core.cord.given_mask import mask_shapes
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.types import ScanImage
from volumetry.intake.kinds import FileKind, file_kind
from volumetry.intake.nifti import CleanImage, nifti_clean
from volumetry.intake.types import IntakeRefused, Limits

POSITION_MM = 0.05
"""Corners of mask and scan may differ by this much: rounding of headers, no resampling."""
EXPORT = "Export it on the scan's own voxels, without resampling."


class MaskKind(StrEnum):
    """What a mask marks."""

    CORD = "cord"
    BRAIN = "brain"
    LESIONS = "lesions"


def mask_take(
    source: Path, target: Path, *, scan: Path, kind: MaskKind, limits: Limits
) -> CleanImage:
    """Check a mask against its scan and write a clean copy.

    Parameters
    ----------
    source, target : Path
        The file as sent, and where the copy goes (``.nii.gz``).
    scan : Path
        The stored image that the mask belongs to.

    Raises
    ------
    IntakeRefused
        With one sentence; ``target`` does not exist then.
    """
    if file_kind(source) is not FileKind.NIFTI:
        raise IntakeRefused("A mask is one NIfTI file (.nii or .nii.gz). Export it as such.")
    clean = nifti_clean(source, target, limits=limits, subject="This mask")
    try:
        _judge(image_load(clean.path), image_load(scan), kind)
    except NotMeasurable as reason:
        target.unlink(missing_ok=True)
        raise IntakeRefused(str(reason)) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return clean


def _judge(mask: ScanImage, scan: ScanImage, kind: MaskKind) -> None:
    """Refuse a mask on another grid, or one that cannot be what it is said to be."""
    _grid_check(mask, scan)
    values = mask.intensities
    if float(values.min()) < 0:
        raise IntakeRefused("This mask holds negative values. Export 0 outside and 1 inside.")
    if float(values.max()) > 1 and len(np.unique(values)) > 2:
        raise IntakeRefused(
            "This mask holds several labels, or it is an image. Export 0 outside and 1 inside."
        )
    if kind is MaskKind.CORD:
        mask_shapes(grid_of(mask))
    elif kind is MaskKind.BRAIN:
        mask_volume_mm3(mask)
    elif lesion_volume_ml(mask) > LARGEST_ML:
        raise IntakeRefused(
            f"This mask holds {lesion_volume_ml(mask):.0f} ml: that is no mask of MS lesions."
        )


def lesion_volume_ml(mask: ScanImage) -> float:
    """Return the volume of the voxels above one half, millilitres."""
    return float(np.count_nonzero(mask.intensities > 0.5)) * mask.voxel_volume_mm3 / 1000.0


def _grid_check(mask: ScanImage, scan: ScanImage) -> None:
    shape, own = mask.intensities.shape, scan.intensities.shape
    if shape != own:
        raise IntakeRefused(
            f"This mask has {_sides(shape)} voxels, the scan {_sides(own)}. {EXPORT}"
        )
    corners = np.array([[i, j, k, 1] for i in (0, own[0]) for j in (0, own[1])
                        for k in (0, own[2])], dtype=np.float64)  # fmt: skip
    apart = np.abs(corners @ (mask.affine - scan.affine).T).max()
    if apart > POSITION_MM:
        raise IntakeRefused(
            f"This mask lies up to {apart:.1f} mm away from the scan or is turned against it, "
            f"although it has as many voxels. {EXPORT}"
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape)
