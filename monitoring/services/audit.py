"""The audit trail: if an act cannot be written down, it does not happen."""

from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.contrib.auth.models import AnonymousUser

from monitoring.models import ApiToken, AuditEntry, Clinic

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def audit_record(
    *,
    actor: "Actor | None",
    clinic: Clinic,
    action: AuditEntry.Action,
    subject: str,
    object_id: UUID | int | str = "",
    pseudonym: str = "",
    detail: str = "",
) -> AuditEntry:
    """Write one line: who did what to which object of which clinic. No clinical value."""
    context = structlog.contextvars.get_contextvars()
    return AuditEntry.objects.create(
        actor=None if isinstance(actor, ApiToken | AnonymousUser | None) else actor,
        token=actor if isinstance(actor, ApiToken) else None,
        clinic=clinic,
        action=action,
        subject=subject,
        object_id=str(object_id),
        pseudonym=pseudonym,
        detail=detail[:200],
        request_id=str(context.get("request_id", ""))[:64],
    )
