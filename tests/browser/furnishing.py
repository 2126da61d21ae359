"""Rooms that the demo lacks: an empty clinic, one of long names and gaps, one of forty scans.

Run as a program inside the environment of the house (a database is never touched from the
process that holds the browser); prints the addresses of one object of each kind as JSON.
"""

import gzip
import io
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import django
import nibabel as nib
import numpy as np
from PIL import Image

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from django.db import transaction  # noqa: E402
from django.urls import reverse  # noqa: E402

from monitoring.core.cohort.definition import Definition  # noqa: E402
from monitoring.models import (  # noqa: E402
    Clinic,
    CohortDefinition,
    Delivery,
    Membership,
    ParameterProposal,
    Patient,
    Role,
    Scan,
    UploadDraft,
)
from monitoring.services.deliveries import (  # noqa: E402
    delivery_begin,
    delivery_receive,
    delivery_sort,
    visit_recognise,
)
from tests.factories.pictures import PIXEL_TO_WORLD, run_file_make  # noqa: E402
from tests.factories.record import patient_make, run_make, scan_make  # noqa: E402
from volumetry.models import (  # noqa: E402
    GivenMask,
    Measurement,
    Outcome,
    Status,
    VolumetryRun,
)

EMPTY, LONG, SHEET = (
    "Sázava MS Clinic",
    "Univerzitní nemocnice " + "v Horní Dolní " * 6,
    "Otava",
)
LONG_CODE = "ŽELIEZOVCE-2026-ABCDEFGHIJKLMNOPQRSTUVWX"  # forty characters, the most allowed
SCANS_TO_REVIEW = 40
TILE = 160
BRAIN = {("brain_parenchyma", "volume"): 1.1e6}
CORD = ("cord_pmj_64mm", "mean_csa")


@transaction.atomic
def main() -> None:
    """Furnish the three rooms and print the addresses."""
    empty, long, sheet = (
        Clinic.objects.create(name=name[:120], is_synthetic=True)
        for name in (EMPTY, LONG, SHEET)
    )
    for role in Role:
        _member(f"empty-{role.value}", empty, role)
    _member("a.person.with.a.rather.long.user-name@example.org", long, *Role)
    _member("otava", sheet, Role.RADIOLOGIST)
    gaps = _gaps(long)
    _scans_to_review(sheet)
    demo = Clinic.objects.get(name__startswith="Vltava")
    found = {"demo": _addresses(demo), "long": _addresses(long, patient=gaps)}
    sys.stdout.write(json.dumps(found))


def _member(name: str, clinic: Clinic, *roles: Role) -> None:
    """Add a person with the password of the demo."""
    user = User.objects.create(username=name, password=make_password(settings.DEMO_PASSWORD))
    for role in roles:
        Membership.objects.create(user=user, clinic=clinic, role=role)


def _gaps(clinic: Clinic) -> Patient:
    """Return a patient of whom next to nothing is known, with scans that gave no number."""
    patient = patient_make(
        clinic, LONG_CODE, sex="unknown", birth_year=None, onset_date=None, is_synthetic=True
    )
    scanner = "MAGNETOM Aera XQ of the neighbouring hospital, second floor, until the move"
    scan = scan_make(patient, date(2021, 5, 1), scanner=scanner)
    run_make(scan, "neuraxis-brain", status=Status.FAILED)
    run_make(scan, "neuraxis-cord", outcome=Outcome.NEEDS_LANDMARK)
    measured = scan_make(patient, date(2022, 5, 1), scanner=scanner)
    image = nib.Nifti1Image(np.zeros((16, 16, 16), dtype=np.int16), np.eye(4))
    measured.image.file.save("image.nii.gz", ContentFile(gzip.compress(image.to_bytes())))
    run_make(measured, "neuraxis-brain", measures=BRAIN)
    bare = run_make(measured, "neuraxis-cord")
    _masks(measured)
    Measurement.objects.create(  # without a standard error
        run=bare, structure="cord_pmj_64mm", quantity="mean_csa", value=71.0, unit="mm2"
    )
    # A patient without any scan.
    patient_make(clinic, "W", sex="unknown", birth_year=None, onset_date=None)
    return patient


