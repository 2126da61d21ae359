"""The review room: contact sheet, the same slices of two visits, the cord's profile, viewer."""

import hashlib
import json
import re
from datetime import date

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.charts.profile import profile_chart
from monitoring.models import AuditEntry, Clinic, Patient, Review
from monitoring.selectors.levels import AreaProfile, area_profile, slices_of
from tests.factories.pictures import png, run_file_make
from tests.factories.record import patient_make, run_make, scan_make
from volumetry.models import VolumetryRun

pytestmark = pytest.mark.django_db
CORD = {("cord_c2_c3", "mean_csa"): 71.2}
NIIVUE = settings.BASE_DIR / "static" / "vendor" / "niivue-0.69.0"


@pytest.fixture
def radiologist(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    return patient_make(vltava, "ROOM-1")


def cord_run(
    patient: Patient, day: date, positions: list[float], *, zero: str = "pmj"
) -> VolumetryRun:
    run = run_make(scan_make(patient, day), "neuraxis-cord", measures=CORD)
    sections = {
        "file": "sections.png",
        "tile": 160,
        "columns": 2,
        "positions_mm": positions,
        "area_mm2": [70.0 + at / 10 for at in positions],
        "zero": zero,
    }
    run_file_make(run, "views.json", json.dumps({"sections": sections}).encode())
    run_file_make(run, "sections.png", png(320, 480))
    return run


def test_slices_are_matched_by_millimetres_from_the_landmark(patient):
    before = cord_run(patient, date(2023, 1, 1), [3.4, 6.4, 9.4])
    run = cord_run(patient, date(2024, 1, 1), [0.1, 3.1, 6.1])
    slices = slices_of(run, before)
    assert slices is not None
    assert [row.prior_at for row in slices.rows] == [None, (0, 0), (160, 0)]
    assert [row.at for row in slices.rows] == [(0, 0), (160, 0), (0, 160)]
    assert slices.rows[1].prior_area_mm2 == pytest.approx(70.34)


def test_slices_counted_from_two_landmarks_are_never_called_the_same(patient):
    before = cord_run(patient, date(2023, 1, 1), [0.0, 3.0], zero="c2c3")
    run = cord_run(patient, date(2024, 1, 1), [0.0, 3.0], zero="pmj")
    slices = slices_of(run, before)
    assert slices is not None
    assert slices.prior_file == ""
    assert all(row.prior_at is None for row in slices.rows)


def test_a_run_whose_views_cannot_be_read_shows_no_slices(patient):
    run = run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", measures=CORD)
    run_file_make(run, "views.json", b"{broken")
    assert slices_of(run, None) is None
    assert area_profile(run) is None


def test_a_profile_leaves_out_what_was_left_out_of_the_measurement(patient):
    run = run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", measures=CORD)
    text = b"position_mm,csa_mm2,ap_mm,rl_mm,confidence\n0,70,8,11,1\n1,,,,0.1\n2,72,8,11,1\n"
    run_file_make(run, "cord_profile.csv", text)
    profile = area_profile(run)
    assert profile is not None
    assert profile.points == ((0.0, 70.0), (2.0, 72.0))
    assert profile.zero == "upper end"


def test_two_profiles_share_a_scale_only_from_the_same_landmark():
    own = AreaProfile("pmj", ((50.0, 70.0), (60.0, 68.0), (80.0, 66.0)), (54.0, 74.0), "")
    before = AreaProfile("pmj", ((45.0, 75.0), (60.0, 72.0), (70.0, 71.0)), None, "")
    chart = profile_chart(own, before)
    assert chart.own.startswith("0.0,")
    assert len(chart.prior.split()) == 2  # 45 mm lies outside what this scan shows
    assert chart.window == (pytest.approx(106.7, abs=0.1), pytest.approx(640.0))
    other = profile_chart(own, AreaProfile("c2c3", before.points, None, ""))
    assert other.prior == ""
    assert "another landmark" in other.prior_left_out


def test_the_review_page_shows_slices_and_profile(radiologist, patient):
    before = cord_run(patient, date(2023, 1, 1), [3.0, 6.0])
    run = cord_run(patient, date(2024, 1, 1), [3.0, 6.0])
    text = b"position_mm,csa_mm2,ap_mm,rl_mm,confidence\n0,70,8,11,1\n20,72,8,11,1\n"
    run_file_make(run, "cord_profile.csv", text)
    page = radiologist.get(reverse("review", args=[run.pk])).content.decode()
    assert "Slice by slice, with the scan before" in page
    assert reverse("run_file", args=[before.pk, "sections.png"]) in page
    assert "Cord along its length" in page
    assert "None" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_contact_sheet_shows_what_waits_and_filters_by_organ(radiologist, patient):
    cord = run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", measures=CORD)
    run_file_make(cord, "qc.png", png())
    brain = {("brain_parenchyma", "volume"): 1.1e6}
    run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-brain", measures=brain)
    address = reverse("review_sheet")
    everything = radiologist.get(address).content.decode()
    only_cord = radiologist.get(address, {"region": "cord"}).content.decode()
    assert everything.count("data-tile-form") == 2
    assert only_cord.count("data-tile-form") == 1
    assert reverse("run_file", args=[cord.pk, "qc.png"]) in only_cord
    nonsense = radiologist.get(address, {"region": "'; drop"})
    assert nonsense.content.decode().count("data-tile-form") == 2


def test_the_contact_sheet_asks_the_same_few_questions_for_one_and_for_many(
    radiologist, patient
):
    asked = []
    for month in range(1, 9):
        run_make(scan_make(patient, date(2024, month, 1)), "neuraxis-cord", measures=CORD)
        if month in {1, 8}:
            with CaptureQueriesContext(connection) as queries:
                radiologist.get(reverse("review_sheet"))
            asked.append(len(queries))
    assert asked[1] <= asked[0] <= 22  # the first request begins the session


def test_a_tile_says_how_far_its_number_lies_from_the_comparable_one_before(
    radiologist, patient
):
    def area(value: float) -> dict[tuple[str, str], float]:
        return {("cord_c2_c3", "mean_csa"): value}

    before = scan_make(patient, date(2023, 1, 1))
    run_make(before, "neuraxis-cord", measures=area(80.0))
    run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", measures=area(78.0))
    elsewhere = scan_make(patient, date(2025, 1, 1), scanner="Another")
    run_make(elsewhere, "neuraxis-cord", measures=area(60.0))

    page = radiologist.get(reverse("review_sheet")).content.decode()

    assert '\u22122.5 % <small class="soft">since 2023-01-01' in page
    assert page.count("sheet__step") == 1  # neither the first nor another scanner's


def test_a_verdict_from_the_sheet_is_answered_in_place(radiologist, patient):
    run = run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", measures=CORD)
    address = reverse("review_verdict", args=[run.pk])

    def send(**data: str):
        sent = {"from": "sheet", **data}
        return radiologist.post(address, sent, headers={"Accept": "application/json"})

    first = send(verdict="accepted")
    assert first.json() == {"words": "Accepted.", "review": Review.objects.get().pk}
    # Without the verdict that was seen, somebody else's is not written over.
    overtaken = send(verdict="rejected:outline")
    assert overtaken.status_code == 422
    assert "meanwhile" in overtaken.json()["words"]
    again = send(verdict="rejected:outline", seen_review=str(first.json()["review"]))
    assert again.json()["words"] == "Rejected: outline is wrong."
    assert send(verdict="").status_code == 422


def test_the_viewer_serves_the_stored_image_alone_and_writes_it_down(radiologist, patient):
    scan = scan_make(patient, date(2024, 1, 1))
    run = run_make(scan, "neuraxis-cord", measures=CORD)
    run_file_make(run, "cord_mask.nii.gz", b"mask")
    page = radiologist.get(reverse("scan_viewer", args=[scan.pk]))
    assert "unsafe-eval" not in page["Content-Security-Policy"]
    assert "script-src" not in page["Content-Security-Policy"]  # 'self', from default-src
    assert reverse("run_file", args=[run.pk, "cord_mask.nii.gz"]) in page.content.decode()
    image = radiologist.get(reverse("scan_image", args=[scan.pk]))
    assert b"".join(image.streaming_content) == b"not read by this test"
    assert image["Cache-Control"] == "no-store, private"
    assert "ROOM-1" not in image["Content-Disposition"]
    details = AuditEntry.objects.filter(subject="scan", pseudonym="ROOM-1")
    assert set(details.values_list("detail", flat=True)) == {"viewer", "image"}


@pytest.mark.parametrize("face", ["unchecked", "kept"])
def test_an_image_that_may_show_a_face_is_not_handed_out(radiologist, patient, face):
    scan = scan_make(patient, date(2024, 1, 1))
    scan.image.face = face
    scan.image.save()

    page = radiologist.get(reverse("scan_viewer", args=[scan.pk])).content.decode()

    assert reverse("scan_image", args=[scan.pk]) not in page
    assert "face" in page
    assert radiologist.get(reverse("scan_image", args=[scan.pk])).status_code == 404


def test_a_run_named_in_the_address_puts_its_mask_first(radiologist, patient):
    scan = scan_make(patient, date(2024, 1, 1))
    for method in ("neuraxis-brain", "neuraxis-cord"):
        run = run_make(scan, method, measures=CORD)
        name = f"{method.removeprefix('neuraxis-')}_mask.nii.gz"
        run_file_make(run, name, b"mask")
    page = radiologist.get(reverse("scan_viewer", args=[scan.pk]), {"run": str(run.pk)})
    assert [mask.words for mask in page.context["masks"]] == ["Cord mask", "Brain mask"]
    assert (
        radiologist.get(reverse("scan_viewer", args=[scan.pk]), {"run": "x"}).status_code == 200
    )


def test_the_vendored_viewer_is_the_file_that_its_note_names():
    held = hashlib.sha512((NIIVUE / "niivue.umd.js").read_bytes()).hexdigest()
    assert held in (NIIVUE / "VENDORED.md").read_text()
    page = (settings.BASE_DIR / "templates" / "monitoring" / "viewer.html").read_text()
    assert "vendor/niivue-0.69.0/niivue.umd.js" in page
    assert "BSD 2-Clause" in (NIIVUE / "LICENSE").read_text()
