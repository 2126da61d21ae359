"""Requests runs, delivers messages twice, kills the worker, and counts what was stored.

Run as a program of its own: the database must be one that several processes see. Prints one
JSON object.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")
django.setup()

from django.core.management import call_command
from django.db.models import Count

from tests.factories.record import nifti_write
from tests.project.worker_under_test import register
from volumetry.models import Measurement, RunFile, Status, VolumetryRun
from volumetry.services import image_store, run_request
from volumetry.tasks import run_send

ROOT = Path(__file__).resolve().parents[2]
RUNS, SLOW = 10, 2


def worker_start() -> subprocess.Popen[bytes]:
    """Start a worker in a process group of its own."""
    log = Path(os.environ["NEURAXIS_VAR"]) / "worker.log"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.project.worker_under_test"],
        cwd=ROOT,
        start_new_session=True,
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
    )


def wait_until(is_true, seconds: float) -> bool:
    """Wait for a condition, at most some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.2)
    return False


def runs_request() -> list[UUID]:
    """Store images and request quick and slow runs."""
    ids = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RUNS):
            path = nifti_write(Path(folder) / f"{number}.nii.gz", shape=(8, 8, 8))
            image = image_store(
                path=path,
                sha256=f"{number:064d}",
                shape=(8, 8, 8),
                spacing_mm=(1, 1, 1),
                axcodes="RAS",
            )
            method = "test-slow" if number < SLOW else "test-quick"
            ids.append(run_request(image=image, method=method).pk)
    return ids


def main() -> None:
    """Play the scenario."""
    call_command("migrate", verbosity=0)
    register()
    ids = runs_request()
    for pk in ids:
        run_send(pk)
        run_send(pk)  # a broker may deliver twice
    first = worker_start()
    slow = VolumetryRun.objects.filter(method="test-slow")
    was_running = wait_until(lambda: slow.filter(status=Status.RUNNING).exists(), 40)
    time.sleep(1.0)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    killed_at = time.monotonic()
    second = worker_start()
    try:
        ended = wait_until(
            lambda: not VolumetryRun.objects.exclude(status=Status.SUCCEEDED).exists(), 60
        )
    finally:
        os.killpg(second.pid, signal.SIGTERM)
        try:
            second.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(second.pid, signal.SIGKILL)
    per_run = (
        Measurement.objects.values("run").annotate(n=Count("id")).values_list("n", flat=True)
    )
    print(
        json.dumps(
            {
                "was_running": was_running,
                "ended": ended,
                "seconds_to_heal": round(time.monotonic() - killed_at, 1),
                "states": Counter(VolumetryRun.objects.values_list("status", flat=True)),
                "measurements_per_run": sorted(per_run),
                "files": RunFile.objects.count(),
                "attempts": sorted(VolumetryRun.objects.values_list("attempt", flat=True)),
            }
        )
    )


if __name__ == "__main__":
    main()
