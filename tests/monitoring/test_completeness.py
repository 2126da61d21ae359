"""The completeness page: what is missing is counted, what has no record has no share."""

from datetime import date
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.models import Assessment, Clinic, Review
from monitoring.selectors.completeness import completeness
from tests.factories.record import patient_make, run_make, scan_make

pytestmark = pytest.mark.django_db
BRAIN = {("brain_parenchyma", "volume"): 1.1e6}
CORD = {("cord_pmj_64mm", "mean_csa"): 70.0}


def counted(shares) -> dict[str, tuple[int, int]]:
    return {share.name: (share.held, share.total) for share in shares}


def test_fields_steps_and_years_are_counted(alice: User, vltava: Clinic) -> None:
    full = patient_make(vltava)
    patient_make(vltava, sex="unknown", birth_year=None, onset_date=None)
    first, second, third = (scan_make(full, date(year, 5, 1)) for year in (2020, 2021, 2021))
    run_make(first, "neuraxis-brain", measures=BRAIN)
    run_make(first, "neuraxis-cord", measures=CORD, checks={"edge": "fail"})
    rejected = run_make(second, "neuraxis-brain", measures=BRAIN)
    Review.objects.create(run=rejected, verdict="rejected", reason="outline")
    accepted = run_make(third, "neuraxis-cord", measures=CORD, checks={"edge": "fail"})
    Review.objects.create(run=accepted, verdict="accepted")
    Assessment.objects.create(visit=first.session.visit, edss=Decimal("2.0"))

    found = completeness(alice, vltava)

    assert counted(found.patients)["Onset"] == (1, 2)
    assert counted(found.patients)["EDSS, at least one"] == (1, 2)
    assert counted(found.patients)["Phenotype"] == (0, 2)
    assert counted(found.scans) == {
        "Measured": (3, 3),
        "Usable: passed or accepted": (2, 3),
        "Brain volume": (1, 3),
        "Cord area at a known level": (1, 3),
        "EDSS within 90 days": (1, 3),
    }
    assert [(year, visits, cord.held) for year, visits, _, cord, _ in found.years] == [
        (2021, 1, 1),
        (2020, 1, 0),
    ]


def test_an_empty_clinic_has_no_share_and_a_page(as_alice, alice, vltava) -> None:
    found = completeness(alice, vltava)
    assert found.is_empty
    assert found.patients[0].percent is None
    assert "No patients yet" in as_alice.get(reverse("completeness")).content.decode()


def test_another_clinic_is_not_counted(alice: User, labe: Clinic) -> None:
    patient_make(labe)
    assert completeness(alice, labe).is_empty


def test_the_page_asks_few_questions(as_alice, vltava) -> None:
    for year in range(2010, 2020):
        run_make(
            scan_make(patient_make(vltava), date(year, 1, 1)), "neuraxis-cord", measures=CORD
        )
    with CaptureQueriesContext(connection) as queries:
        page = as_alice.get(reverse("completeness"))
    assert "100 %" in page.content.decode()
    assert len(queries) <= 18
