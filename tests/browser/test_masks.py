"""A reader takes the outline of a real neck, corrects it, and sees both numbers together."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import House
from tests.browser.test_main_job import patient_add, send

pytestmark = [pytest.mark.browser, pytest.mark.realdata, pytest.mark.slow]
MEASURED_WITHIN_MS = 8 * 60 * 1000


def test_a_corrected_outline_is_measured_beside_the_first(
    site: House, realdata: Path, tmp_path: Path
) -> None:
    technician = site.sign_in("technician")
    patient_add(technician, site, "MASK-1")
    send(technician, realdata / "cord_sct_testing_data" / "t2" / "t2.nii.gz", "2020-02-02")
    technician.click("text=Confirm and measure", timeout=120_000)
    runs = technician.locator("#upload-runs")
    expect(runs).to_contain_text(
        re.compile("Landmark needed|Measured"), timeout=MEASURED_WITHIN_MS
    )
    address = runs.locator("a[href^='/runs/']").first.get_attribute("href")
    assert address is not None
    technician.context.close()

    reader = site.sign_in("radiologist")
    reader.goto(site.url + address.replace("/runs/", "/reviews/"))
    reader.click("text=Give a mask")
    with reader.expect_download() as got:
        reader.click("text=outline that was measured")
    outline = tmp_path / "outline.nii.gz"
    got.value.save_as(outline)

    # A voxel on another grid is refused in one sentence; nothing is measured.
    image = nib.load(outline)
    values = (np.asanyarray(image.dataobj) >= 0.5).astype(np.uint8)
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(values[:-1], image.affine), other)
    reader.set_input_files("#mask-file", str(other))
    reader.click("text=Measure with this mask")
    expect(reader.locator("main")).to_contain_text("voxels, the scan")

    # The reader takes a strip off the lower half.
    up = int(np.abs(image.affine[2, :3]).argmax())
    side = int(np.abs(image.affine[0, :3]).argmax())
    rows = np.flatnonzero(values.any(axis=tuple({0, 1, 2} - {up})))
    for row in rows[: len(rows) // 2]:
        part = np.take(values, row, axis=up)
        axis = side if side < up else side - 1
        edge = np.flatnonzero(part.any(axis=1 - axis)).max()
        index: list[object] = [slice(None)] * 3
        index[up], index[side] = row, edge
        values[tuple(index)] = 0
    corrected = tmp_path / "corrected.nii.gz"
    nib.save(nib.Nifti1Image(values, image.affine), corrected)
    reader.click("text=Give a mask")
    reader.set_input_files("#mask-file", str(corrected))
    reader.click("text=Measure with this mask")
    expect(reader.locator("main")).to_contain_text("The mask was taken")
    expect(reader.locator("main")).to_contain_text(
        "With and without a given mask", timeout=MEASURED_WITHIN_MS
    )
    beside = reader.locator(".review-masks__runs")
    expect(beside).to_contain_text("outline corrected")
    expect(beside).to_contain_text("found by the engine")
    expect(beside).to_contain_text(re.compile(r"−\d+\.\d % of the engine’s own"))
    expect(reader.locator("main")).to_contain_text("A reader corrected the outline in")
    with reader.expect_response(lambda answer: "/verdict/" in answer.url):
        reader.keyboard.press("1")

    # The viewer opens where the outline is, not in the middle of the image.
    reader.goto(site.url + address.replace("/runs/", "/reviews/"))
    reader.click("a[href*='/viewer/']")
    reader.wait_for_selector("[data-viewer][data-ready]", timeout=60_000)
    place = reader.locator("[data-place]").inner_text().replace("−", "-")
    at = [float(number) for number in re.findall(r"-?\d+\.\d", place)[:3]]
    voxel = np.linalg.inv(image.affine) @ [*at, 1.0]
    original = np.asanyarray(image.dataobj) >= 0.5
    assert original[tuple(voxel[:3].round().astype(int))], place
    reader.context.close()
