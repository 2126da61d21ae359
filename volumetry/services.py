"""Writes: request, claim, record and heal measurement runs.

No transaction spans a computation: `run_claim` (one UPDATE), the measurement (none open),
`run_succeed` or `run_fail` (atomic). ``attempt`` is the fencing token: a worker that was given
up for dead stores nothing when it wakes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files import File
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from volumetry.core.errors import VolumetryError
from volumetry.core.types import (
    VolumetryResult,
)
from volumetry.engines.registry import MASK_METHODS, METHODS, PAIR_METHODS
from volumetry.measuring import run_measure
from volumetry.models import (
    Measurement,
    QualityResult,
    RunFile,
    SourceImage,
    Status,
    VolumetryRun,
)
from volumetry.signals import run_finished

log = structlog.get_logger(__name__)


class UnknownMethod(ValueError):
    """The method asked for is not one that this deployment enables."""


def parameters_digest(parameters: Mapping[str, object]) -> str:
    """Return the SHA-256 of canonical JSON, the identity of a request."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def image_store(
    *,
    path: Path,
    sha256: str,
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    axcodes: str,
    is_synthetic: bool = False,
) -> SourceImage:
    """Move a clean NIfTI file into storage and record what its header says.

    If the row cannot be stored, the file is removed again; a caller whose transaction fails
    later removes it itself.
    """
    image = SourceImage(
        sha256=sha256,
        shape=list(shape),
        spacing_mm=[round(float(side), 6) for side in spacing_mm],
        axcodes=axcodes,
        is_synthetic=is_synthetic,
    )
    with path.open("rb") as stream:
        image.file.save("image.nii.gz", File(stream), save=False)
    try:
        image.save(force_insert=True)
    except BaseException:
        image.file.delete(save=False)
        raise
    return image


@transaction.atomic
def run_request(
    *,
    image: SourceImage,
    method: str,
    parameters: Mapping[str, object] | None = None,
    before: SourceImage | None = None,
    is_background: bool = False,
) -> VolumetryRun:
    """Ask for a measurement; a second request for the same one returns the active run.

    With ``before`` the method is one for pairs and measures the change from it to ``image``.
    """
    known = METHODS | MASK_METHODS if before is None else PAIR_METHODS
    if method not in known:
        raise UnknownMethod(f"{method} is not a method of this installation.")
    asked = dict(parameters or {})
    run, _created = VolumetryRun.objects.get_or_create(
        image=image,
        before=before,
        method=method,
        method_version=known[method].version,
        parameters_digest=parameters_digest(asked),
        status__in=[Status.QUEUED, Status.RUNNING],
        defaults={
            "parameters": asked,
            "status": Status.QUEUED,
            "is_background": is_background,
        },
    )
    return run


def run_next(run_id: UUID) -> UUID:
    """Return the run to measure when the bell rings for one: a more urgent one that waits.

    A scan that was just uploaded goes before changes between scans and before a clinic that is
    measured once more; a broker's queue knows no such order.
    """
    urgent = VolumetryRun.objects.filter(
        status=Status.QUEUED, before__isnull=True, is_background=False
    )
    if urgent.filter(pk=run_id).exists():
        return run_id
    if not VolumetryRun.objects.filter(pk=run_id, status=Status.QUEUED).exists():
        return run_id
    return urgent.order_by("created_at").values_list("pk", flat=True).first() or run_id


def run_claim(run_id: UUID) -> VolumetryRun | None:
    """Take a queued run, or return None because another worker already did."""
    now = timezone.now()
    claimed = VolumetryRun.objects.filter(pk=run_id, status=Status.QUEUED).update(
        status=Status.RUNNING, attempt=F("attempt") + 1, heartbeat_at=now, started_at=now
    )
    if not claimed:
        return None
    return VolumetryRun.objects.select_related("image", "before").get(pk=run_id)


def run_step(run: VolumetryRun, step: str) -> None:
    """Say what the worker is doing now, as long as it still holds the run."""
    VolumetryRun.objects.filter(pk=run.pk, status=Status.RUNNING, attempt=run.attempt).update(
        step=step
    )


def run_succeed(run: VolumetryRun, result: VolumetryResult) -> bool:
    """Record measures, quality and files and close the run, together or not at all.

    Returns False, and stores nothing, when the run was taken from this worker meanwhile.
    """
    stored: list[RunFile] = []
    try:
        with transaction.atomic():
            if not _close(
                run,
                status=Status.SUCCEEDED,
                outcome=result.outcome.value,
                reason=result.reason or "",
                seconds=result.seconds,
                provenance={**asdict(result.provenance), "source": source_facts(run.image)},
                # What measured it, not what was installed when it was asked for.
                method_version=result.provenance.version,
            ):
                return False
            Measurement.objects.bulk_create(
                Measurement(
                    run=run,
                    structure=measure.structure.value,
                    quantity=measure.quantity.value,
                    value=measure.value,
                    unit=measure.unit.value,
                    standard_error=measure.standard_error,
                )
                for measure in result.measures
            )
            QualityResult.objects.bulk_create(
                QualityResult(
                    run=run,
                    name=check.name,
                    value=check.value,
                    limit=check.limit,
                    verdict=check.verdict.value,
                    sentence=check.sentence,
                )
                for check in result.quality
            )
            for name, path in result.files.items():
                stored.append(_store_file(run, name, path))
            run.refresh_from_db()
            run_finished.send(sender=VolumetryRun, run=run)
    except BaseException:
        for file in stored:
            file.file.delete(save=False)
        raise
    return True


def _store_file(run: VolumetryRun, name: str, path: Path) -> RunFile:
    """Store one file of a run under a random name."""
    file = RunFile(run=run, name=name)
    with path.open("rb") as stream:
        file.file.save(name, File(stream), save=False)
    file.save()
    return file


