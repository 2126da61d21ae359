"""Finding on real scans: cords are found or asked for, and nothing else is called a cord."""

import nibabel as nib
import numpy as np
import pytest

from volumetry.core.cord.engine import cord_measure
from volumetry.core.images import image_load
from volumetry.core.methods import CordRequest
from volumetry.core.types import Outcome, Structure

pytestmark = pytest.mark.realdata

SCT = "cord_sct_testing_data"
GM = "cord_gm_challenge"
FOUND = [
    (f"{SCT}/t2/t2.nii.gz", f"{SCT}/t2/t2_seg-manual.nii.gz"),
    (f"{SCT}/mt/mt1.nii.gz", f"{SCT}/mt/mt1_seg.nii.gz"),
    (
        f"{GM}/sub-10062Ses1/sub-10062Ses1_run-1_T2starw.nii.gz",
        f"{GM}/sub-10062Ses1/sub-10062Ses1_run-1_T2starw_seg-manual.nii.gz",
    ),
    (
        f"{GM}/sub-9584/sub-9584_run-1_T2starw.nii.gz",
        f"{GM}/sub-9584/sub-9584_run-1_T2starw_seg-manual.nii.gz",
    ),
]


def share_inside(result, mask_path) -> float:
    """Share of the centreline that runs through the mask, where the mask has slices."""
    mask = nib.load(mask_path)
    values = mask.get_fdata() > 0.5
    inverse = np.linalg.inv(mask.affine)
    centre = result.profile.sections.centre_mm
    voxels = np.round(centre @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    voxels = np.clip(voxels, 0, np.array(values.shape) - 1)
    axis = int(np.argmax(np.abs(mask.affine[2, :3])))
    covered = np.flatnonzero(values.any(axis=tuple(a for a in range(3) if a != axis)))
    shared = np.isin(voxels[:, axis], covered)
    return float(values[tuple(voxels[shared].T)].mean())


@pytest.mark.parametrize(("scan", "mask"), FOUND)
def test_a_cord_is_found_without_a_click(realdata, scan, mask):
    result = cord_measure(image_load(realdata / scan), request=CordRequest())
    assert result.profile is not None
    assert share_inside(result, realdata / mask) > 0.98


def test_one_click_rescues_a_scan_with_hardly_any_contrast(realdata):
    folder = realdata / "cord_sct_tutorial_data/sub-05"
    mask = nib.load(folder / "sub-05_acq-MTon_MTS_seg.nii.gz")
    ijk = np.argwhere(mask.get_fdata() > 0.5)
    middle = ijk[ijk[:, 2] == int(np.median(ijk[:, 2]))].mean(axis=0)
    click = mask.affine[:3, :3] @ middle + mask.affine[:3, 3] + np.array([1.0, -1.0, 0.0])
    image = image_load(folder / "sub-05_acq-MTon_MTS.nii.gz")
    blind = cord_measure(image, request=CordRequest())
    assert blind.profile is None  # never silently wrong
    result = cord_measure(image, request=CordRequest(hint_mm=tuple(map(float, click))))
    # 19 of the mask's 20 sections: in the uppermost, at the medulla, the mask holds one side.
    assert share_inside(result, folder / "sub-05_acq-MTon_MTS_seg.nii.gz") >= 0.95


@pytest.mark.parametrize("scan", ["patient04/study1_T1W", "patient12/study2_T1W"])
def test_a_brain_slab_without_cord_is_not_measured(realdata, scan):
    image = image_load(realdata / f"brain_ms_longitudinal/{scan}.nii.gz")
    result = cord_measure(image, request=CordRequest())
    assert result.outcome is not Outcome.OK
    assert result.measures == ()
    assert result.reason


def test_a_head_scan_with_neck_gets_its_level_proposed_not_confirmed(realdata):
    path = realdata / "brain_plus_cord_dicom/studyforrest_sub02_T1w_1p33mm.nii.gz"
    result = cord_measure(image_load(path), request=CordRequest())
    assert result.outcome is Outcome.OK
    assert result.level is not None
    assert result.level.placed_by == "proposed, not confirmed"
    # The notch below the pons, read off the mid-sagittal picture: z -46 mm.
    assert result.level.landmark.point_mm[2] == pytest.approx(-46.0, abs=3.0)
    assert Structure.CORD_PMJ_64MM in {m.structure for m in result.measures}
