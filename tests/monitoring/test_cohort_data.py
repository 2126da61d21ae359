"""What of a clinic's rows enters a cohort: the newest usable numbers, read in few queries."""

from datetime import date
from uuid import UUID

import numpy as np
import pytest
from django.db import transaction

from monitoring.core.cohort.table import column
from monitoring.models import Assessment, LesionCount, Review, Visit
from monitoring.selectors import cohort_data
from monitoring.selectors.cohort_data import cohort_of
from tests.factories.record import clinic_make, member_make, patient_make, run_make, scan_make

pytestmark = pytest.mark.django_db
CORD = {("cord_pmj_64mm", "mean_csa"): 70.0}
FAILED = {"blur": "fail"}


@pytest.fixture
def clinic():
    return clinic_make()


def days_with_cord(clinic) -> list[date]:
    readings = cohort_of(clinic).readings
    known = np.isfinite(readings.values[:, column("cord")])
    return sorted(date.fromordinal(int(day)) for day in readings.day[known])


def review(run, *verdicts):
    person = member_make("reader", clinic_make())
    for verdict in verdicts:
        reason = "artifact" if verdict == "rejected" else ""
        Review.objects.create(run=run, verdict=verdict, reason=reason, reviewer=person)


def test_the_last_word_of_a_reader_decides_and_a_failed_check_waits_for_one(clinic):
    patient = patient_make(clinic)
    runs = [
        run_make(scan_make(patient, date(2020, 1, day)), "neuraxis-cord", measures=CORD,
                 checks=FAILED if day > 4 else None)
        for day in range(1, 8)
    ]  # fmt: skip
    review(runs[1], "accepted")
    review(runs[2], "rejected")
    review(runs[3], "rejected", "accepted")
    review(runs[5], "accepted")
    review(runs[6], "accepted", "rejected")

    assert [day.day for day in days_with_cord(clinic)] == [1, 2, 4, 6]


def test_what_readers_counted_stands_in_one_row_per_visit(clinic):
    patient = patient_make(clinic)
    visit = Visit.objects.create(patient=patient, date=date(2021, 5, 4))
    for region, kind, count in (("brain", "t2", 9), ("cord", "t2", 0), ("brain", "new_t2", 2)):
        LesionCount.objects.create(
            visit=visit, region=region, pattern="focal", kind=kind, count=count
        )
    LesionCount.objects.create(visit=visit, region="cord", pattern="diffuse", is_present=False)
    # Enhancing lesions alone are no lesion load.
    other = Visit.objects.create(patient=patient, date=date(2022, 5, 4))
    LesionCount.objects.create(visit=other, region="brain", pattern="focal", kind="gd", count=1)

    lesions = cohort_of(clinic).lesions

    assert lesions.day.tolist() == [date(2021, 5, 4).toordinal()]
    assert [lesions.brain[0], lesions.cord[0], lesions.new[0]] == [9, 0, 2]
    assert lesions.diffuse_cord.tolist() == [0]
    assert np.isnan(lesions.diffuse_brain[0])


def test_an_edss_without_functional_systems_has_none(clinic):
    patient = patient_make(clinic)
    visit = Visit.objects.create(patient=patient, date=date(2021, 5, 4))
    Assessment.objects.create(visit=visit, edss="3.5", pyramidal=3)

    cohort = cohort_of(clinic)

    assert cohort.edss.value.tolist() == [3.5]
    assert np.isfinite(cohort.systems[0]).sum() == 1


def test_a_larger_clinic_takes_no_more_queries(clinic, django_assert_max_num_queries):
    for _ in range(3):
        patient = patient_make(clinic)
        for day in (1, 2, 3):
            run_make(scan_make(patient, date(2020, 1, day)), "neuraxis-cord", measures=CORD)

    with django_assert_max_num_queries(13):
        assert cohort_of(clinic).readings.day.size == 9


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_questions_asked_side_by_side_have_the_same_answers():
    clinic = clinic_make()
    patient = patient_make(clinic)
    for day in (1, 2, 3):
        run_make(scan_make(patient, date(2020, 1, day)), "neuraxis-cord", measures=CORD)

    alone = cohort_of(clinic)
    with transaction.atomic():
        within = cohort_of(clinic)

    assert alone.ids == within.ids
    assert np.array_equal(alone.readings.values, within.readings.values, equal_nan=True)
    assert alone.readings.day.size == 3


def test_a_scan_that_came_in_between_the_questions_waits_for_the_next_computation(
    clinic, monkeypatch
):
    patient = patient_make(clinic)
    scans = [scan_make(patient, date(2020, 1, day)) for day in (1, 2)]
    for scan in scans:
        run_make(scan, "neuraxis-cord", measures=CORD)
    ask = cohort_data._scans
    monkeypatch.setattr(
        cohort_data,
        "_scans",
        lambda asked: {
            image: where
            for image, where in ask(asked).items()
            if UUID(image) != scans[1].image_id
        },
    )

    assert [day.day for day in days_with_cord(clinic)] == [1]
