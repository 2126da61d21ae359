"""What a registry pulls: complete, in order, incremental, with tombstones, written down."""

from datetime import date, timedelta

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from monitoring.api.pulls import PULLS
from monitoring.models import (
    Assessment,
    AuditEntry,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
    Role,
    Treatment,
    Visit,
)
from monitoring.services.clinical import fact_record, fact_withdraw
from monitoring.services.divergence import divergence_refresh
from monitoring.services.epochs import epoch_merge
from monitoring.services.reviews import measurement_review
from tests.factories.record import course_make, patient_make, run_make, scan_make
from volumetry.models import Status

pytestmark = pytest.mark.django_db

NAMES = [view.name for view in PULLS]


def pull(client, name, **query):
    answer = client.get(f"/api/v1/{name}/", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def pull_all(client, name, **query):
    """Follow `next` to the end, as a registry does."""
    page = pull(client, name, **query)
    results, deleted, pages = page["results"], page["deleted"], 1
    while page["next"]:
        page = client.get(page["next"]).json()
        results, deleted, pages = (
            results + page["results"],
            deleted + page["deleted"],
            pages + 1,
        )
    return results, deleted, pages


@pytest.fixture
def anna(vltava, alice):
    """A patient with one fact of every kind, two scans and a stated divergence."""
    patient = patient_make(vltava, "ANNA")
    course_make(patient, years=6, cord=-3.0)
    visit = patient.visits.first()
    for fact in (
        Assessment(visit=visit, edss="2.5", pyramidal=2, sensory=2),
        Relapse(patient=patient, onset=date(2017, 5, 1), severity="mild", is_spinal=True),
        Treatment(
            patient=patient, drug="ocrelizumab", efficacy="high", starts_on=date(2017, 8, 1)
        ),
        PhenotypePeriod(patient=patient, phenotype="RRMS", starts_on=date(2015, 3, 1)),
        LesionCount(visit=visit, region="cord", pattern="focal", count=2),
    ):
        fact_record(actor=alice, fact=fact)
    divergence_refresh(patient.pk)
    return patient


@pytest.mark.parametrize("name", NAMES)
def test_every_resource_of_a_patient_can_be_pulled(registry, anna, name):
    page = pull(registry, name)

    assert page["results"]
    assert page["intended_use"].startswith("Research use only")
    assert page["is_synthetic"] is False
    assert all("is_synthetic" in row and row["id"] for row in page["results"])


@pytest.mark.parametrize("name", NAMES)
def test_a_registry_sees_nothing_of_another_clinic(caller, labe, anna, name):
    stranger = caller(labe)

    assert pull(stranger, name)["results"] == []
    assert stranger.get(f"/api/v1/{name}/", {"patient": str(anna.pk)}).status_code == 404


@pytest.mark.parametrize("name", NAMES)
def test_every_pull_is_written_down_with_its_rows(registry, anna, name):
    rows = len(pull(registry, name)["results"])

    entry = AuditEntry.objects.first()
    assert entry.subject == f"api {name}"
    assert entry.token.role == Role.DATA_MANAGER
    assert entry.detail == f"rows={rows} deleted=0"


def test_the_record_says_what_the_database_holds(registry, anna):
    assert pull(registry, "patients")["results"][0] == {
        "id": str(anna.pk),
        "updated_at": pull(registry, "patients")["results"][0]["updated_at"],
        "pseudonym": "ANNA",
        "sex": "female",
        "birth_year": 1985,
        "onset_date": "2015-03-01",
        "is_synthetic": False,
    }
    (assessment,) = pull(registry, "assessments")["results"]
    assert assessment["edss"] == 2.5
    assert assessment["date"] == "2016-03-01"
    assert assessment["functional_systems"] == {
        "visual": None,
        "brainstem": None,
        "pyramidal": 2,
        "cerebellar": None,
        "sensory": 2,
        "bowel_bladder": None,
        "cerebral": None,
        "ambulation": None,
    }
    (relapse,) = pull(registry, "relapses")["results"]
    assert (relapse["onset"], relapse["is_spinal"]) == ("2017-05-01", True)
    (lesion,) = pull(registry, "lesions")["results"]
    assert (lesion["region"], lesion["count"], lesion["is_present"]) == ("cord", 2, None)


def test_pages_hold_every_row_once_even_when_all_changed_at_the_same_moment(registry, vltava):
    patients = [patient_make(vltava) for _ in range(7)]
    Patient.objects.update(updated_at=timezone.now())

    rows, _, pages = pull_all(registry, "patients", page_size=3)

    assert pages == 3
    assert sorted(row["id"] for row in rows) == sorted(str(p.pk) for p in patients)


def test_a_page_is_never_larger_than_the_cap(registry, vltava, monkeypatch):
    monkeypatch.setattr("monitoring.api.pagination.MAX_PAGE_SIZE", 2)
    for _ in range(3):
        patient_make(vltava)

    assert len(pull(registry, "patients", page_size=1000)["results"]) == 2


def test_only_what_changed_comes_again(registry, vltava):
    old, new = patient_make(vltava), patient_make(vltava)
    moment = timezone.now()
    Patient.objects.filter(pk=old.pk).update(updated_at=moment - timedelta(days=1))
    Patient.objects.filter(pk=new.pk).update(updated_at=moment)

    rows = pull(registry, "patients", updated_since=moment.isoformat())["results"]

    assert [row["id"] for row in rows] == [str(new.pk)]


def test_a_writer_that_commits_late_is_not_missed(registry, vltava):
    first = pull(registry, "patients")
    late = patient_make(vltava)
    # Its transaction began before the pull and committed after it.
    Patient.objects.filter(pk=late.pk).update(updated_at=timezone.now() - timedelta(seconds=30))

    rows = pull(registry, "patients", updated_since=first["next_updated_since"])["results"]

    assert [row["id"] for row in rows] == [str(late.pk)]


def test_the_next_pull_begins_before_the_first_page_of_this_one(registry, vltava):
    for _ in range(3):
        patient_make(vltava)
    first = pull(registry, "patients", page_size=2)

    second = registry.get(first["next"]).json()

    assert second["next_updated_since"] == first["next_updated_since"]
    assert parse_datetime(first["next_updated_since"]) < timezone.now() - timedelta(seconds=100)


def test_a_corrected_fact_comes_with_the_tombstone_of_the_old_one(registry, anna, alice):
    before = timezone.now()
    old = Assessment.objects.get()
    new = fact_record(actor=alice, fact=Assessment(visit=old.visit, edss="3.0"), supersedes=old)

    page = pull(registry, "assessments", updated_since=before.isoformat())

    assert [row["id"] for row in page["results"]] == [str(new.pk)]
    assert [stone["id"] for stone in page["deleted"]] == [str(old.pk)]
    assert page["deleted"][0].keys() == {"id", "deleted_at"}


def test_a_withdrawn_fact_leaves_a_tombstone_and_nothing_else(registry, anna, alice):
    before = timezone.now()
    relapse = Relapse.objects.get()
    fact_withdraw(actor=alice, fact=relapse)

    assert pull(registry, "relapses")["results"] == []
    page = pull(registry, "relapses", updated_since=before.isoformat())
    assert page["results"] == []
    assert [stone["id"] for stone in page["deleted"]] == [str(relapse.pk)]


def test_who_pulls_for_the_first_time_gets_no_tombstones(registry, anna, alice):
    fact_withdraw(actor=alice, fact=Relapse.objects.get())

    assert pull(registry, "relapses")["deleted"] == []


def test_one_patient_can_be_pulled_alone(registry, anna, vltava):
    other = patient_make(vltava)
    Visit.objects.create(patient=other, date=date(2020, 1, 1))

    rows = pull(registry, "visits", patient=str(other.pk))["results"]

    assert [row["patient"] for row in rows] == [str(other.pk)]
    assert AuditEntry.objects.filter(subject="api visits", pseudonym=other.pseudonym).exists()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"updated_since": "yesterday"}, "/updated_since"),
        ({"update_since": "2020-01-01T00:00:00Z"}, "/update_since"),
        ({"page_size": "0"}, "/page_size"),
        ({"page_size": "many"}, "/page_size"),
        ({"patient": "ANNA"}, "/patient"),
        ({"cursor": "abc"}, "/cursor"),
        ({"cursor": "WyIyMDIwIiwieCIsInkiXQ"}, "/cursor"),
        ({"cursor": "é"}, "/cursor"),
        ({"cursor": "WzEsMiwzXQ"}, "/cursor"),
        ({"cursor": "bnVsbA"}, "/cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_pointer(registry, query, pointer):
    answer = registry.get("/api/v1/patients/", query)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["detail"] == problem["errors"][0]["detail"]


def test_a_cursor_of_another_clinic_opens_nothing(registry, caller, labe, vltava):
    for _ in range(3):
        patient_make(vltava)
    address = pull(registry, "patients", page_size=1)["next"]

    assert caller(labe).get(address).json()["results"] == []


# --- Measurements ---------------------------------------------------------------------------


def test_a_measurement_says_everything_beside_its_number(registry, vltava, bob):
    patient = patient_make(vltava, is_synthetic=True)
    scan = scan_make(patient, date(2020, 5, 1))
    run = run_make(
        scan,
        "neuraxis-cord",
        measures={("cord_pmj_64mm", "mean_csa"): 70.0},
        checks={"field_of_view": "warn"},
        version="1.2",
    )
    measurement_review(actor=bob, run=run, verdict="accepted")

    (row,) = pull(registry, "measurements")["results"]

    assert row["value"] == 70.0
    assert row["unit"] == "mm2"
    assert row["standard_error"] == pytest.approx(0.7)
    # 70 ± 1.959964 × 0.7
    assert row["interval_95_low"] == pytest.approx(68.628, abs=0.001)
    assert row["interval_95_high"] == pytest.approx(71.372, abs=0.001)
    assert (row["method"], row["method_version"]) == ("neuraxis-cord", "1.2")
    assert (row["quality"], row["verdict"]) == ("fair", "accepted")
    assert row["warnings"] == ["field_of_view: warn"]
    assert row["is_rejected"] is False
    assert row["is_synthetic"] is True
    assert row["not_assessable_reason"] is None
    assert row["run"] == str(run.pk)


def test_a_rejected_number_comes_again_and_is_marked(registry, vltava, bob):
    scan = scan_make(patient_make(vltava), date(2020, 5, 1))
    run = run_make(scan, "neuraxis-brain", measures={("brain_parenchyma", "volume"): 1.1e6})
    before = timezone.now()

    measurement_review(actor=bob, run=run, verdict="rejected", reason="artifact")

    (row,) = pull(registry, "measurements", updated_since=before.isoformat())["results"]
    assert row["is_rejected"] is True
    assert (row["quality"], row["verdict"]) == ("rejected", "rejected")
    assert row["verdict_reason"] == "Artifact in the image"


def test_a_number_with_a_failed_check_waits_for_a_reader(registry, vltava):
    scan = scan_make(patient_make(vltava), date(2020, 5, 1))
    run_make(
        scan,
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.1e6},
        checks={"coverage": "fail"},
    )

    (row,) = pull(registry, "measurements")["results"]

    assert row["waits_for_reader"] is True
    assert row["quality"] is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(Status.SUCCEEDED, "refused"), (Status.SUCCEEDED, "needs_landmark"), (Status.FAILED, "")],
)
def test_what_could_not_be_measured_is_null_with_its_reason_never_zero(
    registry, vltava, status, outcome
):
    scan = scan_make(patient_make(vltava), date(2020, 5, 1))
    run = run_make(scan, "neuraxis-cord", status=status, outcome=outcome)
    run.reason = "The image ends above C2."
    run.finished_at = timezone.now()
    run.save()

    (row,) = pull(registry, "measurements")["results"]

    assert row["value"] is None
    assert row["not_assessable_reason"] == "The image ends above C2."
    assert row["region"] == "cord"


