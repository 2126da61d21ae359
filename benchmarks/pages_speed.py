"""Fill a database with patients and measure worklist and patient page on it.

DATABASE_URL=postgresql://... DJANGO_SETTINGS_MODULE=monitoring.settings NEURAXIS_DEMO=on \
    python -m benchmarks.pages_speed --patients 100000

The database must be empty of clinics; it is filled once and kept. Times are wall-clock of
Django's whole answer (middleware, audit row, template) until its last byte, without a web
server and the network, in a process settled as a web server's is (`monitoring.collector`).
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import django
import numpy as np
from django.conf import settings
from django.core.management import call_command
from django.core.signals import request_finished
from django.db import connection
from django.test import Client


def fill(count: int, scans: int) -> None:
    """Store ``count`` patients with what the worklist shows, one with ``scans`` visits."""
    from django.contrib.auth.models import User

    from monitoring.models import Attention, Clinic, Membership, Patient, Role

    clinic = Clinic.objects.create(name="Benchmark (synthetic)", is_synthetic=True)
    user = User.objects.create(username="benchmark")
    Membership.objects.create(user=user, clinic=clinic, role=Role.NEUROLOGIST)
    rng = np.random.default_rng(20_26)
    shares = {
        Attention.NEW_FLAG: 0.002, Attention.NEW_WATCH: 0.01, Attention.FLAG: 0.01,
        Attention.WATCH: 0.06, Attention.CHANGED: 0.01, Attention.NOT_COMPUTED: 0.005,
        Attention.WAITING: 0.05, Attention.FAILED: 0.01, Attention.ROUTINE: 0.743,
        Attention.NO_SCAN: 0.05, Attention.CONTROL: 0.05,
    }  # fmt: skip
    kinds = rng.choice([int(k) for k in shares], size=count, p=list(shares.values()))
    glance = {
        region: [[f"{2014 + year}-03-01", 100.0 - loss * year] for year in range(8)]
        for region, loss in (("brain", 0.4), ("cord", 1.1))
    }
    levels = {10: "flag", 20: "flag", 15: "watch", 30: "watch", 70: "insufficient"}
    today = date(2026, 11, 1)
    for start in range(0, count, 5000):
        Patient.objects.bulk_create(
            Patient(
                clinic=clinic,
                pseudonym=f"B-{index:06d}",
                sex="female" if index % 3 else "male",
                birth_year=1950 + index % 50,
                onset_date=date(2010, 1, 1) + timedelta(days=index % 4000),
                is_synthetic=True,
                attention=int(kinds[index]),
                attention_score=float(rng.random()),
                level=levels.get(int(kinds[index]), "none"),
                last_scan_on=None
                if kinds[index] == Attention.NO_SCAN
                else today - timedelta(days=int(rng.integers(0, 900))),
                scans_waiting=int(kinds[index] == Attention.WAITING),
                runs_failed=int(kinds[index] == Attention.FAILED),
                glance=glance,
            )
            for index in range(start, min(start + 5000, count))
        )
    long_course(clinic, scans)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


# As many numbers and checks as the engines store.
BRAIN_MM3 = {
    "brain_parenchyma": 1.1e6, "grey_matter": 6.2e5, "white_matter": 4.8e5, "csf": 3.5e5,
    "lateral_ventricles": 2.2e4, "intracranial": 1.45e6,
}  # fmt: skip
CORD_MM2 = {"cord_pmj_64mm": 70.0, "cord_segment": 72.0, "cord_c2_c3": 71.0}
CHECKS = (
    "field_of_view",
    "cut",
    "registration",
    "slice",
    "contrast",
    "noise",
    "level",
    "angle",
)


def checks_of(index: int) -> dict[str, str]:
    """Return eight checks; of every fifth scan one warns."""
    return {
        name: "warn" if index % 5 == 0 and name == "contrast" else "pass" for name in CHECKS
    }


def long_course(clinic: Any, scans: int) -> None:
    """Store one patient with many scans, measured, and their statement."""
    from monitoring.services.divergence import divergence_refresh
    from tests.factories.record import patient_make, run_make, scan_make

    patient = patient_make(clinic, "LONG", onset_date=date(2011, 1, 1), is_synthetic=True)
    for index in range(scans):
        day = date(2011, 6, 1) + timedelta(days=91 * index)
        scan = scan_make(patient, day, scanner="A" if index < scans // 2 else "B")
        years = 91 * index / 365.25
        brain = {
            (structure, "volume"): value * (1 - 0.004 * years)
            for structure, value in BRAIN_MM3.items()
        }
        cord = {
            (structure, "mean_csa"): value * (1 - 0.012 * years)
            for structure, value in CORD_MM2.items()
        }
        run_make(scan, "neuraxis-brain", measures=brain, checks=checks_of(index))
        run_make(scan, "neuraxis-cord", measures=cord, checks=checks_of(index))
    divergence_refresh(patient.pk)


class Asked:
    """Counts the queries of a request."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, run: Callable[..., object], *rest: object) -> object:
        """Count one query and run it."""
        self.count += 1
        return run(*rest)


