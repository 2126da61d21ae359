"""Doorways: the report of a patient, as a page and as a PDF."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from monitoring.charts.card import divergence_card
from monitoring.charts.palette import PRINT
from monitoring.charts.timeline import timeline_figure
from monitoring.charts.vector import svg_of
from monitoring.models import AuditEntry, Grant, Patient
from monitoring.printing import NoPdf, pdf_of, pdf_problem
from monitoring.requests import ClinicRequest
from monitoring.selectors.reports import report_of
from monitoring.selectors.timelines import timeline_of
from monitoring.services.access import patient_open

STYLES = "css/pages/report.css"
CONFLICT, UNAVAILABLE = 409, 503


@login_required
@require_GET
def report(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show the report of a patient as a page that prints well."""
    patient = patient_open(request.user, pk, grant=Grant.REPORT, subject="report")
    context = {**_sheet(request, patient), "pdf_problem": pdf_problem()}
    return render(request, "monitoring/report.html", context)


@login_required
@require_GET
def report_pdf(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Hand out the report of a patient as one PDF; nothing half-written."""
    patient = patient_open(
        request.user, pk, grant=Grant.REPORT, subject="report", action=AuditEntry.Action.EXPORT
    )
    context = _sheet(request, patient)
    if context["report"].is_empty:
        return render(request, "monitoring/report.html", context, status=CONFLICT)
    try:
        # Not with the request: the page of the browser has nothing to do on paper.
        pdf = pdf_of(render_to_string("monitoring/report_pdf.html", context), css=_styles())
    except NoPdf as problem:
        context["pdf_problem"] = str(problem)
        return render(request, "monitoring/report.html", context, status=UNAVAILABLE)
    name = f"{patient.pk.hex[:8]}-report-{timezone.localdate()}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(pdf, content_type="application/pdf", headers=headers)


def _sheet(request: ClinicRequest, patient: Patient) -> dict[str, Any]:
    """Return what page and PDF show: one timeline, one figure, the same numbers."""
    timeline = timeline_of(patient, today=timezone.localdate())
    words = f"Course of {patient.pseudonym}: EDSS, brain, cord, gap, relapses and treatment"
    # The words in the figure are escaped where it is drawn.
    figure = mark_safe(svg_of(timeline_figure(timeline, palette=PRINT), label=words))  # noqa: S308
    return {
        "intended_use": settings.INTENDED_USE,
        "neuraxis_version": settings.VERSION,
        "patient": patient,
        "timeline": timeline,
        "report": report_of(timeline),
        "card": divergence_card(timeline),
        "figure": figure,
        "printed_by": request.user.get_username(),
        "printed_at": timezone.now(),
    }


def _styles() -> str:
    """Return the report's styles: the same file as on the page."""
    return Path(str(finders.find(STYLES))).read_text(encoding="utf-8")


urlpatterns: list[URLPattern] = [
    path("patients/<uuid:pk>/report/", report, name="report"),
    path("patients/<uuid:pk>/report.pdf", report_pdf, name="report_pdf"),
]
