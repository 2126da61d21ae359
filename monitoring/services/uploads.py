"""Receive files, show what was recognised, and turn a confirmed draft into scans.

`draft_create` refuses at once, in one sentence, and leaves nothing behind; `draft_confirm`
stores every series, its session, its epoch and the runs together or not at all.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.folders import draft_place
from monitoring.models import (
    AuditEntry,
    DeliveredVisit,
    Delivery,
    Grant,
    ImagingSession,
    Patient,
    Scan,
    UploadDraft,
    Visit,
)
from monitoring.models import (
    Sequence as SequenceClass,
)
from monitoring.selectors.recognition import claims_check, scan_find_duplicate, series_row
from monitoring.selectors.runs import BRAIN_METHOD, CORD_METHOD
from monitoring.services.audit import audit_record
from monitoring.services.epochs import epoch_propose
from monitoring.services.patients import require_grant, visit_check, visit_ensure
from monitoring.services.people import clinic_key
from volumetry.engines.registry import METHODS
from volumetry.intake.door import intake, scratch_sweep
from volumetry.intake.types import Intake
from volumetry.models import SourceImage, VolumetryRun
from volumetry.services import image_store, run_request

if TYPE_CHECKING:
    from monitoring.models.people import Actor

# Sequence classes that the cord engine knows as a contrast; for others it decides itself.
CORD_CONTRASTS = {SequenceClass.T1, SequenceClass.T2, SequenceClass.T2S}


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """The technician's word on one recognised series."""

    index: int
    sequence: str
    measure_brain: bool
    measure_cord: bool
    scanner_name: str = ""
    answers_question: bool = False


