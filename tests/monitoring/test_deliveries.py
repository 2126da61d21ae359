"""Files arrive piece by piece; a clinic day is sorted into visits, each finds its patient."""

import base64
import hashlib
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from monitoring.models import (
    AuditEntry,
    DeliveredVisit,
    Delivery,
    Role,
    Scan,
    UploadDraft,
)
from monitoring.services.deliveries import deliveries_sweep
from monitoring.services.uploads import drafts_sweep
from tests.factories.record import member_make, patient_make
from tests.monitoring.test_uploads import head_and_neck, nothing_is_left, scratch_is_empty
from tests.volumetry.intake_files import dicom_series, zip_bytes
from volumetry.models import VolumetryRun

pytestmark = pytest.mark.django_db

TUS = {"HTTP_TUS_RESUMABLE": "1.0.0"}
HTMX = {"HTTP_HX_REQUEST": "true"}
PIECE = "application/offset+octet-stream"


@pytest.fixture
def technician(client, vltava) -> Client:
    client.force_login(member_make("tom", vltava, Role.TECHNICIAN))
    return client


def begin(client: Client, **fields) -> Delivery:
    answer = client.post(reverse("delivery_begin"), fields)
    assert answer.status_code == 201
    return Delivery.objects.get(pk=answer.json()["delivery"])


def said(name: str, modified: int = 5) -> str:
    words = {"filename": name, "modified": str(modified)}
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in words.items())


def create(client, delivery, name, size, *, body=b""):
    return client.generic(
        "POST",
        reverse("delivery_files", args=[delivery.pk]),
        body,
        content_type=PIECE if body else "text/plain",
        HTTP_UPLOAD_LENGTH=str(size),
        HTTP_UPLOAD_METADATA=said(name),
        **TUS,
    )


def patch(client, address, offset, body, **extra):
    return client.generic(
        "PATCH",
        address,
        body,
        content_type=extra.pop("content_type", PIECE),
        HTTP_UPLOAD_OFFSET=str(offset),
        **TUS | extra,
    )


def send(client, delivery, name: str, content: bytes) -> None:
    answer = create(client, delivery, name, len(content), body=content)
    assert answer.status_code == 201, answer.content


def day(client, files: dict[str, bytes]) -> Delivery:
    """Send a clinic day and have it sorted and looked at."""
    delivery = begin(client)
    for name, content in files.items():
        send(client, delivery, name, content)
    assert client.post(reverse("delivery_sort", args=[delivery.pk])).status_code == 302
    client.post(reverse("delivery_recognise", args=[delivery.pk]))
    delivery.refresh_from_db()
    return delivery


def page(client, delivery) -> str:
    return client.get(reverse("delivery", args=[delivery.pk])).content.decode()


# --- Piece by piece -------------------------------------------------------------------------


def test_a_file_continues_where_it_stopped(technician):
    delivery = begin(technician)
    content = head_and_neck()
    address = create(technician, delivery, "day/a.nii.gz", len(content)).headers["Location"]

    first = patch(technician, address, 0, content[:1000])
    where = technician.head(address, **TUS)
    rest = patch(technician, address, 1000, content[1000:])

    assert first.status_code == 204
    assert (where.headers["Upload-Offset"], where.headers["Upload-Length"]) == (
        "1000",
        str(len(content)),
    )
    assert where.headers["Cache-Control"] == "no-store"
    assert rest.headers["Upload-Offset"] == str(len(content))
    assert "Upload-Expires" in rest.headers
    [part] = Path(settings.SCRATCH_ROOT).rglob("*.part")
    assert part.read_bytes() == content


