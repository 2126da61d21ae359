"""Acknowledge changes of level."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.models import AuditEntry, Flag, Grant
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant
from monitoring.services.worklist import worklist_refresh

if TYPE_CHECKING:
    from monitoring.models.people import Actor


@transaction.atomic
def flag_acknowledge(
    *, actor: "Actor", flag: Flag, reason: str, is_dismissed: bool = False
) -> Flag:
    """Note that a person saw a change of level and what they made of it; once only.

    A dismissed change was seen and not believed. The level itself stays what the scans say:
    who doubts a scan rejects it in its review.

    Raises
    ------
    ValidationError
        Without a reason, or when somebody acknowledged it meanwhile.
    """
    clinic = flag.patient.clinic
    require_grant(actor, clinic, Grant.FLAG_ACT)
    words = reason.strip()
    if not words:
        raise ValidationError({"reason": "Say what you made of it."})
    changed = Flag.objects.filter(pk=flag.pk, acknowledged_at__isnull=True).update(
        acknowledged_by=actor if isinstance(actor, User) else None,
        acknowledged_at=timezone.now(),
        acknowledgement=words,
        is_dismissed=is_dismissed,
        updated_at=timezone.now(),
    )
    if not changed:
        raise ValidationError("Somebody acknowledged this change meanwhile; reload the page.")
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CHANGE,
        subject="flag",
        object_id=flag.pk,
        pseudonym=flag.patient.pseudonym,
        detail="dismissed" if is_dismissed else "acknowledged",
    )
    worklist_refresh(flag.patient)
    flag.refresh_from_db()
    return flag
