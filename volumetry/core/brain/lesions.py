"""Lesions of a given mask: counted, and filled before segmentation.

Lesions of white matter look like grey matter on T1. They are replaced by the white matter
around them (Battaglini et al. 2012, Hum Brain Mapp 33:2062, doi 10.1002/hbm.21344: filling
from normal-appearing neighbours), with its own noise, so that they count as white matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.errors import NotMeasurable
from volumetry.core.types import QualityCheck, ScanImage, Verdict

Mask = NDArray[np.bool_]

RING_VOXELS = (1, 4)
"""Neighbours that lend their intensity: beyond the lesion's blurred rim, within the tract."""
WHITE_FROM = 0.85
"""White matter in the ring: brighter than this share of its 90th percentile. Fluid and cortex,
which may lie in the ring, are darker (cortex about 0.7 of white matter on T1)."""
NOISE_SEED = 4
LARGEST_ML = 150.0
"""More than this is not a lesion mask of MS (a brain mask was given, for instance)."""


@dataclass(frozen=True, slots=True)
class FilledLesions:
    """The scan with its lesions filled, and what was filled."""

    image: ScanImage
    volume_mm3: float
    count: int

    def check(self) -> QualityCheck:
        """Say in words what was filled."""
        words = "1 lesion" if self.count == 1 else f"{self.count} lesions"
        return QualityCheck(
            "lesions_filled", self.volume_mm3, None, Verdict.PASS,
            f"{words} of {self.volume_mm3 / 1000:.2f} ml in all were filled with the white "
            "matter around them before the brain was measured.",
        )  # fmt: skip


def lesions_fill(image: ScanImage, lesions: ScanImage) -> FilledLesions:
    """Fill the lesions of a mask on the image's own grid.

    Parameters
    ----------
    image : ScanImage
        T1-weighted scan.
    lesions : ScanImage
        Mask; a voxel above 0.5 is lesion. Volume is counted in whole voxels; lesions are
        parts connected by a face, an edge or a corner.

    Raises
    ------
    NotMeasurable
        If the mask lies on another grid, is empty or implausibly large.
    """
    same_shape = image.intensities.shape == lesions.intensities.shape
    if not same_shape or not np.allclose(image.affine, lesions.affine, atol=0.01):
        raise NotMeasurable(
            "The lesion mask lies on another voxel grid than the T1 scan: resample it to the "
            "scan first."
        )
    mask = lesions.intensities > 0.5
    volume = float(np.count_nonzero(mask)) * image.voxel_volume_mm3
    if volume == 0:
        raise NotMeasurable("The lesion mask is empty: measure without one.")
    if volume > 1000 * LARGEST_ML:
        raise NotMeasurable(
            f"The lesion mask holds {volume / 1000:.0f} ml: that is no mask of MS lesions."
        )
    numbered, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    filled = image.intensities.copy()
    rng = np.random.default_rng(NOISE_SEED)
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        near = tuple(
            slice(max(0, side.start - RING_VOXELS[1]), side.stop + RING_VOXELS[1])
            for side in box
        )
        lesion = numbered[near] == number
        lent = _surround(image.intensities[near], lesion, mask[near])
        if lent.size:
            filled[near][lesion] = rng.choice(lent, np.count_nonzero(lesion))
    return FilledLesions(ScanImage(filled, image.affine, image.sha256), volume, int(count))


def _surround(values: NDArray[np.float32], lesion: Mask, mask: Mask) -> NDArray[np.float32]:
    """Return intensities of the white matter around a lesion: the bright part of a ring."""
    distance = ndimage.distance_transform_edt(~lesion)
    ring = (distance > RING_VOXELS[0]) & (distance <= RING_VOXELS[1])
    seen = values[ring & ~ndimage.binary_dilation(mask)]
    if seen.size == 0:
        return seen
    return np.asarray(seen[seen > WHITE_FROM * np.percentile(seen, 90)])