def test_the_first_piece_may_come_with_the_creation(technician):
    delivery = begin(technician)

    answer = create(technician, delivery, "a.nii", 10, body=b"12345")

    assert answer.status_code == 201
    assert answer.headers["Upload-Offset"] == "5"
    assert answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("offset", "body", "extra", "status"),
    [
        (3, b"x", {}, 409),
        (0, b"x" * 11, {}, 413),
        (0, b"x", {"content_type": "application/octet-stream"}, 415),
        (0, b"x", {"HTTP_TUS_RESUMABLE": "0.2.2"}, 412),
        ("", b"x", {}, 400),
        ("-1", b"x", {}, 400),
    ],
)
def test_a_piece_that_does_not_fit_changes_nothing(technician, offset, body, extra, status):
    address = create(technician, begin(technician), "a.nii", 10).headers["Location"]

    assert patch(technician, address, offset, body, **extra).status_code == status
    assert technician.head(address, **TUS).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize("length", ["", "minus", "-4", "9" * 20])
def test_a_file_without_a_length_is_not_begun(technician, length):
    answer = create(technician, begin(technician), "a.nii", length)

    assert answer.status_code == 400
    assert not list(Path(settings.SCRATCH_ROOT).rglob("*.part"))


def test_what_the_server_can_is_told_to_a_client_that_asks(technician):
    answer = technician.options(reverse("delivery_files", args=[begin(technician).pk]))

    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert "creation-with-upload" in answer.headers["Tus-Extension"]
    assert int(answer.headers["Tus-Max-Size"]) > 0


def test_a_part_can_be_forgotten(technician):
    delivery = begin(technician)
    address = create(technician, delivery, "a.nii", 10).headers["Location"]

    assert technician.delete(address, **TUS).status_code == 204
    assert technician.head(address, **TUS).status_code == 404


def test_too_large_a_file_and_too_full_a_clinic_are_refused_in_words(technician, settings):
    delivery = begin(technician)
    large = create(technician, delivery, "a.nii", 600 * 1024**2)
    settings.UPLOAD_OPEN_BYTES = 100
    full = create(technician, delivery, "b.nii", 101)

    assert (large.status_code, full.status_code) == (413, 413)
    assert b"larger than 512 MiB" in large.content
    assert b"Confirm or discard them first" in full.content


def test_a_page_learns_what_arrived_to_continue_it(technician):
    delivery = begin(technician)
    create(technician, delivery, "day/a.nii", 10, body=b"12345")

    listed = technician.get(reverse("delivery_files", args=[delivery.pk])).json()["files"]
    shown = technician.get(reverse("day")).content.decode()

    assert [(one["name"], one["size"], one["offset"]) for one in listed] == [
        ("day/a.nii", 10, 5)
    ]
    assert listed[0]["modified"] == 5
    assert "0 of 1 files" in shown
    assert "continues where it stopped" in shown


def test_without_the_csrf_token_no_byte_is_taken(vltava):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(member_make("tom", vltava, Role.TECHNICIAN))

    assert careful.post(reverse("delivery_begin")).status_code == 403


def test_strangers_find_no_delivery_and_readers_may_not_send(technician, labe, bob):
    delivery = begin(technician)
    address = create(technician, delivery, "a.nii", 10).headers["Location"]
    stranger, reader = Client(), Client()
    stranger.force_login(member_make("ludek", labe, Role.TECHNICIAN))
    reader.force_login(bob)

    assert patch(stranger, address, 0, b"x").status_code == 404
    assert patch(reader, address, 0, b"x").status_code == 403
    assert create(stranger, delivery, "b.nii", 1).status_code == 404


def test_a_visit_sent_in_pieces_becomes_a_draft_and_leaves_no_part(technician, vltava):
    patient = patient_make(vltava)
    delivery = begin(technician, patient=str(patient.pk), visit_date="2024-05-06")
    send(technician, delivery, "head_T1w.nii.gz", head_and_neck())

    answer = technician.post(
        reverse("upload", args=[patient.pk]),
        {"visit_date": "2024-05-06", "delivery": str(delivery.pk)},
        **HTMX,
    )

    draft = UploadDraft.objects.get()
    assert answer.headers["HX-Push-Url"] == reverse("upload_draft", args=[draft.pk])
    assert draft.series[0]["sequence"] == "t1"
    assert not Delivery.objects.exists()
    assert not list(Path(settings.SCRATCH_ROOT).rglob("*.part"))


