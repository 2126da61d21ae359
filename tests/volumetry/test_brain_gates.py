"""What the brain engine refuses or doubts, and in which words."""

from pathlib import Path

import numpy as np
import pytest

from volumetry.core.brain.gates import (
    border_check,
    contrast_checks,
    coverage_check,
    extent_require,
    registration_check,
    slice_check,
)
from volumetry.core.brain.grid import WorkImage
from volumetry.core.brain.measures import RELATIVE_ERROR, THICK_RELATIVE_ERROR
from volumetry.core.brain.registration import BrainPlace
from volumetry.core.brain.template import Template, template_load
from volumetry.core.brain.tissue import TissueModel
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.types import Outcome, ScanImage, Verdict
from volumetry.engines.brain import NeuraxisBrain


def box(shape: tuple[int, int, int]) -> WorkImage:
    return WorkImage(np.zeros(shape, dtype=np.float32), (1.0, 1.0, 1.0), np.eye(4))


def tiny_template() -> Template:
    """Return a template that is a block of intracranial space, 40 mm wide, z -20 to 60."""
    distance = np.full((60, 60, 100), -5.0, dtype=np.float32)
    distance[10:50, 10:50, 10:90] = 5.0
    zero = np.zeros_like(distance)
    return Template(zero, zero, zero, zero, distance, zero, zero, zero,
                    np.array([-30.0, -30.0, -30.0]), "test")  # fmt: skip


def place_at(shift: tuple[float, float, float]) -> BrainPlace:
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return BrainPlace(matrix, 0.6)


def test_a_slab_that_cuts_the_vertex_fails_and_names_it():
    check = coverage_check(box((80, 80, 90)), place_at((40, 40, 40)), tiny_template())
    assert check.verdict is Verdict.FAIL
    assert "vertex" in check.sentence
    assert "bottom" not in check.sentence


def test_a_whole_head_passes_the_field_of_view():
    check = coverage_check(box((80, 80, 120)), place_at((40, 40, 40)), tiny_template())
    assert check.verdict is Verdict.PASS


def test_brain_tissue_at_the_border_fails_and_names_the_side():
    parenchyma = np.zeros((40, 40, 40), dtype=np.float32)
    parenchyma[5:35, 5:35, 10:] = 1.0
    check = border_check(parenchyma, box((40, 40, 40)))
    assert check.verdict is Verdict.FAIL
    assert "vertex" in check.sentence


def test_thick_slices_are_warned_of():
    thick = ScanImage(np.ones((4, 4, 4), np.float32), np.diag([0.9, 0.9, 3.0, 1.0]))
    assert slice_check(thick).verdict is Verdict.WARN
    thin = ScanImage(np.ones((4, 4, 4), np.float32), np.eye(4))
    assert slice_check(thin).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("grey", "verdict"), [(70.0, Verdict.PASS), (98.0, Verdict.WARN), (104.0, Verdict.FAIL)]
)
def test_contrast_between_white_and_grey_is_judged(grey, verdict):
    model = TissueModel(np.array([110.0, grey, 30.0]), np.array([4.0, 4.0, 4.0]), np.zeros(1))
    assert contrast_checks(model)[0].verdict is verdict


def test_a_poor_or_impossible_registration_fails():
    assert registration_check(BrainPlace(np.eye(4), 0.05)).verdict is Verdict.FAIL
    huge = BrainPlace(np.diag([1.3, 1.3, 1.3, 1.0]), 0.6)
    assert registration_check(huge).verdict is Verdict.FAIL
    usual = BrainPlace(np.diag([0.9, 0.9, 0.9, 1.0]), 0.5)
    assert registration_check(usual).verdict is Verdict.PASS


def test_an_image_too_small_for_a_brain_is_refused_at_once():
    small = ScanImage(np.ones((50, 50, 50), np.float32), np.eye(4))
    with pytest.raises(NotMeasurable, match="does not show a whole brain"):
        extent_require(small)


def test_a_ball_is_not_a_head(tmp_path: Path):
    grid = np.stack(np.meshgrid(*[np.arange(64) * 3.0] * 3, indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid - 95.0, axis=-1)
    ball = (100.0 * (distance < 60)).astype(np.float32)
    result = NeuraxisBrain().measure(
        ScanImage(ball, np.diag([3.0] * 3 + [1])), workdir=tmp_path
    )
    assert result.outcome is Outcome.REFUSED
    assert result.reason
    assert not result.measures


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [
        "cord_sct_testing_data/t2/t2.nii.gz",
        "cord_gm_challenge/sub-9584/sub-9584_run-1_T2starw.nii.gz",
    ],
)
def test_a_neck_scan_is_refused_in_words_within_seconds(realdata, tmp_path, name):
    result = NeuraxisBrain().measure(image_load(realdata / name), workdir=tmp_path)
    assert result.outcome is Outcome.REFUSED
    assert result.reason is not None
    assert "brain" in result.reason
    assert not result.measures


def test_the_template_is_symmetric_and_its_ventricles_are_lateral():
    template = template_load()
    assert np.allclose(template.grey, template.grey[::-1], atol=2e-3)
    lateral = template.lateral_mm < 0
    assert float(lateral.sum()) / 1000 == pytest.approx(19.7, abs=0.3)
    spots = np.argwhere(lateral) + template.origin_mm
    assert np.all(np.abs(spots[:, 0]) <= 43)
    # the inferior horns lie lowest, at their tips; nothing of the midline cisterns is taken
    lowest = spots[spots[:, 2] < -5]
    assert np.all(np.abs(lowest[:, 0]) >= 28)
    assert spots[:, 2].min() >= -28
    assert not np.any(lateral & (template.other_mm == 0))


def test_thick_slices_never_narrow_an_error():
    assert THICK_RELATIVE_ERROR.keys() == RELATIVE_ERROR.keys()
    assert all(
        THICK_RELATIVE_ERROR[name] >= 2 * RELATIVE_ERROR[name] for name in RELATIVE_ERROR
    )
