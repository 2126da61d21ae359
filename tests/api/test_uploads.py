"""An upload over the API does what the page does, once per key, or refuses in one sentence."""

import gzip
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from monitoring.models import AnsweredRequest, AuditEntry, Role, Scan, UploadDraft, Visit
from monitoring.services.idempotency import KEPT_FOR, answers_sweep, request_claim
from tests.api.conftest import token_make
from tests.factories.record import nifti_write, patient_make
from volumetry.models import SourceImage, VolumetryRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def technician(caller, vltava):
    return caller(vltava, Role.TECHNICIAN)


@pytest.fixture
def brain_file(tmp_path) -> bytes:
    """A T1 image as a scanner's converter names it."""
    return nifti_write(tmp_path / "sub_T1w.nii.gz", shape=(64, 64, 64)).read_bytes()


def send(client, to, content, *, name="sub_T1w.nii.gz", headers=None, **fields):
    posted = {
        "patient": str(to.pk),
        "visit_date": "2020-05-01",
        "files": [SimpleUploadedFile(name, content)],
        **fields,
    }
    return client.post("/api/v1/uploads/", posted, headers=headers or {})


def nothing_was_stored() -> bool:
    stored = (Scan, SourceImage, VolumetryRun, Visit, UploadDraft)
    files = [p for root in (settings.SCRATCH_ROOT, settings.MEDIA_ROOT) for p in _files(root)]
    return not any(model.objects.exists() for model in stored) and not files


def _files(root) -> list[Path]:
    return [path for path in Path(root).rglob("*") if path.is_file()]


def test_an_upload_stores_the_scan_and_rings_the_worker(
    technician, vltava, brain_file, doorbell, django_capture_on_commit_callbacks
):
    patient = patient_make(vltava)

    with django_capture_on_commit_callbacks(execute=True):
        answer = send(technician, patient, brain_file, scanner_name="Prisma 2")

    assert answer.status_code == 201, answer.content
    (scan,) = answer.json()["scans"]
    stored = Scan.objects.get()
    assert scan["id"] == str(stored.pk)
    assert scan["is_duplicate"] is False
    assert scan["date"] == "2020-05-01"
    assert stored.epoch.scanner.name == "Prisma 2"
    assert {run["status"] for run in scan["runs"]} == {"queued"}
    assert sorted(doorbell) == sorted(("run", run["id"]) for run in scan["runs"])
    assert answer.json()["intended_use"].startswith("Research use only")
    assert AuditEntry.objects.filter(action="upload", subject="scan").exists()


def test_the_address_of_a_run_tells_its_state(technician, vltava, brain_file):
    scan = send(technician, patient_make(vltava), brain_file).json()["scans"][0]
    address = scan["runs"][0]["url"]
    VolumetryRun.objects.update(
        status="succeeded", outcome="refused", reason="The image ends above C2."
    )

    run = technician.get(address).json()["run"]

    assert (run["status"], run["outcome"]) == ("succeeded", "refused")
    assert run["reason"] == "The image ends above C2."
    assert run["scan"] == scan["id"]


def test_the_same_images_again_lead_to_the_scan_that_is_held(technician, vltava, brain_file):
    patient = patient_make(vltava)
    first = send(technician, patient, brain_file).json()["scans"][0]

    again = send(technician, patient, brain_file).json()["scans"][0]

    assert again["id"] == first["id"]
    assert again["is_duplicate"] is True
    assert [run["id"] for run in again["runs"]] == [run["id"] for run in first["runs"]]
    assert Scan.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "brain.nii.gz"),
        (b"%PDF-1.7 not an image", "brain.nii.gz"),
        (gzip.compress(b"\0" * 1000), "brain.nii.gz"),
    ],
    ids=["an empty file", "a PDF", "zeros in gzip"],
)
def test_what_is_refused_is_refused_in_a_sentence_and_leaves_nothing(
    technician, vltava, content, name
):
    answer = send(technician, patient_make(vltava), content, name=name)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"].endswith(".")
    assert problem["errors"][0]["pointer"] == "/files"
    assert nothing_was_stored()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"visit_date": "soon"}, "/visit_date"),
        ({"visit_date": "2999-01-01"}, "/visit_date"),
        ({"patient": "ANNA"}, "/patient"),
        ({"files": []}, "/files"),
        ({"scanner_name": "x" * 81}, "/scanner_name"),
    ],
)
def test_an_impossible_request_is_refused_with_a_pointer(
    technician, vltava, brain_file, fields, pointer
):
    answer = send(technician, patient_make(vltava), brain_file, **fields)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert nothing_was_stored()