def test_a_newer_run_replaces_the_numbers_of_the_older_one(registry, vltava):
    scan = scan_make(patient_make(vltava), date(2020, 5, 1))
    refused = run_make(scan, "neuraxis-cord", outcome="refused")
    (nothing,) = pull(registry, "measurements")["results"]
    before = timezone.now()
    newer = run_make(
        scan,
        "neuraxis-cord",
        measures={("cord_pmj_64mm", "mean_csa"): 70.0},
        parameters={"hint_mm": [0, 0, 0]},
    )
    scan.save()  # what the receiver of run_finished does

    page = pull(registry, "measurements", updated_since=before.isoformat())

    assert [row["run"] for row in page["results"]] == [str(newer.pk)]
    assert [stone["id"] for stone in page["deleted"]] == [nothing["id"]]
    assert nothing["run"] == str(refused.pk)


def test_a_failed_repetition_takes_no_number_away(registry, vltava):
    scan = scan_make(patient_make(vltava), date(2020, 5, 1))
    run_make(scan, "neuraxis-brain", measures={("brain_parenchyma", "volume"): 1.1e6})
    run_make(scan, "neuraxis-brain", status=Status.FAILED, parameters={"again": 1})

    (row,) = pull(registry, "measurements")["results"]

    assert row["value"] == 1.1e6


