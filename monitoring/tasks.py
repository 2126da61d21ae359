"""Doorways of the worker on the record's side."""

from functools import partial
from typing import Any
from uuid import UUID

import structlog
from celery import Task, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from monitoring.selectors.divergence import patients_out_of_date
from monitoring.services import (
    cohorts,
    deliveries,
    divergence,
    idempotency,
    pairs,
    parameters,
    uploads,
)
from volumetry.storage import orphans_sweep
from volumetry.tasks import run_enqueue

log = structlog.get_logger(__name__)


@shared_task(name="monitoring.tasks.divergence_refresh")
def divergence_refresh(patient_id: str) -> None:
    """Recompute one patient's divergence, and ask for the changes that are missing."""
    _patient_refresh(UUID(patient_id))


@shared_task(name="monitoring.tasks.divergence_sweep")
def divergence_sweep() -> None:
    """Recompute patients whose facts are newer than their estimate."""
    for patient_id in patients_out_of_date():
        _patient_refresh(patient_id)


def _patient_refresh(patient_id: UUID) -> None:
    """Do what follows a changed fact: pairs first, so that the statement closes the round."""
    for run in pairs.pairs_ensure(patient_id):
        run_enqueue(run.pk)
    divergence.divergence_refresh(patient_id)


@shared_task(name="monitoring.tasks.clinic_refresh")
def clinic_refresh(clinic_id: str) -> None:
    """Recompute everybody of a clinic who is out of date; the sweep does what is left."""
    for patient_id in patients_out_of_date(clinic_id=UUID(clinic_id), limit=None):
        _patient_refresh(patient_id)


@shared_task(name="monitoring.tasks.proposal_compute")
def proposal_compute(proposal_id: str) -> None:
    """Compute one proposal of parameters."""
    parameters.proposal_compute(UUID(proposal_id))


@shared_task(name="monitoring.tasks.proposals_sweep")
def proposals_sweep() -> None:
    """Give up proposals of dead workers, and begin those whose doorbell was lost."""
    for proposal_id in parameters.proposals_sweep():
        parameters.proposal_compute(proposal_id)


@shared_task(name="monitoring.tasks.drafts_sweep")
def drafts_sweep() -> None:
    """Discard uploads that nobody confirmed, files that no row knows, and old answers."""
    deliveries.deliveries_sweep()
    uploads.drafts_sweep()
    idempotency.answers_sweep()
    orphans_sweep()


@shared_task(name="monitoring.tasks.cohort_analyse")
def cohort_analyse(analysis_id: str) -> None:
    """Compute one cohort analysis."""
    cohorts.analysis_execute(UUID(analysis_id))


@shared_task(name="monitoring.tasks.cohorts_sweep")
def cohorts_sweep() -> None:
    """Send analyses again that a lost message or a killed worker left."""
    for analysis_id in cohorts.analyses_sweep():
        cohort_analyse.delay(str(analysis_id))


def cohort_send(analysis_id: UUID) -> None:
    """Ring the doorbell for an analysis; the sweep heals what is lost."""
    _send(cohort_analyse, analysis_id)


def divergence_send(patient_id: UUID) -> None:
    """Ring the doorbell; the sweep heals what a broker that is away loses."""
    _send(divergence_refresh, patient_id)


def divergence_enqueue(patient_id: UUID) -> None:
    """Ring the doorbell once the current transaction is committed."""
    transaction.on_commit(partial(divergence_send, patient_id), robust=True)


def clinic_refresh_enqueue(clinic_id: UUID) -> None:
    """Ring for a whole clinic once the current transaction is committed."""
    transaction.on_commit(partial(_send, clinic_refresh, clinic_id), robust=True)


def proposal_enqueue(proposal_id: UUID) -> None:
    """Ring for a proposal once the current transaction is committed."""
    transaction.on_commit(partial(_send, proposal_compute, proposal_id), robust=True)


def _send(task: Task[Any, None], pk: UUID) -> None:
    try:
        task.delay(str(pk))
    except (OperationalError, OSError):
        log.warning("broker_away", task=task.name)
