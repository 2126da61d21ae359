"""Doorways: masks that people give for a scan, and what is measured with them."""

from pathlib import Path
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from monitoring.models import Grant
from monitoring.receiving import received_files
from monitoring.requests import ClinicRequest
from monitoring.selectors.masks import mask_find
from monitoring.services.access import run_open, scan_open
from monitoring.services.masks import (
    lesions_give,
    lesions_require,
    masks_withdraw,
    outline_give,
)
from volumetry.intake.types import IntakeRefused
from volumetry.tasks import run_enqueue


@login_required
@require_POST
def review_mask(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Take a corrected or a foreign mask of a run, and measure with it."""
    run, _ = run_open(request.user, pk, grant=Grant.REVIEW_WRITE)
    try:
        with received_files(request) as files:
            new = outline_give(
                actor=request.user,
                run=run,
                origin=request.POST.get("origin", ""),
                file=_only(files),
            )
    except (IntakeRefused, ValidationError) as error:
        messages.error(request, _sentence(error))
        return redirect("review", run.pk)
    run_enqueue(new.pk)
    messages.success(request, "The mask was taken; it is being measured.")
    return redirect("review", new.pk)


@login_required
@require_POST
def review_mask_withdraw(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Measure again without the masks of a run."""
    run, _ = run_open(request.user, pk, grant=Grant.REVIEW_WRITE)
    try:
        again = masks_withdraw(actor=request.user, run=run)
    except ValidationError as error:
        messages.error(request, _sentence(error))
        return redirect("review", run.pk)
    run_enqueue(again.pk)
    return redirect("review", again.pk)


@login_required
@require_POST
def scan_lesions(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Take the lesion mask of a visit, and measure the brain with its lesions filled."""
    scan = scan_open(request.user, pk, grant=Grant.RUN_READ)
    lesions_require(request.user, scan)
    try:
        with received_files(request) as files:
            run = lesions_give(actor=request.user, scan=scan, file=_only(files))
    except (IntakeRefused, ValidationError) as error:
        messages.error(request, _sentence(error))
        return redirect("scan_detail", scan.pk)
    run_enqueue(run.pk)
    messages.success(request, "The lesion mask was taken; the brain is being measured with it.")
    return redirect("scan_detail", scan.pk)


@login_required
@require_GET
def scan_mask(request: ClinicRequest, pk: UUID, mask_pk: UUID) -> FileResponse:
    """Hand out a mask as it was taken."""
    scan = scan_open(request.user, pk, grant=Grant.REVIEW_READ, detail=f"mask {mask_pk}")
    mask = mask_find(scan, mask_pk)
    if mask is None or not mask.file.storage.exists(mask.file.name or ""):
        raise Http404("This scan has no such mask.")
    response = FileResponse(
        mask.file.open("rb"),
        as_attachment=True,
        filename=f"{scan.pk.hex[:8]}_{mask.kind}_mask.nii.gz",
        content_type="application/gzip",
    )
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _only(files: list[tuple[str, Path]]) -> Path:
    """Return the one file of a request."""
    if len(files) != 1:
        raise ValidationError("Choose one mask file (.nii or .nii.gz).")
    return files[0][1]


def _sentence(error: IntakeRefused | ValidationError) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


urlpatterns = [
    path("reviews/<uuid:pk>/mask/", review_mask, name="review_mask"),
    path("reviews/<uuid:pk>/mask/withdraw/", review_mask_withdraw, name="review_mask_withdraw"),
    path("scans/<uuid:pk>/lesions/", scan_lesions, name="scan_lesions"),
    path("scans/<uuid:pk>/masks/<uuid:mask_pk>.nii.gz", scan_mask, name="scan_mask"),
]
