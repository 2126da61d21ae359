"""Reads about divergence estimates."""

from dataclasses import asdict
from datetime import date
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from monitoring.core.types import Divergence
from monitoring.models import DivergenceEstimate, Patient


def estimate_latest(patient: Patient) -> DivergenceEstimate | None:
    """Return the newest estimate of a patient."""
    return patient.estimates.order_by("created_at", "id").last()


def patients_out_of_date(
    *, clinic_id: UUID | None = None, limit: int | None = 500
) -> list[UUID]:
    """Return patients whose facts changed after they were last looked at."""
    stale = (
        Patient.objects.filter(facts_changed_at__isnull=False)
        .filter(
            Q(divergence_checked_at__isnull=True)
            | Q(divergence_checked_at__lt=F("facts_changed_at"))
        )
        .order_by("facts_changed_at")
    )
    if clinic_id:
        stale = stale.filter(clinic=clinic_id)
    return list(stale.values_list("pk", flat=True)[:limit])


def plain(statement: Divergence, *, brief: bool = False) -> dict[str, Any]:
    """Return a statement as JSON values; ``brief`` leaves out curves and weights."""
    fields = asdict(statement)
    for heavy in ("posterior", *(("trajectory", "weights") if brief else ())):
        fields.pop(heavy, None)
    fields["context"] = statement.context
    plain_fields: dict[str, Any] = _plain(fields)
    return plain_fields


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case date():
            return value.isoformat()
        case Enum():
            return value.value
        case _:
            return value
