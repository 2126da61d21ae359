"""Doorways: which versions a clinic follows, measuring again, and the switch."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_POST

from monitoring.models import AuditEntry, Clinic, Grant, Patient
from monitoring.requests import ClinicRequest
from monitoring.selectors.methods import method_states
from monitoring.services.audit import audit_record
from monitoring.services.methods import method_switch, remeasure_request
from monitoring.tasks import divergence_enqueue
from monitoring.views.common import clinic_of, grant_required

# More patients than this are found by the sweep, a few hundred every minute.
RUNG_AT_ONCE = 500


@grant_required(Grant.METHODS)
@require_GET
def method_list(request: ClinicRequest) -> HttpResponse:
    """Show what the clinic follows, and how far other versions have measured."""
    clinic = clinic_of(request)
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="methods"
    )
    context = _context(request, clinic)
    return render(request, "monitoring/method_list.html", context)


@grant_required(Grant.METHODS)
@require_GET
def method_progress(request: ClinicRequest) -> HttpResponse:
    """Say how far measuring again has come; asked for every few seconds while it goes on."""
    context = _context(request, clinic_of(request))
    return render(request, "monitoring/partials/_method_slots.html", context)


def _context(request: ClinicRequest, clinic: Clinic) -> dict[str, object]:
    """Return what page and fragment show."""
    states = method_states(request.user, clinic)
    return {
        "states": states,
        "is_measuring": any(state.is_measuring for state in states),
        "administers": Grant.ADMINISTER in request.grants,
    }


@grant_required(Grant.METHODS)
@require_POST
def method_remeasure(request: ClinicRequest) -> HttpResponse:
    """Ask a version for all that the followed one measured, of a patient or of the clinic."""
    clinic = clinic_of(request)
    name = request.POST.get("patient", "").strip()
    patient = Patient.objects.filter(clinic=clinic, pseudonym__iexact=name).first()
    if name and patient is None:
        messages.error(request, f"The clinic has no patient {name[:40]}.")
        return redirect("method_list")
    try:
        count = remeasure_request(
            actor=request.user,
            clinic=clinic,
            slot=request.POST.get("slot", ""),
            method=request.POST.get("method", ""),
            patient=patient,
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        plural = "s" if count != 1 else ""
        messages.success(
            request,
            f"{count} measurement{plural} asked for. They wait in the background, change no "
            "trend and never delay a new scan.",
        )
    return redirect("method_list")


@grant_required(Grant.METHODS)
@require_POST
def method_switch_view(request: ClinicRequest) -> HttpResponse:
    """Follow another version from now on."""
    clinic = clinic_of(request)
    agreed = request.POST.get("leaves_out", "")
    method, version = request.POST.get("method", ""), request.POST.get("version", "")
    try:
        patients = method_switch(
            actor=request.user,
            clinic=clinic,
            slot=request.POST.get("slot", ""),
            method=method,
            version=version,
            leaves_out=int(agreed) if agreed.isdecimal() else 0,
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("method_list")
    for patient_id in patients[:RUNG_AT_ONCE]:
        divergence_enqueue(patient_id)
    plural = "s" if len(patients) != 1 else ""
    messages.success(
        request,
        f"The trends follow {method} {version} now. The divergence of {len(patients)} "
        f"patient{plural} is being recomputed. Switching back is possible at any time.",
    )
    return redirect("method_list")


urlpatterns: list[URLPattern] = [
    path("administration/methods/", method_list, name="method_list"),
    path("administration/methods/progress/", method_progress, name="method_progress"),
    path("administration/methods/measure/", method_remeasure, name="method_remeasure"),
    path("administration/methods/switch/", method_switch_view, name="method_switch"),
]
