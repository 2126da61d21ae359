"""The one door to patient-bound objects: fetch by what the actor may see, and write it down.

Strangers get "not found" (they must not learn that the object exists), members without the
role get "forbidden".
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import Http404

from monitoring.models import (
    AuditEntry,
    Clinic,
    Delivery,
    Grant,
    Patient,
    Scan,
    UploadDraft,
)
from monitoring.services.audit import audit_record
from volumetry.models import VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def patient_open(
    actor: "Actor",
    pk: UUID,
    *,
    grant: Grant,
    subject: str = "patient",
    action: AuditEntry.Action = AuditEntry.Action.READ,
) -> Patient:
    """Return a patient that the actor may see, and audit the read.

    Raises
    ------
    Http404
        If no patient of the actor's clinics has this id.
    PermissionDenied
        If the actor's roles in that clinic do not hold ``grant``.
    """
    granted = Clinic.objects.visible_to(actor, grant=grant).filter(pk=OuterRef("clinic"))
    visible = Patient.objects.visible_to(actor).filter(pk=pk).select_related("clinic")
    patient = visible.annotate(is_granted=Exists(granted)).first()
    if patient is None:
        raise Http404("No such patient in your clinics.")
    if not patient.is_granted:  # type: ignore[attr-defined]  # the annotation above
        raise PermissionDenied(f"Your role may not {grant.label}.")
    audit_record(
        actor=actor,
        clinic=patient.clinic,
        action=action,
        subject=subject,
        object_id=patient.pk,
        pseudonym=patient.pseudonym,
    )
    return patient


def scan_open(
    actor: "Actor",
    pk: UUID,
    *,
    grant: Grant,
    action: AuditEntry.Action = AuditEntry.Action.READ,
    detail: str = "",
) -> Scan:
    """Return a scan that the actor may see, and audit the read; errors as `patient_open`."""
    visible = Scan.objects.select_related(
        "clinic", "image", "epoch__scanner", "session__visit__patient"
    ).filter(pk=pk)
    scan = visible.visible_to(actor).first()
    if scan is None:
        raise Http404("No such scan in your clinics.")
    if not visible.visible_to(actor, grant=grant).exists():
        raise PermissionDenied(f"Your role may not {grant.label}.")
    audit_record(
        actor=actor,
        clinic=scan.clinic,
        action=action,
        subject="scan",
        object_id=scan.pk,
        pseudonym=scan.session.visit.patient.pseudonym,
        detail=detail,
    )
    return scan


def run_open(
    actor: "Actor", pk: UUID, *, grant: Grant, detail: str = ""
) -> tuple[VolumetryRun, Scan]:
    """Return a run and its scan, and audit the read; errors as `patient_open`."""
    run = VolumetryRun.objects.select_related("image__scan").filter(pk=pk).first()
    if run is None or not hasattr(run.image, "scan"):
        raise Http404("No such run in your clinics.")
    scan = scan_open(actor, run.image.scan.pk, grant=grant, detail=detail or f"run {run.pk}")
    return run, scan


def run_glance(actor: "Actor", pk: UUID, *, grant: Grant) -> tuple[VolumetryRun, Scan]:
    """Return a run for its state alone; errors as `patient_open`.

    A page that asks again every two seconds would drown the audit trail; it was written down
    when the page was opened, and a state is no clinical value.
    """
    run = VolumetryRun.objects.select_related("image__scan__clinic").filter(pk=pk).first()
    if run is None or not hasattr(run.image, "scan"):
        raise Http404("No such run in your clinics.")
    _require(actor, run.image.scan.clinic, grant=grant, what="run")
    return run, run.image.scan


def draft_open(actor: "Actor", pk: UUID, *, grant: Grant) -> UploadDraft:
    """Return an upload of the actor's clinics; errors as `patient_open`."""
    draft = UploadDraft.objects.select_related("clinic", "patient").filter(pk=pk).first()
    if draft is None:
        raise Http404("No such upload in your clinics.")
    _require(actor, draft.clinic, grant=grant, what="upload")
    return draft


def delivery_open(actor: "Actor", pk: UUID, *, grant: Grant) -> Delivery:
    """Return files on their way into a clinic of the actor; errors as `patient_open`."""
    delivery = Delivery.objects.select_related("clinic", "patient").filter(pk=pk).first()
    if delivery is None:
        raise Http404("No such upload in your clinics.")
    _require(actor, delivery.clinic, grant=grant, what="upload")
    return delivery


def _require(actor: "Actor", clinic: Clinic, *, grant: Grant, what: str) -> None:
    """Raise unless the actor holds the grant in a clinic of the actor's own."""
    if not Clinic.objects.visible_to(actor).filter(pk=clinic.pk).exists():
        raise Http404(f"No such {what} in your clinics.")
    if not Clinic.objects.visible_to(actor, grant=grant).filter(pk=clinic.pk).exists():
        raise PermissionDenied(f"Your role may not {grant.label}.")
