"""Heads with drawn white matter lesions of known volume, and their mask on the scan's grid.

Lesions are ellipsoids in the cerebral white matter, half of them near the ventricles as in
multiple sclerosis, each as dark as grey matter or darker (T1 hypointense). Shares no code with
the engine. Truth: voxels of the label map that were drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.volumetry.phantoms.heads import (
    LATERAL_VENTRICLES,
    T1_MEANS,
    LabelledHead,
    Pose,
    head_draw,
)
from volumetry.core.types import ScanImage

CEREBRAL_WHITE = (2, 41)
FIRST = 900
"""Labels of the lesions, by darkness."""
DARKNESS = (80.0, 70.0, 58.0)


@dataclass(frozen=True, slots=True)
class DrawnLesions:
    """A head with lesions: labels, true volume and count."""

    labels: NDArray[np.int16]
    volume_mm3: float
    count: int

    def scan(self, *, seed: int, means: dict[int, float]) -> tuple[ScanImage, ScanImage]:
        """Draw the scan and the mask on its grid (voxels more than half lesion).

        The pose, bias and noise are those that ``head_draw`` gives the plain head with the same
        seed and means.
        """
        scale = means[2] / T1_MEANS[2]
        dark = {FIRST + step: value * scale for step, value in enumerate(DARKNESS)}
        scan = head_draw(LabelledHead(self.labels), seed=seed, means=means | dark)
        pose = Pose.random(np.random.default_rng(seed))
        turn = pose.matrix()
        shape = scan.intensities.shape
        offset = (np.array(self.labels.shape) - 1) / 2 - turn.T @ (
            (np.array(shape) - 1) / 2 + np.array(pose.shift_mm)
        )
        drawn = (self.labels >= FIRST).astype(np.float32)
        mask = ndimage.affine_transform(
            drawn, turn.T, offset=offset, output_shape=shape, order=1
        )
        return scan, ScanImage((mask > 0.5).astype(np.float32), scan.affine, "drawn-mask")


def lesions_drawn(head: LabelledHead, *, seed: int, millilitres: float) -> DrawnLesions:
    """Draw lesions until they hold about so many millilitres."""
    rng = np.random.default_rng(seed)
    labels = head.labels.copy()
    white = np.isin(labels, CEREBRAL_WHITE)
    deep = ndimage.distance_transform_edt(white)
    fluid = ndimage.distance_transform_edt(~np.isin(labels, LATERAL_VENTRICLES))
    near = np.argwhere((deep > 2) & (fluid < 8))
    far = np.argwhere(deep > 3)
    wanted = 1000 * millilitres
    while np.count_nonzero(labels >= FIRST) < wanted:
        spots = near if rng.random() < 0.5 else far
        centre = spots[rng.integers(len(spots))]
        radii = rng.uniform(1.8, 5.5) * rng.uniform(0.7, 1.4, 3)
        reach = int(np.ceil(radii.max())) + 1
        box = tuple(
            slice(max(0, c - reach), min(side, c + reach + 1))
            for c, side in zip(centre, labels.shape, strict=True)
        )
        grid = (
            np.indices(labels[box].shape)
            + np.array([s.start for s in box])[:, None, None, None]
        )
        off = (grid - centre[:, None, None, None]) / radii[:, None, None, None]
        inside = (off**2).sum(axis=0) <= 1
        place = inside & white[box]
        labels[box][place] = FIRST + int(rng.integers(len(DARKNESS)))
    drawn = labels >= FIRST
    _, count = ndimage.label(drawn, structure=np.ones((3, 3, 3)))
    return DrawnLesions(labels, float(np.count_nonzero(drawn)), int(count))