def test_an_incomplete_visit_is_kept_to_be_continued(technician, vltava):
    patient = patient_make(vltava)
    delivery = begin(technician, patient=str(patient.pk), visit_date="2024-05-06")
    create(technician, delivery, "head.nii.gz", 10, body=b"12345")
    fields = {"visit_date": "2024-05-06", "delivery": str(delivery.pk)}

    answer = technician.post(reverse("upload", args=[patient.pk]), fields, **HTMX)

    assert answer.status_code == 422
    assert b"1 file has not arrived completely" in answer.content
    assert Delivery.objects.filter(pk=delivery.pk).exists()
    shown = technician.get(reverse("upload", args=[patient.pk])).content.decode()
    assert "continues where it stopped" in shown


def test_a_delivery_is_never_taken_for_another_patient(technician, vltava):
    first, second = patient_make(vltava), patient_make(vltava)
    delivery = begin(technician, patient=str(first.pk), visit_date="2024-05-06")
    fields = {"visit_date": "2024-05-06", "delivery": str(delivery.pk)}

    assert technician.post(reverse("upload", args=[second.pk]), fields).status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"visit_date": "soon"}, "year-month-day"),
        ({"visit_date": "2999-01-01"}, "lies in the future"),
    ],
)
def test_an_impossible_visit_is_refused_before_a_byte_is_sent(
    technician, vltava, fields, words
):
    patient = patient_make(vltava)

    answer = technician.post(reverse("delivery_begin"), fields | {"patient": str(patient.pk)})

    assert answer.status_code == 422
    assert words in answer.json()["refusal"]
    assert not Delivery.objects.exists()
    assert scratch_is_empty()


def test_the_vendored_client_is_the_file_that_its_note_names():
    folder = settings.BASE_DIR / "static" / "vendor" / "tus-js-client-4.3.1"
    held = hashlib.sha512((folder / "tus.min.js").read_bytes()).hexdigest()
    assert held in (folder / "VENDORED.md").read_text()
    partials = settings.BASE_DIR / "templates" / "monitoring" / "partials"
    assert (
        "vendor/tus-js-client-4.3.1/tus.min.js"
        in (partials / "_upload_scripts.html").read_text()
    )
    assert "The MIT License" in (folder / "LICENSE").read_text()


# --- A clinic day ---------------------------------------------------------------------------


def three_visits() -> dict[str, bytes]:
    """Return a day: two NIfTI visits, a DICOM session in a zip, and two files of no use."""
    session = {f"IM{n}": content for n, content in enumerate(dicom_series(PatientID="VL-3"))}
    return {
        "day/VL-1 2024-05-06/head_T1w.nii.gz": head_and_neck(seed=1),
        "day/VL-1 2024-05-06/damaged_T2w.nii.gz": head_and_neck(seed=1)[:5000],
        "day/sub-VL2/anat/sub-VL2_T1w.nii.gz": head_and_neck(seed=2),
        "day/third.zip": zip_bytes(session),
        "day/letter.pdf": b"%PDF-1.4" + b"y" * 900,
    }


def test_a_day_is_sorted_into_visits_with_what_was_recognised_and_refused(technician, vltava):
    patient_make(vltava, "VL-1")
    patient_make(vltava, "VL-3")

    delivery = day(technician, three_visits())
    shown = page(technician, delivery)

    assert delivery.visits.count() == 3
    assert shown.count("T1-weighted") >= 2
    assert "1.50 × 1.50 × 1.50 mm" in shown
    assert "day/letter.pdf" in shown
    assert "is a PDF document" in shown
    assert "damaged_T2w.nii.gz" in shown
    assert "fewer voxels" in shown
    # VL-1 by the folder, VL-3 by the number in the header; the date by folder and header.
    assert 'value="VL-1"' in shown
    assert 'value="VL-3"' in shown
    assert 'value="2024-05-06"' in shown
    # What was sent is gone as soon as it was looked at.
    assert not list(Path(settings.SCRATCH_ROOT).rglob("*.part"))
    assert not list(Path(settings.SCRATCH_ROOT).rglob("zip-*"))


