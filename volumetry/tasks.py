"""Doorways of the worker: each message carries an id only."""

from functools import partial
from uuid import UUID

import structlog
from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

from volumetry import faces, services

log = structlog.get_logger(__name__)


@shared_task(name="volumetry.tasks.run_execute")
def run_execute(run_id: str) -> None:
    """Measure one run; what a visit waits for goes first, then this one is rung for again."""
    asked = UUID(run_id)
    first = services.run_next(asked)
    services.run_execute(first)
    if first != asked:
        run_send(asked)


@shared_task(name="volumetry.tasks.runs_sweep")
def runs_sweep() -> None:
    """Ring again for runs that nobody took, and take runs back from dead workers."""
    for run_id in services.runs_sweep():
        run_send(run_id)


@shared_task(name="volumetry.tasks.faces_sweep")
def faces_sweep() -> None:
    """Remove faces that no run removed, and originals that a killed worker left."""
    faces.faces_sweep()
    faces.originals_sweep()


def run_send(run_id: UUID) -> None:
    """Ring the doorbell; a broker that is away loses nothing, the sweep rings again."""
    try:
        run_execute.delay(str(run_id))
    except (OperationalError, OSError):
        log.warning("broker_away", run=str(run_id))
        return
    services.run_mark_sent(run_id)


def run_enqueue(run_id: UUID) -> None:
    """Ring the doorbell once the current transaction is committed."""
    transaction.on_commit(partial(run_send, run_id), robust=True)
