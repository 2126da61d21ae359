"""Fill PostgreSQL with a large clinic and measure its cohort page: reading, analysis, page.

DATABASE_URL=postgresql://... DJANGO_SETTINGS_MODULE=monitoring.settings NEURAXIS_DEMO=on \
    python -m benchmarks.cohort_scale --patients 20000

The database must be empty of clinics; it is filled once and kept. The computation is the
worker's own (`analysis_execute`), the page Django's whole answer without a web server. Beside
wall time stands the processor time of this process and, where it can be seen (same machine), of
the database: on a busy machine only these say something about the program.
"""

import argparse
import logging
import os
import resource
import time
from copy import deepcopy
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import django
import numpy as np
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

TODAY = date(2026, 11, 1)
SEED = 20_26
CHUNK = 400
CONTROLS = 40
"""Every so many-th person is a healthy control."""


def fill(count: int) -> None:
    """Store ``count`` people of the demo's stories, each followed for ten yearly scans."""
    from django.contrib.auth.models import User

    from monitoring.demo.courses import course_draw
    from monitoring.demo.records import Rows, bench_make, course_rows
    from monitoring.demo.stories import PLOTS, Story
    from monitoring.models import Clinic, Membership, Patient, Role

    clinic = Clinic.objects.create(name="Benchmark (synthetic)", is_synthetic=True)
    user = User.objects.create(username="benchmark")
    Membership.objects.create(user=user, clinic=clinic, role=Role.RESEARCHER)
    bench = bench_make(clinic, reader=user, separate_neck_scan=False)
    told = [Story.STABLE, Story.PARALLEL, Story.CORD_FIRST, Story.BRAIN_FIRST]
    for story in [*told, Story.CONTROL]:
        PLOTS[story] = replace(PLOTS[story], years=(10.4, 10.9), most_scans=10)
    statement = _statement_of_the_model(clinic, bench)
    rng = np.random.default_rng(SEED)
    for first in range(0, count, CHUNK):
        rows = Rows()
        for number in range(first, min(first + CHUNK, count)):
            story = Story.CONTROL if number % CONTROLS == 0 else told[number % len(told)]
            course = course_draw(story, number=number, rng=rng, today=TODAY)
            course_rows(course, pseudonym=f"B-{number:06d}", bench=bench, rows=rows)
        rows.store()
        _estimates_store(rows.rows[Patient], rows, statement, rng)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _statement_of_the_model(clinic: Any, bench: Any) -> dict[str, Any]:
    """Return the payload that the model stores, so that the drawn ones are as large."""
    from monitoring.demo.courses import course_draw
    from monitoring.demo.records import Rows, course_rows
    from monitoring.demo.stories import Story
    from monitoring.models import DivergenceEstimate
    from monitoring.services.divergence import divergence_refresh

    rows = Rows()
    course = course_draw(
        Story.CORD_FIRST, number=0, rng=np.random.default_rng(SEED), today=TODAY
    )
    patient = course_rows(course, pseudonym="B-MODEL", bench=bench, rows=rows)
    rows.store()
    divergence_refresh(patient.pk)
    payload: dict[str, Any] = DivergenceEstimate.objects.get(patient=patient).payload
    return payload


def _estimates_store(
    patients: list[Any], rows: Any, statement: dict[str, Any], rng: np.random.Generator
) -> None:
    """Store a drawn statement per patient, its history at the patient's own scans."""
    from monitoring.models import DivergenceEstimate, ImagingSession

    days: dict[Any, list[str]] = {}
    for session in rows.rows[ImagingSession]:
        visit = session.visit
        days.setdefault(visit.patient_id, []).append(visit.date.isoformat())
    estimates = []
    for patient in patients:
        own = sorted(days.get(patient.pk, []))
        payload = deepcopy(statement)
        shape = payload["history"][-1]
        d = -0.1 + 0.7 * rng.normal() - 0.1 * np.maximum(np.arange(len(own)) - 4, 0)
        payload["history"] = [
            {
                **shape,
                "as_of": day,
                "level": _level(index, float(d[index])),
                "d_percent_per_year": float(d[index]) if index > 1 else None,
                "brain_percent_per_year": -0.4 + 0.1 * float(rng.normal()),
            }
            for index, day in enumerate(own)
        ]
        estimates.append(
            DivergenceEstimate(
                patient=patient, as_of=own[-1] if own else None, policy_version="benchmark",
                parameters_id="benchmark", input_digest=str(patient.pk), level="none",
                d_percent_per_year=float(d[-1]) if own else 0.0, payload=payload,
            )
        )  # fmt: skip
    DivergenceEstimate.objects.bulk_create(estimates, batch_size=CHUNK)


