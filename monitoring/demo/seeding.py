"""Seed the demo's clinics: all rows or none, once."""

from collections.abc import Callable
from datetime import date

import numpy as np
from django.conf import settings
from django.db import connection, transaction

from monitoring.demo.accounts import ACCOUNTS, accounts_create, reader_of
from monitoring.demo.courses import course_draw
from monitoring.demo.norms import norms_adopt
from monitoring.demo.records import Rows, bench_make, course_rows
from monitoring.demo.stories import CLINICS, ClinicPlan, Story
from monitoring.models import AuditEntry, Clinic, Patient
from monitoring.services.audit import audit_record
from monitoring.services.divergence import divergence_refresh

# Chosen among a few so that every level appears on the worklist (docs/demo.md).
SEED = 20_260_104
Say = Callable[[str], None]


class DemoRefused(RuntimeError):
    """The demo may not be seeded here; ``str(error)`` says why and what to do."""


def demo_check() -> None:
    """Refuse outside demo mode, and beside clinics that are not synthetic.

    Raises
    ------
    DemoRefused
        With the reason and the way out.
    """
    if not settings.DEMO_MODE:
        raise DemoRefused(
            "The demo has public passwords and runs only in demo mode: set NEURAXIS_DEMO=on, "
            "or call `make demo`."
        )
    if "monitoring_clinic" not in connection.introspection.table_names():
        return  # a database that is still empty
    if Clinic.objects.filter(is_synthetic=False).exists():
        raise DemoRefused(
            "This database holds clinics that are not synthetic; the demo does not touch it. "
            "Give the demo a folder of its own: NEURAXIS_VAR=var/demo make demo"
        )


def is_seeded() -> bool:
    """Say whether the clinics of the demo are there."""
    return Clinic.objects.filter(name__in=[plan.name for plan in CLINICS]).count() == len(
        CLINICS
    )


def demo_seed(*, today: date, say: Say) -> None:
    """Create clinics, people and table patients, and compute every divergence, once.

    Raises
    ------
    DemoRefused
        Outside demo mode, or in a database with real clinics.
    """
    demo_check()
    if is_seeded():
        say("The demo clinics are here already.")
        return
    say("Drawing two synthetic clinics")
    with transaction.atomic():
        clinics = [Clinic.objects.create(name=plan.name, is_synthetic=True) for plan in CLINICS]
        users = accounts_create(clinics)
        rows = Rows()
        for index, (plan, clinic) in enumerate(zip(CLINICS, clinics, strict=True)):
            bench = bench_make(
                clinic,
                reader=reader_of(index, users),
                separate_neck_scan=plan.separate_neck_scan,
            )
            for story, number, pseudonym in patients_of(plan):
                # Every patient has a generator of its own: a new story changes no old one.
                rng = np.random.default_rng([SEED, index, list(Story).index(story), number])
                course = course_draw(story, number=number, rng=rng, today=today)
                course_rows(course, pseudonym=pseudonym, bench=bench, rows=rows)
            audit_record(
                actor=None,
                clinic=clinic,
                action=AuditEntry.Action.CREATE,
                subject="demo",
                detail="seeded with synthetic patients",
            )
        rows.store()
        for index, clinic in enumerate(clinics):
            norms_adopt(clinic, proposed_by=reader_of(index, users))
    _say_counts(say)


def patients_of(plan: ClinicPlan) -> list[tuple[Story, int, str]]:
    """Return story, number within the story and pseudonym of every patient of a clinic."""
    order = [
        (story, number) for story, count in plan.patients.items() for number in range(count)
    ]
    # Mixed, so that neighbours on a list do not tell the same story.
    shuffled = np.random.default_rng([SEED, ord(plan.letter)]).permutation(len(order))
    controls = 0
    patients = 0
    named = []
    for position in shuffled:
        story, number = order[position]
        if story is Story.CONTROL:
            controls += 1
            pseudonym = f"{plan.letter}-C{controls:02d}"
        else:
            patients += 1
            pseudonym = f"{plan.letter}-{patients:03d}"
        named.append((story, number, pseudonym))
    return named


def divergence_compute(*, say: Say) -> None:
    """Compute the divergence of every patient who was not looked at yet."""
    waiting = Patient.objects.filter(is_synthetic=True, divergence_checked_at__isnull=True)
    ids = list(waiting.values_list("pk", flat=True))
    if ids:
        say(f"Computing the divergence of {len(ids)} patients")
    for patient_id in ids:
        divergence_refresh(patient_id)


def _say_counts(say: Say) -> None:
    """Say what is there now."""
    patients = Patient.objects.filter(is_synthetic=True)
    controls = patients.filter(story=Story.CONTROL.value).count()
    say(
        f"Stored {patients.count() - controls} patients and {controls} healthy controls in "
        f"{len(CLINICS)} clinics, {len(ACCOUNTS)} log-ins"
    )
