"""Every act on which a statement depends makes it out of date; computing anew is idempotent.

What is stored: a new estimate exactly when the inputs of the model moved, a flag exactly when
the level did.
"""

from datetime import date
from itertools import pairwise

import pytest
from django.contrib.auth.models import User

from monitoring.models import (
    Assessment,
    Clinic,
    Patient,
    Relapse,
    Role,
    ScannerEpoch,
    Treatment,
    Visit,
)
from monitoring.selectors.divergence import patients_out_of_date
from monitoring.services.clinical import fact_record, fact_withdraw
from monitoring.services.epochs import epoch_merge, epoch_split
from monitoring.services.reviews import measurement_review
from monitoring.tasks import divergence_sweep
from tests.factories.record import course_make, member_make, patient_make, run_make, scan_make
from volumetry.models import VolumetryRun
from volumetry.signals import run_finished

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(vltava: Clinic) -> User:
    """Return somebody who may do everything that moves a statement."""
    return member_make("rita", vltava, Role.NEUROLOGIST, Role.RADIOLOGIST, Role.DATA_MANAGER)


@pytest.fixture
def patient(vltava: Clinic, reader: User) -> Patient:
    """Return a patient with a loud course, computed and up to date."""
    found = patient_make(vltava)
    course_make(found, years=7, cord=-3.5)
    scan = scan_make(found, date(2023, 3, 1), scanner="Prisma")
    run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 54.0})
    fact_record(
        actor=reader, fact=Treatment(patient=found, drug="A", starts_on=date(2016, 9, 1))
    )
    divergence_sweep()
    assert found.estimates.count() == 1
    assert not patients_out_of_date()
    return found


def rejects(reader: User, patient: Patient) -> None:
    run = VolumetryRun.objects.filter(method="neuraxis-cord").earliest("created_at")
    measurement_review(actor=reader, run=run, verdict="rejected", reason="outline")


def measures(reader: User, patient: Patient) -> None:
    scan = scan_make(patient, date(2024, 3, 1))
    run = run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 52.0})
    run_finished.send(VolumetryRun, run=run)


def relapses(reader: User, patient: Patient) -> None:
    fact_record(actor=reader, fact=Relapse(patient=patient, onset=date(2021, 2, 20)))


def treats(reader: User, patient: Patient) -> None:
    fact = Treatment(patient=patient, drug="B", starts_on=date(2020, 3, 1))
    fact_record(actor=reader, fact=fact)


def corrects_a_treatment(reader: User, patient: Patient) -> None:
    old = Treatment.objects.get()
    fact = Treatment(patient=patient, drug="A", starts_on=date(2019, 9, 1))
    fact_record(actor=reader, fact=fact, supersedes=old)


def withdraws_a_treatment(reader: User, patient: Patient) -> None:
    fact_withdraw(actor=reader, fact=Treatment.objects.get())


def merges(reader: User, patient: Patient) -> None:
    aera, prisma = (ScannerEpoch.objects.get(scanner__name=n) for n in ("Aera", "Prisma"))
    epoch_merge(actor=reader, epoch=prisma, into=aera)


def splits(reader: User, patient: Patient) -> None:
    aera = ScannerEpoch.objects.get(scanner__name="Aera")
    epoch_split(actor=reader, epoch=aera, starts_on=date(2019, 1, 1))


def scores(reader: User, patient: Patient) -> None:
    visit = Visit.objects.get(patient=patient, date=date(2020, 3, 1))
    fact_record(actor=reader, fact=Assessment(visit=visit, edss=3))


def accepts(reader: User, patient: Patient) -> None:
    run = VolumetryRun.objects.filter(method="neuraxis-cord").latest("created_at")
    measurement_review(actor=reader, run=run, verdict="accepted")


MOVES = [
    *(rejects, measures, merges, splits),
    *(relapses, treats, corrects_a_treatment, withdraws_a_treatment),
]
# Good by its checks already; the EDSS is no input of the model.
STAYS = [accepts, scores]


@pytest.mark.parametrize("act", [*MOVES, *STAYS])
def test_an_act_is_computed_anew_once(reader: User, patient: Patient, act) -> None:
    first = patient.estimates.get()
    act(reader, patient)
    assert list(patients_out_of_date()) == [patient.pk]

    divergence_sweep()

    assert not patients_out_of_date()
    assert patient.estimates.count() == (2 if act in MOVES else 1)
    divergence_sweep()
    patient.refresh_from_db()
    assert patient.estimates.count() == (2 if act in MOVES else 1)
    assert patient.divergence_error == ""
    kept = patient.estimates.get(pk=first.pk)
    assert (kept.payload, kept.level) == (first.payload, first.level)
    levels = ["insufficient", *patient.estimates.order_by("pk").values_list("level", flat=True)]
    changes = [(old, new) for old, new in pairwise(levels) if old != new]
    flags = patient.flags.order_by("created_at").values_list("old_level", "new_level")
    assert list(flags) == changes
    assert changes


def test_what_is_taken_back_is_stored_as_a_new_estimate_of_the_same_inputs(
    reader: User, patient: Patient
) -> None:
    """Append-only: going back is a third row with the digest of the first."""
    aera, prisma = (ScannerEpoch.objects.get(scanner__name=n) for n in ("Aera", "Prisma"))
    for into in (aera, None):
        epoch_merge(actor=reader, epoch=prisma, into=into)
        divergence_sweep()

    before, between, after = patient.estimates.order_by("pk")
    assert before.input_digest == after.input_digest != between.input_digest
    assert before.d_percent_per_year == after.d_percent_per_year