def test_no_row_holds_a_word_of_the_sender(technician, vltava):
    delivery = day(technician, three_visits())

    rows = repr(
        [
            *Delivery.objects.values_list(),
            *DeliveredVisit.objects.values_list(),
            *AuditEntry.objects.values_list(),
        ]
    )
    assert "VL-1" not in rows
    assert "letter" not in rows
    assert str(delivery.pk) in rows


def test_each_visit_is_confirmed_for_its_patient_and_leads_to_its_own_result(
    technician, vltava, django_capture_on_commit_callbacks
):
    for code in ("VL-1", "VL-2", "VL-3"):
        patient_make(vltava, code)
    delivery = day(technician, three_visits())
    address = reverse("delivery", args=[delivery.pk])

    with django_capture_on_commit_callbacks(execute=True):
        one = technician.post(
            address,
            {"v1-patient": "vl-1", "v1-visit_date": "2024-05-06", "confirm": "1"},
        )

    assert one.url == address
    scan = Scan.objects.get()
    assert scan.session.visit.patient.pseudonym == "VL-1"
    draft = UploadDraft.objects.get()
    shown = page(technician, delivery)
    assert reverse("upload_draft", args=[draft.pk]) in shown
    assert "2 queued" in shown or "2 waiting" in shown
    assert not (Path(settings.SCRATCH_ROOT) / f"draft-{draft.folder.hex}").exists()
    assert VolumetryRun.objects.count() == 2


def test_all_complete_visits_are_confirmed_at_once_and_the_others_stay(technician, vltava):
    for code in ("VL-1", "VL-2"):
        patient_make(vltava, code)
    delivery = day(technician, three_visits())
    fields = {"confirm": "all"}
    for visit in delivery.visits.all():
        fields |= {f"v{visit.number}-patient": "", f"v{visit.number}-visit_date": "2024-05-06"}
    numbers = {card_label(visit): visit.number for visit in delivery.visits.all()}
    fields[f"v{numbers['day/VL-1 2024-05-06']}-patient"] = "VL-1"
    fields[f"v{numbers['day/sub-VL2']}-patient"] = "VL-2"

    answer = technician.post(reverse("delivery", args=[delivery.pk]), fields, follow=True)

    assert "2 visits are stored" in answer.content.decode()
    assert {scan.session.visit.patient.pseudonym for scan in Scan.objects.all()} == {
        "VL-1",
        "VL-2",
    }
    assert delivery.visits.filter(draft__isnull=True).count() == 1


def card_label(visit: DeliveredVisit) -> str:
    folder = Path(settings.SCRATCH_ROOT) / f"draft-{visit.folder.hex}"
    return json.loads((folder / "sorted.json").read_text())["label"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"v1-patient": "", "v1-visit_date": "2024-05-06"}, "give the patient’s code"),
        (
            {"v1-patient": "VL-9", "v1-visit_date": "2024-05-06"},
            "no patient with the code VL-9",
        ),
        ({"v1-patient": "VL-1", "v1-visit_date": ""}, "Give the visit date"),
        ({"v1-patient": "VL-1", "v1-visit_date": "2999-01-01"}, "lies in the future"),
    ],
)
def test_a_visit_that_cannot_be_confirmed_says_why_and_stays(technician, vltava, fields, words):
    patient_make(vltava, "VL-1")
    delivery = day(technician, {"day/a/head_T1w.nii.gz": head_and_neck()})

    answer = technician.post(reverse("delivery", args=[delivery.pk]), fields | {"confirm": "1"})

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Scan.objects.exists()
    assert not UploadDraft.objects.exists()


