"""The page, the API and `assess` give equal numbers for the same patient."""

import csv
import io

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.core.assessing import assess_table
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.tables import EVENT_COLUMNS, OBSERVATION_COLUMNS
from monitoring.models import ApiToken, Relapse, Treatment
from monitoring.selectors.observations import (
    event_list,
    observation_list,
    patient_scans,
    point_list,
)
from monitoring.selectors.timelines import patient_timeline
from monitoring.services.clinical import fact_record
from monitoring.services.divergence import divergence_refresh
from monitoring.services.people import token_digest
from tests.factories.record import course_make, patient_make

pytestmark = pytest.mark.django_db


def as_csv(columns, rows) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue()


def test_page_api_and_assess_say_the_same(vltava, alice):
    patient = patient_make(vltava)
    scans = course_make(patient, years=7, cord=-2.5)
    day = scans[2].session.visit.date
    fact_record(actor=alice, fact=Treatment(patient=patient, drug="ocrelizumab", starts_on=day))
    fact_record(actor=alice, fact=Relapse(patient=patient, onset=day))
    divergence_refresh(patient.pk)

    page = patient_timeline(alice, patient.pk).now
    ApiToken.objects.create(
        clinic=vltava,
        name="registry",
        role="data_manager",
        digest=token_digest("nx_test"),
        hint="nx_test",
        expires_at=timezone.now() + timezone.timedelta(days=1),
    )
    answer = Client().get(
        f"/api/v1/patients/{patient.pk}/timeline/", headers={"authorization": "Bearer nx_test"}
    )
    api = answer.json()["timeline"]["divergence"]
    observations = observation_list(point_list(patient_scans(patient)))
    table = assess_table(
        as_csv(
            OBSERVATION_COLUMNS,
            [("p", o.when, o.region, o.value, o.epoch, o.quality) for o in observations],
        ),
        events=as_csv(EVENT_COLUMNS, [("p", e.when, e.kind) for e in event_list(patient)]),
        parameters=literature_defaults(),
    )
    (assessed,) = csv.DictReader(io.StringIO(table))

    assert page["level"] == api["level"] == assessed["level"]
    assert page["level"] != "insufficient"
    for name in (
        "d_percent_per_year",
        "d_low",
        "d_high",
        "p_faster_than_1",
        "p_change",
        "brain_percent_per_year",
        "cord_percent_per_year",
    ):
        assert api[name] == page[name]
        # The table prints six decimals.
        assert float(assessed[name]) == pytest.approx(page[name], abs=1e-6)
    assert int(assessed["n_cord"]) == page["n_cord"] == api["n_cord"]
