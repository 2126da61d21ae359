"""Save cohorts, and compute what the page shows: claimed, in steps, stored once."""

import time
import zlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from monitoring.core.cohort.analysis import ANALYSIS_VERSION, analyse
from monitoring.core.cohort.definition import Definition, definition_from_json
from monitoring.core.cohort.external import Reference, read_reference
from monitoring.core.errors import InvalidTable, MonitoringError
from monitoring.models import (
    AuditEntry,
    Clinic,
    CohortAnalysis,
    CohortDefinition,
    Grant,
)
from monitoring.selectors.cohort_data import cohort_of, data_version
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant

if TYPE_CHECKING:
    from monitoring.models.people import Actor

log = structlog.get_logger(__name__)

STALE = timedelta(minutes=10)
"""Without a sign of life a worker is given up; the longest step, reading, is far shorter."""
RESEND = timedelta(minutes=2)
ATTEMPTS = 3
KEPT_DAYS = 2
"""Results of definitions that nobody saved are kept so long after newer data replaced them."""


@transaction.atomic
def definition_save(
    *, actor: "Actor", clinic: Clinic, name: str, definition: Definition
) -> CohortDefinition:
    """Save a cohort under a name.

    Raises
    ------
    ValidationError
        Where the name is empty or taken.
    """
    require_grant(actor, clinic, Grant.COHORT_WRITE)
    saved = CohortDefinition(
        clinic=clinic,
        name=name.strip(),
        fields=definition.to_json(),
        digest=definition.digest,
        created_by=actor if isinstance(actor, User) else None,
    )
    saved.full_clean(exclude=["created_by"])
    saved.save()
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CREATE,
        subject="cohort definition",
        object_id=saved.pk,
        detail=f"sha256 {saved.digest[:16]}",
    )
    return saved


def analysis_request(
    *, actor: "Actor", clinic: Clinic, definition: Definition
) -> tuple[CohortAnalysis, bool]:
    """Return the analysis of the data of this moment, and whether a worker must be woken."""
    require_grant(actor, clinic, Grant.COHORT_READ)
    analysis, is_new = CohortAnalysis.objects.defer("rows", "inputs").get_or_create(
        clinic=clinic,
        digest=definition.digest,
        data_version=data_version(clinic),
        analysis_version=ANALYSIS_VERSION,
        defaults={"fields": definition.to_json()},
    )
    return analysis, is_new


def analysis_retry(analysis: CohortAnalysis) -> bool:
    """Queue a failed analysis again; say whether it was one."""
    failed = CohortAnalysis.objects.filter(
        pk=analysis.pk, status=CohortAnalysis.Status.FAILED
    ).update(status=CohortAnalysis.Status.QUEUED, attempt=0, error="", percent=0, step="")
    return bool(failed)


def analysis_execute(pk: UUID) -> None:
    """Claim and compute; a second message or a second worker changes nothing."""
    status = CohortAnalysis.Status
    claimed = CohortAnalysis.objects.filter(pk=pk, status=status.QUEUED).update(
        status=status.RUNNING,
        attempt=F("attempt") + 1,
        heartbeat_at=timezone.now(),
        percent=1,
        step="Reading the clinic's data",
    )
    if not claimed:
        return
    light = CohortAnalysis.objects.select_related("clinic").defer("rows", "inputs", "result")
    analysis = light.get(pk=pk)
    mine = CohortAnalysis.objects.filter(pk=pk, status=status.RUNNING, attempt=analysis.attempt)

    def progress(percent: int, step: str) -> None:
        mine.update(percent=percent, step=step, heartbeat_at=timezone.now())

    began = time.monotonic()
    try:
        cohort = cohort_of(analysis.clinic)
        result = analyse(
            cohort,
            definition_from_json(analysis.fields),
            progress=progress,
            references=references_load,
        )
    except MonitoringError as error:
        mine.update(status=status.FAILED, error=str(error), finished_at=timezone.now())
        return
    except Exception:
        mine.update(
            status=status.FAILED,
            error="The analysis broke off. Try again; if it happens again, tell your "
            f"administrator this number: {analysis.pk}.",
            finished_at=timezone.now(),
        )
        raise
    rows = result.pop("rows")
    inputs = orjson.dumps(result.pop("inputs"), option=orjson.OPT_SERIALIZE_NUMPY)
    mine.update(
        inputs=zlib.compress(inputs, level=1),
        status=status.SUCCEEDED,
        percent=100,
        step="",
        result=result,
        rows=rows,
        finished_at=timezone.now(),
        seconds=round(time.monotonic() - began, 2),
    )
    log.info("cohort_computed", analysis=str(pk), seconds=round(time.monotonic() - began, 1))


def references_load() -> list[Reference]:
    """Return the external reference of cord area, if the installation names a table.

    Raises
    ------
    InvalidTable
        Where the file is not there or no such table.
    """
    named = settings.COHORT_REFERENCE
    return reference_read(Path(named)) if named else []


def reference_read(path: Path) -> list[Reference]:
    """Return the reference that a file holds; errors as `references_load`."""
    try:
        return read_reference(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTable(
            f"The external reference “{path.name}” cannot be read: ask your administrator to "
            "look at the setting COHORT_REFERENCE."
        ) from error


def analyses_sweep() -> list[UUID]:
    """Give up silent workers, forget replaced results, return what must be sent again."""
    now, status = timezone.now(), CohortAnalysis.Status
    silent = CohortAnalysis.objects.filter(status=status.RUNNING, heartbeat_at__lt=now - STALE)
    silent.filter(attempt__gte=ATTEMPTS).update(
        status=status.FAILED,
        finished_at=now,
        error="The analysis was broken off three times, perhaps for lack of memory.",
    )
    silent.update(status=status.QUEUED, updated_at=now - RESEND)
    saved = CohortDefinition.objects.values("digest")
    newest = (
        CohortAnalysis.objects.filter(status=status.SUCCEEDED)
        .order_by("clinic_id", "digest", "-created_at")
        .values_list("clinic_id", "digest", "pk")
    )
    keep: dict[tuple[UUID, str], UUID] = {}
    for clinic, digest, pk in newest:
        keep.setdefault((clinic, digest), pk)
    old = Q(created_at__lt=now - timedelta(days=KEPT_DAYS))
    CohortAnalysis.objects.filter(old).exclude(pk__in=keep.values()).exclude(
        digest__in=saved
    ).delete()
    waiting = CohortAnalysis.objects.filter(status=status.QUEUED, updated_at__lte=now - RESEND)
    return list(waiting.values_list("pk", flat=True)[:50])
