"""Doorway: how complete the clinic's record is."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET

from monitoring.models import AuditEntry, Grant
from monitoring.requests import ClinicRequest
from monitoring.selectors.completeness import completeness
from monitoring.services.audit import audit_record
from monitoring.views.common import clinic_of, grant_required


@grant_required(Grant.COMPLETENESS_READ)
@require_GET
def completeness_page(request: ClinicRequest) -> HttpResponse:
    """Show what is missing, per field, per year and from upload to a usable number."""
    clinic = clinic_of(request)
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="completeness"
    )
    context = {"record": completeness(request.user, clinic)}
    return render(request, "monitoring/completeness.html", context)


urlpatterns: list[URLPattern] = [
    path("completeness/", completeness_page, name="completeness"),
]
