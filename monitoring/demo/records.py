"""Write drawn courses as rows, in bulk: what the services would write one by one.

The numbers of these patients are drawn, not measured, and every row says so: the patients and
images are synthetic, the images have no file and no real hash, and the runs carry the method
``synthetic-brain`` or ``synthetic-cord`` that no engine of this installation has.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from monitoring.demo.courses import Course, DrawnScan
from monitoring.models import (
    Assessment,
    Clinic,
    ImagingSession,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
    Review,
    Scan,
    ScannerEpoch,
    Sequence,
    Treatment,
    Visit,
)
from monitoring.services.epochs import epoch_propose
from volumetry.core.types import Quantity, Structure, Unit
from volumetry.models import (
    Measurement,
    Outcome,
    QualityResult,
    SourceImage,
    Status,
    VolumetryRun,
)
from volumetry.services import parameters_digest

METHODS = {"brain": "synthetic-brain", "cord": "synthetic-cord"}
VERSION = "1"
# What the drawn scans pretend to be: sequence, voxels, their size in mm.
HEAD = (Sequence.T1, (176, 256, 256), (1.0, 1.0, 1.0))
NECK = (Sequence.T2, (64, 320, 320), (0.8, 0.8, 0.8))
SCANNERS = (
    {"manufacturer": "Synthetic", "model": "Alpha", "field_strength_tesla": 1.5},
    {"manufacturer": "Synthetic", "model": "Beta", "field_strength_tesla": 3.0},
)
SOFTWARE = ("A1", "B2")
WINDOW_MM = 20.0  # of the cord, over which area and volume are said to be measured
# Shares of the parenchyma, and of the fluid around and inside it, as in adults.
GREY_SHARE = 0.56
VENTRICLES_SHARE = 0.10
CHECK_SENTENCE = {
    "pass": "Drawn as a good scan.",
    "warn": "Drawn as a fair scan.",
    "fail": "Drawn as a poor scan: it counts only when a reader accepts it.",
}


@dataclass
class Rows:
    """Rows of every kind, in the order in which they can be stored."""

    rows: dict[type[models.Model], list[Any]] = field(default_factory=dict)

    def add(self, row: models.Model) -> None:
        """Keep a row."""
        self.rows.setdefault(type(row), []).append(row)

    def store(self) -> None:
        """Store all rows, kind by kind."""
        for model in ORDER:
            manager = model._default_manager  # noqa: SLF001 (documented by Django)
            manager.bulk_create(self.rows.get(model, []), batch_size=400)


ORDER: tuple[type[models.Model], ...] = (
    Patient,
    PhenotypePeriod,
    Relapse,
    Treatment,
    Visit,
    Assessment,
    LesionCount,
    ImagingSession,
    SourceImage,
    Scan,
    VolumetryRun,
    Measurement,
    QualityResult,
    Review,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a clinic's courses share: its epochs by (scanner, region), its reader."""

    clinic: Clinic
    epochs: dict[tuple[int, str], ScannerEpoch]
    reader: User
    separate_neck_scan: bool


def bench_make(clinic: Clinic, *, reader: User, separate_neck_scan: bool) -> Bench:
    """Register a clinic's two scanners and their protocols."""
    epochs = {}
    for number, (scanner, software) in enumerate(zip(SCANNERS, SOFTWARE, strict=True)):
        for region in ("brain", "cord"):
            sequence, _, spacing = NECK if separate_neck_scan and region == "cord" else HEAD
            epochs[number, region] = epoch_propose(
                clinic=clinic,
                acquisition={**scanner, "software": software, "acquisition_type": "3D"},
                sequence=sequence,
                spacing_mm=spacing,
                scanner_name="Synthetic {model} {field_strength_tesla} T".format(**scanner),
            )
    return Bench(clinic, epochs, reader, separate_neck_scan)


