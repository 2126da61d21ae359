"""A session full of canaries goes through the real form; none is found anywhere afterwards."""

import gzip
import logging
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from monitoring.models import Delivery, Role, Scan, UploadDraft
from tests.factories.record import member_make, patient_make
from tests.volumetry.test_intake_canaries import CANARY, assert_no_canary, canary_series

pytestmark = pytest.mark.django_db


def stored_text() -> str:
    """Return every value of every row of every table."""
    return "\n".join(
        repr(row)
        for model in apps.get_models(include_auto_created=True)
        for row in model._default_manager.values_list()
    )


def assert_clean_folders(*roots: Path) -> None:
    """Look into every stored file, also inside gzip."""
    for root in roots:
        for path in root.rglob("*"):
            assert_no_canary(str(path.relative_to(root)))
            if path.is_file():
                raw = path.read_bytes()
                assert_no_canary(raw)
                if raw[:2] == b"\x1f\x8b":
                    assert_no_canary(gzip.decompress(raw))


@pytest.fixture
def technician(client: Client, vltava) -> Client:
    client.force_login(member_make("tom", vltava, Role.TECHNICIAN))
    return client


def send(client: Client, patient, contents) -> object:
    files = [
        SimpleUploadedFile(f"{CANARY}_{number}.dcm", content)
        for number, content in enumerate(contents)
    ]
    address = reverse("upload", args=[patient.pk])
    return client.post(address, {"visit_date": "2024-05-06", "files": files}, follow=True)


def test_no_word_of_a_confirmed_session_is_kept_shown_or_logged(
    technician, vltava, caplog, capfd, doorbell
):
    patient = patient_make(vltava, birth_year=1981)
    with caplog.at_level(logging.DEBUG):
        recognised = send(technician, patient, canary_series())
        draft = UploadDraft.objects.get()
        pages = [recognised]
        fields = {
            "s0-keep": "on",
            "s0-sequence": "t1",
            "s0-measure_cord": "on",
            "date_answer": "visit",
        }
        pages.append(
            technician.post(reverse("upload_draft", args=[draft.pk]), fields, follow=True)
        )
        scan = Scan.objects.get()
        pages.append(technician.get(reverse("scan_detail", args=[scan.pk])))
        pages.append(technician.get(reverse("ledger")))

    for page in pages:
        assert page.status_code == 200
        assert_no_canary(page.content)
    assert_no_canary(stored_text())
    assert_no_canary(repr(doorbell))
    assert_clean_folders(Path(settings.MEDIA_ROOT), Path(settings.SCRATCH_ROOT))
    printed = capfd.readouterr()
    assert_no_canary(printed.out + printed.err + caplog.text)


def test_a_refused_session_leaves_no_word_either(technician, vltava, caplog, capfd):
    patient = patient_make(vltava, birth_year=1950)  # the session says 1981
    with caplog.at_level(logging.DEBUG):
        page = send(technician, patient, canary_series())

    assert_no_canary(page.content)
    assert_no_canary(stored_text())
    assert not UploadDraft.objects.exists()
    assert list(Path(settings.SCRATCH_ROOT).iterdir()) == []
    printed = capfd.readouterr()
    assert_no_canary(printed.out + printed.err + caplog.text)


def test_no_word_of_a_clinic_day_is_kept_once_its_visits_are_confirmed(
    technician, vltava, caplog, capfd, doorbell, django_capture_on_commit_callbacks
):
    """Until then the sender's names lie in the scratch folder, for the sender's eyes only."""
    patient_make(vltava, "V-1", birth_year=1981)
    files = [
        SimpleUploadedFile(f"{CANARY}_{number}.dcm", content)
        for number, content in enumerate(canary_series())
    ]
    with caplog.at_level(logging.DEBUG):
        technician.post(reverse("day"), {"files": files})
        delivery = Delivery.objects.get()
        address = reverse("delivery", args=[delivery.pk])
        technician.post(reverse("delivery_recognise", args=[delivery.pk]))
        assert_no_canary(stored_text())
        fields = {"v1-patient": "V-1", "v1-visit_date": "2024-05-06"}
        looked = technician.post(address, fields | {"look": "1"}, follow=True)
        chosen = {"s0-keep": "on", "s0-sequence": "t1", "s0-measure_cord": "on"}
        with django_capture_on_commit_callbacks(execute=True):
            technician.post(
                reverse("upload_draft", args=[UploadDraft.objects.get().pk]),
                chosen | {"date_answer": "visit"},
            )
        page = technician.get(address)

    assert Scan.objects.count() == 1
    assert_no_canary(looked.content)
    assert_no_canary(page.content)
    assert_no_canary(stored_text())
    assert_no_canary(repr(doorbell))
    assert_clean_folders(Path(settings.MEDIA_ROOT), Path(settings.SCRATCH_ROOT))
    printed = capfd.readouterr()
    assert_no_canary(printed.out + printed.err + caplog.text)