def source_facts(image: SourceImage) -> dict[str, object]:
    """Return what was uploaded and what became of it before it was measured.

    The provenance's own ``image_sha256`` is the hash of the pixels that were measured.
    """
    return {
        "uploaded_sha256": image.sha256,
        "face": image.face,
        "face_rule": image.face_rule,
    }


def run_fail(run: VolumetryRun, reason: str) -> bool:
    """Close the run with a sentence for the clinic; False when it was taken meanwhile."""
    with transaction.atomic():
        if not _close(run, status=Status.FAILED, reason=reason):
            return False
        run.refresh_from_db()
        run_finished.send(sender=VolumetryRun, run=run)
    return True


def run_release(run: VolumetryRun, reason: str) -> bool:
    """Give a run back after a transient error, or fail it after the last attempt."""
    if run.attempt >= settings.RUN_MAX_ATTEMPTS:
        return run_fail(
            run, f"{reason} It was tried {run.attempt} times; tell your administrator."
        )
    released = VolumetryRun.objects.filter(
        pk=run.pk, status=Status.RUNNING, attempt=run.attempt
    ).update(status=Status.QUEUED, heartbeat_at=None, step="")
    return bool(released)


def run_cancel(run: VolumetryRun) -> bool:
    """Cancel a run that has not begun; False when it already has."""
    cancelled = VolumetryRun.objects.filter(pk=run.pk, status=Status.QUEUED).update(
        status=Status.CANCELLED, finished_at=timezone.now()
    )
    return bool(cancelled)


def _close(run: VolumetryRun, **fields: object) -> bool:
    """End the run if this worker still holds it."""
    return bool(
        VolumetryRun.objects.filter(
            pk=run.pk, status=Status.RUNNING, attempt=run.attempt
        ).update(finished_at=timezone.now(), step="", **fields)
    )


@contextmanager
def heartbeat(run: VolumetryRun) -> Iterator[None]:
    """Tell the database every few seconds that the worker lives, from a thread of its own."""
    stop = Event()

    def beat() -> None:
        while not stop.wait(settings.RUN_HEARTBEAT_SECONDS):
            VolumetryRun.objects.filter(
                pk=run.pk, status=Status.RUNNING, attempt=run.attempt
            ).update(heartbeat_at=timezone.now())
        connection.close()

    thread = Thread(target=beat, name=f"heartbeat-{run.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def run_execute(run_id: UUID) -> bool:
    """Claim, measure and record one run; False when there was nothing to do.

    A permanent error closes the run with its sentence. Anything else gives the run back and is
    raised for the log.
    """
    run = run_claim(run_id)
    if run is None:
        return False
    log.info("run_started", run=str(run.pk), method=run.method, attempt=run.attempt)
    with TemporaryDirectory(dir=settings.SCRATCH_ROOT, prefix="run-") as folder:
        try:
            with heartbeat(run):
                result = run_measure(run, workdir=Path(folder), say=partial(run_step, run))
            run_step(run, "Step 3 of 3: storing numbers and pictures.")
            done = run_succeed(run, result)
        except VolumetryError as error:
            done = run_fail(run, str(error))
        except Exception:
            run_release(run, "The measurement stopped because of a fault of the server.")
            raise
    log.info("run_finished", run=str(run.pk), stored=done)
    return done


def runs_sweep() -> list[UUID]:
    """Heal what a lost message or a killed worker left; return the runs to send again."""
    now = timezone.now()
    stale = now - timedelta(seconds=settings.RUN_STALE_SECONDS)
    for run in VolumetryRun.objects.filter(status=Status.RUNNING, heartbeat_at__lt=stale):
        # A beat in between saves the run: the condition is asked again by the UPDATE.
        held = Q(pk=run.pk, status=Status.RUNNING, attempt=run.attempt, heartbeat_at__lt=stale)
        if run.attempt >= settings.RUN_MAX_ATTEMPTS:
            reason = "The measurement was interrupted three times; tell your administrator."
            with transaction.atomic():
                if VolumetryRun.objects.filter(held).update(
                    status=Status.FAILED, reason=reason, finished_at=now
                ):
                    run.refresh_from_db()
                    run_finished.send(sender=VolumetryRun, run=run)
        else:
            VolumetryRun.objects.filter(held).update(
                status=Status.QUEUED, heartbeat_at=None, sent_at=None, step=""
            )
    unsent = now - timedelta(seconds=settings.RUN_RESEND_SECONDS)
    waiting = (
        VolumetryRun.objects.filter(status=Status.QUEUED)
        .filter(Q(sent_at__isnull=True) | Q(sent_at__lt=unsent))
        .order_by("created_at")
    )
    ids = list(waiting.filter(is_background=False).values_list("pk", flat=True))
    ids += waiting.filter(is_background=True).values_list("pk", flat=True)[
        : _background_room(unsent)
    ]
    VolumetryRun.objects.filter(pk__in=ids, status=Status.QUEUED).update(sent_at=now)
    return ids


def _background_room(unsent: datetime) -> int:
    """Return for how many more background runs the worker may be rung.

    A queue is first come, first served: were a whole clinic rung for at once, the scan of a
    visit would wait behind all of it.
    """
    sent = VolumetryRun.objects.filter(is_background=True).filter(
        Q(status=Status.RUNNING) | Q(status=Status.QUEUED, sent_at__gte=unsent)
    )
    return max(0, settings.RUN_BACKGROUND_AT_ONCE - sent.count())


def run_mark_sent(run_id: UUID) -> None:
    """Remember when the doorbell was rung for a run."""
    VolumetryRun.objects.filter(pk=run_id, status=Status.QUEUED).update(sent_at=timezone.now())
