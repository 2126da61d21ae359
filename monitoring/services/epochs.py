"""Propose, merge and split scanner epochs."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.models import AuditEntry, Clinic, Grant, Patient, Scanner, ScannerEpoch
from monitoring.models import Sequence as SequenceClass
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def _fingerprint(*parts: object) -> str:
    """Return a hash of parts, in order, that a later upload can meet again."""
    return hashlib.sha256("\x1f".join(str(part or "") for part in parts).encode()).hexdigest()


@transaction.atomic
def epoch_propose(
    *,
    clinic: Clinic,
    acquisition: Mapping[str, Any],
    sequence: str,
    spacing_mm: Sequence[float],
    day: date | None = None,
    scanner_name: str = "",
) -> ScannerEpoch:
    """Return the epoch of a scan, adding scanner and epoch when the combination is new.

    A scanner is recognised by its header facts and keyed hashes; where the image says nothing
    (NIfTI), by the name that the technician gave it. Of an epoch that was split the part that
    holds the ``day`` of the scan is meant.
    """
    facts = [
        acquisition.get(name)
        for name in ("manufacturer", "model", "field_strength_tesla", "serial_hash")
    ]
    name = scanner_name.strip()
    if any(facts):
        scanner_key = _fingerprint("header", *facts)
        label = " ".join(str(fact) for fact in facts[:2] if fact) or "Scanner"
    else:
        scanner_key = _fingerprint("name", name.casefold())
        label = name or "Scanner not stated"
    scanner = None
    if name and not any(facts):
        # The technician named a scanner that the clinic knows from the headers of other scans.
        scanner = Scanner.objects.filter(clinic=clinic, name__iexact=name).first()
    if scanner is None:
        scanner, _ = Scanner.objects.get_or_create(
            clinic=clinic,
            fingerprint=scanner_key,
            defaults={
                "name": (name or label)[:80],
                "manufacturer": acquisition.get("manufacturer") or "",
                "model": acquisition.get("model") or "",
                "field_strength_t": acquisition.get("field_strength_tesla"),
            },
        )
    # A tenth of a millimetre: below it lies rounding by the scanner, above it another protocol.
    voxel = " × ".join(f"{side:.1f}" for side in spacing_mm) + " mm"
    parts = [
        SequenceClass(sequence).label,
        acquisition.get("acquisition_type"),
        voxel,
        acquisition.get("coil"),
    ]
    protocol = ", ".join(str(part) for part in parts if part)[:120]
    epoch, _ = ScannerEpoch.objects.get_or_create(
        scanner=scanner,
        fingerprint=_fingerprint(acquisition.get("software"), *parts),
        defaults={"software": acquisition.get("software") or "", "protocol": protocol},
    )
    return _part_of(epoch, day)


def _part_of(epoch: ScannerEpoch, day: date | None) -> ScannerEpoch:
    """Return the part of an epoch that holds a day; the epoch itself where nobody split it."""
    if day is None:
        return epoch
    part = epoch.parts.filter(starts_on__lte=day).order_by("starts_on").last()
    return epoch if part is None else _part_of(part, day)


@transaction.atomic
def epoch_merge(
    *, actor: "Actor", epoch: ScannerEpoch, into: ScannerEpoch | None
) -> list[UUID]:
    """Declare two epochs comparable (``into``), or take that back (None).

    Returns
    -------
    list of UUID
        The patients whose divergence the doorway has to have recomputed.

    Raises
    ------
    ValidationError
        If they belong to different clinics or would point at each other.
    """
    clinic = epoch.scanner.clinic
    require_grant(actor, clinic, Grant.EPOCHS_ACT)
    if into is not None:
        if into.scanner.clinic_id != clinic.pk:
            raise ValidationError("The two epochs belong to different clinics.")
        if into.pk == epoch.pk or into.merged_into_id is not None or epoch.merged.exists():
            raise ValidationError("Merge into an epoch that stands for itself.")
    epoch.merged_into = into
    epoch.save(update_fields=["merged_into", "updated_at"])
    touched = _touch(epoch)
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CHANGE,
        subject="epoch",
        object_id=epoch.pk,
        detail="merged" if into else "split",
    )
    return touched


@transaction.atomic
def epoch_split(
    *, actor: "Actor", epoch: ScannerEpoch, starts_on: date
) -> tuple[ScannerEpoch, list[UUID]]:
    """Begin a new epoch on a day within another one: what the header does not tell.

    Scans of that day and later move to it, later uploads follow. It is taken back by declaring
    the two comparable.

    Returns
    -------
    ScannerEpoch, list of UUID
        The new epoch, and the patients whose divergence the doorway has to have recomputed.

    Raises
    ------
    ValidationError
        If the epoch does not stand for itself or all its scans lie on one side of the day.
    """
    clinic = epoch.scanner.clinic
    require_grant(actor, clinic, Grant.EPOCHS_ACT)
    if epoch.merged_into_id is not None:
        raise ValidationError("This epoch stands for another one; take that back first.")
    later = epoch.scans.filter(session__visit__date__gte=starts_on)
    if not later.exists() or later.count() == epoch.scans.count():
        raise ValidationError(
            f"All scans of this epoch lie on one side of {starts_on.isoformat()}; choose a day "
            "between two of them."
        )
    part = ScannerEpoch.objects.create(
        scanner=epoch.scanner,
        software=epoch.software,
        protocol=f"{epoch.protocol[:100]}, from {starts_on.isoformat()}",
        fingerprint=_fingerprint(epoch.fingerprint, starts_on),
        split_from=epoch,
        starts_on=starts_on,
    )
    later.update(epoch=part)
    touched = _touch(part)
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CHANGE,
        subject="epoch",
        object_id=epoch.pk,
        detail=f"begun anew on {starts_on.isoformat()}",
    )
    return part, touched


def _touch(epoch: ScannerEpoch) -> list[UUID]:
    """Note that the scans of an epoch count differently; return their patients."""
    held = Patient.objects.filter(visits__sessions__scans__epoch=epoch)
    touched = list(held.distinct().values_list("pk", flat=True))
    now = timezone.now()
    Patient.objects.filter(pk__in=touched).update(facts_changed_at=now, updated_at=now)
    epoch.scans.update(updated_at=now)  # registries pull these scans with their new epoch
    return touched
