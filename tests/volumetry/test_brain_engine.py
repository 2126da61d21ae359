"""The brain engine from image to result, on a head of known truth."""

import nibabel as nib
import numpy as np
import pytest

from tests.volumetry.phantoms.heads import (
    LabelledHead,
    atrophy_field,
    contrast_random,
    head_draw,
    truth_of,
)
from volumetry.core.brain.change import brain_change
from volumetry.core.brain.grid import work_image
from volumetry.core.brain.pair_gates import contrast_change_check
from volumetry.core.brain.registration import brain_locate
from volumetry.core.brain.segmentation import brain_segment
from volumetry.core.types import Outcome, Quantity, ScanImage, Structure, Verdict
from volumetry.engines.brain import NeuraxisBrain

# Percent: above the worst error seen on this head (docs/brain.md); a regression gate. The
# target for white matter is tighter and not met on every seed.
TOLERANCES = {
    Structure.BRAIN_PARENCHYMA: 1.5,
    Structure.GREY_MATTER: 3.0,
    Structure.WHITE_MATTER: 6.0,
    Structure.LATERAL_VENTRICLES: 4.0,
    Structure.INTRACRANIAL: 3.0,
}


@pytest.mark.realdata
def test_a_head_with_wide_outer_fluid_does_not_inflate_the_template(realdata):
    head = LabelledHead.read(realdata / "label_maps" / "training_seg_16.nii.gz")
    place = brain_locate(work_image(head_draw(head, seed=166)))
    # from the largest size of the search the descent ran to 1.58 times the template
    true = truth_of(head.labels).intracranial / 1_887_000
    assert place.is_plausible
    assert place.scale == pytest.approx(true, rel=0.15)


@pytest.mark.realdata
@pytest.mark.slow
def test_a_synthetic_head_is_measured_near_its_truth_on_its_own_grid(realdata, tmp_path):
    head = LabelledHead.read(realdata / "label_maps" / "training_seg_13.nii.gz")
    truth = truth_of(head.labels)
    drawn = head_draw(head, seed=61)
    # left-right flipped storage: the files must come back on the same grid
    affine = drawn.affine.copy()
    affine[:3, 0] *= -1
    affine[:3, 3] += drawn.affine[:3, 0] * (drawn.intensities.shape[0] - 1)
    scan = ScanImage(np.ascontiguousarray(drawn.intensities[::-1]), affine)

    result = NeuraxisBrain().measure(scan, workdir=tmp_path)

    assert result.outcome is Outcome.OK, result.reason
    for structure, percent in TOLERANCES.items():
        measure = result.measure_of(structure, Quantity.VOLUME)
        assert measure is not None
        assert measure.standard_error is not None
        error = 100 * (measure.value / getattr(truth, structure) - 1)
        assert abs(error) < percent, f"{structure}: {error:+.2f} %"
    brain, space, csf = (
        result.measure_of(s, Quantity.VOLUME)
        for s in (Structure.BRAIN_PARENCHYMA, Structure.INTRACRANIAL, Structure.CSF)
    )
    assert space.value == pytest.approx(brain.value + csf.value)
    assert not [c for c in result.quality if c.verdict is Verdict.FAIL]
    mask = nib.load(result.files["brain_mask.nii.gz"])
    assert mask.shape == scan.intensities.shape
    assert np.allclose(mask.affine, scan.affine)
    counted = float(np.asarray(mask.dataobj).sum())
    assert counted == pytest.approx(brain.value, rel=0.03)
    assert result.files["qc.png"].stat().st_size > 20_000


@pytest.mark.realdata
@pytest.mark.slow
def test_a_drawn_loss_is_read_in_either_order(realdata):
    head = LabelledHead.read(realdata / "label_maps" / "training_seg_13.nii.gz")
    means = contrast_random(np.random.default_rng(41))
    moved, true = atrophy_field(head, percent=-1.5, seed=41)
    first = brain_segment(head_draw(head, seed=42, means=means))
    second = brain_segment(head_draw(head, seed=43, means=means, moved=moved))
    there, pair = brain_change(first, second)
    back, _ = brain_change(second, first)
    assert there.percent == pytest.approx(true, abs=0.15)
    assert there.forward == pytest.approx(there.backward, abs=0.1)
    both = (1 + there.percent / 100) * (1 + back.percent / 100)
    assert both == pytest.approx(1.0, abs=2e-4)
    assert contrast_change_check(pair).verdict is Verdict.PASS
