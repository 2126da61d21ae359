"""The upload pages: recognised, confirmed, refused; nothing is left of what was not taken."""

import gzip
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from monitoring.models import AuditEntry, Patient, Role, Scan, Scanner, UploadDraft, Visit
from monitoring.services.uploads import drafts_sweep
from tests.factories.record import member_make, patient_make
from tests.volumetry.intake_files import dicom_series
from volumetry.core import deface
from volumetry.core.methods import Availability
from volumetry.core.types import (
    Outcome,
    Provenance,
    Quantity,
    Structure,
    StructureMeasure,
    Unit,
    VolumetryResult,
)
from volumetry.engines.registry import METHODS
from volumetry.models import GivenMask, SourceImage, VolumetryRun
from volumetry.services import run_execute

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}
DAY = "2024-05-06"


class _Method:
    """A small, true method: it counts voxels."""

    version = "0.1"
    description = "A method of the tests."

    def __init__(self, name: str) -> None:
        self.name = name

    def availability(self) -> Availability:
        return Availability(is_ready=True)

    def measure(self, image, *, workdir, request=None) -> VolumetryResult:
        """Return the volume of the voxels above zero, and remember what the row said."""
        self.step = VolumetryRun.objects.get(status="running").step
        value = float((image.intensities > 0).sum() * image.voxel_volume_mm3)
        measure = StructureMeasure(
            Structure.BRAIN_PARENCHYMA, Quantity.VOLUME, value, Unit.MM3, value / 100
        )
        made_by = Provenance(self.name, self.version, {}, image.sha256)
        return VolumetryResult(Outcome.OK, None, (measure,), (), made_by, 0.1)


@pytest.fixture(autouse=True)
def _methods(monkeypatch):
    for name in ("neuraxis-brain", "neuraxis-cord"):
        monkeypatch.setitem(METHODS, name, _Method(name))


@pytest.fixture
def technician(client, vltava) -> Client:
    client.force_login(member_make("tom", vltava, Role.TECHNICIAN))
    return client


def head_and_neck(*, seed: int = 1) -> bytes:
    """Return a volume of 1.5 mm large enough for brain and cord, as .nii.gz."""
    values = np.zeros((100, 110, 120), np.int16)
    values[seed : seed + 40, 20:80, 30:90] = 100
    image = nib.Nifti1Image(values, np.diag([1.5, 1.5, 1.5, 1.0]))
    return gzip.compress(image.to_bytes(), compresslevel=1)


def sent(content: bytes, name: str = "sub_T1w.nii.gz") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def upload(client, patient, *files, day=DAY, **extra):
    return client.post(
        reverse("upload", args=[patient.pk]), {"visit_date": day, "files": list(files)}, **extra
    )


def confirm(client, draft, **fields):
    chosen = {"s0-keep": "on", "s0-sequence": "t1", "s0-measure_brain": "on"}
    return client.post(reverse("upload_draft", args=[draft.pk]), {**chosen, **fields})


def scratch_is_empty() -> bool:
    return not list(Path(settings.SCRATCH_ROOT).iterdir())


def stored_files() -> list[Path]:
    root = Path(settings.MEDIA_ROOT)
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


def nothing_is_left() -> bool:
    rows = (UploadDraft, Scan, SourceImage, VolumetryRun, Visit, Scanner)
    return (
        scratch_is_empty() and not stored_files() and not any(m.objects.exists() for m in rows)
    )


