"""Two patients made of pixels: phantoms with known truth, uploaded and measured for real.

What the worker says of them can be held against the truth; the plan below is that truth, and
`docs/demo.md` and `docs/demo-truth.json` print it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from monitoring.demo.stories import CLINICS
from monitoring.models import (
    Assessment,
    Clinic,
    Patient,
    Phenotype,
    PhenotypePeriod,
    Relapse,
    Review,
    Scan,
    Sex,
    Treatment,
    Visit,
)
from monitoring.services.reviews import measurement_review
from monitoring.services.uploads import scan_upload
from monitoring.tasks import divergence_enqueue
from volumetry.core.phantoms.head_and_neck import (
    Visit as PhantomVisit,
)
from volumetry.core.phantoms.head_and_neck import (
    part_of,
    phantom_make,
    phantom_write,
)
from volumetry.models import Outcome, Status, VolumetryRun
from volumetry.tasks import run_enqueue

Say = Callable[[str], None]
SCANNER = "Phantom scanner (synthetic)"
NOTE = "Accepted by the demo itself at seeding; nobody looked."


class Part(StrEnum):
    """How much of head and neck a scan shows."""

    ALL = "T1w"
    NECK = "neck T1w"
    CUT = "T1w cut at the vertex"


# World heights in mm that a part keeps; the phantom's brain reaches from -65 to 74.
HEIGHTS_MM = {
    Part.ALL: (-1000.0, 1000.0),
    Part.NECK: (-1000.0, -72.0),
    Part.CUT: (-1000.0, 48.0),
}


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A visit: days after onset, EDSS, what remains of brain and cord, what is scanned."""

    day: int
    edss: str
    brain: float
    cord: float
    part: Part = Part.ALL


@dataclass(frozen=True, slots=True)
class PhantomPatient:
    """A patient whose scans are drawn."""

    pseudonym: str
    story: str
    first_seed: int
    visits: tuple[PlannedVisit, ...]
    is_accepted: bool

    @property
    def last_day(self) -> int:
        """Return the day of the last visit, days after onset."""
        return self.visits[-1].day


PATIENTS = (
    PhantomPatient(
        pseudonym="V-P01",
        story="Cord first, measured on MR phantoms of known truth",
        first_seed=7100,
        visits=(
            PlannedVisit(240, "2.0", brain=1.0, cord=1.0),
            PlannedVisit(620, "2.0", brain=0.996, cord=0.975),
            PlannedVisit(1010, "2.5", brain=0.992, cord=0.940),
            PlannedVisit(1390, "3.5", brain=0.988, cord=0.895),
        ),
        is_accepted=True,
    ),
    PhantomPatient(
        pseudonym="V-P02",
        story="MR phantoms that need a person: a cut head, a neck alone",
        first_seed=7200,
        visits=(
            PlannedVisit(100, "1.0", brain=1.0, cord=1.0, part=Part.CUT),
            PlannedVisit(130, "1.0", brain=1.0, cord=1.0, part=Part.NECK),
        ),
        is_accepted=False,
    ),
)


def phantom_patients_ensure(*, today: date, say: Say) -> None:
    """Add the phantom patients and upload the scans that are not there yet."""
    clinic = Clinic.objects.get(name=CLINICS[0].name)
    technician = User.objects.get(username="technician")
    for plan in PATIENTS:
        patient = _patient_ensure(plan, clinic=clinic, today=today)
        assert patient.onset_date is not None
        for number, planned in enumerate(plan.visits):
            day = patient.onset_date + timedelta(days=planned.day)
            if Scan.objects.filter(
                session__visit__patient=patient, session__visit__date=day
            ).exists():
                continue
            say(
                f"Drawing and uploading phantom {number + 1} of {len(plan.visits)} of "
                f"{plan.pseudonym}"
            )
            _visit_upload(
                planned,
                patient=patient,
                day=day,
                seed=plan.first_seed + number,
                actor=technician,
            )


