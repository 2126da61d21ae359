"""Write verdicts, landmarks and repeated measurements."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from monitoring.models import AuditEntry, Grant, Review, Scan
from monitoring.services.audit import audit_record
from monitoring.services.clinical import scan_touch
from monitoring.services.patients import require_grant
from volumetry.models import Outcome, Status, VolumetryRun
from volumetry.services import run_cancel, run_request

if TYPE_CHECKING:
    from monitoring.models.people import Actor


@transaction.atomic
def measurement_review(
    *,
    actor: "Actor",
    run: VolumetryRun,
    verdict: str,
    reason: str = "",
    note: str = "",
    seen_review: int | None = None,
) -> Review:
    """Record a person's verdict on what a run measured. Append-only; the latest counts.

    Parameters
    ----------
    seen_review : int or None
        The latest verdict that the person had before the eyes; when somebody else gave one
        meanwhile, the person sees it before the own one is stored.

    Raises
    ------
    ValidationError
        If there is nothing to judge, or a rejection without its reason.
    """
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.REVIEW_WRITE)
    VolumetryRun.objects.select_for_update().get(pk=run.pk)
    if run.status != Status.SUCCEEDED or run.outcome == Outcome.REFUSED:
        raise ValidationError("This run measured nothing that could be judged.")
    latest = run.reviews.last()
    if latest is not None and latest.pk != seen_review:
        raise ValidationError(
            f"{latest.reviewer or 'Somebody'} {latest.get_verdict_display().lower()} this "
            "measurement meanwhile; look at that verdict before you give yours."
        )
    review = Review(
        run=run,
        verdict=verdict,
        reason=reason if verdict == Review.Verdict.REJECTED else "",
        note=note.strip(),
        reviewer=actor if isinstance(actor, User) else None,
    )
    review.clean_fields(exclude=["reviewer"])
    if verdict == Review.Verdict.REJECTED and not reason:
        raise ValidationError({"reason": "Say why the measurement is rejected."})
    if review.reason == Review.Reason.OTHER and not review.note:
        raise ValidationError({"note": "Say in a note why the measurement is rejected."})
    review.save()
    scan_touch(scan)
    _audit(actor, scan, AuditEntry.Action.REVIEW, f"{verdict} run {run.pk}")
    return review


@transaction.atomic
def landmark_place(
    *, actor: "Actor", run: VolumetryRun, kind: str, point_mm: tuple[float, float, float]
) -> VolumetryRun:
    """Place a landmark or a point on the cord; return the new run that measures with it.

    ``kind`` is ``pmj``, ``c2c3`` or ``hint`` (a point on the cord). What the earlier run knew
    (contrast, an earlier landmark) is kept.
    """
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.REVIEW_WRITE)
    point = [round(float(value), 2) for value in point_mm]
    parameters = dict(run.parameters)
    if kind == "hint":
        parameters["hint_mm"] = point
    elif kind in {"pmj", "c2c3"}:
        parameters["landmark"] = {"kind": kind, "point_mm": point}
        parameters["landmark_by"] = "person"
    else:
        raise ValidationError("A landmark is the pontomedullary junction or the C2-C3 disc.")
    new = run_request(image=run.image, method=run.method, parameters=parameters)
    _audit(actor, scan, AuditEntry.Action.CHANGE, f"landmark {kind}, run {new.pk}")
    return new


@transaction.atomic
def run_repeat(*, actor: "Actor", run: VolumetryRun) -> VolumetryRun:
    """Measure once more with the same request: a new run beside the old one."""
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.RUN_ACT)
    if run.status not in {Status.FAILED, Status.CANCELLED}:
        raise ValidationError("Only a failed or cancelled run is tried again.")
    new = run_request(
        image=run.image, method=run.method, parameters=run.parameters, before=run.before
    )
    _audit(actor, scan, AuditEntry.Action.CHANGE, f"run {new.pk} repeats {run.pk}")
    return new


def run_withdraw(*, actor: "Actor", run: VolumetryRun) -> None:
    """Cancel a run that still waits."""
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.RUN_ACT)
    if not run_cancel(run):
        raise ValidationError("This run has already begun; wait for its end.")
    _audit(actor, scan, AuditEntry.Action.CHANGE, f"run {run.pk} cancelled")


def _audit(actor: "Actor", scan: Scan, action: AuditEntry.Action, detail: str) -> None:
    """Write down an act on a scan."""
    audit_record(
        actor=actor,
        clinic=scan.clinic,
        action=action,
        subject="scan",
        object_id=scan.pk,
        pseudonym=scan.session.visit.patient.pseudonym,
        detail=detail,
    )
