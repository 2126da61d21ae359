"""Paired change of the cord: sign, size, symmetry in time, refusals in words."""

import json

import nibabel as nib
import numpy as np
import pytest

from tests.volumetry.phantoms.cord_tube import T1, T2, CordTube, tube_image
from volumetry.__main__ import main
from volumetry.core.cord.engine import cord_measure
from volumetry.core.cord.paired import align, change_measure, landmark_gap_mm, level_change
from volumetry.core.methods import CordRequest
from volumetry.core.types import Landmark, LandmarkKind


def visit(*, share: float, seed: int, shift: float = 0.0, contrast=T2):
    """Draw a cord whose area is ``share`` of the healthy one, moved along by ``shift``."""
    size = np.sqrt(share)
    tube = CordTube(
        rl_mm=12.6 * size, ap_mm=8.2 * size, length_mm=60.0, tilt_degrees=6.0, field_mm=42.0
    )
    return tube_image(
        tube,
        contrast=contrast,
        noise=0.05,
        blur_sigma_mm=0.4,
        shift_mm=(0.3, -0.2, shift),
        subdivision=3,
        seed=seed,
    )


@pytest.fixture(scope="module")
def pair():
    scans = (visit(share=1.0, seed=31), visit(share=0.97, seed=32, shift=4.0))
    return [cord_measure(scan, request=CordRequest()) for scan in scans]


def test_a_loss_of_three_percent_is_read_as_three_percent(pair):
    change = change_measure(*pair, align(*pair))
    # Rescans of this drawing scatter by about 0.2 percentage points (docs/cord.md).
    assert change.percent == pytest.approx(-3.0, abs=0.5)
    assert change.difference_percent == pytest.approx(change.percent, abs=0.5)


def test_swapping_the_visits_inverts_the_ratio(pair):
    there = change_measure(*pair, align(*pair))
    back = change_measure(*pair[::-1], align(*pair[::-1]))
    product = (1 + there.percent / 100) * (1 + back.percent / 100)
    assert product == pytest.approx(1.0, abs=1e-6)


def test_the_same_tissue_is_found_again_along_the_cord(pair):
    # The follow-up was moved 4 mm along the scanner's axis, 6 degrees off the cord's; the
    # upper end of the traced cord stays with the scan, so positions shift by minus 4 mm.
    assert abs(align(*pair).shift_mm) == pytest.approx(4.0, abs=1.0)


def with_landmarks(scans, *places):
    return [
        cord_measure(scan, request=CordRequest(landmark=Landmark(kind, place)))
        for scan, (kind, place) in zip(scans, places, strict=True)
    ]


def test_the_change_at_a_level_is_of_the_same_tissue_in_both_visits():
    """The second landmark was placed 6 mm off: the window lies between both, on one tissue."""
    scans = (visit(share=1.0, seed=31), visit(share=0.97, seed=32, shift=4.0))
    c2c3 = LandmarkKind.C2C3
    pair = with_landmarks(scans, (c2c3, (0.0, 9.0, 0.0)), (c2c3, (0.3, 8.8, -2.0)))
    change = change_measure(*pair, align(*pair))

    there = level_change(*pair, change)
    back = level_change(*pair[::-1], change_measure(*pair[::-1], align(*pair[::-1])))

    assert there.percent == pytest.approx(-3.0, abs=0.6)
    assert there.gap_mm == pytest.approx(6.0, abs=0.5)
    assert there.standard_error >= change.standard_error
    product = (1 + there.percent / 100) * (1 + back.percent / 100)
    assert product == pytest.approx(1.0, abs=1e-4)