def course_rows(course: Course, *, pseudonym: str, bench: Bench, rows: Rows) -> Patient:
    """Add the rows of one course."""
    patient = Patient(
        clinic=bench.clinic,
        pseudonym=pseudonym,
        sex=course.sex,
        birth_year=course.birth_year,
        onset_date=course.onset,
        is_synthetic=True,
        story=course.story.value,
        facts_changed_at=timezone.now(),
    )
    rows.add(patient)
    for starts_on, phenotype in course.phenotypes:
        rows.add(PhenotypePeriod(patient=patient, phenotype=phenotype, starts_on=starts_on))
    for relapse in course.relapses:
        rows.add(
            Relapse(
                patient=patient,
                onset=relapse.onset,
                severity=relapse.severity,
                is_spinal=relapse.is_spinal,
                steroids_on=relapse.steroids_on,
            )
        )
    for treatment in course.treatments:
        rows.add(
            Treatment(
                patient=patient,
                drug=treatment.drug,
                efficacy=treatment.efficacy,
                starts_on=treatment.starts_on,
                ends_on=treatment.ends_on,
                stop_reason=treatment.stop_reason,
            )
        )
    _visit_rows(course, patient=patient, bench=bench, rows=rows)
    return patient


def _visit_rows(course: Course, *, patient: Patient, bench: Bench, rows: Rows) -> None:
    """Add visits with what happened on them."""
    assessed = {assessment.day: assessment for assessment in course.assessments}
    scanned = {scan.day: scan for scan in course.scans}
    counted = {lesions.day: lesions for lesions in course.lesions}
    for day in sorted({*assessed, *scanned}):
        visit = Visit(patient=patient, date=day)
        rows.add(visit)
        if assessment := assessed.get(day):
            rows.add(
                Assessment(visit=visit, edss=assessment.edss, **(assessment.systems or {}))
            )
        if scan := scanned.get(day):
            _session_rows(scan, course=course, visit=visit, bench=bench, rows=rows)
        if lesions := counted.get(day):
            _count_rows(lesions, visit=visit, rows=rows)


def _count_rows(lesions: Any, *, visit: Visit, rows: Rows) -> None:
    """Add the lesion counts of a visit."""
    region, pattern, kind = LesionCount.Region, LesionCount.Pattern, LesionCount.Kind
    counts = [
        (region.BRAIN, kind.T2, lesions.brain),
        (region.CORD, kind.T2, lesions.cord),
        (region.BRAIN, kind.NEW_T2, lesions.new),
        (region.BRAIN, kind.GADOLINIUM, lesions.enhancing),
    ]
    for where, what, count in counts:
        if count is not None:
            rows.add(
                LesionCount(
                    visit=visit, region=where, pattern=pattern.FOCAL, kind=what, count=count
                )
            )
    rows.add(
        LesionCount(
            visit=visit,
            region=region.CORD,
            pattern=pattern.DIFFUSE,
            is_present=lesions.diffuse_cord,
        )
    )


def _session_rows(
    drawn: DrawnScan, *, course: Course, visit: Visit, bench: Bench, rows: Rows
) -> None:
    """Add the scans of one session: one of head and neck, or the neck apart."""
    epoch = bench.epochs[drawn.scanner, "brain"]
    session = ImagingSession(visit=visit, scanner=epoch.scanner)
    rows.add(session)
    has_cord = drawn.cord_mm2 is not None
    head = _scan_rows(
        session,
        bench=bench,
        epoch=epoch,
        grid=HEAD,
        regions=("brain", "cord") if has_cord and not bench.separate_neck_scan else ("brain",),
        rows=rows,
    )
    _brain_rows(
        head.image, drawn, intracranial_mm3=course.intracranial_mm3, bench=bench, rows=rows
    )
    if not has_cord:
        return
    neck = head
    if bench.separate_neck_scan:
        neck = _scan_rows(
            session,
            bench=bench,
            epoch=bench.epochs[drawn.scanner, "cord"],
            grid=NECK,
            regions=("cord",),
            rows=rows,
        )
    _cord_rows(neck.image, drawn, bench=bench, rows=rows)


