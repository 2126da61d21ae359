"""The ledger: every scan of the clinic, its epoch, what was measured; export and epochs."""

import csv
import io
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from monitoring.models import AuditEntry, Role, Scan, ScannerEpoch
from monitoring.services.epochs import epoch_propose
from monitoring.services.reviews import measurement_review
from tests.factories.record import member_make, patient_make, run_make, scan_make

pytestmark = pytest.mark.django_db

BRAIN = ("brain_parenchyma", "volume")
CORD = ("cord_c2_c3", "mean_csa")


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def manager(vltava) -> Client:
    return signed_in(member_make("mara", vltava, Role.DATA_MANAGER))


@pytest.fixture
def scans(vltava):
    """Three scans of two patients on two scanners, brain and cord measured on each."""
    first, second = patient_make(vltava, "A-1"), patient_make(vltava, "B-2")
    made = [
        scan_make(first, date(2020, 1, 1), scanner="Aera"),
        scan_make(first, date(2022, 1, 1), scanner="Skyra"),
        scan_make(second, date(2021, 1, 1), scanner="Skyra"),
    ]
    for place, scan in enumerate(made):
        run_make(scan, "neuraxis-brain", measures={BRAIN: 1.1e6 + place * 1e4})
        run_make(scan, "neuraxis-cord", measures={CORD: 75.5 - place})
    return made


def ledger(client, **query) -> str:
    return client.get(reverse("ledger"), query).content.decode()


def places(page, scans) -> list[int]:
    return [page.find(reverse("scan_detail", args=[scan.pk])) for scan in scans]


def export(client, **query) -> list[dict[str, str]]:
    answer = client.get(reverse("ledger_export"), query)
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_every_scan_is_listed_newest_first_with_both_values(manager, scans):
    page = ledger(manager)

    newest_first = places(page, [scans[1], scans[2], scans[0]])
    assert -1 not in newest_first
    assert newest_first == sorted(newest_first)
    assert "1\u202f110" in page
    assert "74.50" in page


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({"patient": "a-1"}, {0, 1}),
        ({"since": "2021-01-01", "until": "2021-12-31"}, {2}),
        ({"sequence": "t2"}, set()),
        ({"patient": "nobody"}, set()),
        ({"verdict": "unmeasured"}, set()),
        ({"verdict": "unread"}, {0, 1, 2}),
    ],
)
def test_a_filter_leaves_what_was_asked_for(manager, scans, query, left):
    found = places(ledger(manager, **query), scans)

    assert {index for index, place in enumerate(found) if place >= 0} == left


def test_scanner_and_verdict_narrow_the_list(manager, scans, bob):
    measurement_review(
        actor=bob,
        run=scans[0].image.runs.get(method="neuraxis-cord"),
        verdict="rejected",
        reason="artifact",
    )
    skyra = scans[1].epoch.scanner

    by_scanner = places(ledger(manager, scanner=str(skyra.pk)), scans)
    rejected = places(ledger(manager, verdict="rejected"), scans)

    assert [place >= 0 for place in by_scanner] == [False, True, True]
    assert [place >= 0 for place in rejected] == [True, False, False]


def test_scans_that_wait_for_a_reader_are_found(manager, vltava):
    patient = patient_make(vltava)
    failed = scan_make(patient, date(2020, 1, 1))
    run_make(failed, "neuraxis-cord", measures={CORD: 70.0}, checks={"rim": "fail"})
    landmark = scan_make(patient, date(2021, 1, 1))
    run_make(landmark, "neuraxis-cord", outcome="needs_landmark")
    passed = scan_make(patient, date(2022, 1, 1))
    run_make(passed, "neuraxis-cord", measures={CORD: 70.0})

    found = places(ledger(manager, verdict="waits"), [failed, landmark, passed])

    assert [place >= 0 for place in found] == [True, True, False]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("cord", [2, 1, 0]), ("-cord", [0, 1, 2]), ("brain", [0, 1, 2]), ("patient", [0, 1, 2])],
)
def test_the_list_is_sorted_by_what_was_asked_for(manager, scans, sort, order):
    found = places(ledger(manager, sort=sort), [scans[index] for index in order])

    assert found == sorted(found)


def test_nonsense_in_the_address_is_no_error(manager, scans):
    page = ledger(manager, sort="password", scanner="x", since="tomorrow", page="-4")

    assert -1 not in places(page, scans)


def test_a_rejected_number_is_struck_through_and_stays(manager, scans, bob):
    run = scans[0].image.runs.get(method="neuraxis-cord")
    measurement_review(actor=bob, run=run, verdict="rejected", reason="artifact")

    page = ledger(manager, patient="A-1")

    assert "struck" in page
    assert "75.50" in page
    assert "Rejected" in page


def test_the_export_is_what_the_filter_leaves_one_line_per_number(manager, scans):
    lines = export(manager, patient="B-2")

    assert {line["patient"] for line in lines} == {"B-2"}
    assert {(line["structure"], line["unit"]) for line in lines} == {
        ("brain_parenchyma", "mm3"),
        ("cord_c2_c3", "mm2"),
    }
    cord = next(line for line in lines if line["structure"] == "cord_c2_c3")
    assert float(cord["value"]) == 73.5
    assert float(cord["standard_error"]) == pytest.approx(0.735)
    assert cord["quality"] == "good"
    assert cord["is_synthetic"] == "False"


def test_what_was_not_measured_is_empty_in_the_export_never_zero(manager, vltava):
    patient = patient_make(vltava)
    scan_make(patient, date(2020, 1, 1))
    run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", outcome="refused")

    lines = export(manager)

    assert len(lines) == 2
    assert {line["value"] for line in lines} == {""}