def test_images_of_another_person_than_the_record_are_refused(technician, vltava):
    patient_make(vltava, "VL-3", sex="female")
    session = {
        f"IM{n}": content
        for n, content in enumerate(dicom_series(PatientID="VL-3", PatientSex="M"))
    }
    delivery = day(technician, {"third.zip": zip_bytes(session)})

    answer = technician.post(
        reverse("delivery", args=[delivery.pk]),
        {"v1-patient": "VL-3", "v1-visit_date": "2020-01-01", "look": "1"},
    )

    assert answer.status_code == 422
    assert "other sex" in answer.content.decode()
    assert not UploadDraft.objects.exists()


def test_a_visit_is_looked_at_closer_as_a_draft_of_its_patient(technician, vltava):
    patient_make(vltava, "VL-1")
    delivery = day(technician, {"day/a/head.nii.gz": head_and_neck()})
    shown = page(technician, delivery)
    assert "was not recognised: look closer" in shown
    assert "Confirm this visit" not in shown
    address = reverse("delivery", args=[delivery.pk])
    fields = {"v1-patient": "VL-1", "v1-visit_date": "2024-05-06"}

    refused = technician.post(address, fields | {"confirm": "1"})
    answer = technician.post(address, fields | {"look": "1"})

    assert refused.status_code == 422
    draft = UploadDraft.objects.get()
    assert answer.url == reverse("upload_draft", args=[draft.pk])
    chosen = {"s0-keep": "on", "s0-sequence": "t1", "s0-measure_brain": "on"}
    technician.post(answer.url, chosen)
    assert Scan.objects.get().sequence == "t1"
    assert reverse("upload_draft", args=[draft.pk]) in page(technician, delivery)


def test_confirming_twice_stores_once(technician, vltava):
    patient_make(vltava, "VL-1")
    delivery = day(technician, {"day/a/head_T1w.nii.gz": head_and_neck()})
    fields = {"v1-patient": "VL-1", "v1-visit_date": "2024-05-06", "confirm": "1"}

    for _ in range(2):
        technician.post(reverse("delivery", args=[delivery.pk]), fields)

    assert Scan.objects.count() == 1


def test_images_that_the_clinic_holds_are_linked_not_stored(technician, vltava):
    patient_make(vltava, "VL-1")
    files = {"day/a/head_T1w.nii.gz": head_and_neck()}
    fields = {"v1-patient": "VL-1", "v1-visit_date": "2024-05-06", "confirm": "1"}
    technician.post(reverse("delivery", args=[day(technician, files).pk]), fields)

    shown = page(technician, day(technician, files))

    assert "your clinic holds it already" in shown
    assert "Confirm this visit" not in shown


def test_a_session_with_a_damaged_file_is_refused_alone(technician, vltava):
    slices = dicom_series(PatientID="VL-3")
    session = {f"IM{n}": content for n, content in enumerate(slices)}
    session["IM3"] = session["IM3"][:400]
    files = {"bad.zip": zip_bytes(session), "day/a_T1w.nii.gz": head_and_neck()}

    shown = page(technician, day(technician, files))

    assert "1 is damaged or cut off" in shown
    assert "T1-weighted" in shown


def test_a_day_without_an_image_says_so(technician):
    delivery = day(technician, {"letter.pdf": b"%PDF-1.4" + b"y" * 900})

    shown = page(technician, delivery)

    assert "None of these files is an image" in shown
    assert "letter.pdf" in shown


def test_a_file_that_has_not_arrived_stops_the_sorting_and_can_be_continued(technician):
    delivery = begin(technician)
    create(technician, delivery, "a.nii.gz", 10, body=b"12345")

    answer = technician.post(reverse("delivery_sort", args=[delivery.pk]), **HTMX)

    assert answer.status_code == 422
    assert b"continue where they stopped" in answer.content
    delivery.refresh_from_db()
    assert delivery.sorted_at is None


