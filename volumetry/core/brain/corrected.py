"""A reader's correction of the brain mask, and brain masks made elsewhere.

As in the cord (`cord.corrected`), only what the reader changed is taken from the mask: added
voxels are brain, removed ones are none, everything else keeps the fraction that the engine
found, so that an unchanged mask gives the unchanged volume.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.errors import NotMeasurable
from volumetry.core.types import QualityCheck, ScanImage, Verdict

PLAUSIBLE_ML = (500.0, 2500.0)
"""Parenchyma of adults, with room on both sides: outside of it a mask is not one of a brain."""


@dataclass(frozen=True, slots=True)
class ChangedParenchyma:
    """Parenchyma fractions with a reader's correction, and how much was changed, mm³."""

    fraction: NDArray[np.float32]
    added_mm3: float
    removed_mm3: float

    def check(self) -> QualityCheck:
        """Say in words what a reader changed."""
        net = round(self.added_mm3 - self.removed_mm3, 1)
        return QualityCheck(
            "mask_corrected", net, None, Verdict.PASS,
            f"A reader corrected the brain mask: {self.added_mm3 / 1000:.2f} ml were added "
            f"and {self.removed_mm3 / 1000:.2f} ml removed. Grey and white matter are not "
            "reported, because the mask does not say which of them was meant.",
        )  # fmt: skip


def parenchyma_corrected(
    fraction: NDArray[np.float32],
    affine: NDArray[np.float64],
    *,
    own: ScanImage,
    mask: ScanImage,
) -> ChangedParenchyma:
    """Carry a correction over to the fractions of the working grid.

    Parameters
    ----------
    fraction : float32, shape (i, j, k)
        White plus grey fraction on the working grid, whose voxels ``affine`` places.
    own, mask : ScanImage
        The mask that was drawn from such fractions, and the corrected one, on the scan's grid.
    """
    before, after = binary(own), binary(mask)
    to_scan = np.linalg.inv(own.affine) @ affine

    def here(voxels: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.asarray(
            ndimage.affine_transform(
                voxels.astype(np.float32), to_scan[:3, :3], offset=to_scan[:3, 3],
                output_shape=fraction.shape, order=1,
            )
        )  # fmt: skip

    added, removed = here(after & ~before), here(before & ~after)
    changed = fraction * (1.0 - removed) + added * (1.0 - fraction)
    voxel = float(abs(np.linalg.det(affine[:3, :3])))
    return ChangedParenchyma(
        changed.astype(np.float32),
        added_mm3=float((added * (1.0 - fraction)).sum(dtype=np.float64)) * voxel,
        removed_mm3=float((removed * fraction).sum(dtype=np.float64)) * voxel,
    )


def mask_volume_mm3(mask: ScanImage) -> float:
    """Return the volume of a brain mask made elsewhere: the sum of its shares, mm³.

    Raises
    ------
    NotMeasurable
        If it is not the size of a brain.
    """
    shares = mask.intensities / float(mask.intensities.max())
    volume = float(shares.sum(dtype=np.float64)) * mask.voxel_volume_mm3
    low, high = PLAUSIBLE_ML
    if not low <= volume / 1000 <= high:
        raise NotMeasurable(
            f"The mask holds {volume / 1000:.0f} ml: a brain has {low:.0f} to {high:.0f} ml."
        )
    return volume


def binary(mask: ScanImage) -> NDArray[np.bool_]:
    """Return where a mask is at least half of its largest value."""
    return np.asarray(mask.intensities >= 0.5 * float(mask.intensities.max()))
