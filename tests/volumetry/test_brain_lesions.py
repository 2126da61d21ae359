"""Lesions of a given mask: counted, filled from around, refused where unusable."""

import numpy as np
import pytest

from volumetry.core.brain.lesions import lesions_fill
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import ScanImage


def white_block(seed: int, *, holes: list[tuple[int, int, int]]) -> tuple[ScanImage, ScanImage]:
    """Return a noisy white block beside fluid, with dark balls, and the mask of the balls."""
    rng = np.random.default_rng(seed)
    values = np.full((40, 40, 40), 110.0)
    values[:8] = 30.0
    grid = np.indices(values.shape)
    mask = np.zeros(values.shape, dtype=np.float32)
    for hole in holes:
        reach = np.linalg.norm(grid - np.array(hole).reshape(3, 1, 1, 1), axis=0)
        mask[reach <= 3] = 1.0
    values[mask > 0] = 70.0
    noisy = values + rng.normal(scale=3.0, size=values.shape)
    return ScanImage(noisy.astype(np.float32), np.eye(4)), ScanImage(mask, np.eye(4))


def test_lesions_are_counted_and_filled_with_the_white_matter_around_them():
    scan, mask = white_block(5, holes=[(12, 12, 12), (25, 25, 25), (12, 30, 20)])
    filled = lesions_fill(scan, mask)
    inside = mask.intensities > 0
    assert filled.count == 3
    assert filled.volume_mm3 == inside.sum()
    mended = filled.image.intensities
    # the first lesion's ring holds fluid: it must not darken the filling
    assert float(mended[inside].mean()) == pytest.approx(110.0, abs=0.7)
    assert float(mended[inside].std()) == pytest.approx(3.0, abs=0.6)
    assert np.array_equal(mended[~inside], scan.intensities[~inside])


def test_a_lesion_mask_that_cannot_be_used_is_refused_in_words():
    scan, mask = white_block(6, holes=[(20, 20, 20)])
    moved = np.eye(4)
    moved[0, 3] = 2.0
    with pytest.raises(NotMeasurable, match="another voxel grid"):
        lesions_fill(scan, ScanImage(mask.intensities, moved))
    with pytest.raises(NotMeasurable, match="empty"):
        lesions_fill(scan, ScanImage(mask.intensities * 0, np.eye(4)))
    large = ScanImage(np.ones((60, 60, 60), np.float32), np.eye(4))
    with pytest.raises(NotMeasurable, match="no mask of MS lesions"):
        lesions_fill(large, large)