def test_without_javascript_the_form_brings_the_whole_day(technician, vltava):
    files = [SimpleUploadedFile("sub-1_T1w.nii.gz", head_and_neck())]

    answer = technician.post(reverse("day"), {"files": files})
    technician.post(reverse("delivery_recognise", args=[Delivery.objects.get().pk]))

    delivery = Delivery.objects.get()
    assert answer.url == reverse("delivery", args=[delivery.pk])
    assert delivery.visits.get().state == "recognised"


def test_htmx_looks_at_one_visit_at_a_time(technician, vltava):
    delivery = begin(technician)
    for number in (1, 2):
        send(technician, delivery, f"sub-{number}_T1w.nii.gz", head_and_neck(seed=number))
    technician.post(reverse("delivery_sort", args=[delivery.pk]), **HTMX)
    address = reverse("delivery_recognise", args=[delivery.pk])

    first = technician.post(address, **HTMX).content.decode()
    last = technician.post(address, **HTMX).content.decode()

    assert "1 of 2 visits done" in first
    assert address in first
    assert f'hx-post="{address}"' not in last
    assert "Confirm all that are complete" in last


def test_discarding_a_day_keeps_what_was_confirmed(
    technician, vltava, django_capture_on_commit_callbacks
):
    patient_make(vltava, "VL-1")
    files = {f"sub-{n}_T1w.nii.gz": head_and_neck(seed=n) for n in (1, 2)}
    delivery = day(technician, files)
    fields = {"v1-patient": "VL-1", "v1-visit_date": "2024-05-06", "confirm": "1"}
    with django_capture_on_commit_callbacks(execute=True):
        technician.post(reverse("delivery", args=[delivery.pk]), fields)

    technician.post(reverse("delivery_discard", args=[delivery.pk]))

    assert Scan.objects.count() == 1
    assert UploadDraft.objects.filter(confirmed_at__isnull=False).count() == 1
    assert not Delivery.objects.exists()
    assert scratch_is_empty()


def test_half_uploads_and_undecided_days_expire(technician, vltava):
    arriving = begin(technician)
    create(technician, arriving, "a.nii", 10, body=b"12345")
    day(technician, {"sub-1_T1w.nii.gz": head_and_neck()})
    assert deliveries_sweep() == 0

    with time_machine.travel(timezone.now() + timedelta(hours=13), tick=False):
        assert deliveries_sweep() == 2
        drafts_sweep()

    assert not Delivery.objects.exists()
    assert nothing_is_left()


def test_a_day_that_expired_under_the_eyes_says_so(technician, vltava):
    patient_make(vltava, "VL-1")
    delivery = day(technician, {"sub-1_T1w.nii.gz": head_and_neck()})
    for file in Path(settings.SCRATCH_ROOT).rglob("recognised.json"):
        file.unlink()

    answer = technician.post(
        reverse("delivery", args=[delivery.pk]),
        {"v1-patient": "VL-1", "v1-visit_date": "2024-05-06", "confirm": "1"},
    )

    assert answer.status_code == 422
    assert "send them again" in answer.content.decode()


def test_the_search_offers_own_patients_only(technician, vltava, labe):
    patient_make(vltava, "VL-31")
    patient_make(labe, "LA-31")

    offered = technician.get(reverse("patient_options"), {"v1-patient": "31"}).content.decode()

    assert "VL-31" in offered
    assert "LA-31" not in offered


def test_the_day_of_the_header_is_the_visit_date_of_a_session(technician, vltava):
    patient_make(vltava, "VL-3")
    session = {
        f"IM{n}": content
        for n, content in enumerate(dicom_series(PatientID="VL-3", StudyDate="20230405"))
    }
    delivery = day(technician, {"third.zip": zip_bytes(session)})
    assert 'value="2023-04-05"' in page(technician, delivery)

    other_day = technician.post(
        reverse("delivery", args=[delivery.pk]),
        {"v1-patient": "VL-3", "v1-visit_date": "2023-04-06", "look": "1"},
    )

    draft = UploadDraft.objects.get()
    assert other_day.status_code == 302
    assert draft.visit_date == date(2023, 4, 6)
    assert "1 day before" in draft.series[0]["question"]
