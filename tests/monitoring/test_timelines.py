"""The timeline selector: one reading for page, table, CSV and API."""

from datetime import date
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from monitoring.core.types import Region
from monitoring.models import (
    Assessment,
    Clinic,
    Patient,
    PhenotypePeriod,
    Relapse,
    Review,
    ScannerEpoch,
    Treatment,
)
from monitoring.selectors.timeline_points import days_after
from monitoring.selectors.timeline_tables import (
    TABLES,
    csv_rows,
    history_table,
    table_heads,
    volumes_table,
)
from monitoring.selectors.timelines import patient_timeline, timeline_of
from monitoring.services.divergence import divergence_refresh
from monitoring.services.reviews import measurement_review
from tests.factories.record import course_make, patient_make, run_make, scan_make
from volumetry.models import Measurement, Outcome, Status, VolumetryRun

TODAY = date(2026, 11, 1)


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Return a patient with six yearly scans, a relapse, a treatment and EDSS."""
    patient = patient_make(vltava, "P1")
    scans = course_make(patient)
    Relapse.objects.create(patient=patient, onset=date(2018, 2, 10), severity="mild")
    Treatment.objects.create(
        patient=patient, drug="ocrelizumab", efficacy="high", starts_on=date(2019, 1, 1)
    )
    PhenotypePeriod.objects.create(
        patient=patient, phenotype="RRMS", starts_on=date(2015, 3, 1)
    )
    for scan, edss in zip(scans, ("1.0", "1.5", "2.0", "2.0", "2.5", "3.0"), strict=True):
        Assessment.objects.create(
            visit=scan.session.visit, edss=Decimal(edss), pyramidal=2, visual=0
        )
    divergence_refresh(patient.pk)
    return Patient.objects.get(pk=patient.pk)


def test_a_timeline_is_read_in_few_queries(
    alice: User, patient: Patient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(15):
        patient_timeline(alice, patient.pk, today=TODAY)


def test_the_number_of_queries_does_not_grow_with_the_scans(
    alice: User, patient: Patient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for year in range(2000, 2015):
        run_make(
            scan_make(patient, date(year, 6, 1)),
            "neuraxis-brain",
            measures={("brain_parenchyma", "volume"): 1.2e6},
        )
    with django_assert_max_num_queries(15):
        timeline = patient_timeline(alice, patient.pk, today=TODAY)
    assert len(timeline.scans) == 21


def test_a_second_look_does_not_ask_again_what_ended_runs_measured(
    alice: User, patient: Patient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run_make(scan_make(patient, date(2024, 5, 1)), "neuraxis-brain")
    with CaptureQueriesContext(connection) as first:
        patient_timeline(alice, patient.pk, today=TODAY)

    # Without the numbers and without the checks of runs that ended.
    with django_assert_num_queries(len(first) - 2):
        patient_timeline(alice, patient.pk, today=TODAY)


def test_a_second_look_sees_a_new_number_and_a_new_verdict(
    alice: User, bob: User, patient: Patient
) -> None:
    before = patient_timeline(alice, patient.pk, today=TODAY)

    run = run_make(
        scan_make(patient, date(2024, 5, 1)),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.0e6},
    )
    added = patient_timeline(alice, patient.pk, today=TODAY)
    measurement_review(actor=bob, run=run, verdict="rejected", reason="artifact")
    judged = patient_timeline(alice, patient.pk, today=TODAY)

    assert len(added.points) == len(before.points) + 1
    assert [p.is_rejected for p in judged.points if p.run_id == run.pk] == [True]


def test_a_run_that_waits_shows_its_numbers_as_soon_as_it_has_ended(
    alice: User, patient: Patient
) -> None:
    waiting = run_make(
        scan_make(patient, date(2024, 5, 1)), "neuraxis-brain", status=Status.RUNNING
    )
    before = patient_timeline(alice, patient.pk, today=TODAY)

    with transaction.atomic():
        Measurement.objects.create(
            run=waiting, structure="brain_parenchyma", quantity="volume", value=1.0e6,
            unit="mm3", standard_error=5e3,
        )  # fmt: skip
        VolumetryRun.objects.filter(pk=waiting.pk).update(
            status=Status.SUCCEEDED, outcome=Outcome.OK, finished_at=timezone.now()
        )
    after = patient_timeline(alice, patient.pk, today=TODAY)

    assert waiting.pk not in {p.run_id for p in before.points}
    assert waiting.pk in {p.run_id for p in after.points}


def test_a_stranger_finds_no_timeline(charlie: User, patient: Patient) -> None:
    with pytest.raises(Patient.DoesNotExist):
        patient_timeline(charlie, patient.pk)


def test_values_are_percent_of_the_own_first_usable_value(patient: Patient) -> None:
    timeline = timeline_of(patient, today=TODAY)
    brain, cord = timeline.region(Region.BRAIN), timeline.region(Region.CORD)
    assert brain[0].percent == cord[0].percent == 100.0
    assert brain[1].percent == pytest.approx(99.6)
    assert cord[1].percent == pytest.approx(99.1)
    # The factory states a standard error of one percent of the value.
    assert brain[0].percent_low == pytest.approx(100 - 1.96)
    assert brain[0].percent_high == pytest.approx(100 + 1.96)


def test_a_rejected_first_value_is_no_baseline(patient: Patient, bob: User) -> None:
    first = timeline_of(patient, today=TODAY).region(Region.CORD)[0]
    Review.objects.create(
        run_id=first.run_id, verdict="rejected", reason="artifact", reviewer=bob
    )
    cord = timeline_of(patient, today=TODAY).region(Region.CORD)
    assert cord[0].is_rejected
    assert cord[0].verdict_reason == "Artifact in the image"
    assert cord[1].percent == 100.0


def test_an_edss_soon_after_a_relapse_is_marked(patient: Patient) -> None:
    steps = {step.when: step for step in timeline_of(patient, today=TODAY).edss}
    assert steps[date(2018, 3, 1)].days_after_relapse == 19
    assert steps[date(2018, 3, 1)].in_relapse_window
    assert not steps[date(2019, 3, 1)].in_relapse_window
    assert steps[date(2018, 3, 1)].systems == {"visual": 0, "pyramidal": 2}


@pytest.mark.parametrize(
    ("day", "days"),
    [(date(2020, 1, 1), 0), (date(2020, 1, 31), 30), (date(2020, 2, 1), None)],
)
def test_the_relapse_window_closes_after_thirty_days(day: date, days: int | None) -> None:
    assert days_after(day, [date(2020, 1, 1)]) == days


def test_a_day_before_the_relapse_is_outside_its_window() -> None:
    assert days_after(date(2019, 12, 31), [date(2020, 1, 1)]) is None


def test_a_superseded_edss_is_not_drawn(patient: Patient) -> None:
    Assessment.objects.filter(visit__date=date(2016, 3, 1)).update(
        superseded_at="2026-01-01T00:00:00Z"
    )
    assert date(2016, 3, 1) not in {s.when for s in timeline_of(patient, today=TODAY).edss}


def test_a_scanner_change_is_found_and_merged_epochs_are_none(patient: Patient) -> None:
    scan = scan_make(patient, date(2022, 3, 1), scanner="Vida")
    run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 66.0})
    changes = timeline_of(patient, today=TODAY).scanner_changes
    assert [(c.when, c.before[:4], c.after[:4]) for c in changes] == [
        (date(2022, 3, 1), "Aera", "Vida")
    ]
    old = ScannerEpoch.objects.get(scanner__name="Aera")
    ScannerEpoch.objects.filter(scanner__name="Vida").update(merged_into=old)
    assert timeline_of(patient, today=TODAY).scanner_changes == ()


def test_brain_and_cord_of_two_protocols_are_no_scanner_change(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    for year in range(2018, 2022):
        brain, cord = (scan_make(patient, date(year, 3, 1), scanner=s) for s in ("T1", "T2"))
        run_make(brain, "neuraxis-brain", measures={("brain_parenchyma", "volume"): 1.1e6})
        run_make(cord, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 70.0})

    assert timeline_of(patient, today=TODAY).scanner_changes == ()


def test_a_point_carries_the_weight_that_the_model_gave_it(patient: Patient) -> None:
    points = timeline_of(patient, today=TODAY).points
    assert all(point.weight is not None and point.weight > 0.4 for point in points)
    assert not any(point.is_outlier for point in points)


def test_a_value_that_waits_for_a_reader_is_shown_and_not_used(patient: Patient) -> None:
    scan = scan_make(patient, date(2022, 3, 1))
    run_make(
        scan,
        "neuraxis-cord",
        measures={("cord_pmj_64mm", "mean_csa"): 40.0},
        checks={"coverage": "fail"},
    )
    last = timeline_of(patient, today=TODAY).region(Region.CORD)[-1]
    assert last.waits_for_reader
    assert not last.is_usable
    assert last.warnings == ("coverage: fail",)


def test_a_short_course_shows_no_fitted_line(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    course_make(patient, years=2)
    divergence_refresh(patient.pk)
    timeline = timeline_of(Patient.objects.get(pk=patient.pk), today=TODAY)
    assert timeline.estimate is not None
    assert timeline.estimate.level == "insufficient"
    assert timeline.trajectory is None


def test_the_five_caveats_of_every_chart_are_there(patient: Patient) -> None:
    caveats = {c.id: c.text for c in timeline_of(patient, today=TODAY).caveats}
    assert {"research", "method", "sdc", "confounders", "evidence"} <= set(caveats)
    assert "6 scans over 5.0 years on 1 scanner epoch" in caveats["method"]
    assert "neuraxis-cord 1.0" in caveats["method"]
    assert caveats["relapse"] == (
        "A scan on 2018-03-01 was taken 19 days after a relapse or steroids."
    )
    assert "2019-01-01" in caveats["dmt"]
    assert "demo" not in caveats


def test_the_smallest_detectable_change_follows_the_error_of_one_scan(
    patient: Patient,
) -> None:
    # 1.96 * sqrt(2) * SD: 2.77 * 0.8 % brain, 2.77 * 2.0 % cord (clinical rules, section 4).
    sdc = timeline_of(patient, today=TODAY).sdc_percent
    assert sdc[Region.BRAIN] == pytest.approx(2.217, abs=0.001)
    assert sdc[Region.CORD] == pytest.approx(5.544, abs=0.001)


def test_a_scanner_change_is_a_caveat_with_the_estimated_offset(patient: Patient) -> None:
    for year in (2022, 2023):
        scan = scan_make(patient, date(year, 3, 1), scanner="Vida")
        run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 64.0})
    divergence_refresh(patient.pk)
    timeline = timeline_of(Patient.objects.get(pk=patient.pk), today=TODAY)
    text = next(c.text for c in timeline.caveats if c.id == "epoch")
    assert text.startswith("The scanner or software changed on 2022-03-01.")
    assert "cord −" in text


def test_a_synthetic_patient_says_so_first(vltava: Clinic) -> None:
    patient = patient_make(vltava, is_synthetic=True)
    caveats = timeline_of(patient, today=TODAY).caveats
    assert (caveats[0].id, caveats[0].text) == ("demo", "Synthetic data. No real patient.")


def test_a_patient_without_anything_has_an_empty_timeline(vltava: Clinic) -> None:
    timeline = timeline_of(patient_make(vltava, birth_year=None, onset_date=None), today=TODAY)
    assert timeline.points == ()
    assert timeline.age_years is None
    assert timeline.years_since_onset is None
    assert timeline.phenotype is None
    assert timeline.edss_now is None
    assert {c.id for c in timeline.caveats} == {"research", "confounders", "evidence"}


def test_a_newer_fact_makes_the_statement_out_of_date(patient: Patient) -> None:
    assert not timeline_of(patient, today=TODAY).is_out_of_date
    patient.facts_changed_at = "2026-10-31T00:00:00Z"
    patient.save()
    again = Patient.objects.get(pk=patient.pk)
    assert timeline_of(again, today=TODAY).is_out_of_date


def test_a_closed_table_counts_the_rows_that_it_has_when_open(patient: Patient) -> None:
    run_make(
        scan_make(patient, date(2024, 5, 1)),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.0e6, ("grey_matter", "volume"): 6.0e5},
    )
    timeline = timeline_of(patient, today=TODAY)

    tables = [make(timeline) for make in TABLES.values()]

    assert [tuple(head) for head in table_heads(timeline)] == [
        (table.slug, table.title, len(table.rows)) for table in tables
    ]
    assert sum(bool(table.rows) for table in tables) >= 4


def test_every_table_has_as_many_cells_as_columns(patient: Patient) -> None:
    timeline = timeline_of(patient, today=TODAY)
    for make in TABLES.values():
        table = make(timeline)
        assert table.rows or table.slug == "structures", table.slug
        assert {len(row) for row in table.rows} <= {len(table.columns)}


def test_a_rejected_row_is_struck(patient: Patient, bob: User) -> None:
    run = timeline_of(patient, today=TODAY).region(Region.CORD)[2].run_id
    Review.objects.create(run_id=run, verdict="rejected", reason="level", reviewer=bob)
    table = volumes_table(timeline_of(patient, today=TODAY))
    struck = [table.rows[index] for index in table.struck]
    assert [(row[0], row[11]) for row in struck] == [("2018-03-01", "rejected: Level is wrong")]


def test_the_history_ends_with_the_stored_statement(patient: Patient) -> None:
    timeline = timeline_of(patient, today=TODAY)
    last = history_table(timeline).rows[-1]
    assert timeline.estimate is not None
    assert last[:2] == (str(timeline.estimate.as_of), timeline.estimate.level)
    assert last[2] == round(timeline.estimate.d_percent_per_year or 0, 2)


def test_a_file_carries_badge_and_intended_use_and_no_formula(patient: Patient) -> None:
    Treatment.objects.create(
        patient=patient, drug="=HYPERLINK(1)", efficacy="other", starts_on=date(2021, 1, 1)
    )
    table = TABLES["events"](timeline_of(patient, today=TODAY))
    rows = csv_rows(table, is_synthetic=True, note="Research use only.")
    assert rows[0][-2:] == ("synthetic", "intended use")
    assert {row[-2:] for row in map(tuple, rows[1:])} == {("yes", "Research use only.")}
    cells = [str(cell) for row in rows for cell in row]
    assert "'=HYPERLINK(1), other" in cells