def test_a_scan_goes_from_the_form_to_requested_runs(
    technician, vltava, django_capture_on_commit_callbacks
):
    patient = patient_make(vltava)

    answer = upload(technician, patient, sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    assert answer.url == reverse("upload_draft", args=[draft.pk])
    page = technician.get(answer.url).content.decode()
    assert "1.50 × 1.50 × 1.50 mm" in page
    assert "T1-weighted" in page
    assert "by the name of the file" in page
    assert "high enough for brain and upper cord together" in page
    assert not Scan.objects.exists()

    with_both = {"s0-measure_cord": "on", "s0-scanner_name": "Skyra"}
    with django_capture_on_commit_callbacks(execute=True):
        confirmed = confirm(technician, draft, **with_both)

    assert confirmed.url == answer.url
    scan = Scan.objects.get()
    assert scan.session.visit.date == date(2024, 5, 6)
    assert scan.epoch.scanner.name == "Skyra"
    assert {run.method for run in VolumetryRun.objects.all()} == {
        "neuraxis-brain",
        "neuraxis-cord",
    }
    assert scratch_is_empty()
    page = technician.get(answer.url).content.decode()
    assert page.count("Waiting") == 2
    assert 'hx-trigger="every 2s"' in page


def test_what_the_worker_measured_stands_on_the_page_of_the_upload(
    technician, vltava, monkeypatch
):
    # a box of noise holds no face; looking for one costs seconds (test_deface.py)
    nothing = np.zeros(1, dtype=bool)
    monkeypatch.setattr(
        deface, "face_find", lambda _: deface.Deface(deface.FaceRule.NOT_IN_VIEW, nothing)
    )
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    confirm(technician, draft)

    assert run_execute(VolumetryRun.objects.get().pk)

    page = technician.get(reverse("upload_runs", args=[draft.pk])).content.decode()
    # 40 x 60 x 60 voxels of 3.375 mm³ carry signal; the error is one percent of it.
    assert "486.0" in page
    assert "4.9 SE" in page
    assert "cm³" in page
    assert "hx-trigger" not in page
    assert METHODS["neuraxis-brain"].step.startswith("Step 2 of 3")
    assert VolumetryRun.objects.get().step == ""


def test_the_worker_is_rung_after_the_commit_once_per_run(
    technician, vltava, doorbell, django_capture_on_commit_callbacks
):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    with django_capture_on_commit_callbacks(execute=True):
        confirm(technician, UploadDraft.objects.get(), **{"s0-measure_cord": "on"})

    runs = {str(pk) for pk in VolumetryRun.objects.values_list("pk", flat=True)}
    assert {pk for kind, pk in doorbell if kind == "run"} == runs
    assert len(doorbell) == 2


def test_htmx_gets_the_draft_alone_and_the_address_to_come_back_to(technician, vltava):
    answer = upload(technician, patient_make(vltava), sent(head_and_neck()), **HTMX)

    assert answer.status_code == 200
    assert b"<html" not in answer.content
    draft = UploadDraft.objects.get()
    assert answer["HX-Push-Url"] == reverse("upload_draft", args=[draft.pk])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.nii.gz", b"%PDF-1.4\n" + b"x" * 900, "PDF"),
        ("scan.nii.gz", b"", "empty"),
        ("scan.nii.gz", head_and_neck()[:5000], "fewer voxels"),
        ("four.nii", None, "4 dimensions"),
    ],
)
def test_a_refused_file_is_said_at_once_and_leaves_nothing(
    technician, vltava, name, content, words
):
    if content is None:
        values = np.zeros((20, 20, 20, 3), np.int16)
        values[5:9, 5:9, 5:9] = 9
        content = bytes(nib.Nifti1Image(values, np.eye(4)).to_bytes())
    patient = patient_make(vltava)

    answer = upload(technician, patient, sent(content, name), **HTMX)

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert nothing_is_left()


def test_without_javascript_a_refusal_is_the_form_with_the_sentence(technician, vltava):
    patient = patient_make(vltava)

    answer = upload(technician, patient, sent(b"%PDF-1.4" + b"y" * 900))

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "PDF" in page
    assert "<form" in page
    assert DAY in page
    assert nothing_is_left()


def test_an_upload_without_a_file_is_refused(technician, vltava):
    answer = technician.post(
        reverse("upload", args=[patient_make(vltava).pk]), {"visit_date": DAY}, **HTMX
    )

    assert answer.status_code == 422
    assert "No file was uploaded" in answer.content.decode()
    assert nothing_is_left()


@pytest.mark.parametrize("day", ["2999-01-01", "1970-01-01", "yesterday", ""])
def test_an_impossible_visit_date_is_refused_before_anything_is_kept(technician, vltava, day):
    answer = upload(technician, patient_make(vltava), sent(head_and_neck()), day=day, **HTMX)

    assert answer.status_code == 422
    assert nothing_is_left()


def test_many_dicom_files_at_once_are_one_series(technician, vltava):
    patient = patient_make(vltava, birth_year=None, sex="unknown")
    files = [sent(content, f"IM{n:04d}") for n, content in enumerate(dicom_series(20))]

    answer = upload(technician, patient, *files, **HTMX)

    assert answer.status_code == 200, answer.content
    assert len(UploadDraft.objects.get().series) == 1


def test_images_of_another_day_ask_which_date_is_right(technician, vltava):
    patient = patient_make(vltava, birth_year=None, sex="unknown")
    series = dicom_series(20, StudyDate="20240501")
    files = [sent(content, f"IM{n:04d}") for n, content in enumerate(series)]
    answer = upload(technician, patient, *files, **HTMX)
    assert "taken 5 days before the visit date" in answer.content.decode()
    draft = UploadDraft.objects.get()

    unanswered = confirm(technician, draft)
    assert unanswered.status_code == 422
    assert not Scan.objects.exists()

    confirm(technician, draft, date_answer="images")
    assert Visit.objects.get().date == date(2024, 5, 1)


