"""The whole job on a real session: a form, a worker, a reader, a timeline."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import House

pytestmark = [pytest.mark.browser, pytest.mark.realdata, pytest.mark.slow]
MEASURED_WITHIN_MS = 8 * 60 * 1000  # a brain takes a minute on a quiet core


def patient_add(page: Page, site: House, pseudonym: str) -> str:
    """Add a patient as a technician does; return the address of the upload page."""
    page.goto(f"{site.url}/patients/add/")
    page.fill("input[name=pseudonym]", pseudonym)
    page.select_option("select[name=sex]", "female")
    page.fill("input[name=birth_year]", "1971")
    page.fill("input[name=onset_date]", "2010-05-01")
    page.click("main button[type=submit]")
    page.wait_for_url(re.compile(r"/patients/[0-9a-f-]{36}/upload/"))
    return page.url


def send(page: Page, file: Path, day: str) -> None:
    """Choose a file for a visit and send it."""
    page.fill("input[name=visit_date]", day)
    page.set_input_files("#files", str(file))
    page.click("[data-send]")


def test_a_real_session_travels_from_the_upload_form_to_the_timeline(
    site: House, realdata: Path
) -> None:
    technician = site.sign_in("technician")
    upload = patient_add(technician, site, "REAL-1")
    session = realdata / "brain_plus_cord_dicom" / "studyforrest_sub02_T1w_dicom.zip"
    send(technician, session, "2013-07-17")

    # Before anything is stored the page says what was recognised.
    recognised = technician.locator("[aria-labelledby=recognised]")
    expect(recognised).to_contain_text("T1-weighted", timeout=120_000)
    expect(recognised).to_contain_text("0.70 × 0.67 × 0.67 mm")
    technician.click("text=Confirm and measure")
    runs = technician.locator("#upload-runs")
    expect(runs).to_contain_text("Cervical cord", timeout=30_000)
    expect(runs.locator("text=Measured")).to_have_count(2, timeout=MEASURED_WITHIN_MS)
    expect(runs).to_contain_text("cm³")
    expect(runs).to_contain_text("mm²")

    # The same session again leads to the scan that the clinic already holds.
    technician.goto(upload)
    send(technician, session, "2013-07-17")
    expect(technician.locator("main")).to_contain_text("already holds", timeout=120_000)
    technician.context.close()

    radiologist = site.sign_in("radiologist")
    for _ in range(2):
        radiologist.goto(f"{site.url}/reviews/")
        radiologist.locator("tr, li, article").filter(has_text="REAL-1").locator(
            "a[href^='/reviews/']"
        ).first.click()
        expect(radiologist.locator("h1")).to_contain_text("REAL-1")
        expect(radiologist.locator("main img").first).to_be_visible()
        with radiologist.expect_response(lambda answer: "/verdict/" in answer.url):
            radiologist.keyboard.press("1")
        radiologist.wait_for_load_state("networkidle")
    radiologist.context.close()

    neurologist = site.sign_in("neurologist")
    neurologist.goto(upload.replace("upload/", ""))
    neurologist.wait_for_selector("[data-timeline][data-ready]")
    expect(neurologist.locator("main")).to_contain_text("Not yet assessable")
    expect(neurologist.locator("main")).to_contain_text("Accepted")
    figure = json.loads(neurologist.locator("#timeline-figure").inner_text())
    assert len(figure) > 0
    neurologist.context.close()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("cord_sct_testing_data/fmri/fmri.nii.gz", "4-D|four|time points|3-D"),
        ("README.md", "not|image"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once_and_leaves_nothing(
    site: House, realdata: Path, file: str, sentence: str
) -> None:
    technician = site.sign_in("technician")
    patient_add(technician, site, f"REFUSED-{Path(file).stem}")
    before = sorted((site.var / "scratch").iterdir())
    send(technician, realdata / file, "2020-01-01")

    refusal = technician.locator("[data-refusal]")
    expect(refusal).to_contain_text(re.compile(sentence), timeout=60_000)
    assert sorted((site.var / "scratch").iterdir()) == before
    # The refusal answers 4xx; the browser's own complaint about it is not a fault of the page.
    site.problems[:] = [
        one for one in site.problems if "/upload/" not in one and "4" not in one
    ]
    technician.context.close()


def test_the_site_answers_only_its_own_clinic(site: House) -> None:
    """A stranger's browser gets the same answer for a foreign and for an invented patient."""
    stranger = site.sign_in("labe")
    invented = f"{site.url}/patients/00000000-0000-4000-8000-000000000000/"
    answer = stranger.goto(invented)

    assert answer is not None
    assert answer.status == 404
    site.problems.clear()
    stranger.context.close()


def test_health_needs_no_sign_in(site: House) -> None:
    with urllib.request.urlopen(f"{site.url}/healthz", timeout=10) as answer:
        assert json.load(answer) == {"status": "ok"}
