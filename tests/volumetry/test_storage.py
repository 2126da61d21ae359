"""Stored files that no row knows are removed after a day, all others stay."""

import os
import time
from datetime import date
from pathlib import Path

import pytest
from django.conf import settings

from tests.factories.pictures import run_file_make
from tests.factories.record import patient_make, run_make, scan_make
from volumetry.storage import orphans_sweep

pytestmark = pytest.mark.django_db

TWO_DAYS = 2 * 24 * 3600


def left_behind(name: str, *, age: float) -> Path:
    """Return a file that a killed process stored without a row."""
    path = Path(settings.MEDIA_ROOT) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nobody knows me")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_only_old_files_without_a_row_are_removed(vltava):
    scan = scan_make(patient_make(vltava), date(2024, 5, 6))
    written = run_file_make(run_make(scan, "neuraxis-cord"), "qc.png", b"a picture")
    for file in (scan.image.file, written.file):
        os.utime(file.path, (0, 0))
    orphans = [
        left_behind("images/ab/abandoned.nii.gz", age=TWO_DAYS),
        left_behind("runs/cd/cdef/lost.png", age=TWO_DAYS),
    ]
    on_its_way = left_behind("images/ef/being_stored.nii.gz", age=60)

    assert orphans_sweep() == 2

    assert not any(path.exists() for path in orphans)
    assert on_its_way.exists()
    assert Path(scan.image.file.path).exists()
    assert Path(written.file.path).exists()


def test_an_empty_storage_is_no_error(db):
    assert orphans_sweep() == 0