def draft_create(
    *, actor: "Actor", patient: Patient, visit_date: date, files: Sequence[tuple[str, Path]]
) -> UploadDraft:
    """Receive files for a visit and say what they are.

    Raises
    ------
    IntakeRefused
        If the files cannot be taken, or contradict the record of the patient.
    ValidationError
        If the visit date is impossible.
    """
    require_grant(actor, patient.clinic, Grant.UPLOAD)
    visit_check(patient, visit_date)
    place = uuid4()
    folder = draft_place(place)
    folder.mkdir(parents=True, mode=0o700)
    try:
        found = intake(files, scratch=folder, key=clinic_key(patient.clinic))
        return draft_of_intake(
            actor=actor, patient=patient, visit_date=visit_date, folder=place, found=found
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def draft_of_intake(
    *, actor: "Actor", patient: Patient, visit_date: date, folder: UUID, found: Intake
) -> UploadDraft:
    """Make a draft of what was recognised; its clean images lie in ``folder``.

    Raises
    ------
    IntakeRefused
        If the files contradict the record of the patient.
    ValidationError
        If the visit date is impossible.
    """
    require_grant(actor, patient.clinic, Grant.UPLOAD)
    visit_check(patient, visit_date)
    for series in found.series:
        claims_check(patient, series.subject)
    return UploadDraft.objects.create(
        clinic=patient.clinic,
        patient=patient,
        visit_date=visit_date,
        actor=actor if isinstance(actor, User) else None,
        folder=folder,
        series=[
            series_row(index, series, patient.clinic, visit_date)
            for index, series in enumerate(found.series)
        ],
        skipped=list(found.skipped),
    )


def draft_confirm(
    *,
    actor: "Actor",
    draft: UploadDraft,
    choices: Sequence[SeriesChoice],
    visit_date: date | None = None,
) -> list[tuple[Scan, list[VolumetryRun]]]:
    """Store the chosen series as scans of the visit and request their measurements.

    Confirming the same draft twice finds the scans that the first time made. A series that the
    clinic holds already is not stored again; its scan is returned.

    Parameters
    ----------
    visit_date : date or None
        The visit date as corrected by the technician; None keeps the draft's.

    Raises
    ------
    ValidationError
        If nothing was chosen or a question was left open; nothing is stored then.
    """
    require_grant(actor, draft.clinic, Grant.UPLOAD)
    written: list[SourceImage] = []
    try:
        with transaction.atomic():
            return _confirm(actor, draft, choices, visit_date, written)
    except BaseException:
        for image in written:
            image.file.delete(save=False)
        raise


def _confirm(
    actor: "Actor",
    draft: UploadDraft,
    choices: Sequence[SeriesChoice],
    visit_date: date | None,
    written: list[SourceImage],
) -> list[tuple[Scan, list[VolumetryRun]]]:
    """Do what `draft_confirm` says, inside its transaction; list each file that was stored."""
    locked = UploadDraft.objects.select_for_update().filter(pk=draft.pk).first()
    if locked is None:
        raise ValidationError("This upload was discarded or has expired; send the files again.")
    if locked.confirmed_at is not None:
        return [
            (scan, list(scan.image.runs.filter(before__isnull=True).order_by("created_at")))
            for scan in locked.scans.select_related("image")
        ]
    if not choices:
        raise ValidationError("Choose at least one series to keep.")
    patient = locked.patient
    day = visit_date or locked.visit_date
    rows = {row["index"]: row for row in locked.series}
    for choice in choices:
        _choice_check(rows.get(choice.index), choice, locked, day)
    visit = visit_ensure(actor=actor, patient=patient, day=day)
    stored = []
    for choice in choices:
        row = rows[choice.index]
        held = scan_find_duplicate(
            patient.clinic, sha256=row["sha256"], series_hash=row["series_hash"]
        )
        scan = held or _scan_store(actor, locked, row, choice, visit, written)
        stored.append((scan, scan_request_runs(scan) if held is None else []))
    folder = draft_place(locked.folder)
    locked.visit_date = day
    locked.confirmed_at = timezone.now()
    locked.save(update_fields=["visit_date", "confirmed_at", "updated_at"])
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
    return stored


def _choice_check(
    row: Mapping[str, Any] | None, choice: SeriesChoice, draft: UploadDraft, day: date
) -> None:
    """Raise ValidationError for a choice that cannot be stored."""
    if row is None:
        raise ValidationError("This upload holds no such series; reload the page.")
    if choice.sequence not in SequenceClass.values:
        raise ValidationError("This is not a sequence that Neuraxis knows; reload the page.")
    held = scan_find_duplicate(
        draft.clinic, sha256=row["sha256"], series_hash=row["series_hash"]
    )
    if held is not None and held.session.visit.patient_id != draft.patient_id:
        raise ValidationError(
            f"Your clinic already holds these images under patient "
            f"{held.session.visit.patient.pseudonym}; choose the right patient."
        )
    for asked, method, what in (
        (choice.measure_brain, BRAIN_METHOD, "the brain"),
        (choice.measure_cord, CORD_METHOD, "the cord"),
    ):
        if asked and method not in METHODS:
            raise ValidationError(
                f"This installation does not measure {what}; take the tick away to store the "
                "scan without it."
            )
    stated = draft.visit_date + timedelta(days=row.get("days_off", 0))
    if row["question"] and stated != day and not choice.answers_question:
        raise ValidationError(row["question"])


def _scan_store(
    actor: "Actor",
    draft: UploadDraft,
    row: Mapping[str, Any],
    choice: SeriesChoice,
    visit: Visit,
    written: list[SourceImage],
) -> Scan:
    """Store one series of a draft as a scan."""
    patient = draft.patient
    path = draft_place(draft.folder) / row["file"]
    if not path.is_file():
        raise ValidationError("This upload has expired; send the files again.")
    image = image_store(
        path=path,
        sha256=row["sha256"],
        shape=row["shape"],
        spacing_mm=row["spacing_mm"],
        axcodes=row["axcodes"],
        is_synthetic=patient.is_synthetic,
    )
    written.append(image)
    epoch = epoch_propose(
        clinic=patient.clinic,
        acquisition=row["acquisition"],
        sequence=choice.sequence,
        spacing_mm=row["spacing_mm"],
        day=visit.date,
        scanner_name=choice.scanner_name,
    )
    session, _ = ImagingSession.objects.get_or_create(visit=visit, scanner=epoch.scanner)
    scan = Scan(
        clinic=patient.clinic,
        session=session,
        image=image,
        epoch=epoch,
        content_sha256=row["sha256"],
        series_hash=row["series_hash"],
        sequence=choice.sequence,
        acquisition={k: v for k, v in row["acquisition"].items() if v not in (None, "")},
        notes=row["sentences"],
        measures_brain=choice.measure_brain,
        measures_cord=choice.measure_cord,
        uploaded_by=actor if isinstance(actor, User) else None,
        upload=draft,
    )
    # No remarks, no acquisition facts and a token as sender are all in order.
    scan.full_clean(exclude=["notes", "acquisition", "uploaded_by"])
    scan.save()
    audit_record(
        actor=actor,
        clinic=patient.clinic,
        action=AuditEntry.Action.UPLOAD,
        subject="scan",
        object_id=scan.pk,
        pseudonym=patient.pseudonym,
    )
    return scan


def scan_request_runs(scan: Scan) -> list[VolumetryRun]:
    """Request what the technician asked to be measured; the doorway rings the worker."""
    asked = (("brain", scan.measures_brain), ("cord", scan.measures_cord))
    return [_run_of(scan, region) for region, is_asked in asked if is_asked]


def _run_of(scan: Scan, region: str) -> VolumetryRun:
    """Request the brain or the cord of a scan."""
    if region == "brain":
        return run_request(image=scan.image, method=BRAIN_METHOD)
    contrast = scan.sequence if scan.sequence in CORD_CONTRASTS else "auto"
    return run_request(image=scan.image, method=CORD_METHOD, parameters={"contrast": contrast})


@transaction.atomic
def scan_measure(*, actor: "Actor", scan: Scan, region: str) -> VolumetryRun:
    """Ask afterwards for what was not ticked at the upload.

    Raises
    ------
    ValidationError
        If it was asked for already, or cannot be measured here.
    """
    require_grant(actor, scan.clinic, Grant.RUN_ACT)
    method = {"brain": BRAIN_METHOD, "cord": CORD_METHOD}.get(region)
    if method is None or method not in METHODS:
        raise ValidationError("This installation does not measure that.")
    if scan.image.runs.filter(method=method).exists():
        raise ValidationError("This was asked for already; look at its run.")
    setattr(scan, f"measures_{region}", True)
    scan.save(update_fields=[f"measures_{region}", "updated_at"])
    run = _run_of(scan, region)
    audit_record(
        actor=actor,
        clinic=scan.clinic,
        action=AuditEntry.Action.CHANGE,
        subject="scan",
        object_id=scan.pk,
        pseudonym=scan.session.visit.patient.pseudonym,
        detail=f"{region} asked for, run {run.pk}",
    )
    return run


def scan_upload(
    *,
    actor: "Actor",
    patient: Patient,
    visit_date: date,
    files: Sequence[tuple[str, Path]],
    scanner_name: str = "",
    visit_date_is_right: bool = False,
) -> list[tuple[Scan, list[VolumetryRun]]]:
    """Receive and confirm in one step, with what was recognised taken as the choice.

    ``visit_date_is_right`` answers the question that images of another day raise.

    Raises
    ------
    IntakeRefused, ValidationError
        As `draft_create` and `draft_confirm`; nothing is stored then.
    """
    draft = draft_create(actor=actor, patient=patient, visit_date=visit_date, files=files)
    try:
        choices = [
            SeriesChoice(
                index=row["index"],
                sequence=row["sequence"],
                measure_brain=row["measure_brain"],
                measure_cord=row["measure_cord"],
                scanner_name=scanner_name,
                answers_question=visit_date_is_right,
            )
            for row in draft.series
        ]
        return draft_confirm(actor=actor, draft=draft, choices=choices)
    except BaseException:
        draft_discard(draft)
        raise


def draft_discard(draft: UploadDraft) -> None:
    """Forget a draft and its files; a confirmed one is part of the record and stays."""
    gone, _ = UploadDraft.objects.filter(pk=draft.pk, confirmed_at__isnull=True).delete()
    if gone:
        shutil.rmtree(draft_place(draft.folder), ignore_errors=True)


def drafts_sweep() -> int:
    """Discard drafts that nobody confirmed, and scratch folders that nobody owns."""
    limit = timezone.now() - timedelta(hours=settings.UPLOAD_DRAFT_HOURS)
    waiting = UploadDraft.objects.filter(confirmed_at__isnull=True)
    old = list(waiting.filter(created_at__lt=limit))
    for draft in old:
        draft_discard(draft)
    # Work folders of a killed upload hold DICOM as it was sent: they go within the hour.
    scratch_sweep(Path(settings.SCRATCH_ROOT), older_than_seconds=3600)
    kept = {f"draft-{folder.hex}" for folder in waiting.values_list("folder", flat=True)}
    arriving = DeliveredVisit.objects.values_list("folder", flat=True)
    kept |= {f"draft-{folder.hex}" for folder in arriving}
    kept |= {
        f"delivery-{folder.hex}" for folder in Delivery.objects.values_list("folder", flat=True)
    }
    for folder in Path(settings.SCRATCH_ROOT).iterdir():
        if folder.name not in kept and folder.stat().st_mtime < limit.timestamp():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink(missing_ok=True)
    return len(old)
