"""Reads of the audit trail: the own one for everybody, the clinic's for administrators."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from monitoring.models import AuditEntry, Clinic, Grant

if TYPE_CHECKING:
    from monitoring.models.people import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """What is looked for."""

    text: str = ""
    action: str = ""
    since: date | None = None
    until: date | None = None


def audit_trail(
    actor: "Actor", clinic: Clinic, query: AuditQuery, *, own: bool
) -> QuerySet[AuditEntry]:
    """Return what was done in a clinic, newest first.

    Without the grant to administer, or with ``own``, only the actor's own acts.
    """
    trail = AuditEntry.objects.filter(clinic=clinic).select_related("actor", "token")
    administers = Clinic.objects.visible_to(actor, grant=Grant.ADMINISTER)
    if own or not administers.filter(pk=clinic.pk).exists():
        trail = trail.filter(actor=actor) if isinstance(actor, User) else trail.none()
    if query.text:
        trail = trail.filter(
            Q(pseudonym__istartswith=query.text)
            | Q(actor__username__istartswith=query.text)
            | Q(token__name__istartswith=query.text)
            | Q(subject__icontains=query.text)
            | Q(detail__icontains=query.text)
            | Q(object_id__istartswith=query.text)
        )
    if query.action:
        trail = trail.filter(action=query.action)
    if query.since:
        trail = trail.filter(at__date__gte=query.since)
    if query.until:
        trail = trail.filter(at__date__lte=query.until)
    return trail.order_by("-at", "-id")
