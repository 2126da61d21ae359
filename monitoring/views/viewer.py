"""Doorways: the interactive viewer of one scan, and the stored image that it shows."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET

from monitoring.models import Grant
from monitoring.requests import ClinicRequest
from monitoring.selectors.scans import masks_of
from monitoring.services.access import scan_open
from volumetry.models import FaceInView


@login_required
@require_GET
def scan_viewer(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show a scan in three planes with the masks that were measured on it."""
    scan = scan_open(request.user, pk, grant=Grant.REVIEW_READ, detail="viewer")
    masks = masks_of(scan, asked=request.GET.get("run", ""))
    context = {
        "scan": scan,
        "patient": scan.session.visit.patient,
        "has_image": bool(scan.image.file) and scan.image.is_shown,
        "face": scan.image.face,
        "masks": masks,
        "run": masks[0].run if masks else None,
    }
    return render(request, "monitoring/viewer.html", context)


@login_required
@require_GET
def scan_image(request: ClinicRequest, pk: UUID) -> FileResponse:
    """Hand out the image as it is stored: de-identified, its face removed, or not at all."""
    scan = scan_open(request.user, pk, grant=Grant.REVIEW_READ, detail="image")
    try:
        stored = scan.image.shown_file
    except FaceInView as refusal:
        raise Http404(str(refusal)) from refusal
    if not stored or not stored.storage.exists(stored.name or ""):
        raise Http404("This scan holds no image.")
    response = FileResponse(
        stored.open("rb"),
        as_attachment=True,
        # The scan's id: nothing of the patient, nothing typed.
        filename=f"{scan.pk.hex[:8]}.nii.gz",
        content_type="application/gzip",
    )
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    return response


urlpatterns: list[URLPattern] = [
    path("scans/<uuid:pk>/viewer/", scan_viewer, name="scan_viewer"),
    path("scans/<uuid:pk>/image.nii.gz", scan_image, name="scan_image"),
]
