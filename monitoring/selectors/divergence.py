"""Reads about divergence estimates."""

from uuid import UUID

from django.db.models import F, Q

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
