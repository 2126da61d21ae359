"""A reader's correction changes what was corrected and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.volumetry.phantoms.cord_tube import CordTube, tube_image
from volumetry.core.brain.corrected import mask_volume_mm3, parenchyma_corrected
from volumetry.core.cord.corrected import NOTHING_TO_CORRECT, cord_corrected
from volumetry.core.cord.engine import cord_measure
from volumetry.core.cord.geometry import values_to_input_order
from volumetry.core.cord.painting import mask_paint
from volumetry.core.errors import NotMeasurable
from volumetry.core.methods import CordRequest, Correction
from volumetry.core.types import Outcome, Quantity, ScanImage
from volumetry.engines.cord import NeuraxisCord
from volumetry.engines.given import GivenBrainMask, GivenCordMask

TUBE = CordTube(length_mm=44.0, field_mm=40.0)


@pytest.fixture(scope="module")
def scan() -> ScanImage:
    return tube_image(TUBE, noise=0.05, blur_sigma_mm=0.4, seed=811)


@pytest.fixture(scope="module")
def measurement(scan):
    return cord_measure(scan, request=CordRequest())


@pytest.fixture(scope="module")
def own(scan, measurement) -> ScanImage:
    """Return the outline that the engine would keep of the scan."""
    profile = measurement.profile
    painted = mask_paint(measurement.grid, profile.sections, profile.radius_mm)
    return ScanImage(values_to_input_order(painted, scan), scan.affine, "own")


def area(measurement) -> float:
    return next(m.value for m in measurement.measures if m.quantity is Quantity.MEAN_CSA)


def binary(mask: ScanImage) -> np.ndarray:
    return (mask.intensities >= 0.5).astype(np.float32)


def made(mask: ScanImage, values: np.ndarray) -> Correction:
    return Correction(mask, ScanImage(values, mask.affine, "made"))


@pytest.mark.parametrize("is_binary", [False, True])
def test_a_mask_that_was_not_changed_changes_no_digit(measurement, own, is_binary):
    values = binary(own) if is_binary else own.intensities

    corrected, share = cord_corrected(measurement, made(own, values))

    assert area(corrected) == pytest.approx(area(measurement), rel=1e-12)
    assert share.changed == 0
    assert share.mean_ratio == pytest.approx(1.0, abs=1e-12)


def test_what_a_reader_removes_is_missing_in_the_same_share(measurement, own):
    """Halving the mask in the lower half of the cord takes a quarter of the mean area away."""
    values = binary(own)
    middle = int(np.mean(np.flatnonzero(values.any(axis=(0, 1)))))
    centre = int(np.mean(np.flatnonzero(values.any(axis=(1, 2)))))
    values[centre + 1 :, :, :middle] = 0

    corrected, share = cord_corrected(measurement, made(own, values))

    ratio = corrected.profile.area_mm2 / measurement.profile.area_mm2
    below = measurement.grid.voxels(measurement.profile.sections.centre_mm)[:, 2] < middle - 2
    above = measurement.grid.voxels(measurement.profile.sections.centre_mm)[:, 2] > middle + 2
    assert np.nanmax(np.abs(ratio[above] - 1.0)) < 1e-9
    # the drawn cord is an even number of voxels wide and symmetric
    assert np.nanmean(ratio[below]) == pytest.approx(0.5, abs=0.01)
    assert 0.3 * share.slices < share.changed < 0.7 * share.slices
    assert area(corrected) < area(measurement)


def test_a_correction_keeps_the_own_edge_where_a_foreign_mask_shifts_the_series(
    scan, measurement, own
):
    """Drawn one voxel wider all round, a mask reads far off; as a correction it is as far."""
    wider = ndimage.binary_dilation(binary(own) > 0).astype(np.float32)
    as_mask = cord_measure(scan, request=CordRequest(mask=ScanImage(wider, own.affine)))
    as_correction, _ = cord_corrected(measurement, made(own, wider))
    own_as_mask = cord_measure(
        scan, request=CordRequest(mask=ScanImage(binary(own), own.affine))
    )

    # the same relative step in both, each on its own scale
    step = area(as_mask) / area(own_as_mask)
    assert area(as_correction) / area(measurement) == pytest.approx(step, rel=0.02)


def test_slices_that_a_reader_takes_away_are_not_measured(measurement, own):
    values = binary(own)
    rows = np.flatnonzero(values.any(axis=(0, 1)))
    values[:, :, : rows[len(rows) // 3]] = 0

    corrected, share = cord_corrected(measurement, made(own, values))

    assert (~corrected.profile.is_measured).sum() >= len(rows) // 3 - 3
    assert corrected.profile.length_mm < measurement.profile.length_mm
    assert share.changed >= len(rows) // 3 - 1


def test_a_mask_that_was_drawn_anew_is_taken_with_a_warning(measurement, own):
    wider = ndimage.binary_dilation(binary(own) > 0).astype(np.float32)

    _, share = cord_corrected(measurement, made(own, wider))

    assert share.changed == share.slices
    assert share.check().verdict == "warn"
    assert "made elsewhere" in share.check().sentence


def test_a_mask_in_pieces_is_refused_in_words(measurement, own):
    values = binary(own)
    values[:4, :4, :] = 1

    corrected, share = cord_corrected(measurement, made(own, values))

    assert corrected.outcome is Outcome.REFUSED
    assert "pieces" in corrected.reason
    assert corrected.measures == ()
    assert share is None


def test_without_an_own_cord_there_is_nothing_to_correct(measurement, own):
    blind = replace(
        measurement, profile=None, outcome=Outcome.NEEDS_LANDMARK, reason=None, measures=()
    )

    corrected, _ = cord_corrected(blind, made(own, binary(own)))

    assert corrected.outcome is Outcome.REFUSED
    assert corrected.reason == NOTHING_TO_CORRECT


def test_the_method_says_what_was_corrected_and_keeps_the_readers_mask(scan, own, tmp_path):
    values = binary(own)
    values[:, :, ::2] = ndimage.binary_erosion(
        values[:, :, ::2] > 0, structure=np.ones((3, 3, 1))
    )
    request = CordRequest(correction=made(own, values))

    result = NeuraxisCord().measure(scan, workdir=tmp_path, request=request)

    check = result.quality[-1]
    assert check.name == "outline_corrected"
    assert "A reader corrected the outline in" in check.sentence
    assert result.provenance.other_sha256 == {"correction": "made", "corrected": "own"}
    assert result.provenance.method == "neuraxis-cord"
    assert "cord_mask.nii.gz" in result.files


def test_a_foreign_mask_is_a_method_of_its_own(scan, own, tmp_path):
    given = CordRequest(mask=ScanImage(binary(own), own.affine, "theirs"))

    result = GivenCordMask().measure(scan, workdir=tmp_path, request=given)
    bare = GivenCordMask().measure(scan, workdir=tmp_path)

    assert result.provenance.method == "mask-cord"
    assert result.provenance.other_sha256["mask"] == "theirs"
    assert bare.outcome is Outcome.REFUSED


# --- Brain ----------------------------------------------------------------------------------

SIDE = 40


def ball(radius: float, *, soft: bool = True) -> np.ndarray:
    """Return the share of each voxel in a ball, its edge two voxels wide."""
    at = np.indices((SIDE, SIDE, SIDE)) - (SIDE - 1) / 2
    distance = np.sqrt((at**2).sum(axis=0))
    share = np.clip((radius - distance) / 2.0 + 0.5, 0.0, 1.0)
    return (share if soft else share >= 0.5).astype(np.float32)


def test_an_unchanged_brain_mask_changes_no_fraction():
    fraction = ball(14.0)
    mask = ScanImage(ball(14.0, soft=False), np.eye(4))

    changed = parenchyma_corrected(fraction, np.eye(4), own=mask, mask=mask)

    np.testing.assert_array_equal(changed.fraction, fraction)
    assert (changed.added_mm3, changed.removed_mm3) == (0.0, 0.0)


def test_added_and_removed_brain_counts_once_also_on_a_finer_working_grid():
    """A block added outside and one taken from inside: their volumes, on a grid of half mm."""
    own = ball(12.0, soft=False)
    mask = own.copy()
    mask[2:6, 2:6, 2:6] = 1.0  # 64 mm³ of nothing
    mask[18:22, 18:22, 18:22] = 0.0  # 64 mm³ of brain
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = -0.25
    fraction = ndimage.zoom(ball(12.0), 2, order=1, grid_mode=True, mode="nearest")

    changed = parenchyma_corrected(
        fraction, half, own=ScanImage(own, np.eye(4)), mask=ScanImage(mask, np.eye(4))
    )

    # linear interpolation keeps the sum of an inner block to a few permille
    assert changed.added_mm3 == pytest.approx(64.0, rel=0.01)
    assert changed.removed_mm3 == pytest.approx(64.0, rel=0.01)
    step = (changed.fraction.sum() - fraction.sum()) * 0.125
    assert step == pytest.approx(changed.added_mm3 - changed.removed_mm3, abs=0.1)
    assert "0.06 ml were added" in changed.check().sentence


def test_a_brain_mask_made_elsewhere_is_the_sum_of_its_shares(tmp_path):
    mask = ScanImage(255 * ball(14.0, soft=False), np.diag([4.5, 4.5, 4.5, 1.0]), "theirs")
    scan = ScanImage(ball(14.0), mask.affine, "scan")

    result = GivenBrainMask().measure(scan, workdir=tmp_path, request=CordRequest(mask=mask))

    voxels = int(ball(14.0, soft=False).sum())
    assert result.measures[0].value == pytest.approx(voxels * 4.5**3, rel=1e-6)
    assert result.measures[0].standard_error is None
    assert result.provenance.method == "mask-brain"


def test_what_is_no_brain_is_refused():
    with pytest.raises(NotMeasurable, match="a brain has 500 to 2500 ml"):
        mask_volume_mm3(ScanImage(ball(10.0), np.eye(4)))