def _scan_rows(
    session: ImagingSession,
    *,
    bench: Bench,
    epoch: ScannerEpoch,
    grid: tuple[Sequence, tuple[int, int, int], tuple[float, float, float]],
    regions: tuple[str, ...],
    rows: Rows,
) -> Scan:
    """Add a scan whose image has no file, and whose hash cannot be taken for one."""
    sequence, shape, spacing = grid
    mark = f"drawn-{uuid4().hex}"
    image = SourceImage(
        sha256=mark, shape=shape, spacing_mm=spacing, axcodes="RAS", is_synthetic=True
    )
    rows.add(image)
    scan = Scan(
        clinic=bench.clinic,
        session=session,
        image=image,
        epoch=epoch,
        content_sha256=mark,
        sequence=sequence,
        acquisition={"manufacturer": "Synthetic", "acquisition_type": "3D"},
        notes=["Synthetic record: its numbers were drawn, there is no image."],
        measures_brain="brain" in regions,
        measures_cord="cord" in regions,
    )
    rows.add(scan)
    return scan


def _brain_rows(
    image: SourceImage, drawn: DrawnScan, *, intracranial_mm3: float, bench: Bench, rows: Rows
) -> None:
    """Add the run that carries the brain's numbers."""
    if drawn.brain_mm3 is None:
        return
    brain = drawn.brain_mm3
    volumes = {
        Structure.BRAIN_PARENCHYMA: brain,
        Structure.GREY_MATTER: brain * GREY_SHARE,
        Structure.WHITE_MATTER: brain * (1 - GREY_SHARE),
        Structure.LATERAL_VENTRICLES: (intracranial_mm3 - brain) * VENTRICLES_SHARE,
        Structure.INTRACRANIAL: intracranial_mm3,
    }
    run = _run_rows(image, METHODS["brain"], check=drawn.check, rows=rows)
    for structure, value in volumes.items():
        rows.add(
            Measurement(
                run=run,
                structure=structure,
                quantity=Quantity.VOLUME,
                value=value,
                unit=Unit.MM3,
                standard_error=value * drawn.errors[0],
            )
        )
    if drawn.verdict:
        rows.add(Review(run=run, verdict=Review.Verdict.ACCEPTED, reviewer=bench.reader))


def _cord_rows(image: SourceImage, drawn: DrawnScan, *, bench: Bench, rows: Rows) -> None:
    """Add the run that carries the cord's number, and the reader's word on it."""
    if drawn.cord_mm2 is None:
        return
    run = _run_rows(image, METHODS["cord"], check=drawn.check, rows=rows)
    level = Structure.CORD_C2_C3 if bench.separate_neck_scan else Structure.CORD_PMJ_64MM
    sizes = ((Quantity.MEAN_CSA, 1.0, Unit.MM2), (Quantity.VOLUME, WINDOW_MM, Unit.MM3))
    for quantity, length, unit in sizes:
        rows.add(
            Measurement(
                run=run,
                structure=level,
                quantity=quantity,
                value=drawn.cord_mm2 * length,
                unit=unit,
                standard_error=drawn.cord_mm2 * drawn.errors[1] * length,
            )
        )
    if drawn.verdict:
        rows.add(
            Review(run=run, verdict=drawn.verdict, reason=drawn.reason, reviewer=bench.reader)
        )


def _run_rows(image: SourceImage, method: str, *, check: str, rows: Rows) -> VolumetryRun:
    """Add a finished run that says of itself that nothing was measured."""
    now = timezone.now()
    run = VolumetryRun(
        image=image,
        method=method,
        method_version=VERSION,
        parameters={"synthetic": True},
        parameters_digest=parameters_digest({"synthetic": True}),
        status=Status.SUCCEEDED,
        outcome=Outcome.OK,
        attempt=1,
        sent_at=now,
        started_at=now,
        finished_at=now,
        seconds=0.0,
        provenance={
            "synthetic": True,
            "method": method,
            "version": VERSION,
            "parameters": {"how": "drawn from the story, not measured on an image"},
            "image_sha256": "",
        },
    )
    rows.add(run)
    rows.add(
        QualityResult(
            run=run,
            name="synthetic",
            value=None,
            limit=None,
            verdict=check,
            sentence=CHECK_SENTENCE[check],
        )
    )
    return run