def test_a_level_is_not_compared_where_landmarks_differ_or_the_window_is_not_seen(pair):
    scans = (visit(share=1.0, seed=31), visit(share=0.97, seed=32, shift=4.0))
    c2c3, pmj = LandmarkKind.C2C3, LandmarkKind.PMJ
    change = change_measure(*pair, align(*pair))
    assert level_change(*pair, change) is None

    mixed = with_landmarks(scans, (c2c3, (0.0, 9.0, 0.0)), (pmj, (0.3, 8.8, 60.0)))
    assert level_change(*mixed, change_measure(*mixed, align(*mixed))) is None

    high = with_landmarks(scans, (c2c3, (0.0, 9.0, 24.0)), (c2c3, (0.3, 8.8, 28.0)))
    assert level_change(*high, change_measure(*high, align(*high))) is None


@pytest.mark.parametrize("missed_mm", [0.0, -6.0])
def test_a_landmark_placed_elsewhere_on_the_tissue_is_measured_in_millimetres(missed_mm):
    """The follow-up moved up by 4 mm; its landmark was placed with it, or 6 mm too low."""
    scans = (visit(share=1.0, seed=33), visit(share=1.0, seed=34, shift=4.0))
    places = ((0.0, 9.0, 0.0), (0.3, 8.8, 4.0 + missed_mm))
    visits = with_landmarks(scans, *((LandmarkKind.C2C3, place) for place in places))
    gap = landmark_gap_mm(*visits, align(*visits))
    assert gap == pytest.approx(-missed_mm, abs=0.5)


def test_the_command_writes_a_percent_change_with_both_hashes(tmp_path):
    paths = []
    for name, share in (("before", 1.0), ("after", 0.97)):
        drawn = visit(share=share, seed=40 + len(paths))
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(drawn.intensities, drawn.affine), path)
        paths.append(str(path))
    out = tmp_path / "out"
    assert main(["change", *paths, "--region", "cord", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    (measure,) = result["measures"]
    assert (measure["structure"], measure["quantity"]) == ("cord_segment", "percent_change")
    assert measure["unit"] == "%"
    assert measure["value"] < -1.5
    assert result["provenance"]["image_sha256"] != ""
    assert result["provenance"]["other_sha256"]["followup"] != ""
    assert (out / "qc.png").is_file()


def test_scans_of_opposite_contrast_do_not_pair(tmp_path):
    paths = []
    for name, contrast in (("t2", T2), ("t1", T1)):
        drawn = visit(share=1.0, seed=50, contrast=contrast)
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(drawn.intensities, drawn.affine), path)
        paths.append(str(path))
    out = tmp_path / "out"
    assert main(["change", *paths, "--region", "cord", "--out", str(out)]) == 3
    result = json.loads((out / "result.json").read_text())
    assert result["measures"] == []
    assert "contrast" in result["reason"]


def test_a_click_on_each_cord_is_used_and_on_record(tmp_path):
    paths = []
    for number, share in enumerate((1.0, 0.97)):
        drawn = visit(share=share, seed=60 + number)
        path = tmp_path / f"visit{number}.nii.gz"
        nib.save(nib.Nifti1Image(drawn.intensities, drawn.affine), path)
        paths.append(str(path))
    out = tmp_path / "out"
    clicks = ["--hint", "0,0,0", "--followup-hint", "-1,0,2"]
    levels = ["--landmark", "c2c3", "--at", "0,9,0", "--followup-at", "0,9,1"]
    command = ["change", *paths, "--region", "cord", "--out", str(out)]
    assert main([*command, *clicks, *levels]) == 0
    parameters = json.loads((out / "result.json").read_text())["provenance"]["parameters"]
    assert parameters["baseline_hint_mm"] == [0.0, 0.0, 0.0]
    assert parameters["followup_landmark"] == {"kind": "c2c3", "point_mm": [0.0, 9.0, 1.0]}


def test_a_landmark_in_one_scan_only_is_a_bad_argument(tmp_path, capsys):
    command = ["change", "a.nii", "b.nii", "--region", "cord", "--out", str(tmp_path / "out")]
    assert main([*command, "--landmark", "pmj", "--at", "0,0,0"]) == 2
    assert "belong together" in capsys.readouterr().err
