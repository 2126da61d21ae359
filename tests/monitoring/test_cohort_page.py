"""The cohort page: computed once in a worker, cached until the data change, audited."""

import csv
import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from monitoring.demo.seeding import demo_seed
from monitoring.demo.stories import CLINICS, Story
from monitoring.models import AuditEntry, Clinic, CohortAnalysis, CohortDefinition, Patient
from monitoring.services.clinical import patient_touch
from monitoring.services.cohorts import analyses_sweep, analysis_execute
from tests.project.test_demo import TODAY, demo_mode, silent  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(demo_mode, monkeypatch) -> Clinic:  # noqa: F811
    few = {Story.STABLE: 14, Story.PARALLEL: 6, Story.CONTROL: 12}
    small = (replace(CLINICS[0], patients=few), replace(CLINICS[1], patients={Story.STABLE: 1}))
    monkeypatch.setattr("monitoring.demo.seeding.CLINICS", small)
    demo_seed(today=TODAY, say=silent)
    return Clinic.objects.get(name__startswith="Vltava")


@pytest.fixture
def researcher(clinic) -> Client:
    client = Client()
    assert client.login(username="researcher", password="neuraxis-demo")
    return client


def computed(client: Client, query: str = "") -> tuple[str, CohortAnalysis]:
    """Open the page, do the worker's job, open it again."""
    client.get(reverse("cohort") + query)
    analysis = CohortAnalysis.objects.latest("created_at")
    analysis_execute(analysis.pk)
    analysis.refresh_from_db()
    return client.get(reverse("cohort") + query).content.decode(), analysis


def test_the_first_visit_wakes_a_worker_and_the_next_shows_the_result(researcher, doorbell):
    waiting = researcher.get(reverse("cohort")).content.decode()
    analysis = CohortAnalysis.objects.get()
    assert doorbell == [("cohort", str(analysis.pk))]
    assert "Waiting for a worker" in waiting

    analysis_execute(analysis.pk)
    page = researcher.get(reverse("cohort")).content.decode()

    assert doorbell == [("cohort", str(analysis.pk))]
    assert CohortAnalysis.objects.get().status == "succeeded"
    assert "Cord area and volume by EDSS group" in page
    assert "Synthetic data. No real patient." in page


def test_a_changed_fact_asks_for_a_new_computation(researcher, clinic, doorbell):
    computed(researcher)
    patient_touch(Patient.objects.filter(clinic=clinic).first())

    page = researcher.get(reverse("cohort")).content.decode()

    assert "Waiting for a worker" in page
    assert CohortAnalysis.objects.count() == 2
    assert len(doorbell) == 2


def test_a_cohort_is_saved_reopened_and_exported_with_its_hash(researcher):
    computed(researcher, "")
    answer = researcher.post(reverse("cohort_save"), {"name": "All of us", "query": ""})
    saved = CohortDefinition.objects.get()
    assert answer.url == reverse("cohort_saved", args=[saved.pk])

    page = researcher.get(answer.url).content.decode()
    file = json.loads(researcher.get(reverse("cohort_definition", args=[saved.pk])).content)

    assert "All of us" in page
    assert saved.digest[:16] in page
    assert file["sha256"] == saved.digest
    data = CohortAnalysis.objects.get().data_version[:12]
    assert f"SHA-256 {saved.digest}; data {data} as of " in page
    again = researcher.post(reverse("cohort_save"), {"name": "All of us", "query": ""})
    assert again.status_code == 302
    assert CohortDefinition.objects.count() == 1


def test_tables_say_that_they_are_synthetic_and_reading_is_written_down(researcher):
    _, analysis = computed(researcher)
    AuditEntry.objects.all().erase()

    answer = researcher.get(reverse("cohort_table", args=[analysis.pk, "patients"]))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))

    assert "synthetic_cohort" in answer["Content-Disposition"]
    counts = analysis.result["counts"]
    assert len(rows) == counts["patients"] + counts["controls"] == 30
    assert {row["synthetic"] for row in rows} == {"yes"}
    assert {row["pseudonym"][0] for row in rows} == {"V"}
    assert [entry.action for entry in AuditEntry.objects.all()] == ["export"]
    whole = json.loads(researcher.get(reverse("cohort_analysis", args=[analysis.pk])).content)
    assert whole["is_synthetic"] is True
    assert whole["versions"]["analysis"] == analysis.analysis_version
    assert len(whole["rows"]) == len(rows)


def test_the_exported_analysis_can_be_computed_again_from_the_file(researcher, tmp_path):
    _, analysis = computed(researcher)
    file = tmp_path / "analysis.json"
    answer = researcher.get(reverse("cohort_analysis", args=[analysis.pk]))
    file.write_bytes(answer.content)
    said = io.StringIO()

    call_command("cohort_replay", file, stdout=said)

    assert said.getvalue().startswith("The same: ")
    changed = json.loads(file.read_text())
    readings = changed["inputs"]["readings"]
    readings["cord"] = [value and 1.1 * value for value in readings["cord"]]
    file.write_text(json.dumps(changed))
    with pytest.raises(CommandError, match="Not the same numbers"):
        call_command("cohort_replay", file, stdout=said)
    file.write_text("nothing")
    with pytest.raises(CommandError, match="no exported analysis"):
        call_command("cohort_replay", file, stdout=said)


def test_a_choice_that_contradicts_itself_is_said_and_nothing_is_computed(researcher):
    computed(researcher)
    query = "?bands=custom&custom_bands=0-2&phenotypes=RRMS&structures=grey_matter"
    query += "&visit=latest&edss_within_days=90&age_from=18&age_to=80&landmark_years=2"

    page = researcher.get(reverse("cohort") + query).content.decode()

    assert "Own EDSS groups need at least two" in page
    assert CohortAnalysis.objects.count() == 1


def test_a_killed_worker_leaves_the_analysis_to_the_sweep(researcher):
    researcher.get(reverse("cohort"))
    analysis = CohortAnalysis.objects.get()
    CohortAnalysis.objects.update(status="running", attempt=1, heartbeat_at="2020-01-01T00:00Z")

    assert analyses_sweep() == [analysis.pk]
    analysis_execute(analysis.pk)
    analysis.refresh_from_db()
    assert (analysis.status, analysis.attempt) == ("succeeded", 2)


def test_an_empty_clinic_is_told_what_to_do(as_alice):
    page, analysis = computed(as_alice)

    assert analysis.status == "succeeded"
    assert "Upload and review scans" in page
