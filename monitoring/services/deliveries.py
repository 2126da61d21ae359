"""Uploads on their way in: receive, sort a clinic day into visits, hand each to a draft.

The rows say what exists; the scratch folder holds bytes and the sender's names (docs/adr/0009).
Every step is safe to repeat: a file continues where it stopped, a visit is read by one request
at a time, and confirming twice finds what the first time stored.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from monitoring.folders import delivery_place, draft_place
from monitoring.models import (
    AuditEntry,
    Clinic,
    DeliveredVisit,
    Delivery,
    Grant,
    Patient,
    Scan,
    UploadDraft,
)
from monitoring.parts import Part, name_tidy, part_begin
from monitoring.selectors.deliveries import (
    REFUSED,
    SORTED,
    deliveries_open,
    delivery_parts,
    sorted_read,
)
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant, visit_check
from monitoring.services.people import clinic_key
from monitoring.services.uploads import (
    SeriesChoice,
    draft_confirm,
    draft_of_intake,
)
from volumetry.intake.day import RefusedFile, VisitFiles, day_sort, visit_take
from volumetry.intake.keeping import intake_read, intake_write
from volumetry.intake.types import MEBIBYTE, IntakeRefused, Limits
from volumetry.models import VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

READING_MINUTES = 10
"""After this a visit that is still "being looked at" was left by a request that died."""
MAX_VISITS = 60
SPARE_BYTES = 1 << 30
"""What stays free on the disk of the scratch folder, whatever is sent."""
GONE = "These files were removed because nobody confirmed them in time; send them again."


def delivery_begin(
    *,
    actor: User,
    clinic: Clinic,
    patient: Patient | None = None,
    visit_date: date | None = None,
) -> Delivery:
    """Open a delivery: of one visit if patient and date are known, else of a clinic day."""
    require_grant(actor, clinic, Grant.UPLOAD)
    if patient is not None and visit_date is not None:
        visit_check(patient, visit_date)
    delivery = Delivery(clinic=clinic, actor=actor, patient=patient, visit_date=visit_date)
    folder = delivery_place(delivery.folder)
    folder.mkdir(parents=True, mode=0o700)
    try:
        with transaction.atomic():
            delivery.save()
            audit_record(
                actor=actor,
                clinic=clinic,
                action=AuditEntry.Action.UPLOAD,
                subject="delivery",
                object_id=delivery.pk,
                pseudonym=patient.pseudonym if patient else "",
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return delivery


def delivery_file_begin(delivery: Delivery, *, name: str, size: int, modified: int = 0) -> Part:
    """Make room for one more file of a delivery.

    Raises
    ------
    IntakeRefused
        If the file or all that the clinic is sending are too large, in one sentence.
    """
    limits = Limits()
    if size > limits.max_upload_bytes:
        raise IntakeRefused(
            f"This file is larger than {limits.max_upload_bytes // MEBIBYTE} MiB. "
            "Send its series in smaller archives."
        )
    if delivery.sorted_at is not None:
        raise IntakeRefused("This upload is complete already; begin a new one.")
    if shutil.disk_usage(settings.SCRATCH_ROOT).free < size + SPARE_BYTES:
        raise IntakeRefused("The server has no room for this file; tell your administrator.")
    waiting = deliveries_open(delivery.clinic)
    held = waiting.aggregate(bytes=Sum("bytes_promised"))["bytes"] or 0
    if held + size > settings.UPLOAD_OPEN_BYTES:
        raise IntakeRefused(
            f"Your clinic has more than {settings.UPLOAD_OPEN_BYTES // MEBIBYTE} MiB of "
            "uploads that nobody confirmed. Confirm or discard them first."
        )
    room = Delivery.objects.filter(
        pk=delivery.pk, sorted_at__isnull=True, files_promised__lt=limits.max_entries
    ).update(files_promised=F("files_promised") + 1, bytes_promised=F("bytes_promised") + size)
    if not room:
        raise IntakeRefused(
            f"An upload holds at most {limits.max_entries} files. Pack them into zip archives."
        )
    return part_begin(delivery_place(delivery.folder), name=name, size=size, modified=modified)


def delivery_file_refused(delivery: Delivery, *, name: str, sentence: str) -> None:
    """Remember why a file of a clinic day was not even begun, for the page of the day."""
    note = delivery_place(delivery.folder) / f"{uuid4().hex}.refused"
    _json_write(note, (name_tidy(name), sentence))


def delivery_files(delivery: Delivery) -> list[tuple[str, Path]]:
    """Return all files of a complete delivery, as the intake takes them.

    Raises
    ------
    IntakeRefused
        If there is none, or one has not arrived completely.
    """
    parts = delivery_parts(delivery)
    missing = sum(not part.is_complete for part in parts)
    if not parts:
        raise IntakeRefused("No file arrived. Choose the files and send them again.")
    if missing:
        files = "1 file has" if missing == 1 else f"{missing} files have"
        raise IntakeRefused(
            f"{files} not arrived completely. Choose the same files again: they continue where "
            "they stopped."
        )
    return [(name_tidy(part.name), part.path) for part in parts]


def delivery_sort(delivery: Delivery) -> None:
    """Sort a complete clinic day into visits; a second call does nothing.

    Raises
    ------
    IntakeRefused
        If a file is missing, or the day holds more visits than a page can show.
    """
    if delivery.sorted_at is not None:
        return
    files = delivery_files(delivery)
    folder = delivery_place(delivery.folder)
    found = day_sort(files, work=folder, limits=Limits())
    if len(found.visits) > MAX_VISITS:
        raise IntakeRefused(
            f"These files are of {len(found.visits)} visits; at most {MAX_VISITS} are taken "
            "at once. Send them in parts."
        )
    rows = [
        DeliveredVisit(delivery=delivery, number=number)
        for number in range(1, len(found.visits) + 1)
    ]
    for row, visit in zip(rows, found.visits, strict=True):
        _sorted_write(row, visit)
    refused = [(one.name, one.sentence) for one in found.refused]
    refused += [json.loads(note.read_text()) for note in sorted(folder.glob("*.refused"))]
    _json_write(folder / REFUSED, refused)
    with transaction.atomic():
        first = Delivery.objects.filter(pk=delivery.pk, sorted_at__isnull=True).update(
            sorted_at=timezone.now(), updated_at=timezone.now()
        )
        if first:
            DeliveredVisit.objects.bulk_create(rows)
    if not first:
        for row in rows:
            shutil.rmtree(draft_place(row.folder), ignore_errors=True)
    delivery.refresh_from_db()
    if not found.visits:
        _raw_remove(delivery, [])


def _sorted_write(row: DeliveredVisit, visit: VisitFiles) -> None:
    """Write what was sorted beside where the clean images will lie."""
    folder = draft_place(row.folder)
    folder.mkdir(mode=0o700)
    said = {
        "label": visit.label,
        "codes": visit.codes,
        "day": visit.day.isoformat() if visit.day else None,
        "is_dicom": visit.is_dicom,
        "files": [(name, str(path)) for name, path in visit.files],
        "refused": [],
    }
    _json_write(folder / SORTED, said)


def _json_write(path: Path, said: object) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(said), encoding="utf-8")


def visit_recognise(visit: DeliveredVisit) -> bool:
    """Take the files of a visit through the door; False when another request does it.

    A refusal is the visit's own: its sentence is kept, its files are removed.
    """
    now = timezone.now()
    left = now - timedelta(minutes=READING_MINUTES)
    state = DeliveredVisit.State
    free = Q(state=state.WAITING) | Q(state=state.READING, reading_since__lt=left)
    claimed = DeliveredVisit.objects.filter(free, pk=visit.pk)
    if not claimed.update(state=state.READING, reading_since=now, updated_at=now):
        return False
    try:
        said = sorted_read(visit)
        refusal, refused = _recognise(visit, said)
    except FileNotFoundError:
        refusal, refused, said = GONE, (), {}
    except BaseException:
        DeliveredVisit.objects.filter(pk=visit.pk).update(state=state.WAITING)
        raise
    if said:
        said["refused"] = [(one.name, one.sentence) for one in refused]
        _json_write(draft_place(visit.folder) / SORTED, said)
    visit.state = state.REFUSED if refusal else state.RECOGNISED
    visit.refusal = refusal
    visit.save(update_fields=["state", "refusal", "updated_at"])
    _raw_remove(visit.delivery, said.get("files", []))
    return True


def _raw_remove(delivery: Delivery, files: Sequence[tuple[str, str]]) -> None:
    """Remove the files of a visit as they were sent; after the last visit, all of them."""
    for _, path in files:
        Path(path).unlink(missing_ok=True)
    state = DeliveredVisit.State
    if delivery.visits.filter(state__in=[state.WAITING, state.READING]).exists():
        return
    folder = delivery_place(delivery.folder)
    for left in folder.iterdir() if folder.is_dir() else ():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif left.name != REFUSED:
            left.unlink(missing_ok=True)


def _recognise(
    visit: DeliveredVisit, said: Mapping[str, Any]
) -> tuple[str, tuple[RefusedFile, ...]]:
    """Take the files in; return why not, or nothing, and the single files left out."""
    folder = draft_place(visit.folder)
    files = VisitFiles(
        label=said["label"],
        files=tuple((name, Path(path)) for name, path in said["files"]),
        codes=(),
        day=None,
        is_dicom=said["is_dicom"],
    )
    key = clinic_key(visit.delivery.clinic)
    try:
        found, refused = visit_take(files, scratch=folder, key=key, limits=Limits())
    except IntakeRefused as refusal:
        return str(refusal), ()
    intake_write(found, folder)
    return "", refused


def visit_assign(
    *, actor: "Actor", visit: DeliveredVisit, patient: Patient, visit_date: date
) -> UploadDraft:
    """Say whose visit it is: the files become a draft of that patient.

    Raises
    ------
    IntakeRefused
        If the images contradict the record of the patient.
    ValidationError
        If the date is impossible, or the files have gone.
    """
    if visit.draft is not None:
        return visit.draft
    if patient.clinic_id != visit.delivery.clinic_id:
        raise ValidationError("This patient is of another clinic.")
    try:
        found = intake_read(draft_place(visit.folder))
    except FileNotFoundError:
        raise ValidationError(GONE) from None
    with transaction.atomic():
        locked = DeliveredVisit.objects.select_for_update().get(pk=visit.pk)
        if locked.draft is None:
            locked.draft = draft_of_intake(
                actor=actor,
                patient=patient,
                visit_date=visit_date,
                folder=locked.folder,
                found=found,
            )
            locked.save(update_fields=["draft", "updated_at"])
    visit.draft = locked.draft
    return locked.draft


def visit_confirm(
    *,
    actor: "Actor",
    visit: DeliveredVisit,
    patient: Patient,
    visit_date: date,
    choices: Sequence[SeriesChoice],
) -> list[tuple[Scan, list[VolumetryRun]]]:
    """Store a recognised visit for a patient with what was recognised as the choice.

    Raises
    ------
    IntakeRefused, ValidationError
        As `visit_assign` and `draft_confirm`; the visit stays as it was then.
    """
    had = visit.draft
    try:
        with transaction.atomic():
            draft = visit_assign(
                actor=actor, visit=visit, patient=patient, visit_date=visit_date
            )
            return draft_confirm(actor=actor, draft=draft, choices=choices)
    except BaseException:
        visit.draft = had
        raise


def delivery_discard(delivery: Delivery) -> None:
    """Forget a delivery and all of its files that nobody confirmed."""
    for visit in delivery.visits.select_related("draft"):
        if visit.draft is not None and visit.draft.confirmed_at is None:
            visit.draft.delete()
        if visit.draft is None or visit.draft.confirmed_at is None:
            shutil.rmtree(draft_place(visit.folder), ignore_errors=True)
    folder = delivery_place(delivery.folder)
    delivery.delete()
    shutil.rmtree(folder, ignore_errors=True)


def deliveries_sweep() -> int:
    """Discard deliveries in which nothing happened for the hours of `UPLOAD_DRAFT_HOURS`."""
    limit = timezone.now() - timedelta(hours=settings.UPLOAD_DRAFT_HOURS)
    old = [
        delivery
        for delivery in Delivery.objects.filter(updated_at__lt=limit)
        if _last_change(delivery) < limit.timestamp()
    ]
    for delivery in old:
        delivery_discard(delivery)
    return len(old)


def _last_change(delivery: Delivery) -> float:
    """Return when a byte of a delivery last arrived, in seconds since the epoch; 0: never."""
    return max((part.path.stat().st_mtime for part in delivery_parts(delivery)), default=0.0)


def delivery_receive(delivery: Delivery, files: Sequence[tuple[str, Path]]) -> None:
    """Take files that came in one request, whole, into a delivery.

    Raises
    ------
    IntakeRefused
        As `delivery_file_begin`.
    """
    for name, path in files:
        part = delivery_file_begin(delivery, name=name, size=path.stat().st_size)
        path.replace(part.path)
