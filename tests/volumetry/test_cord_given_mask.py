"""A mask made elsewhere is measured as the program that made it would measure it."""

import json

import nibabel as nib
import numpy as np
import pytest

from volumetry.__main__ import main
from volumetry.core.cord.geometry import grid_of
from volumetry.core.cord.given_mask import mask_shapes
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.types import ScanImage

# Printed by sct_process_segmentation 7.4 (-perslice 1) for its own test masks.
SCT_T2 = {
    10: (78.58643257836141, 7.842507960401277, 8.031744274792286, 12.537767663676533),
    40: (77.94679356566911, 8.003157481987593, 8.207069322147767, 12.137169640380392),
}


@pytest.mark.realdata
@pytest.mark.parametrize("index", [10, 40])
def test_areas_and_diameters_agree_with_sct(realdata, index):
    mask = image_load(realdata / "cord_sct_testing_data/t2/t2_seg-manual.nii.gz")
    shape = next(s for s in mask_shapes(grid_of(mask)).slices if s.index == index)
    area, ap, ap_ellipse, rl = SCT_T2[index]
    assert shape.area_mm2 == pytest.approx(area, rel=1e-12)
    assert shape.ap_mm == pytest.approx(ap, abs=0.02)
    assert shape.ap_ellipse_mm == pytest.approx(ap_ellipse, abs=0.005)
    assert shape.rl_mm == pytest.approx(rl, abs=0.005)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "count", "mean"),
    [("t2/t2_seg-manual", 55, 77.51561788019276), ("t2s/t2s_seg", 9, 79.46022075423167)],
)
def test_the_mean_of_all_slices_agrees_with_sct(realdata, name, count, mean):
    mask = image_load(realdata / f"cord_sct_testing_data/{name}.nii.gz")
    areas = [shape.area_mm2 for shape in mask_shapes(grid_of(mask)).slices]
    assert len(areas) == count
    # SCT keeps spacings in single precision.
    assert np.mean(areas) == pytest.approx(mean, rel=1e-7)


def leaning_cylinder(*, soft: bool = False) -> ScanImage:
    """Radius 5 mm, leaning 20 degrees to the front; drawn by subdivision, sheared slices."""
    n, fine = 48, 4
    axis = (np.arange(n * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(axis, axis, indexing="ij")
    values = np.zeros((n, n, 40), dtype=np.float32)
    slope = np.tan(np.radians(20.0))
    for k in range(40):
        # In the slice plane the section is an ellipse, longer along y by 1 / cos 20°.
        y0 = 24.0 + slope * (k - 20)
        inside = (x - 24.0) ** 2 + ((y - y0) * np.cos(np.radians(20.0))) ** 2 <= 25.0
        share = inside.reshape(n, fine, n, fine).mean(axis=(1, 3))
        values[:, :, k] = share if soft else share >= 0.5
    return ScanImage(values, np.eye(4))


@pytest.mark.parametrize("soft", [False, True])
def test_a_leaning_cord_has_the_area_perpendicular_to_itself(soft):
    shapes = mask_shapes(grid_of(leaning_cylinder(soft=soft)))
    inner = [s for s in shapes.slices if 5 <= s.index <= 34]
    # 4 x 4 subdivision of a 10 mm disc: 0.2 % soft; the binary edge costs up to 1 %.
    assert np.mean([s.area_mm2 for s in inner]) == pytest.approx(
        25.0 * np.pi, rel=0.003 if soft else 0.012
    )
    assert np.mean([s.ap_mm for s in inner]) == pytest.approx(9.85, abs=0.15)  # 3 mm band
    assert np.mean([s.rl_mm for s in inner]) == pytest.approx(
        10.0,
        abs=0.2,  # half of a linearly interpolated soft edge lies inside a curved one
    )


def test_turning_the_array_axes_changes_no_number():
    image = leaning_cylinder()
    turned = ScanImage(
        np.ascontiguousarray(image.intensities[::-1].transpose(2, 0, 1)),
        image.affine[:, [2, 0, 1, 3]] @ np.diag([1.0, -1.0, 1.0, 1.0]),
    )
    one = [s.area_mm2 for s in mask_shapes(grid_of(image)).slices]
    other = [s.area_mm2 for s in mask_shapes(grid_of(turned)).slices]
    assert np.allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.zeros_like, "empty"),
        (lambda v: np.maximum(v, np.roll(v, 12, axis=0)), "pieces"),
        (np.ones_like, "mm²"),
    ],
)
def test_what_is_no_cord_mask_is_refused_in_words(change, words):
    image = leaning_cylinder()
    with pytest.raises(NotMeasurable, match=words):
        mask_shapes(grid_of(ScanImage(change(image.intensities), image.affine)))


def test_a_mask_on_another_grid_is_refused(tmp_path):
    image = leaning_cylinder(soft=True)
    scan, mask = tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(image.intensities, image.affine), scan)
    nib.save(nib.Nifti1Image(image.intensities[:-1], image.affine), mask)
    out = tmp_path / "out"
    assert main(["cord", str(scan), "--mask", str(mask), "--out", str(out)]) == 3
    assert "grid" in json.loads((out / "result.json").read_text())["reason"]


def test_a_given_mask_is_measured_and_handed_on_unchanged(tmp_path):
    image = leaning_cylinder(soft=True)
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(image.intensities, image.affine), path)
    out = tmp_path / "out"
    arguments = ["cord", str(path), "--mask", str(path), "--out", str(out)]
    assert main([*arguments, "--landmark", "c2c3", "--at", "24,30,20"]) == 0
    result = json.loads((out / "result.json").read_text())
    values = {(m["structure"], m["quantity"]): m["value"] for m in result["measures"]}
    assert values["cord_c2_c3", "mean_csa"] == pytest.approx(25.0 * np.pi, rel=0.005)
    assert "mask" in result["provenance"]["other_sha256"]
    assert np.array_equal(nib.load(out / "cord_mask.nii.gz").get_fdata(), image.intensities)