def test_the_export_holds_no_formula(manager, vltava):
    scan_make(patient_make(vltava, "=cmd()"), date(2020, 1, 1))

    assert export(manager)[0]["patient"] == "'=cmd()"


def test_the_export_is_in_the_audit_trail(manager, scans):
    export(manager)

    row = AuditEntry.objects.get(action="export")
    assert (row.subject, row.detail) == ("ledger", "3 scans")


def test_another_clinic_sees_none_of_it(charlie, scans):
    stranger = signed_in(charlie)

    assert places(ledger(stranger), scans) == [-1, -1, -1]
    assert export(stranger) == []
    assert "Skyra" not in stranger.get(reverse("ledger_epochs")).content.decode()


def test_an_administrator_has_no_ledger(vltava, scans):
    admin = signed_in(member_make("ada", vltava, Role.ADMINISTRATOR))

    for name in ("ledger", "ledger_export"):
        assert admin.get(reverse(name)).status_code == 403


def test_epochs_are_merged_and_split_and_the_patients_recomputed(
    bob, scans, doorbell, django_capture_on_commit_callbacks
):
    radiologist = signed_in(bob)
    aera, skyra = scans[0].epoch, scans[1].epoch
    address = reverse("ledger_epoch_merge", args=[aera.pk])

    with django_capture_on_commit_callbacks(execute=True):
        radiologist.post(address, {"into": str(skyra.pk)})
    aera.refresh_from_db()
    assert aera.merged_into == skyra
    patient = scans[0].session.visit.patient
    assert doorbell == [("divergence", str(patient.pk))]
    merged = places(ledger(radiologist, epoch=str(skyra.pk)), scans)
    assert -1 not in merged

    radiologist.post(address, {"into": ""})
    aera.refresh_from_db()
    assert aera.merged_into is None


def test_an_epoch_is_not_merged_across_clinics(bob, labe, scans):
    foreign = scan_make(patient_make(labe), date(2020, 1, 1)).epoch
    radiologist = signed_in(bob)

    radiologist.post(
        reverse("ledger_epoch_merge", args=[scans[0].epoch.pk]), {"into": str(foreign.pk)}
    )
    gone = radiologist.post(reverse("ledger_epoch_merge", args=[foreign.pk]), {"into": ""})

    assert gone.status_code == 404
    assert not ScannerEpoch.objects.filter(merged_into__isnull=False).exists()


def test_a_data_manager_merges_epochs_and_a_technician_reads_them(manager, scans, vltava):
    address = reverse("ledger_epoch_merge", args=[scans[0].epoch.pk])
    technician = signed_in(member_make("theo", vltava, Role.TECHNICIAN))

    assert technician.get(reverse("ledger_epochs")).status_code == 200
    assert technician.post(address, {"into": str(scans[1].epoch.pk)}).status_code == 403
    assert manager.post(address, {"into": str(scans[1].epoch.pk)}).status_code == 302
    assert ScannerEpoch.objects.get(pk=scans[0].epoch.pk).merged_into == scans[1].epoch


def test_an_administrator_sees_scanners_and_no_scans(scans, vltava):
    boss = signed_in(member_make("boss", vltava, Role.ADMINISTRATOR))
    page = boss.get(reverse("ledger_epochs")).content.decode()
    assert "Skyra" in page
    assert reverse("ledger") + "?epoch" not in page
    assert boss.get(reverse("ledger")).status_code == 403


def test_an_epoch_begins_anew_on_a_day_and_later_uploads_follow(
    manager, scans, vltava, doorbell, django_capture_on_commit_callbacks
):
    skyra = scans[1].epoch
    facts = {"acquisition": {"software": "E11"}, "sequence": "t1", "spacing_mm": (1, 1, 1)}
    first = epoch_propose(clinic=vltava, scanner_name="Skyra", day=date(2020, 1, 1), **facts)
    scans[1].epoch = scans[2].epoch = first
    for scan in scans[1:]:
        scan.save()
    address = reverse("ledger_epoch_split", args=[first.pk])

    with django_capture_on_commit_callbacks(execute=True):
        answer = manager.post(address, {"starts_on": "2021-06-01"}, follow=True)

    assert doorbell == [("divergence", str(scans[1].session.visit.patient_id))]
    assert "Patients to be computed again: 1." in answer.content.decode()
    part = first.parts.get()
    assert part.protocol.endswith("from 2021-06-01")
    assert [Scan.objects.get(pk=s.pk).epoch for s in scans] == [scans[0].epoch, part, first]
    assert scans[1].session.visit.patient.estimates.count() == 0
    again = {
        day: epoch_propose(clinic=vltava, scanner_name="Skyra", day=day, **facts)
        for day in (date(2021, 5, 31), date(2021, 6, 1), date(2024, 1, 1))
    }
    assert list(again.values()) == [first, part, part]
    assert skyra != part
    assert AuditEntry.objects.filter(detail="begun anew on 2021-06-01").count() == 1


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("", "Give the first day of the new epoch."),
        ("2021-02-30", "This is no day."),
        ("2030-01-01", "lie on one side of 2030-01-01"),
    ],
)
def test_a_day_that_splits_nothing_is_refused(manager, scans, day, words):
    address = reverse("ledger_epoch_split", args=[scans[1].epoch.pk])
    answer = manager.post(address, {"starts_on": day}, follow=True)
    assert words in answer.content.decode()
    assert not ScannerEpoch.objects.filter(split_from__isnull=False).exists()


def test_the_ledger_asks_few_questions(manager, vltava, django_assert_max_num_queries):
    for _ in range(15):
        scan = scan_make(patient_make(vltava), date(2024, 5, 6))
        run_make(scan, "neuraxis-cord", measures={CORD: 70.0})

    with django_assert_max_num_queries(30):
        ledger(manager)
