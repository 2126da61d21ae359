"""Deterministic rows for tests: named traits, never random states."""

import hashlib
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import nibabel as nib
import numpy as np
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone

from monitoring.models import (
    Clinic,
    ImagingSession,
    Membership,
    Patient,
    Role,
    Scan,
    Scanner,
    ScannerEpoch,
    Visit,
)
from volumetry.models import (
    Face,
    Measurement,
    Outcome,
    QualityResult,
    SourceImage,
    Status,
    VolumetryRun,
)
from volumetry.services import parameters_digest

_serial = count(1)


def clinic_make(name: str = "Vltava") -> Clinic:
    """Return the clinic of a name."""
    return Clinic.objects.get_or_create(name=name)[0]


def member_make(username: str, clinic: Clinic, *roles: Role) -> User:
    """Return a person with roles in a clinic."""
    user, created = User.objects.get_or_create(username=username)
    if created:
        user.set_password(f"{username} has a long password")
        user.save()
    for role in roles:
        Membership.objects.get_or_create(user=user, clinic=clinic, role=role)
    return user


def patient_make(clinic: Clinic, pseudonym: str = "", **fields: object) -> Patient:
    """Return a new patient; onset in 2015, born 1985."""
    known = {"sex": "female", "birth_year": 1985, "onset_date": date(2015, 3, 1)}
    return Patient.objects.create(
        clinic=clinic, pseudonym=pseudonym or f"P{next(_serial):04d}", **{**known, **fields}
    )


def nifti_write(path: Path, *, shape: tuple[int, int, int] = (32, 32, 24)) -> Path:
    """Write a small, valid image that differs from every other one."""
    values = np.random.default_rng(next(_serial)).normal(100, 20, shape).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0])), path)
    return path


def scan_make(patient: Patient, day: date, *, scanner: str = "Aera") -> Scan:
    """Return a scan of a patient with a tiny stored file."""
    serial = next(_serial)
    content = hashlib.sha256(f"scan {serial}".encode()).hexdigest()
    image = SourceImage(sha256=content, shape=[8, 8, 8], spacing_mm=[1, 1, 1], axcodes="RAS")
    image.face = Face.NOT_IN_VIEW
    image.file.save("image.nii.gz", ContentFile(b"not read by this test"), save=False)
    image.save()
    device, _ = Scanner.objects.get_or_create(
        clinic=patient.clinic, fingerprint=scanner, defaults={"name": scanner}
    )
    epoch, _ = ScannerEpoch.objects.get_or_create(
        scanner=device, fingerprint="t1", defaults={"protocol": "T1-weighted, 1 mm"}
    )
    visit, _ = Visit.objects.get_or_create(patient=patient, date=day)
    session, _ = ImagingSession.objects.get_or_create(visit=visit, scanner=device)
    return Scan.objects.create(
        clinic=patient.clinic,
        session=session,
        image=image,
        epoch=epoch,
        content_sha256=content,
        sequence="t1",
        measures_brain=True,
        measures_cord=True,
    )


def run_make(
    scan: Scan,
    method: str,
    *,
    measures: dict[tuple[str, str], float] | None = None,
    checks: dict[str, str] | None = None,
    status: Status = Status.SUCCEEDED,
    outcome: str = Outcome.OK,
    version: str = "1.0",
    parameters: dict[str, object] | None = None,
) -> VolumetryRun:
    """Return a run in a named state, with its measures and checks."""
    run = VolumetryRun.objects.create(
        image=scan.image,
        method=method,
        method_version=version,
        parameters=parameters or {},
        parameters_digest=parameters_digest(parameters or {}),
        status=status,
        outcome=outcome if status == Status.SUCCEEDED else "",
        finished_at=timezone.now() if status == Status.SUCCEEDED else None,
        heartbeat_at=timezone.now() - timedelta(seconds=1) if status == "running" else None,
        attempt=1 if status != Status.QUEUED else 0,
    )
    units = {"volume": "mm3", "mean_csa": "mm2", "area": "mm2", "percent_change": "%"}
    for (structure, quantity), value in (measures or {}).items():
        Measurement.objects.create(
            run=run,
            structure=structure,
            quantity=quantity,
            value=value,
            unit=units[quantity],
            standard_error=value * 0.01,
        )
    for name, verdict in (checks or {"field_of_view": "pass"}).items():
        QualityResult.objects.create(
            run=run,
            name=name,
            value=1.0,
            limit=1.0,
            verdict=verdict,
            sentence=f"{name}: {verdict}",
        )
    return run


def course_make(
    patient: Patient, *, years: int = 6, brain: float = -0.4, cord: float = -0.9
) -> list[Scan]:
    """Return yearly scans of a patient with brain and cord changing by percent per year."""
    scans = []
    for year in range(years):
        scan = scan_make(patient, date(2016 + year, 3, 1))
        run_make(
            scan,
            "neuraxis-brain",
            measures={("brain_parenchyma", "volume"): 1.1e6 * (1 + brain / 100) ** year},
        )
        run_make(
            scan,
            "neuraxis-cord",
            measures={("cord_pmj_64mm", "mean_csa"): 70.0 * (1 + cord / 100) ** year},
        )
        scans.append(scan)
    return scans