def _patient_ensure(plan: PhantomPatient, *, clinic: Clinic, today: date) -> Patient:
    """Return the phantom patient, with the clinical side, adding what is missing."""
    with transaction.atomic():
        onset = today - timedelta(days=plan.last_day + 20)
        patient, created = Patient.objects.get_or_create(
            clinic=clinic,
            pseudonym=plan.pseudonym,
            defaults={
                "sex": Sex.FEMALE,
                "birth_year": onset.year - 34,
                "onset_date": onset,
                "is_synthetic": True,
                "story": plan.story,
            },
        )
        if created:
            _clinical_rows(plan, patient=patient, onset=onset)
    return patient


def _clinical_rows(plan: PhantomPatient, *, patient: Patient, onset: date) -> None:
    """Write the clinical side of a phantom patient."""
    phenotype = Phenotype.RRMS if plan.is_accepted else Phenotype.CIS
    PhenotypePeriod.objects.create(patient=patient, phenotype=phenotype, starts_on=onset)
    for planned in plan.visits:
        visit = Visit.objects.create(patient=patient, date=onset + timedelta(days=planned.day))
        Assessment.objects.create(visit=visit, edss=Decimal(planned.edss))
    if plan.is_accepted:
        Relapse.objects.create(
            patient=patient, onset=onset, severity=Relapse.Severity.MODERATE, is_spinal=True
        )
        Treatment.objects.create(
            patient=patient,
            drug="dimethyl fumarate",
            efficacy=Treatment.Efficacy.MODERATE,
            starts_on=onset + timedelta(days=120),
        )


def _visit_upload(
    planned: PlannedVisit, *, patient: Patient, day: date, seed: int, actor: User
) -> None:
    """Draw one phantom and hand it in as a technician would."""
    image, _truth = phantom_make(
        PhantomVisit(brain=planned.brain, cord=planned.cord, seed=seed)
    )
    low, high = HEIGHTS_MM[planned.part]
    with TemporaryDirectory(dir=settings.SCRATCH_ROOT, prefix="phantom-") as folder:
        name = f"phantom {planned.part}.nii.gz"
        path = phantom_write(
            part_of(image, lowest_mm=low, highest_mm=high), Path(folder) / name
        )
        stored = scan_upload(
            actor=actor,
            patient=patient,
            visit_date=day,
            files=[(name, path)],
            scanner_name=SCANNER,
        )
    for _scan, runs in stored:
        for run in runs:
            run_enqueue(run.pk)


def phantom_runs() -> list[VolumetryRun]:
    """Return the runs of the phantom patients on single scans; changes follow by themselves."""
    names = [plan.pseudonym for plan in PATIENTS]
    return list(
        VolumetryRun.objects.filter(
            before__isnull=True,
            image__scan__session__visit__patient__pseudonym__in=names,
            image__scan__clinic__name=CLINICS[0].name,
        ).order_by("created_at")
    )


def phantom_runs_accept() -> int:
    """Let the demo's radiologist accept what was measured; return how many runs."""
    radiologist = User.objects.get(username="radiologist")
    names = [plan.pseudonym for plan in PATIENTS if plan.is_accepted]
    waiting = VolumetryRun.objects.filter(
        before__isnull=True,
        status=Status.SUCCEEDED,
        outcome=Outcome.OK,
        reviews__isnull=True,
        image__scan__session__visit__patient__pseudonym__in=names,
        image__scan__clinic__name=CLINICS[0].name,
    )
    runs = list(waiting.select_related("image__scan__session__visit__patient"))
    for run in runs:
        measurement_review(
            actor=radiologist, run=run, verdict=Review.Verdict.ACCEPTED, note=NOTE
        )
    for patient_id in {run.image.scan.session.visit.patient_id for run in runs}:
        divergence_enqueue(patient_id)
    return len(runs)
