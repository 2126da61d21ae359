"""Take masks that people give for a scan, and measure again with them (docs/adr/0010)."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from monitoring.models import AuditEntry, Grant, Scan
from monitoring.models import Sequence as SequenceClass
from monitoring.selectors.masks import latest_parameters
from monitoring.selectors.people import grants_in
from monitoring.selectors.runs import BRAIN_METHOD, run_region
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant
from volumetry.engines.registry import MASK_METHODS, METHODS
from volumetry.intake.masks import MaskKind, mask_take
from volumetry.intake.types import IntakeRefused, Limits
from volumetry.masks import GIVEN, mask_store, own_mask
from volumetry.models import GivenMask, Status, VolumetryRun
from volumetry.services import run_request

if TYPE_CHECKING:
    from monitoring.models.people import Actor

CORRECTION, MADE_ELSEWHERE = "correction", "made_elsewhere"
METHOD_OF_MASK = {"cord": "mask-cord", "brain": "mask-brain"}
GIVES_LESIONS = frozenset({Grant.UPLOAD, Grant.REVIEW_WRITE})


def outline_give(*, actor: "Actor", run: VolumetryRun, origin: str, file: Path) -> VolumetryRun:
    """Take a mask of what a run outlined; return the run that measures with it.

    A correction stays in the run's own series: the engine measures again and what the reader
    changed is carried over. A mask made elsewhere is measured for itself, by a method of its
    own that no trend follows.

    Raises
    ------
    IntakeRefused
        If the file is no such mask of this scan, in one sentence.
    ValidationError
        If the run has no outline that could be corrected.
    """
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.REVIEW_WRITE)
    region = run_region(run)
    if run.before_id or region not in METHOD_OF_MASK:
        raise ValidationError("A mask is given for a measurement of one scan.")
    if run.method in MASK_METHODS:
        origin = MADE_ELSEWHERE
    corrects = None
    if origin == CORRECTION:
        corrects = _first_outline(run)
        if corrects.status != Status.SUCCEEDED or own_mask(corrects, region) is None:
            raise ValidationError(
                "This run kept no outline, so there is nothing to correct: give the mask as "
                "one made elsewhere."
            )
    elif origin != MADE_ELSEWHERE:
        raise ValidationError(
            "Say whether the mask corrects this outline or is made elsewhere."
        )
    mask = _taken(actor, scan, MaskKind(region), file, corrects=corrects)
    asked = {key: value for key, value in run.parameters.items() if key not in GIVEN}
    if lesions := run.parameters.get("lesions"):
        asked["lesions"] = lesions
    name = "correction" if origin == CORRECTION else "mask"
    asked |= {name: str(mask.pk), f"{name}_sha256": mask.sha256, f"{name}_by": _who(actor)}
    method = run.method if origin == CORRECTION else METHOD_OF_MASK[region]
    return _measured_with(actor, scan, mask, method, asked)


def lesions_require(actor: "Actor", scan: Scan) -> None:
    """Raise PermissionDenied unless the actor uploads or reads scans of the clinic."""
    if not grants_in(actor, scan.clinic) & GIVES_LESIONS:
        raise PermissionDenied(f"Your role may not {Grant.UPLOAD.label}.")


def lesions_give(*, actor: "Actor", scan: Scan, file: Path) -> VolumetryRun:
    """Take the lesion mask of a visit; return the brain run that fills the lesions first.

    Raises
    ------
    IntakeRefused
        If the file is no lesion mask of this scan, in one sentence.
    ValidationError
        If the brain is not measured on this scan.
    """
    lesions_require(actor, scan)
    if BRAIN_METHOD not in METHODS:
        raise ValidationError("This installation does not measure the brain.")
    if scan.sequence not in {SequenceClass.T1, SequenceClass.UNKNOWN}:
        raise ValidationError(
            "Lesions are filled on T1-weighted images. Resample the mask to the visit's T1 "
            "and give it there."
        )
    if not scan.image.file:
        raise ValidationError("This synthetic scan has no image: its numbers were drawn.")
    mask = _taken(actor, scan, MaskKind.LESIONS, file, corrects=None)
    asked = dict(latest_parameters(scan, BRAIN_METHOD))
    asked |= {
        "lesions": str(mask.pk),
        "lesions_sha256": mask.sha256,
        "lesions_by": _who(actor),
    }
    if not scan.measures_brain:
        scan.measures_brain = True
        scan.save(update_fields=["measures_brain", "updated_at"])
    return _measured_with(actor, scan, mask, BRAIN_METHOD, asked)


@transaction.atomic
def masks_withdraw(*, actor: "Actor", run: VolumetryRun) -> VolumetryRun:
    """Measure once more without the masks that a run was given; they stay on record.

    Raises
    ------
    ValidationError
        If the run was given none, or is measured by its mask alone.
    """
    scan = run.image.scan
    require_grant(actor, scan.clinic, Grant.REVIEW_WRITE)
    if run.method in MASK_METHODS or not any(run.parameters.get(name) for name in GIVEN):
        raise ValidationError("This run was measured without a mask.")
    ours = {f"{name}{end}" for name in GIVEN for end in ("", "_sha256", "_by")}
    asked = {key: value for key, value in run.parameters.items() if key not in ours}
    again = run_request(image=run.image, method=run.method, parameters=asked)
    _audit(actor, scan, AuditEntry.Action.CHANGE, f"masks withdrawn, run {again.pk}")
    return again


def _first_outline(run: VolumetryRun) -> VolumetryRun:
    """Return the run whose own outline a chain of corrections began with."""
    given = run.parameters.get("correction")
    if not given:
        return run
    mask = GivenMask.objects.select_related("corrects").filter(pk=str(given)).first()
    return mask.corrects if mask is not None and mask.corrects is not None else run


def _taken(
    actor: "Actor",
    scan: Scan,
    kind: MaskKind,
    file: Path,
    *,
    corrects: VolumetryRun | None,
) -> GivenMask:
    """Pass a file through the door and store it."""
    if not scan.image.file:
        raise IntakeRefused("This synthetic scan has no image, so no mask can lie on it.")
    with TemporaryDirectory(dir=settings.SCRATCH_ROOT, prefix="mask-") as folder:
        clean = mask_take(
            file,
            Path(folder) / "mask.nii.gz",
            scan=Path(scan.image.file.path),
            kind=kind,
            limits=Limits(),
        )
        return mask_store(
            image=scan.image,
            kind=kind.value,
            path=clean.path,
            sha256=clean.sha256,
            corrects=corrects,
            given_by=actor if isinstance(actor, User) else None,
        )


@transaction.atomic
def _measured_with(
    actor: "Actor", scan: Scan, mask: GivenMask, method: str, asked: dict[str, object]
) -> VolumetryRun:
    """Request the run, unless the same was measured already as the newest; write it down."""
    run = run_request(image=scan.image, method=method, parameters=asked)
    _audit(
        actor,
        scan,
        AuditEntry.Action.UPLOAD,
        f"{mask.kind} mask {mask.pk}, SHA-256 {mask.sha256[:12]}, run {run.pk}",
    )
    return run


def _who(actor: "Actor") -> str:
    return actor.get_username() if isinstance(actor, User) else "a registry's token"


def _audit(actor: "Actor", scan: Scan, action: AuditEntry.Action, detail: str) -> None:
    """Write down an act on a scan."""
    audit_record(
        actor=actor,
        clinic=scan.clinic,
        action=action,
        subject="mask",
        object_id=scan.pk,
        pseudonym=scan.session.visit.patient.pseudonym,
        detail=detail,
    )
