"""Many workers race for the same runs; each run is taken exactly once."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.project import services

ROOT = Path(__file__).resolve().parents[2]

PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from volumetry.models import SourceImage, VolumetryRun
image = SourceImage.objects.create(sha256="0" * 64, shape=[1, 1, 1], spacing_mm=[1, 1, 1],
                                   axcodes="RAS", is_synthetic=True)
VolumetryRun.objects.bulk_create(
    VolumetryRun(image=image, method="m", method_version="1", parameters_digest=str(n))
    for n in range(200)
)
"""
RACE = """
import django; django.setup()
from volumetry.models import VolumetryRun
from volumetry.services import run_claim
for pk in VolumetryRun.objects.order_by("created_at", "pk").values_list("pk", flat=True):
    if run_claim(pk):
        print(pk)
"""


def race(tmp_path: Path, database: str) -> Counter[str]:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "monitoring.settings",
        "NEURAXIS_DEMO": "on",
        "NEURAXIS_VAR": str(tmp_path),
        "DATABASE_URL": database,
    }
    subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=env, check=True)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    taken: Counter[str] = Counter()
    for racer in racers:
        printed, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0
        taken.update(printed.split())
    return taken


def test_on_sqlite_no_run_is_claimed_twice(tmp_path):
    taken = race(tmp_path, f"sqlite:///{tmp_path / 'race.sqlite3'}")

    assert len(taken) == 200
    assert set(taken.values()) == {1}


@pytest.mark.postgres
def test_on_postgresql_no_run_is_claimed_twice(tmp_path):
    with services.postgres_database() as database:
        taken = race(tmp_path, database)

    assert len(taken) == 200
    assert set(taken.values()) == {1}