def _level(index: int, d: float) -> str:
    """Return the level of a drawn D; the first two scans are not assessable."""
    if index < 2:
        return "insufficient"
    return "flag" if d < -1.6 else "watch" if d < -1.0 else "none"


class Clock:
    """Wall time, own processor time, and that of the database's process."""

    def __init__(self) -> None:
        self.before = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), _database_seconds()

    def row(self, what: str) -> str:
        """Return a line of the report since the start, or since the last line."""
        now = self._now()
        wall, own, database = (b - a for a, b in zip(self.before, now, strict=True))
        self.before = now
        return f"| {what} | {wall:.2f} | {own:.2f} | {database:.2f} |"


def _database_seconds() -> float:
    """Return the processor seconds of all server processes, ended ones too; 0 where unseen."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, words = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # it has just ended
        if name.endswith("(postgres"):
            numbers = words.split()
            # Own time, and for the parent that of the children which it has reaped.
            total += sum(int(one) for one in numbers[11:15])
    return total / tick


def measure(pages: int) -> None:
    """Compute and open the page; print what each took."""
    from django.contrib.auth.models import User

    from monitoring.core.cohort.analysis import analyse
    from monitoring.core.cohort.definition import Definition
    from monitoring.models import Clinic, CohortAnalysis, Visit
    from monitoring.selectors.cohort_data import cohort_of, data_version
    from monitoring.services import cohorts

    clinic = Clinic.objects.get(name__startswith="Benchmark")
    user = User.objects.get(username="benchmark")
    CohortAnalysis.objects.all().delete()
    analysis, _ = cohorts.analysis_request(actor=user, clinic=clinic, definition=Definition())
    print(f"{connection.vendor}, {Visit.objects.count()} visits")
    print("| step | wall s | processor s | database s |\n|---|---:|---:|---:|")
    whole, clock, steps = Clock(), Clock(), ["Claim"]

    def watched(*given: Any, progress: Any, **more: Any) -> Any:
        def told(percent: int, step: str) -> None:
            print(clock.row(steps[-1]))
            steps.append(step)
            progress(percent, step)

        return analyse(*given, progress=told, **more)

    def reading(asked: Any) -> Any:
        steps.append("Reading")
        return cohort_of(asked)

    with mock.patch.multiple(cohorts, analyse=watched, cohort_of=reading):
        cohorts.analysis_execute(analysis.pk)
    print(clock.row(steps[-1]))
    analysis.refresh_from_db()
    print(whole.row(f"**from claim to stored result ({analysis.status})**"))
    client = Client()
    client.force_login(user)
    for number in range(pages):
        clock = Clock()
        answer = client.get("/cohort/")
        assert answer.status_code == 200
        assert b"Cord area and volume by EDSS group" in answer.content
        print(clock.row(f"page, opening {number + 1}"))
    clock = Clock()
    data_version(clinic)
    print(clock.row("of it: has anything changed?"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of the process: {peak:.0f} MB")


def main() -> None:
    """Fill when empty, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--pages", type=int, default=4)
    asked = parser.parse_args()
    django.setup()
    from monitoring.models import Clinic

    settings.ALLOWED_HOSTS = ["*"]
    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    if not Clinic.objects.exists():
        fill(asked.patients)
    measure(asked.pages)


if __name__ == "__main__":
    main()
