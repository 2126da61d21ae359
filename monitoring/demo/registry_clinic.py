"""A third synthetic clinic, large enough that the cohort page has something to answer.

Its people are drawn from the demo's stories, some with more disability, and stored in bulk,
after web server and worker have started: nobody waits for them.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction

from monitoring.demo.courses import course_draw
from monitoring.demo.records import Rows, bench_make, course_rows
from monitoring.demo.seeding import SEED, Say, demo_check
from monitoring.demo.stories import PLOTS, Plot, Story
from monitoring.models import AuditEntry, Clinic, Membership, Patient, Phenotype, Role
from monitoring.services.audit import audit_record

NAME = "Morava MS Registry (synthetic)"
LETTER = "M"
READER = "researcher"
"""Whose cohort page it is; the name of the clinic comes first in that person's list."""

_PROGRESSIVE = (Phenotype.PPMS, Phenotype.RRMS, Phenotype.PPMS)
PEOPLE: tuple[tuple[Story, Plot, int], ...] = (
    (Story.STABLE, replace(PLOTS[Story.STABLE], years=(5.0, 12.0)), 60),
    (Story.PARALLEL, replace(PLOTS[Story.PARALLEL], years=(5.0, 12.0)), 60),
    (Story.CORD_FIRST, PLOTS[Story.CORD_FIRST], 60),
    (Story.BRAIN_FIRST, replace(PLOTS[Story.BRAIN_FIRST], years=(5.0, 12.0)), 30),
    (
        Story.PARALLEL,
        replace(PLOTS[Story.PARALLEL], phenotypes=_PROGRESSIVE, edss_start=(4.5, 6.0)),
        50,
    ),
    (Story.CONTROL, PLOTS[Story.CONTROL], 50),
)
"""Story, how it is drawn, and how many tell it."""


def registry_clinic_ensure(*, today: date, say: Say) -> None:
    """Create the clinic, once: all rows or none."""
    demo_check()
    if Clinic.objects.filter(name=NAME).exists():
        return
    count = sum(number for _, _, number in PEOPLE)
    say(f"Drawing {count} people of a synthetic registry for the cohort page")
    with transaction.atomic():
        clinic = Clinic.objects.create(name=NAME, is_synthetic=True)
        reader = User.objects.get(username=READER)
        Membership.objects.create(user=reader, clinic=clinic, role=Role.RESEARCHER)
        bench = bench_make(clinic, reader=reader, separate_neck_scan=False)
        rows = Rows()
        for pseudonym, story, plot, number in _people():
            rng = np.random.default_rng([SEED, ord(LETTER), number])
            course = course_draw(story, number=number, rng=rng, today=today, plot=plot)
            course_rows(course, pseudonym=pseudonym, bench=bench, rows=rows)
        rows.store()
        audit_record(
            actor=None,
            clinic=clinic,
            action=AuditEntry.Action.CREATE,
            subject="demo",
            detail="seeded with synthetic patients",
        )
    say(f"Stored {Patient.objects.filter(clinic=clinic).count()} people in {NAME}")


def _people() -> Iterator[tuple[str, Story, Plot, int]]:
    """Yield pseudonym, story, plot and number of everybody; controls have a C."""
    patients = controls = number = 0
    for story, plot, count in PEOPLE:
        for _ in range(count):
            number += 1
            if story is Story.CONTROL:
                controls += 1
                yield f"{LETTER}-C{controls:02d}", story, plot, number
            else:
                patients += 1
                yield f"{LETTER}-{patients:03d}", story, plot, number