def _masks(scan: Scan) -> None:
    """Give a scan lesions, a corrected outline and a mask made elsewhere."""
    first = run_make(scan, "neuraxis-cord", measures={CORD: 71.4})
    run_file_make(first, "cord_mask.nii.gz", b"mask")
    for kind, corrects in (("lesions", None), ("cord", first), ("cord", None)):
        mask = GivenMask(image=scan.image, kind=kind, sha256="0" * 64, corrects=corrects)
        mask.file.save("mask.nii.gz", ContentFile(b"mask"), save=False)
        mask.save()
        if kind == "lesions":
            filled = run_make(
                scan, "neuraxis-brain", measures=BRAIN, parameters={"lesions": str(mask.pk)}
            )
            facts = {"lesion_volume_mm3": 12_345.0, "lesion_count": 27}
            filled.provenance = {"parameters": facts}
            filled.save(update_fields=["provenance"])
        else:
            name, method = (
                ("correction", "neuraxis-cord") if corrects else ("mask", "mask-cord")
            )
            run_make(scan, method, measures={CORD: 68.9}, parameters={name: str(mask.pk)})


def _delivery(clinic: Clinic) -> Delivery:
    """Return a clinic day: a visit recognised, one of unknown weighting, two files refused."""
    sender = User.objects.filter(
        memberships__clinic=clinic, memberships__role=Role.TECHNICIAN
    ).first()
    assert sender is not None
    long_name = "Tuesday, afternoon list, scanner on the second floor/a visit with a long name"
    files = {
        f"day/{long_name}/head_T1w.nii.gz": _head(1),
        "day/second/head.nii.gz": _head(2),
        "day/second/cut.nii.gz": _head(3)[:4000],
        "day/letter to the ward.pdf": b"%PDF-1.4" + b"x" * 900,
    }
    delivery = delivery_begin(actor=sender, clinic=clinic)
    with TemporaryDirectory() as folder:
        sent = []
        for number, (name, content) in enumerate(files.items()):
            path = Path(folder) / str(number)
            path.write_bytes(content)
            sent.append((name, path))
        delivery_receive(delivery, sent)
    delivery_sort(delivery)
    for visit in delivery.visits.all():
        visit_recognise(visit)
    return delivery


def _head(seed: int) -> bytes:
    """Return noise as large as a head and neck."""
    noise = np.random.default_rng(seed).integers(1, 900, (64, 70, 64), dtype=np.int16)
    image = nib.Nifti1Image(noise, np.diag([3.0, 3.0, 3.0, 1.0]))
    return gzip.compress(bytes(image.to_bytes()), compresslevel=1)


def _scans_to_review(clinic: Clinic) -> None:
    """Store forty scans of ten patients, each with pictures; the last needs a landmark."""
    pictures = _pictures()
    for number in range(SCANS_TO_REVIEW):
        if number % 4 == 0:
            patient = patient_make(clinic, f"O-{number // 4 + 1:02d}", is_synthetic=True)
        day = date(2022, 3, 1) + timedelta(days=365 * (number % 4))
        scan = scan_make(patient, day)
        is_last = number == SCANS_TO_REVIEW - 1
        run = run_make(
            scan,
            "neuraxis-cord",
            measures={} if is_last else {("cord_pmj_64mm", "mean_csa"): 70.0 - 0.4 * number},
            outcome=Outcome.NEEDS_LANDMARK if is_last else Outcome.OK,
        )
        run.provenance = {"parameters": {"landmark": {"kind": "pmj"}, "window_mm": [56, 72]}}
        run.save(update_fields=["provenance"])
        for name, content in pictures.items():
            run_file_make(run, name, content)


