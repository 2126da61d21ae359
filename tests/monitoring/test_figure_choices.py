"""What can be added to the figure or taken out of it: structures, healthy people, one value."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from monitoring.charts.palette import PRINT
from monitoring.charts.structures import structure_marks
from monitoring.charts.timeline import timeline_figure
from monitoring.charts.vector import svg_of
from monitoring.core.norms import MeasureFacts, Norm
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.types import Region
from monitoring.models import Clinic, DivergenceEstimate, Patient, Review
from monitoring.selectors.norm_bands import healthy_words, norm_band
from monitoring.selectors.outlooks import patient_planner
from monitoring.selectors.structures import structure_course, structure_kinds
from monitoring.selectors.timelines import Timeline, timeline_of
from monitoring.selectors.what_if import timeline_without
from monitoring.services.divergence import divergence_refresh
from tests.factories.record import course_make, patient_make, run_make, scan_make

TODAY = date(2026, 11, 1)


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Return a patient whose cord shrinks, with grey matter, ventricles and thalamus."""
    patient = patient_make(vltava, "P1", birth_year=1980, sex="female")
    course_make(patient, years=8, brain=-0.3, cord=-2.5)
    for year in range(4):
        scan = scan_make(patient, date(2016 + year, 3, 2))
        run_make(
            scan,
            "neuraxis-brain",
            measures={
                ("brain_parenchyma", "volume"): 1.1e6,
                ("lateral_ventricles", "volume"): 2.0e4 * 1.05**year,
                ("thalamus", "volume"): 1.4e4,
            },
        )
    divergence_refresh(patient.pk)
    return Patient.objects.get(pk=patient.pk)


def course(patient: Patient) -> Timeline:
    return timeline_of(Patient.objects.get(pk=patient.pk), today=TODAY)


def slugs(timeline: Timeline) -> list[str]:
    return [kind.slug for kind in structure_kinds(timeline)]


def test_every_measured_structure_can_be_chosen_the_experimental_ones_last(patient) -> None:
    kinds = structure_kinds(course(patient))
    assert [kind.slug for kind in kinds] == ["lateral_ventricles-volume", "thalamus-volume"]
    assert [kind.is_experimental for kind in kinds] == [False, True]
    assert kinds[0].words == "Lateral ventricles"


def test_a_structure_is_in_percent_of_its_own_first_usable_value(patient, bob: User) -> None:
    timeline = course(patient)
    ventricles = structure_kinds(timeline)[0]
    points = structure_course(timeline, ventricles)
    assert [round(p.percent or 0, 1) for p in points] == [100.0, 105.0, 110.2, 115.8]
    Review.objects.create(
        run_id=points[0].run_id, verdict="rejected", reason="outline", reviewer=bob
    )
    timeline = course(patient)
    points = structure_course(timeline, ventricles)
    assert [p.percent for p in points] == pytest.approx(
        [95.238, 100.0, 105.0, 110.25], rel=1e-4
    )
    drawn = structure_marks(ventricles, points, number=0)
    assert [value for _, value in drawn["values"]] == [100.0, 105.0, 110.25]


def test_the_page_names_the_structures_and_fetches_their_marks(
    as_alice: Client, patient: Patient
) -> None:
    html = as_alice.get(reverse("patient_detail", args=[patient.pk])).content.decode()
    assert 'data-structure="lateral_ventricles-volume"' in html
    assert "Thalamus (experimental)" in html
    assert "checked" not in html.split('class="structures"')[1].split("</fieldset>")[0]
    url = reverse("patient_structure", args=[patient.pk, "thalamus-volume"])
    marks = as_alice.get(url).json()
    assert marks["name"] == "Thalamus (experimental)"
    assert {trace["yaxis"] for trace in marks["traces"]} == {"y2"}
    assert marks["span"][0] < 100 < marks["span"][1]
    other = reverse("patient_structure", args=[patient.pk, "csf-volume"])
    assert as_alice.get(other).status_code == 404