def test_a_patient_of_another_clinic_does_not_exist(technician, labe, brain_file):
    answer = send(technician, patient_make(labe), brain_file)

    assert answer.status_code == 404
    assert nothing_was_stored()


def test_json_is_not_what_an_upload_is_made_of(technician, vltava):
    answer = technician.post("/api/v1/uploads/", {}, content_type="application/json")

    assert answer.status_code == 415
    assert answer.json()["title"] == "Unsupported media type"


# --- Idempotency-Key ------------------------------------------------------------------------

KEY = {"Idempotency-Key": "visit-17"}


def test_the_same_request_with_the_same_key_is_answered_once(technician, vltava, brain_file):
    patient = patient_make(vltava)
    first = send(technician, patient, brain_file, headers=KEY)

    again = send(technician, patient, brain_file, headers=KEY)

    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert UploadDraft.objects.count() == 1


def test_a_key_does_not_stand_for_two_requests(technician, vltava, brain_file):
    patient = patient_make(vltava)
    send(technician, patient, brain_file, headers=KEY)

    other = send(technician, patient, brain_file, headers=KEY, visit_date="2020-06-01")

    assert other.status_code == 422
    assert "make a new key" in other.json()["detail"]


def test_a_request_that_is_still_being_answered_is_not_begun_again(vltava, caller, brain_file):
    patient = patient_make(vltava)
    technician = caller(vltava, Role.TECHNICIAN)
    first = send(technician, patient, brain_file, headers=KEY)
    AnsweredRequest.objects.update(status=None, answer=None)

    again = send(technician, patient, brain_file, headers=KEY)

    assert first.status_code == 201
    assert again.status_code == 409


def test_a_refused_request_gives_its_key_back(technician, vltava, brain_file):
    patient = patient_make(vltava)
    refused = send(technician, patient, b"%PDF-1.7", headers=KEY)

    accepted = send(technician, patient, brain_file, headers=KEY)

    assert (refused.status_code, accepted.status_code) == (400, 201)


def test_two_tokens_may_use_the_same_key(vltava, caller, brain_file):
    patient = patient_make(vltava)
    first, second = (caller(vltava, Role.TECHNICIAN) for _ in range(2))

    send(first, patient, brain_file, headers=KEY)
    answer = send(second, patient, brain_file, headers=KEY)

    assert "Idempotent-Replayed" not in answer
    assert answer.json()["scans"][0]["is_duplicate"] is True


def test_a_key_is_forgotten_after_a_day(vltava):
    token, _ = token_make(vltava, Role.TECHNICIAN)
    claim = request_claim(token=token, key="old", digest="a")
    AnsweredRequest.objects.filter(pk=claim.pk).update(created_at=timezone.now() - KEPT_FOR * 2)

    assert request_claim(token=token, key="old", digest="b").pk != claim.pk
    AnsweredRequest.objects.update(created_at=timezone.now() - KEPT_FOR * 2)
    assert answers_sweep() == 1


def test_a_key_that_is_too_long_is_refused(technician, vltava, brain_file):
    answer = send(
        technician, patient_make(vltava), brain_file, headers={"Idempotency-Key": "x" * 81}
    )

    assert answer.status_code == 400
