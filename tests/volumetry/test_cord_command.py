"""The command line contract: files, fields, exit statuses, words instead of tracebacks."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.volumetry.phantoms.cord_tube import CordTube, tube_image
from volumetry.__main__ import main

CENTRE = "0.0,0.0,0.0"


@pytest.fixture(scope="module")
def tube(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tube") / "tube.nii.gz"
    drawn = tube_image(CordTube(length_mm=60.0), noise=0.05, seed=11)
    nib.save(nib.Nifti1Image(drawn.intensities, drawn.affine), path)
    return path


@pytest.fixture(scope="module")
def measured(tube, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert (
        main(["cord", str(tube), "--out", str(out), "--landmark", "c2c3", "--at", CENTRE]) == 0
    )
    return out


def result_of(out: Path) -> dict:
    return json.loads((out / "result.json").read_text())


def test_every_file_of_the_contract_is_written(measured):
    names = {path.name for path in measured.iterdir()}
    assert names == {
        "result.json",
        "cord_mask.nii.gz",
        "cord_profile.csv",
        "qc.png",
        "sagittal.png",
        "sections.png",
        "straight.png",
        "views.json",
    }


def test_the_result_has_the_fields_of_the_contract(measured):
    result = result_of(measured)
    assert set(result) == {"status", "reason", "measures", "quality", "provenance", "seconds"}
    assert result["status"] == "ok"
    assert result["reason"] is None
    kinds = {(m["structure"], m["quantity"], m["unit"]) for m in result["measures"]}
    assert kinds == {
        ("cord_segment", "mean_csa", "mm2"),
        ("cord_segment", "volume", "mm3"),
        ("cord_c2_c3", "mean_csa", "mm2"),
        ("cord_c2_c3", "volume", "mm3"),
    }
    assert all(m["standard_error"] > 0 for m in result["measures"])
    assert result["provenance"]["method"] == "neuraxis-cord"
    assert len(result["provenance"]["image_sha256"]) == 64


def test_a_level_volume_is_its_area_times_the_stated_length(measured):
    result = result_of(measured)
    values = {(m["structure"], m["quantity"]): m["value"] for m in result["measures"]}
    length = result["provenance"]["parameters"]["window_length_mm"]
    assert length == 34.0
    assert values["cord_c2_c3", "volume"] == pytest.approx(
        values["cord_c2_c3", "mean_csa"] * length
    )


def test_the_profile_counts_from_the_landmark(measured):
    with (measured / "cord_profile.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["position_mm", "csa_mm2", "ap_mm", "rl_mm", "confidence"]
    position = [float(row["position_mm"]) for row in rows]
    assert position[0] < -15.0
    assert position[-1] > 15.0


def test_the_mask_lies_on_the_grid_of_the_input(measured, tube):
    mask, source = nib.load(measured / "cord_mask.nii.gz"), nib.load(tube)
    assert mask.shape == source.shape
    assert np.allclose(mask.affine, source.affine)
    values = mask.get_fdata()
    assert 0.0 <= values.min() <= values.max() <= 1.0 + 1e-6


def test_the_mask_holds_the_volume_that_the_result_states(measured):
    mask = nib.load(measured / "cord_mask.nii.gz")
    volume = mask.get_fdata().sum() * abs(np.linalg.det(mask.affine[:3, :3]))
    stated = next(
        m["value"]
        for m in result_of(measured)["measures"]
        if (m["structure"], m["quantity"]) == ("cord_segment", "volume")
    )
    assert volume == pytest.approx(stated, rel=0.01)  # painted by 4 x 4 x 2 subdivision


def test_a_pixel_of_the_sagittal_view_leads_back_to_the_landmark(measured):
    view = json.loads((measured / "views.json").read_text())["sagittal"]
    mark = next(m for m in view["marks"] if m["kind"] == "landmark_c2c3")
    world = np.array(view["pixel_to_world"]) @ np.array([*mark["points"][0], 1.0])
    assert view["height"] >= 600
    assert np.allclose(world, 0.0, atol=1.0)  # the plane passes within a millimetre


def test_the_cord_is_laid_out_by_millimetres_from_the_landmark(measured):
    views = json.loads((measured / "views.json").read_text())
    straight, sections = views["straight"], views["sections"]
    assert straight["zero"] == sections["zero"] == "c2c3"
    with Image.open(measured / straight["file"]) as picture:
        span_mm = straight["last_mm"] - straight["first_mm"]
        assert picture.width == pytest.approx(span_mm / 0.25 + 1, abs=1.5)
    rows = np.genfromtxt(measured / "cord_profile.csv", delimiter=",", skip_header=1)
    for position, area in zip(sections["positions_mm"], sections["area_mm2"], strict=True):
        row = rows[np.argmin(np.abs(rows[:, 0] - position))]
        assert row[0] == pytest.approx(position, abs=0.01)
        assert row[1] == pytest.approx(area, abs=0.01)
    assert {round(p / 3) * 3 for p in sections["positions_mm"]} >= {-3, 0, 3}
    columns, tile = sections["columns"], sections["tile"]
    with Image.open(measured / sections["file"]) as sheet:
        lines = -(-len(sections["positions_mm"]) // columns)
        assert sheet.size == (columns * tile, lines * tile)


@pytest.mark.parametrize("spelling", [["--at=-1,-2,0"], ["--at", "-1,-2,0"]])
def test_negative_coordinates_are_read_in_both_spellings(tube, tmp_path, spelling):
    arguments = ["cord", str(tube), "--out", str(tmp_path), "--landmark", "c2c3", *spelling]
    assert main(arguments) == 0
    landmark = result_of(tmp_path)["provenance"]["parameters"]["landmark"]
    assert landmark["point_mm"] == [-1.0, -2.0, 0.0]


def test_without_a_level_the_visible_cord_is_measured_and_a_landmark_asked_for(tube, tmp_path):
    assert main(["cord", str(tube), "--out", str(tmp_path)]) == 3
    result = result_of(tmp_path)
    assert result["status"] == "needs_landmark"
    assert "C2-C3" in result["reason"]
    assert {m["structure"] for m in result["measures"]} == {"cord_segment"}
    assert (tmp_path / "cord_mask.nii.gz").is_file()
    assert (tmp_path / "sagittal.png").is_file()


def test_a_scan_without_a_cord_is_refused_in_words_with_a_picture_to_click_on(tmp_path):
    noise = np.random.default_rng(5).normal(100.0, 10.0, (40, 40, 40)).astype(np.float32)
    path = tmp_path / "noise.nii.gz"
    nib.save(nib.Nifti1Image(noise, np.eye(4)), path)
    assert main(["cord", str(path), "--out", str(tmp_path / "out")]) == 3
    result = result_of(tmp_path / "out")
    assert result["status"] in {"refused", "needs_landmark"}
    assert result["measures"] == []
    assert "cord" in result["reason"]
    assert (tmp_path / "out" / "views.json").is_file()
    assert not (tmp_path / "out" / "cord_mask.nii.gz").exists()


def test_a_series_of_volumes_is_refused_and_nothing_old_is_left(measured, tmp_path):
    path = tmp_path / "series.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9, 4), dtype=np.float32), np.eye(4)), path)
    (tmp_path / "cord_mask.nii.gz").write_bytes(b"from an earlier run")
    assert main(["cord", str(path), "--out", str(tmp_path)]) == 3
    result = result_of(tmp_path)
    assert result["status"] == "refused"
    assert "3-D" in result["reason"]
    assert not (tmp_path / "cord_mask.nii.gz").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["cord", "missing.nii.gz", "--out", "OUT"],
        ["cord", "TUBE", "--out", "OUT", "--landmark", "pmj"],
        ["cord", "TUBE", "--out", "OUT", "--at", "1,2,3"],
    ],
)
def test_bad_input_is_one_sentence_and_status_two(arguments, tube, tmp_path, capsys):
    words = [
        str(tube) if w == "TUBE" else str(tmp_path / "o") if w == "OUT" else w
        for w in arguments
    ]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["cord"],
        ["cord", "TUBE", "--out", "OUT", "--landmark", "c2c3", "--at", "1,2"],
        ["cord", "TUBE", "--out", "OUT", "--hint", "1,2,nan"],
        ["cord", "TUBE", "--out", "OUT", "--contrast", "ct"],
        ["change", "TUBE", "TUBE", "--out", "OUT"],
    ],
)
def test_bad_arguments_end_with_status_two(arguments, tube, tmp_path):
    words = [
        str(tube) if w == "TUBE" else str(tmp_path / "o") if w == "OUT" else w
        for w in arguments
    ]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_the_command_line_never_imports_the_web():
    program = (
        "import sys, volumetry.__main__; "
        "sys.exit(bool({'django', 'celery', 'rest_framework'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert (
        subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode
        == 0
    )
