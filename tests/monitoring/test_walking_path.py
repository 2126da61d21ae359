"""The main job on rows alone: measured runs become a stated divergence."""

from datetime import date

import pytest

from monitoring.models import Flag
from monitoring.services.divergence import divergence_refresh
from monitoring.services.reviews import measurement_review
from tests.factories.record import course_make, patient_make
from volumetry.models import VolumetryRun

pytestmark = pytest.mark.django_db


def test_a_series_of_visits_ends_in_a_stated_divergence(vltava):
    patient = patient_make(vltava, onset_date=date(2015, 3, 1))
    course_make(patient, years=8, cord=-4.0)

    estimate = divergence_refresh(patient.pk)

    assert estimate.level in {"watch", "flag"}
    assert estimate.d_low < estimate.d_percent_per_year < estimate.d_high
    assert Flag.objects.get().new_level == estimate.level


def test_refreshing_twice_stores_one_estimate(vltava):
    patient = patient_make(vltava)
    course_make(patient)

    first = divergence_refresh(patient.pk)

    assert divergence_refresh(patient.pk).pk == first.pk
    assert patient.estimates.count() == 1


def test_a_rejected_number_leaves_the_statement_at_once(vltava, bob):
    patient = patient_make(vltava)
    course_make(patient)
    before = divergence_refresh(patient.pk)
    run = VolumetryRun.objects.filter(method="neuraxis-cord").last()

    measurement_review(actor=bob, run=run, verdict="rejected", reason="artifact")
    after = divergence_refresh(patient.pk)

    assert after.payload["now"]["n_cord"] == before.payload["now"]["n_cord"] - 1
