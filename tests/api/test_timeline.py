"""The timeline of the API is the timeline of the page."""

from datetime import date

import pytest
from django.utils import timezone

from monitoring.models import Assessment, AuditEntry, Visit
from monitoring.selectors.observations import observation_list, patient_scans, point_list
from monitoring.selectors.timelines import patient_timeline
from monitoring.services.clinical import fact_record
from monitoring.services.divergence import divergence_refresh
from monitoring.services.reviews import measurement_review
from tests.factories.record import course_make, patient_make, run_make, scan_make
from volumetry.models import VolumetryRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna(vltava, alice, bob):
    """A patient with a stated divergence, a rejected scan and a scan without a cord."""
    patient = patient_make(vltava, "ANNA")
    course_make(patient, years=7, cord=-3.0)
    measurement_review(
        actor=bob,
        run=VolumetryRun.objects.filter(method="neuraxis-cord").first(),
        verdict="rejected",
        reason="artifact",
    )
    refused = run_make(scan_make(patient, date(2024, 3, 1)), "neuraxis-cord", outcome="refused")
    VolumetryRun.objects.filter(pk=refused.pk).update(reason="The image ends above C2.")
    visit = Visit.objects.filter(patient=patient).first()
    fact_record(actor=alice, fact=Assessment(visit=visit, edss="3.5", pyramidal=3))
    divergence_refresh(patient.pk)
    return patient


def timeline(client, patient):
    answer = client.get(f"/api/v1/patients/{patient.pk}/timeline/")
    assert answer.status_code == 200, answer.content
    return answer.json()["timeline"]


def test_page_api_and_model_read_equal_numbers(registry, anna, alice):
    page = patient_timeline(alice, anna.pk)
    told = timeline(registry, anna)
    fitted = observation_list(point_list(patient_scans(anna)))

    assert [(p["run"], p["value"], p["percent_of_baseline"]) for p in told["points"]] == [
        (str(p.run_id), p.value, p.percent) for p in page.points
    ]
    assert {(p["run"], p["value"], p["quality"]) for p in told["points"]} == {
        (o.key, o.value, o.quality.value) for o in fitted
    }
    assert told["divergence"]["d_percent_per_year"] == page.now["d_percent_per_year"]
    assert told["divergence"]["level"] == page.estimate.level
    assert len(told["divergence_history"]) == len(page.history)


def test_a_rejected_point_stays_visible_and_marked(registry, anna):
    rejected = [p for p in timeline(registry, anna)["points"] if p["is_rejected"]]

    assert [p["verdict_reason"] for p in rejected] == ["Artifact in the image"]
    assert rejected[0]["is_usable"] is False


def test_a_scan_that_could_not_be_measured_says_why(registry, anna):
    newest = timeline(registry, anna)["scans"][0]

    assert newest["date"] == "2024-03-01"
    assert [run["not_assessable_reason"] for run in newest["runs"]] == [
        "The image ends above C2."
    ]


def test_the_edss_comes_with_its_systems(registry, anna):
    (step,) = timeline(registry, anna)["edss"]

    assert step["edss"] == 3.5
    assert step["functional_systems"]["pyramidal"] == 3
    assert step["functional_systems"]["visual"] is None


def test_numbers_that_may_not_be_shown_are_null(registry, vltava):
    patient = patient_make(vltava)
    course_make(patient, years=2)
    divergence_refresh(patient.pk)

    stated = timeline(registry, patient)["divergence"]

    assert stated["level"] == "insufficient"
    assert stated["d_percent_per_year"] is None
    assert stated["reason"]


def test_a_patient_without_scans_has_a_timeline(registry, vltava):
    told = timeline(registry, patient_make(vltava))

    assert told["points"] == []
    assert told["divergence"] is None
    assert told["caveats"]


def test_reading_a_timeline_is_written_down(registry, anna):
    timeline(registry, anna)

    entry = AuditEntry.objects.first()
    assert (entry.subject, entry.pseudonym) == ("timeline", "ANNA")
    assert entry.at.date() == timezone.now().date()