def test_scans_that_join_another_epoch_come_again(registry, vltava, bob):
    patient = patient_make(vltava)
    first = scan_make(patient, date(2019, 5, 1), scanner="Aera")
    second = scan_make(patient, date(2020, 5, 1), scanner="Vida")
    before = timezone.now()

    epoch_merge(actor=bob, epoch=second.epoch, into=first.epoch)

    (row,) = pull(registry, "scans", updated_since=before.isoformat())["results"]
    assert row["id"] == str(second.pk)
    assert row["epoch"]["id"] == str(first.epoch_id)


def test_the_numbers_of_a_page_cost_the_same_queries_for_ten_patients_as_for_one(
    registry, vltava, django_assert_max_num_queries
):
    for _ in range(10):
        course_make(patient_make(vltava), years=3)

    with django_assert_max_num_queries(20):
        page = pull(registry, "measurements")

    assert len(page["results"]) == 60


def test_ids_are_stable_and_say_nothing_of_how_many_there_are(registry, anna):
    first = [row["id"] for row in pull(registry, "measurements")["results"]]

    assert first == [row["id"] for row in pull(registry, "measurements")["results"]]
    assert len(set(first)) == len(first)
    assert all(len(row_id) == 36 for row_id in first)


# --- Divergence -----------------------------------------------------------------------------


def test_the_stored_statement_and_its_history_are_pulled(registry, anna, bob):
    run = anna.visits.last().sessions.first().scans.first().image.runs.first()
    measurement_review(actor=bob, run=run, verdict="rejected", reason="artifact")
    newest = divergence_refresh(anna.pk)

    answer = registry.get(f"/api/v1/patients/{anna.pk}/divergence/").json()["divergence"]

    assert len(answer["history"]) == 2
    assert answer["latest"]["id"] == answer["history"][-1]["id"]
    assert answer["latest"]["level"] == newest.level
    assert answer["latest"]["d_percent_per_year"] == newest.d_percent_per_year
    assert answer["latest"]["input_digest"] == newest.input_digest


def test_a_patient_without_a_statement_has_none(registry, vltava):
    patient = patient_make(vltava)

    answer = registry.get(f"/api/v1/patients/{patient.pk}/divergence/").json()["divergence"]

    assert answer == {"latest": None, "history": [], "flags": [], "not_computed_because": None}