def _pictures() -> dict[str, bytes]:
    """Return files like those of a cord run: four pictures, their geometry, a profile."""
    rng = np.random.default_rng(40)
    positions = [round(40.0 + 3.0 * step, 1) for step in range(20)]
    views = {
        "sagittal": {
            "file": "sagittal.png",
            "width": 260,
            "height": 420,
            "pixel_to_world": PIXEL_TO_WORLD,
            "marks": [],
        },
        "straight": {"file": "straight.png", "first_mm": 40.0, "last_mm": 97.0, "zero": "pmj"},
        "sections": {
            "file": "sections.png",
            "columns": 10,
            "tile": TILE,
            "positions_mm": positions,
            "area_mm2": [72.0 - 0.1 * at for at in positions],
            "zero": "pmj",
        },
    }
    rows = [f"{at},{72.0 - 0.1 * at:.2f},8.1,11.0,1.0" for at in positions]
    profile = "\n".join(["position_mm,csa_mm2,ap_mm,rl_mm,confidence", *rows])
    return {
        "qc.png": _noise(rng, 900, 560),
        "sagittal.png": _noise(rng, 260, 420),
        "straight.png": _noise(rng, 800, 120),
        "sections.png": _noise(rng, 10 * TILE, 2 * TILE),
        "views.json": json.dumps(views).encode(),
        "cord_profile.csv": profile.encode(),
    }


def _noise(rng: np.random.Generator, width: int, height: int) -> bytes:
    """Return a grey picture that compresses as badly as an image of a scan."""
    stream = io.BytesIO()
    grey = rng.normal(90, 25, (height, width)).clip(0, 255).astype(np.uint8)
    Image.fromarray(grey).save(stream, format="PNG")
    return stream.getvalue()


def _addresses(clinic: Clinic, *, patient: Patient | None = None) -> dict[str, str]:
    """Return the address of each page that shows one object of a clinic."""
    patient = patient or Patient.objects.filter(clinic=clinic, flags__isnull=False).first()
    assert patient is not None
    scan = Scan.objects.filter(session__visit__patient=patient).latest("session__visit__date")
    run = VolumetryRun.objects.filter(image=scan.image, status=Status.SUCCEEDED).latest("pk")
    draft = UploadDraft.objects.create(
        clinic=clinic, patient=patient, visit_date=date(2026, 1, 1)
    )
    everybody = Definition(age_to=79)
    cohort, _ = CohortDefinition.objects.get_or_create(
        clinic=clinic,
        name="Everybody who was ever seen here",
        defaults={"fields": everybody.to_json(), "digest": everybody.digest},
    )
    proposal = ParameterProposal.objects.create(
        clinic=clinic, kind="refit", status="failed", problem="Too few controls: 13 of 40."
    )
    relapse = patient.relapses.first()
    found = {
        name: reverse(name, args=[patient.pk])
        for name in ("patient_detail", "patient_edit", "report", "fact_list", "upload")
    }
    found |= {
        f"fact_add {kind}": reverse("fact_add", args=[patient.pk, kind])
        for kind in ("assessment", "relapse", "treatment", "lesions", "phenotype")
    }
    if relapse is not None:
        found["fact_correct"] = reverse(
            "fact_correct", args=[patient.pk, "relapse", relapse.pk]
        )
    masked = VolumetryRun.objects.filter(
        image__scan__clinic=clinic, parameters__has_key="correction"
    ).first()
    if masked is not None:
        found["review masks"] = reverse("review", args=[masked.pk])
    return found | {
        "delivery": reverse("delivery", args=[_delivery(clinic).pk]),
        "run_detail": reverse("run_detail", args=[run.pk]),
        "review": reverse("review", args=[run.pk]),
        "scan_detail": reverse("scan_detail", args=[scan.pk]),
        "scan_viewer": reverse("scan_viewer", args=[scan.pk]),
        "upload_draft": reverse("upload_draft", args=[draft.pk]),
        "cohort_saved": reverse("cohort_saved", args=[cohort.pk]),
        "parameter_proposal": reverse("parameter_proposal", args=[proposal.pk]),
    }


if __name__ == "__main__":
    main()