SENT: list[tuple[float, float]] = []


def sent(**_signal: object) -> None:
    """Remember wall and processor time at which an answer was complete."""
    SENT.append((time.perf_counter(), time.process_time()))


def report(
    name: str, client: Client, addresses: list[str], repeats: int, *, is_first: bool = False
) -> None:
    """Print wall and processor time of an address, and its number of queries.

    With ``is_first`` the process has never seen the measurements that the page shows.
    """
    from monitoring.selectors.measured import ENDED_RUNS

    wall, cpu = [], []
    for address in addresses:
        if is_first:
            ENDED_RUNS.clear()
        asked = Asked()
        with connection.execute_wrapper(asked):
            answer = client.get(address)
        assert answer.status_code in (200, 302), (address, answer.status_code)
    for _ in range(repeats):
        for address in addresses:
            if is_first:
                ENDED_RUNS.clear()
            began, worked = time.perf_counter(), time.process_time()
            client.get(address)
            wall.append(1000 * (SENT[-1][0] - began))
            cpu.append(1000 * (SENT[-1][1] - worked))
    figures = [f"{figure:.0f}" for times in (wall, cpu) for figure in (
        statistics.median(times), statistics.quantiles(times, n=20)[18])]  # fmt: skip
    print(f"| {name} | {' | '.join(figures)} | {asked.count} |")


def main() -> None:
    """Fill when empty, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=200)
    asked = parser.parse_args()
    django.setup()
    request_finished.connect(sent)  # before the house's own: these come after the last byte
    import_module("monitoring.wsgi")
    from django.contrib.auth.models import User

    from monitoring.models import Attention, Clinic, Patient

    settings.ALLOWED_HOSTS = ["*"]
    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    if not Clinic.objects.exists():
        fill(asked.patients, asked.scans)
    client = Client()
    client.force_login(User.objects.get(username="benchmark"))
    long = Patient.objects.get(pseudonym="LONG")
    print(f"{connection.vendor}, {Patient.objects.count()} patients, {asked.scans} scans")
    print("| page | wall median ms | p95 | CPU median ms | p95 | queries |")
    print("|---|---:|---:|---:|---:|---:|")
    shows = ("flag", "watch", "waiting", "overdue", "insufficient", "failed")
    report("worklist", client, ["/worklist/"], asked.repeats)
    filters = [f"/worklist/?show={show}" for show in shows]
    for address in filters:
        report(address, client, [address], asked.repeats)
    searches = [f"/worklist/?q={part}" for part in ("B-0999", "777", "LONG", "1", "nobody")]
    for address in searches:
        report(address, client, [address], asked.repeats)
    routine = Patient.objects.filter(attention=Attention.ROUTINE)
    middle = routine.count() * 2 // 3
    deep = routine[middle : middle + 20 : 10]
    pages = [f"/worklist/?after={patient.pk}" for patient in deep]
    report("worklist, deep inside", client, pages, asked.repeats // 2)
    for part, address in (("patient page", ""), ("its part below", "below/")):
        whole = [f"/patients/{long.pk}/{address}"]
        report(f"{part}, first look", client, whole, asked.repeats, is_first=True)
        report(f"{part}, again", client, whole, asked.repeats)
    nexts = [f"/patients/{long.pk}/next/"]
    report("next patient", client, nexts, asked.repeats)


if __name__ == "__main__":
    main()
