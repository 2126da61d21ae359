"""The pages of runs and scans: what they show, to whom, and what they do."""

from datetime import date
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from monitoring.models import AuditEntry, Role
from monitoring.selectors.runs import decimals_for, rounded
from tests.factories.pictures import pictures_make, run_file_make
from tests.factories.record import member_make, patient_make, run_make, scan_make
from volumetry.engines.registry import METHODS
from volumetry.models import Status, VolumetryRun

pytestmark = pytest.mark.django_db

CORD = {("cord_c2_c3", "mean_csa"): 71.234}


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def scan(vltava):
    return scan_make(patient_make(vltava), date(2024, 5, 6))


@pytest.fixture
def technician(vltava):
    return signed_in(member_make("tom", vltava, Role.TECHNICIAN))


def detail(run: VolumetryRun) -> str:
    return reverse("run_detail", args=[run.pk])


def test_a_run_shows_its_number_with_error_unit_method_version_and_hash(technician, scan):
    run = run_make(scan, "neuraxis-cord", measures=CORD, version="2.1")

    page = technician.get(detail(run)).content.decode()

    assert "71.23" in page
    assert "0.71" in page  # its standard error
    assert "mm²" in page
    assert "neuraxis-cord 2.1" in page
    assert scan.image.sha256 in page
    assert reverse("scan_detail", args=[scan.pk]) in page


def test_an_administrator_sees_that_a_run_ended_but_not_what_it_measured(vltava, scan):
    run = run_make(scan, "neuraxis-cord", measures=CORD)
    pictures_make(run)
    admin = signed_in(member_make("ada", vltava, Role.ADMINISTRATOR))

    page = admin.get(detail(run)).content.decode()
    listed = admin.get(reverse("run_list")).content.decode()
    of_scan = admin.get(reverse("scan_detail", args=[scan.pk])).content.decode()

    assert "Measured" in page
    assert not any("71.2" in text for text in (page, listed, of_scan))
    assert admin.get(reverse("run_file", args=[run.pk, "qc.png"])).status_code == 403


def test_a_stranger_finds_nothing_and_a_researcher_may_not(vltava, charlie, scan):
    run = run_make(scan, "neuraxis-cord", measures=CORD)
    pictures_make(run)
    addresses = [
        detail(run),
        reverse("run_state", args=[run.pk]),
        reverse("run_file", args=[run.pk, "qc.png"]),
        reverse("scan_detail", args=[scan.pk]),
    ]
    stranger = signed_in(charlie)
    researcher = signed_in(member_make("rita", vltava, Role.RESEARCHER))

    assert [stranger.get(address).status_code for address in addresses] == [404] * 4
    assert [researcher.get(address).status_code for address in addresses] == [403] * 4
    assert detail(run) not in stranger.get(reverse("run_list")).content.decode()


def test_a_role_in_one_clinic_opens_no_run_of_another(vltava, labe, scan):
    run = run_make(scan, "neuraxis-cord", measures=CORD)
    both = member_make("dora", labe, Role.TECHNICIAN)
    member_make("dora", vltava, Role.RESEARCHER)

    assert signed_in(both).get(detail(run)).status_code == 403


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("qc.png", "image/png", "inline"),
        ("cord_profile.csv", "text/csv; charset=utf-8", "attachment"),
        ("views.json", "application/json", "attachment"),
        ("cord_mask.nii.gz", "application/gzip", "attachment"),
        ("notes.html", "application/octet-stream", "attachment"),
    ],
)
def test_a_file_is_served_with_its_type_and_never_cached(
    technician, scan, name, kind, disposition
):
    run = run_make(scan, "neuraxis-cord")
    run_file_make(run, name, b"content")

    answer = technician.get(reverse("run_file", args=[run.pk, name]))

    assert b"".join(answer.streaming_content) == b"content"
    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"].startswith(disposition)
    assert scan.session.visit.patient.pseudonym not in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_file_is_served_by_its_contract_name_only(technician, scan):
    run, other = run_make(scan, "neuraxis-cord"), run_make(scan, "neuraxis-brain")
    run_file_make(other, "qc.png", b"of the other run")

    for name in ("qc.png", "..%2Fqc.png", "neuraxis.sqlite3"):
        path = f"/runs/{run.pk}/files/{name}"
        assert technician.get(path).status_code == 404


def test_serving_a_file_is_in_the_audit_trail(technician, scan):
    run = run_make(scan, "neuraxis-cord")
    pictures_make(run)

    b"".join(technician.get(reverse("run_file", args=[run.pk, "qc.png"])).streaming_content)

    row = AuditEntry.objects.get(detail="file qc.png")
    assert row.pseudonym == scan.session.visit.patient.pseudonym
    assert row.actor.username == "tom"