def norm(structure: str, method: str, *, value: float) -> Norm:
    return Norm(
        id=f"own-{structure}",
        facts=MeasureFacts(structure=structure, method=method, contrast="t1"),
        intercept=value,
        male=0.0,
        linear=-value / 500,
        quadratic=0.0,
        predictive_sd=value / 20,
        youngest=18,
        oldest=80,
        people=60,
        source="own healthy controls",
    )


def test_healthy_people_are_drawn_where_a_norm_fits_and_elsewhere_it_says_why(patient) -> None:
    timeline = course(patient)
    assert not norm_band(timeline, Region.BRAIN).days
    assert "none is adopted" in " ".join(healthy_words(timeline))
    fits = norm("brain_parenchyma", "neuraxis-brain 1.0", value=1.1e6)
    other = norm("cord_pmj_64mm", "neuraxis-cord 0.9", value=70.0)
    own = replace(timeline.in_force, norms=(fits, other), norm_refusals=())
    timeline = replace(timeline, in_force=own)
    brain, cord = (norm_band(timeline, region) for region in (Region.BRAIN, Region.CORD))
    assert brain.days[0].year == 2016
    assert brain.days[-1].year == 2026
    # Linear in age by 1/500 of the norm's intercept a year.
    assert brain.ageing[0] - brain.ageing[-1] == pytest.approx(2.0, abs=0.1)
    assert brain.low[0] < 100 < brain.high[0]
    assert cord.reason.startswith("The norm holds for method neuraxis-cord 0.9")
    figure = timeline_figure(timeline, palette=PRINT)
    healthy = [t for t in figure["data"] if t.get("meta", {}).get("role") == "healthy"]
    assert [trace["yaxis"] for trace in healthy] == ["y2"]
    assert "<svg" in svg_of(figure, label="Course")


def test_the_course_is_drawn_without_a_value_and_the_record_stays(
    as_alice: Client, patient: Patient
) -> None:
    timeline = course(patient)
    last = timeline.region(Region.CORD)[-1]
    dropped = timeline_without(timeline, last.run_id, literature_defaults())
    assert dropped is not None
    assert [p.run_id for p in dropped.points if p.is_rejected] == [last.run_id]
    assert dropped.now["n_cord"] == timeline.now["n_cord"] - 1
    assert dropped.trajectory is not None
    before = DivergenceEstimate.objects.count(), Review.objects.count()
    url = reverse("patient_figure", args=[patient.pk])
    figure = as_alice.get(url, {"without": str(last.run_id)}).json()
    assert (DivergenceEstimate.objects.count(), Review.objects.count()) == before
    assert "left out on this screen only" in json.dumps(figure)
    assert as_alice.get(url, {"without": "nonsense"}).status_code == 404
    assert as_alice.get(url).status_code == 404


def test_dropping_the_first_value_moves_the_baseline(patient: Patient) -> None:
    timeline = course(patient)
    first, second = timeline.region(Region.CORD)[:2]
    dropped = timeline_without(timeline, first.run_id, literature_defaults())
    assert dropped is not None
    assert [p.percent for p in dropped.region(Region.CORD) if p.run_id == second.run_id] == [
        100
    ]


def test_the_planner_says_when_another_scan_could_change_the_level(
    as_alice: Client, patient: Patient
) -> None:
    planner = patient_planner(patient, literature_defaults(), today=date(2023, 6, 1))
    assert [one.when.year for one in planner.outlooks] == [2023, 2023, 2024, 2024, 2025]
    assert all(0 <= one.p_flag <= one.p_watch <= 1 for one in planner.outlooks)
    assert planner.first is None or planner.first.p_other >= planner.worth
    url = reverse("patient_planner", args=[patient.pk])
    html = as_alice.get(url).content.decode()
    assert "A help for the calendar, not a prognosis." in html


def test_the_planner_leaves_out_what_lies_before_the_last_scan(patient: Patient) -> None:
    early = date(2023, 3, 1) - timedelta(days=200)
    planner = patient_planner(patient, literature_defaults(), today=early)
    assert len(planner.outlooks) == 3


def test_without_a_statement_there_is_nothing_to_plan(vltava: Clinic) -> None:
    planner = patient_planner(patient_make(vltava), literature_defaults(), today=TODAY)
    assert planner.reason == "There is no statement to look ahead from."
    assert planner.outlooks == ()