def received() -> list[Path]:
    """Return what is left of files that came with a request."""
    root = Path(settings.SCRATCH_ROOT)
    return [*root.glob("received-*"), *root.glob("mask-*")]


def lesion_mask(shape: tuple[int, int, int] = (100, 110, 120)) -> SimpleUploadedFile:
    """Return a mask with one lesion inside the head of `head_and_neck`."""
    values = np.zeros(shape, np.uint8)
    values[20:24, 40:44, 50:54] = 1
    image = nib.Nifti1Image(values, np.diag([1.5, 1.5, 1.5, 1.0]))
    return sent(gzip.compress(image.to_bytes(), compresslevel=1), "lesions.nii.gz")


def test_a_lesion_mask_may_come_with_its_t1_in_one_step(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    page = technician.get(reverse("upload_draft", args=[draft.pk])).content.decode()
    assert 'name="s0-lesions"' in page

    answer = confirm(technician, draft, **{"s0-lesions": lesion_mask()})

    assert answer.status_code == 302
    mask = GivenMask.objects.get()
    assert (mask.kind, mask.image) == ("lesions", Scan.objects.get().image)
    plain, filled = VolumetryRun.objects.order_by("created_at")
    assert "lesions" not in plain.parameters
    assert filled.parameters["lesions"] == str(mask.pk)
    assert received() == []


def test_a_lesion_mask_that_does_not_fit_is_said_and_the_scan_is_measured_all_the_same(
    technician, vltava
):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()

    mask = lesion_mask((90, 110, 120))
    answer = confirm(technician, draft, **{"s0-lesions": mask})
    page = technician.get(answer.url).content.decode()

    assert "Series 1 is stored, its lesion mask is not: " in page
    assert not GivenMask.objects.exists()
    assert VolumetryRun.objects.get().parameters == {}
    assert received() == []


def test_the_visit_date_may_be_confirmed_against_the_images(technician, vltava):
    patient = patient_make(vltava, birth_year=None, sex="unknown")
    series = dicom_series(20, StudyDate="20240501")
    upload(technician, patient, *[sent(c, f"IM{n}") for n, c in enumerate(series)])

    confirm(technician, UploadDraft.objects.get(), date_answer="visit")

    assert Visit.objects.get().date == date(2024, 5, 6)


def test_images_of_the_other_sex_are_refused_and_leave_nothing(technician, vltava):
    patient = patient_make(vltava, sex="male")
    series = dicom_series(20, PatientSex="F")

    answer = upload(
        technician, patient, *[sent(c, f"I{n}") for n, c in enumerate(series)], **HTMX
    )

    assert answer.status_code == 422
    assert "other sex" in answer.content.decode()
    assert nothing_is_left()


def test_a_duplicate_leads_to_the_scan_that_the_clinic_holds(technician, vltava):
    patient = patient_make(vltava)
    upload(technician, patient, sent(head_and_neck()))
    confirm(technician, UploadDraft.objects.get())
    held = Scan.objects.get()

    again = upload(technician, patient, sent(head_and_neck()), **HTMX).content.decode()

    assert reverse("scan_detail", args=[held.pk]) in again
    assert "Confirm and measure" not in again


def test_a_duplicate_of_another_patient_is_never_stored_for_this_one(technician, vltava):
    first, second = patient_make(vltava), patient_make(vltava)
    upload(technician, first, sent(head_and_neck()))
    confirm(technician, UploadDraft.objects.get())

    page = upload(technician, second, sent(head_and_neck()), **HTMX).content.decode()
    refused = confirm(technician, UploadDraft.objects.get(patient=second))

    assert first.pseudonym in page
    assert refused.status_code == 422
    assert Scan.objects.count() == 1


def test_another_clinic_that_holds_the_same_images_is_not_betrayed(technician, vltava, labe):
    other = Client()
    other.force_login(member_make("ludek", labe, Role.TECHNICIAN))
    upload(other, patient_make(labe), sent(head_and_neck()))
    confirm(other, UploadDraft.objects.get())

    page = upload(technician, patient_make(vltava), sent(head_and_neck()), **HTMX)

    assert "already holds" not in page.content.decode()


def test_confirming_twice_stores_once_and_shows_the_same_result(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()

    first = confirm(technician, draft)
    second = confirm(technician, draft)

    assert first.url == second.url
    assert Scan.objects.count() == 1
    assert VolumetryRun.objects.count() == 1


def test_a_choice_that_cannot_be_stored_leaves_the_draft_and_no_file(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()

    wrong = confirm(technician, draft, **{"s0-sequence": "ct"})
    none = technician.post(reverse("upload_draft", args=[draft.pk]), {"s0-sequence": "t1"})

    assert (wrong.status_code, none.status_code) == (422, 422)
    assert not Scan.objects.exists()
    assert not stored_files()
    assert confirm(technician, draft).status_code == 302


def test_a_store_that_fails_half_way_takes_its_files_back(technician, vltava, monkeypatch):
    upload(technician, patient_make(vltava), sent(head_and_neck()))

    def broken(_scan):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("monitoring.services.uploads.scan_request_runs", broken)
    with pytest.raises(RuntimeError):
        confirm(technician, UploadDraft.objects.get())

    assert not stored_files()
    assert not Scan.objects.exists()


def test_discarding_forgets_the_files(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))

    technician.post(reverse("upload_discard", args=[UploadDraft.objects.get().pk]))

    assert nothing_is_left()


def test_a_confirmed_upload_is_part_of_the_record(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    confirm(technician, draft)

    technician.post(reverse("upload_discard", args=[draft.pk]))
    drafts_sweep()

    assert UploadDraft.objects.filter(pk=draft.pk).exists()
    assert Scan.objects.count() == 1


def test_an_upload_that_was_swept_says_so(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    for file in Path(settings.SCRATCH_ROOT).rglob("*.nii.gz"):
        file.unlink()

    answer = confirm(technician, draft)

    assert answer.status_code == 422
    assert "expired" in answer.content.decode()


def test_a_named_scanner_is_one_that_the_clinic_knows_already(technician, vltava):
    patient = patient_make(vltava)
    known = Scanner.objects.create(clinic=vltava, name="Skyra", fingerprint="from a header")
    upload(technician, patient, sent(head_and_neck()))

    confirm(technician, UploadDraft.objects.get(), **{"s0-scanner_name": "skyra "})

    assert Scan.objects.get().epoch.scanner == known


def test_strangers_find_no_upload_and_readers_may_not_upload(technician, vltava, labe, bob):
    patient = patient_make(vltava)
    upload(technician, patient, sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    addresses = [
        reverse("upload", args=[patient.pk]),
        reverse("upload_draft", args=[draft.pk]),
        reverse("upload_runs", args=[draft.pk]),
    ]
    stranger, reader = Client(), Client()
    stranger.force_login(member_make("ludek", labe, Role.TECHNICIAN))
    reader.force_login(bob)

    assert [stranger.get(address).status_code for address in addresses] == [404, 404, 404]
    assert [reader.get(address).status_code for address in addresses] == [403, 403, 403]
    assert confirm(stranger, draft).status_code == 404
    assert not Scan.objects.exists()


def test_the_states_stop_asking_when_every_run_has_ended(technician, vltava):
    upload(technician, patient_make(vltava), sent(head_and_neck()))
    draft = UploadDraft.objects.get()
    confirm(technician, draft)
    states = reverse("upload_runs", args=[draft.pk])
    assert b"hx-trigger" in technician.get(states).content

    VolumetryRun.objects.update(status="failed", reason="The image could not be read.")

    page = technician.get(states).content
    assert b"hx-trigger" not in page
    assert b"The image could not be read." in page


def test_a_new_patient_is_added_on_the_way(technician, vltava):
    answer = technician.post(
        reverse("upload_start"), {"pseudonym": "NEW-7", "sex": "female", "birth_year": "1980"}
    )

    patient = Patient.objects.get()
    assert answer.url == reverse("upload", args=[patient.pk])
    assert patient.clinic == vltava


def test_the_search_shows_own_patients_only(technician, vltava, labe):
    patient_make(vltava, "VL-31")
    patient_make(labe, "LA-31")

    page = technician.get(reverse("upload_start"), {"q": "31"}, **HTMX).content.decode()

    assert "VL-31" in page
    assert "LA-31" not in page
    assert "<html" not in page


def test_opening_and_storing_are_in_the_audit_trail(technician, vltava):
    patient = patient_make(vltava)
    upload(technician, patient, sent(head_and_neck()))
    confirm(technician, UploadDraft.objects.get())

    rows = AuditEntry.objects.filter(pseudonym=patient.pseudonym)
    assert set(rows.values_list("action", "subject")) >= {
        ("read", "upload"),
        ("upload", "scan"),
        ("create", "visit"),
    }


@pytest.mark.realdata
def test_the_real_session_is_recognised_as_brain_and_cord(technician, vltava, realdata):
    patient = patient_make(vltava, sex="female", birth_year=None)
    path = realdata / "brain_plus_cord_dicom" / "studyforrest_sub02_T1w_dicom.zip"

    answer = upload(
        technician, patient, sent(path.read_bytes(), path.name), day="2013-07-17", **HTMX
    )

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "0.70 × 0.67 × 0.67 mm" in page
    assert "Jane" not in page
    row = UploadDraft.objects.get().series[0]
    assert (row["sequence"], row["measure_brain"], row["measure_cord"]) == ("t1", True, True)