def test_a_waiting_run_asks_again_and_an_ended_one_loads_the_page(technician, scan):
    run = run_make(scan, "neuraxis-cord", status=Status.QUEUED)
    state = reverse("run_state", args=[run.pk])

    waiting = technician.get(state)
    VolumetryRun.objects.filter(pk=run.pk).update(status="failed", reason="No cord is in it.")
    ended = technician.get(state)

    assert b"every 2s" in waiting.content
    assert "HX-Refresh" not in waiting
    assert b"every 2s" not in ended.content
    assert ended["HX-Refresh"] == "true"


def test_asking_for_the_state_does_not_drown_the_audit_trail(technician, scan):
    run = run_make(scan, "neuraxis-cord", status=Status.RUNNING)
    technician.get(detail(run))
    before = AuditEntry.objects.count()

    technician.get(reverse("run_state", args=[run.pk]))

    assert AuditEntry.objects.count() == before


def test_a_waiting_run_is_cancelled_a_running_one_is_not(technician, scan):
    waiting = run_make(scan, "neuraxis-cord", status=Status.QUEUED)
    running = run_make(scan, "neuraxis-brain", status=Status.RUNNING)

    for run in (waiting, running):
        technician.post(reverse("run_cancel", args=[run.pk]))
        run.refresh_from_db()

    assert (waiting.status, running.status) == ("cancelled", "running")


def test_trying_again_makes_a_new_run_and_rings(
    technician, scan, doorbell, django_capture_on_commit_callbacks
):
    run = run_make(scan, "neuraxis-cord", status=Status.FAILED, parameters={"contrast": "t1"})

    with django_capture_on_commit_callbacks(execute=True):
        answer = technician.post(reverse("run_retry", args=[run.pk]))

    new = VolumetryRun.objects.exclude(pk=run.pk).get()
    assert answer.url == detail(new)
    assert new.parameters == {"contrast": "t1"}
    assert doorbell == [("run", str(new.pk))]


def test_a_measured_run_is_not_tried_again(technician, scan):
    run = run_make(scan, "neuraxis-cord", measures=CORD)

    technician.post(reverse("run_retry", args=[run.pk]))

    assert VolumetryRun.objects.count() == 1
    assert "Try again" not in technician.get(detail(run)).content.decode()


def test_a_neurologist_reads_runs_and_does_not_act_on_them(as_alice, scan):
    run = run_make(scan, "neuraxis-cord", status=Status.FAILED)

    assert as_alice.get(detail(run)).status_code == 200
    assert as_alice.post(reverse("run_retry", args=[run.pk])).status_code == 403


def test_what_was_not_ticked_at_the_upload_is_asked_for_later(
    technician, scan, doorbell, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setitem(METHODS, "neuraxis-cord", SimpleNamespace(version="1.0"))
    run_make(scan, "neuraxis-brain")
    address = reverse("scan_measure", args=[scan.pk])
    assert (
        "Measure: cervical cord"
        in technician.get(reverse("scan_detail", args=[scan.pk])).content.decode()
    )

    with django_capture_on_commit_callbacks(execute=True):
        technician.post(address, {"region": "cord"})
        technician.post(address, {"region": "cord"})
        technician.post(address, {"region": "liver"})

    new = VolumetryRun.objects.get(method="neuraxis-cord")
    assert new.parameters == {"contrast": "t1"}
    assert doorbell == [("run", str(new.pk))]


def test_the_list_is_narrowed_to_a_state(technician, scan):
    failed = run_make(scan, "neuraxis-cord", status=Status.FAILED)
    measured = run_make(scan, "neuraxis-brain")

    page = technician.get(reverse("run_list"), {"state": "failed"}).content.decode()

    assert detail(failed) in page
    assert detail(measured) not in page


def test_a_rejected_number_is_struck_through_and_stays(technician, scan, bob):
    run = run_make(scan, "neuraxis-cord", measures=CORD)
    run.reviews.create(verdict="rejected", reason="artifact", reviewer=bob)

    page = technician.get(detail(run)).content.decode()

    assert "is-rejected" in page
    assert "71.23" in page
    assert "Artifact in the image" in page


def test_the_list_asks_few_questions(technician, vltava, django_assert_max_num_queries):
    for _ in range(12):
        own = scan_make(patient_make(vltava), date(2024, 5, 6))
        run_make(own, "neuraxis-cord", measures=CORD)

    with django_assert_max_num_queries(30):
        technician.get(reverse("run_list"))


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (71.234, 0.41, "71.23 ± 0.41"),
        (71.234, 1.44, "71.2 ± 1.4"),
        (1_103_456.0, 4213.0, "1\u202f103\u202f500 ± 4\u202f200"),
        (5.0, 0.0002, "5.00000 ± 0.00020"),
        (-1.26, 0.31, "\u22121.26 ± 0.31"),
    ],
)
def test_digits_follow_the_error(value, error, shown):
    decimals = decimals_for(value, error)

    assert f"{rounded(value, decimals)} ± {rounded(error, decimals)}" == shown


def test_a_number_without_an_error_claims_no_digits_it_does_not_have():
    assert decimals_for(1_103_456.0, None) == 0
    assert decimals_for(71.234, None) == 1
