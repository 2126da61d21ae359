"""Doorways: measurement runs, their files, and the scans that they measure."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from monitoring.models import AuditEntry, Grant
from monitoring.requests import ClinicRequest
from monitoring.selectors import runs as run_selectors
from monitoring.selectors.masks import lesions_of, takes_lesions
from monitoring.selectors.people import grants_in
from monitoring.selectors.scans import run_file as run_file_find
from monitoring.selectors.scans import run_view, scan_view
from monitoring.services.access import run_glance, run_open, scan_open
from monitoring.services.audit import audit_record
from monitoring.services.reviews import run_repeat, run_withdraw
from monitoring.services.uploads import scan_measure as measure_later
from monitoring.views.common import clinic_of, grant_required
from volumetry.tasks import run_enqueue

PAGE = 40
# Everything else is handed out as bytes to keep, never shown by the browser.
SHOWN = {".png": "image/png"}
KEPT = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".nii.gz": "application/gzip",
}


@grant_required(Grant.RUN_READ)
@require_GET
def run_list(request: ClinicRequest) -> HttpResponse:
    """List the runs of the clinic by state."""
    clinic = clinic_of(request)
    state = request.GET.get("state", "")
    runs = run_selectors.run_list(request.user, clinic, state=state)
    page = Paginator(runs, PAGE).get_page(request.GET.get("page"))
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="run list"
    )
    context = {
        "page": page,
        "cards": [run_selectors.run_card(run) for run in page],
        "state": state if state in run_selectors.RUN_STATES else "",
        "counts": run_selectors.run_counts(request.user, clinic),
        "sees_values": Grant.REVIEW_READ in request.grants,
    }
    return render(request, "monitoring/run_list.html", context)


@login_required
@require_GET
def run_detail(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show one run: where it stands, what it measured, how, and from what."""
    run, scan = run_open(request.user, pk, grant=Grant.RUN_READ)
    held = {grant.value for grant in grants_in(request.user, scan.clinic)}
    context = {
        "view": run_view(run),
        "card": run_selectors.run_card(run),
        "may": held,
        # An administrator sees that a run exists and how it ended, not what it found.
        "sees_values": Grant.REVIEW_READ in held,
    }
    return render(request, "monitoring/run_detail.html", context)


@login_required
@require_GET
def run_state(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Say where a run stands; the page loads itself again once it has ended."""
    run, _ = run_glance(request.user, pk, grant=Grant.RUN_READ)
    context = {"card": run_selectors.run_card(run)}
    response = render(request, "monitoring/partials/_run_state.html", context)
    if not run.is_active:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_POST
def run_cancel(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Cancel a run that still waits."""
    run, _ = run_open(request.user, pk, grant=Grant.RUN_ACT)
    try:
        run_withdraw(actor=request.user, run=run)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, "The run was cancelled.")
    return redirect("run_detail", run.pk)


@login_required
@require_POST
def run_retry(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Ask for the same measurement once more."""
    run, _ = run_open(request.user, pk, grant=Grant.RUN_ACT)
    try:
        again = run_repeat(actor=request.user, run=run)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("run_detail", run.pk)
    run_enqueue(again.pk)
    return redirect("run_detail", again.pk)


@login_required
@require_GET
def run_file(request: ClinicRequest, pk: UUID, name: str) -> HttpResponse | FileResponse:
    """Serve a file that a run wrote, to who may see its numbers."""
    run, _ = run_open(request.user, pk, grant=Grant.REVIEW_READ, detail=f"file {name[:40]}")
    file = run_file_find(run, name)
    if file is None or not file.file.storage.exists(file.file.name or ""):
        raise Http404("This run holds no such file.")
    suffix = ".nii.gz" if name.endswith(".nii.gz") else "." + name.rpartition(".")[2]
    response = FileResponse(
        file.file.open("rb"),
        as_attachment=suffix not in SHOWN,
        # The name of the contract and the run's id: nothing of the patient, nothing typed.
        filename=f"{run.pk.hex[:8]}_{file.name}",
        content_type=SHOWN.get(suffix) or KEPT.get(suffix, "application/octet-stream"),
    )
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_GET
def scan_detail(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show one scan: how it was acquired, and every run that measured it."""
    scan = scan_open(request.user, pk, grant=Grant.RUN_READ)
    view = scan_view(scan)
    held = {grant.value for grant in grants_in(request.user, scan.clinic)}
    context = {
        "view": view,
        "scan": scan,
        "patient": scan.session.visit.patient,
        "may": held,
        "sees_values": Grant.REVIEW_READ in held,
        "lesions": lesions_of(scan),
        "takes_lesions": takes_lesions(scan) and bool(held & {"upload", "review_write"}),
    }
    return render(request, "monitoring/scan_detail.html", context)


@login_required
@require_POST
def scan_measure(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Ask for brain or cord of a scan when nobody did at the upload."""
    scan = scan_open(request.user, pk, grant=Grant.RUN_ACT)
    try:
        run = measure_later(
            actor=request.user, scan=scan, region=request.POST.get("region", "")
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("scan_detail", scan.pk)
    run_enqueue(run.pk)
    return redirect("run_detail", run.pk)


urlpatterns = [
    path("runs/", run_list, name="run_list"),
    path("runs/<uuid:pk>/", run_detail, name="run_detail"),
    path("runs/<uuid:pk>/state/", run_state, name="run_state"),
    path("runs/<uuid:pk>/cancel/", run_cancel, name="run_cancel"),
    path("runs/<uuid:pk>/retry/", run_retry, name="run_retry"),
    path("runs/<uuid:pk>/files/<str:name>", run_file, name="run_file"),
    path("scans/<uuid:pk>/", scan_detail, name="scan_detail"),
    path("scans/<uuid:pk>/measure/", scan_measure, name="scan_measure"),
]
