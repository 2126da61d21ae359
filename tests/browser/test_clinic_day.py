"""A clinic day: drop its folder, lose the connection, come back, say whose each visit is."""

import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.browser.conftest import House
from tests.volumetry.intake_files import dicom_series, zip_bytes

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PIECE = 8 * 1024 * 1024


def volume(side: tuple[int, int, int], *, seed: int) -> bytes:
    """Return noise that no compression shrinks, as large as brain and neck."""
    noise = np.random.default_rng(seed).integers(1, 30_000, size=side, dtype=np.int16)
    spacing = [190 / side[0], 200 / side[1], 180 / side[2], 1.0]
    return bytes(nib.Nifti1Image(noise, np.diag(spacing)).to_bytes())


@pytest.fixture
def clinic_day(tmp_path: Path) -> Path:
    """Write a day: three visits, one file that is refused, one file of several pieces."""
    day = tmp_path / "clinic day"
    first, second = day / "DAY-1 2024-05-06", day / "sub-DAY2" / "anat"
    first.mkdir(parents=True)
    second.mkdir(parents=True)
    (first / "large_T1w.nii").write_bytes(volume((256, 256, 190), seed=1))
    (first / "cut_T2w.nii.gz").write_bytes(gzip.compress(volume((64, 64, 60), seed=2))[:9000])
    (second / "sub-DAY2_T1w.nii.gz").write_bytes(
        gzip.compress(volume((64, 64, 60), seed=3), compresslevel=1)
    )
    session = {f"IM{n}": one for n, one in enumerate(dicom_series(PatientID="DAY-3"))}
    (day / "third patient.zip").write_bytes(zip_bytes(session))
    (day / "letter to the ward.pdf").write_bytes(b"%PDF-1.4" + b"y" * 900)
    return day


def patient_add(page: Page, site: House, code: str) -> None:
    page.goto(f"{site.url}/patients/add/")
    page.fill("input[name=pseudonym]", code)
    page.click("main button[type=submit]")
    page.wait_for_url(re.compile(r"/upload/$"))


def choose(page: Page, day: Path) -> None:
    page.set_input_files("#folder", str(day))
    expect(page.locator("[data-chosen] caption")).to_contain_text("5 files")


def test_a_clinic_day_survives_a_reload_and_finds_its_patients(
    site: House, clinic_day: Path
) -> None:
    page = site.sign_in("technician")
    for code in ("DAY-1", "DAY-3"):
        patient_add(page, site, code)
    page.goto(f"{site.url}/upload/")
    page.click("text=A whole clinic day")
    choose(page, clinic_day)
    expect(page.locator("[data-chosen]")).to_contain_text("PDF, not an image")

    # The connection breaks after two pieces of the large file; then the page is reloaded.
    pieces: list[int] = []

    def breaking(route: Route) -> None:
        request = route.request
        if request.method != "PATCH":
            route.continue_()
        elif len(pieces) < 1:
            pieces.append(int(request.headers["upload-offset"]))
            route.continue_()
        else:
            route.abort("connectionreset")

    page.route("**/deliveries/*/files/*/", breaking)
    page.click("[data-send]")
    expect(page.locator("[data-chosen] tr", has_text="third patient.zip")).to_contain_text(
        "arrived", timeout=30_000
    )
    expect(page.locator("[data-chosen] tr", has_text="large_T1w")).to_contain_text(
        re.compile(r"[6-9]\d %"), timeout=30_000
    )
    page.wait_for_timeout(1500)
    page.on("dialog", lambda dialog: dialog.accept())
    page.unroute("**/deliveries/*/files/*/")
    page.goto("about:blank")
    page.goto(f"{site.url}/upload/day/")
    site.problems.clear()  # the broken connection was ours

    expect(page.locator("[data-arriving]")).to_contain_text("4 of 5 files")
    choose(page, clinic_day)
    sent: list[int] = []
    page.on(
        "request",
        lambda request: (
            sent.append(int(request.headers["upload-offset"]))
            if request.method == "PATCH"
            else None
        ),
    )
    page.click("[data-send]")
    page.wait_for_url(re.compile(r"/upload/day/[0-9a-f-]{36}/$"), timeout=60_000)

    # Nothing that had arrived was sent again.
    assert sent
    assert min(sent) >= PIECE
    visits = page.locator(".day-visit")
    expect(page.locator("text=Confirm all that are complete")).to_be_visible(timeout=120_000)
    expect(visits).to_have_count(3)
    expect(page.locator(".day-refused")).to_contain_text("letter to the ward.pdf")
    expect(page.locator("main")).to_contain_text("cut_T2w.nii.gz")

    # Two were matched by their code; the third is found by typing, and has no date yet.
    first = visits.filter(has_text="DAY-1 2024-05-06")
    expect(first.locator("input[name$=patient]")).to_have_value("DAY-1")
    expect(first.locator("input[name$=visit_date]")).to_have_value("2024-05-06")
    second = visits.filter(has_text="sub-DAY2")
    field = second.locator("input[name$=patient]")
    field.fill("DAY-")
    expect(second.locator("datalist option")).to_have_count(2, timeout=10_000)
    field.fill("")
    page.click("text=Confirm all that are complete")

    expect(page.locator(".day-visit", has_text="Stored")).to_have_count(2)
    expect(page.locator("main")).to_contain_text("2 visits are stored")
    page.click(".day-visit:has-text('DAY-1') >> text=Result of this visit")
    expect(page.locator("h1")).to_contain_text("DAY-1")
    expect(page.locator("#upload-runs")).to_contain_text("Brain")
    page.click("text=Back to the clinic day")
    page.click("text=Discard what was not confirmed")
    expect(page.locator("main")).to_contain_text("The files were discarded")
    page.context.close()


def folder_drop(page: Page, folder: Path) -> None:
    """Drop a folder on the page as the operating system does: no script makes its files."""
    box = page.locator("[data-drop]").bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_dropped_files_are_listed_and_what_is_too_large_is_said_before_sending(
    site: House, tmp_path: Path
) -> None:
    page = site.sign_in("technician")
    page.goto(f"{site.url}/upload/day/")
    dropped = page.evaluate_handle(
        """() => {
            const held = new DataTransfer();
            held.items.add(new File(["%PDF-1.4"], "letter.pdf"));
            held.items.add(new File([new Uint8Array(600)], "head.nii"));
            return held;
        }"""
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})
    expect(page.locator("[data-chosen] caption")).to_contain_text("2 files")
    expect(page.locator("[data-chosen]")).to_contain_text("letter.pdf")

    # A folder as a file manager drops it: the browser walks through what is inside.
    day = tmp_path / "day"
    for name in ("anna/t1/one.nii", "anna/t2/two.nii", "boris/three.nii"):
        (day / name).parent.mkdir(parents=True, exist_ok=True)
        (day / name).write_bytes(bytes(600))
    page.reload()
    folder_drop(page, day)
    expect(page.locator("[data-chosen] caption")).to_contain_text("3 files")
    for name in ("one.nii", "two.nii", "three.nii"):
        expect(page.locator("[data-chosen]")).to_contain_text(name)

    page.evaluate("document.querySelector('[data-upload]').dataset.maxBytes = '100'")
    page.set_input_files(
        "#files", files=[FilePayload(name="a.nii", mimeType="", buffer=b"x" * 200)]
    )
    expect(page.locator("[data-refusal]")).to_contain_text("Send the series in smaller")
    page.context.close()
