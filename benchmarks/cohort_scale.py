"""Fill PostgreSQL with a large clinic and measure its cohort page: reading, analysis, page.

DATABASE_URL=postgresql://... DJANGO_SETTINGS_MODULE=monitoring.settings NEURAXIS_DEMO=on \
    python -m benchmarks.cohort_scale --patients 20000

The database must be empty of clinics; it is filled once and kept. The computation is the
worker's own (`analysis_execute`), the page Django's whole answer without a web server.
"""

import argparse
import itertools
import logging
import resource
import time
from copy import deepcopy
from dataclasses import replace
from datetime import date
from typing import Any

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


def measure(pages: int) -> None:
    """Read, analyse and open the page; print what each took."""
    from django.contrib.auth.models import User

    from monitoring.core.cohort.analysis import analyse
    from monitoring.core.cohort.definition import Definition
    from monitoring.models import Clinic, CohortAnalysis, Visit
    from monitoring.selectors.cohort_data import cohort_of, data_version
    from monitoring.services.cohorts import analysis_execute, analysis_request

    clinic = Clinic.objects.get(name__startswith="Benchmark")
    user = User.objects.get(username="benchmark")
    CohortAnalysis.objects.all().delete()
    began = time.perf_counter()
    cohort = cohort_of(clinic)
    print(f"| reading {cohort.size} people, {Visit.objects.count()} visits | {_since(began)} |")
    steps: list[tuple[float, str]] = []
    began = time.perf_counter()
    analyse(
        cohort,
        Definition(),
        progress=lambda _, step: steps.append((time.perf_counter(), step)),
    )
    print(f"| all rooms | {_since(began)} |")
    for (at, step), (until, _) in itertools.pairwise(steps):
        print(f"| {step} | {until - at:.2f} s |")
    del cohort
    analysis, _ = analysis_request(actor=user, clinic=clinic, definition=Definition())
    began = time.perf_counter()
    analysis_execute(analysis.pk)
    analysis.refresh_from_db()
    print(f"| worker, from claim to stored result ({analysis.status}) | {_since(began)} |")
    client = Client()
    client.force_login(user)
    times = []
    for _ in range(pages):
        began = time.perf_counter()
        answer = client.get("/cohort/")
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200
        assert b"Cord area and volume by EDSS group" in answer.content
    print(f"| page, first | {times[0]:.2f} s |")
    print(f"| page, slowest of {pages - 1} more | {max(times[1:]):.2f} s |")
    began = time.perf_counter()
    data_version(clinic)
    print(f"| of it: has anything changed? | {_since(began)} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| peak memory of the process | {peak:.0f} MB |")


def _since(began: float) -> str:
    """Return the time that has passed, in words."""
    return f"{time.perf_counter() - began:.2f} s"


def main() -> None:
    """Fill when empty, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--pages", type=int, default=6)
    asked = parser.parse_args()
    django.setup()
    from monitoring.models import Clinic

    settings.ALLOWED_HOSTS = ["*"]
    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    if not Clinic.objects.exists():
        began = time.perf_counter()
        fill(asked.patients)
        print(f"filled in {_since(began)}")
    print(f"{connection.vendor}\n| step | time |\n|---|---:|")
    measure(asked.pages)


if __name__ == "__main__":
    main()
