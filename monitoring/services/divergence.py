"""Recompute and store a patient's divergence; append-only, idempotent by input digest."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from monitoring.core.divergence import assess_history, assess_patient, inputs_digest
from monitoring.core.errors import MonitoringError
from monitoring.core.parameter_set import MODEL_VERSION, Parameters
from monitoring.core.types import Divergence
from monitoring.models import DivergenceEstimate, Flag, Level, Patient
from monitoring.selectors.divergence import estimate_latest, plain
from monitoring.selectors.observations import (
    event_list,
    observation_list,
    patient_scans,
    point_list,
)
from monitoring.selectors.parameters import set_in_force
from monitoring.services.worklist import worklist_refresh

log = structlog.get_logger(__name__)


def parameters_of(patient: Patient) -> Parameters:
    """Return the parameter set that a patient's clinic adopted."""
    return set_in_force(patient.clinic_id).parameters


def divergence_refresh(patient_id: UUID) -> DivergenceEstimate | None:
    """Recompute from all usable facts; store only when the inputs or the policy are new.

    Returns the estimate that now counts, or None where none can be made.
    """
    patient = Patient.objects.get(pk=patient_id)
    seen = patient.facts_changed_at
    observations = observation_list(point_list(patient_scans(patient)))
    events = event_list(patient)
    parameters = parameters_of(patient)
    try:
        history = assess_history(observations, events, parameters=parameters)
        if not history:  # no usable scan is a statement too: "not yet assessable"
            history = [assess_patient(observations, events, parameters=parameters)]
    except MonitoringError as error:
        log.warning("divergence_not_computed", patient=str(patient.pk))
        _checked(patient, seen, error=str(error))
        worklist_refresh(patient)
        return None
    digest = inputs_digest(observations, events, parameters=parameters)
    with transaction.atomic():
        # One writer per patient: two refreshes at once must not both add an estimate.
        Patient.objects.select_for_update().get(pk=patient.pk)
        estimate = _estimate_store(patient, history, digest=digest, parameters=parameters)
        _checked(patient, seen)
        worklist_refresh(patient)
    return estimate


def _checked(patient: Patient, seen: datetime | None, *, error: str = "") -> None:
    """Note up to which change of the facts the patient was looked at."""
    behind = Patient.objects.filter(pk=patient.pk)
    if seen:
        behind = behind.filter(
            Q(divergence_checked_at__isnull=True) | Q(divergence_checked_at__lte=seen)
        )
    behind.update(divergence_checked_at=seen, divergence_error=error)


def _estimate_store(
    patient: Patient, history: list[Divergence], *, digest: str, parameters: Parameters
) -> DivergenceEstimate:
    """Store the newest statement, with the whole history in its payload, unless it is there."""
    latest = estimate_latest(patient)
    if latest and (latest.input_digest, latest.policy_version) == (digest, MODEL_VERSION):
        return latest
    now = history[-1]
    estimate = DivergenceEstimate(
        patient=patient,
        as_of=now.as_of,
        policy_version=MODEL_VERSION,
        parameters_id=parameters.id,
        input_digest=digest,
        level=now.level.value,
        d_percent_per_year=now.d_percent_per_year,
        d_low=now.d_low,
        d_high=now.d_high,
        p_faster_than_1=now.p_faster_than_1,
        p_change=now.p_change,
        brain_percent_per_year=now.brain_percent_per_year,
        cord_percent_per_year=now.cord_percent_per_year,
        reason=now.reason,
        payload={
            "now": plain(now),
            "history": [plain(past, brief=True) for past in history],
        },
    )
    estimate.save(force_insert=True)
    flag_evaluate(estimate, previous=latest)
    return estimate


def flag_evaluate(
    estimate: DivergenceEstimate, *, previous: DivergenceEstimate | None
) -> Flag | None:
    """Add a flag when the level changed; nothing when it stayed."""
    old = previous.level if previous else Level.INSUFFICIENT.value
    if old == estimate.level:
        return None
    return Flag.objects.create(
        patient=estimate.patient,
        estimate=estimate,
        old_level=old,
        new_level=estimate.level,
        reason=estimate.payload["now"]["sentence"],
        cause=_cause(estimate, previous),
    )


def _cause(estimate: DivergenceEstimate, previous: DivergenceEstimate | None) -> str:
    """Say what changed between two estimates of a patient."""
    if previous is None:
        return "Computed for the first time."
    if previous.policy_version != estimate.policy_version:
        return (
            f"The model {estimate.policy_version} came in place of {previous.policy_version}."
        )
    if previous.parameters_id != estimate.parameters_id:
        return (
            f"The parameter set {estimate.parameters_id} came in place of "
            f"{previous.parameters_id}."
        )
    if estimate.as_of and (previous.as_of is None or estimate.as_of > previous.as_of):
        return f"The scan of {estimate.as_of.isoformat()} was added."
    return "An earlier scan, a reading, a measurement or an event was added or changed."
