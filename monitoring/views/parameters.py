"""Doorways: the parameters of the divergence model, in force, proposed and adopted."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from monitoring.forms.parameters import AdoptForm, LinesForm
from monitoring.models import AuditEntry, Grant, ParameterProposal
from monitoring.requests import ClinicRequest
from monitoring.selectors.parameter_pages import document_text, proposal_view, set_view
from monitoring.selectors.parameters import (
    adoption_list,
    level_changes,
    proposal_list,
    recomputing,
    set_in_force,
    stored_set,
)
from monitoring.services.audit import audit_record
from monitoring.services.parameters import (
    parameters_adopt,
    parameters_withdraw,
    proposal_create,
)
from monitoring.tasks import clinic_refresh_enqueue, proposal_enqueue
from monitoring.views.common import clinic_of, grant_required

SHOWN = 12


@grant_required(Grant.PARAMETERS_READ)
def parameters(request: ClinicRequest) -> HttpResponse:
    """Show the set in force, what it costs, and what was proposed and adopted."""
    return _page(request, LinesForm.of(set_in_force(clinic_of(request).pk).parameters.policy))


def _page(request: ClinicRequest, lines: LinesForm, *, status: int = 200) -> HttpResponse:
    """Answer with the page around a form."""
    clinic = clinic_of(request)
    in_force = set_in_force(clinic.pk)
    proposals = proposal_list(request.user, clinic)
    context = {
        "view": set_view(in_force, stored_set(in_force)),
        "adoptions": adoption_list(request.user, clinic)[:SHOWN],
        "proposals": proposals[:SHOWN],
        "is_busy": any(proposal.is_active for proposal in proposals[:SHOWN]),
        "progress": recomputing(clinic),
        "lines": lines,
        "adopt": AdoptForm(),
    }
    return render(request, "monitoring/parameters.html", context, status=status)


@grant_required(Grant.PARAMETERS_READ)
def parameters_progress(request: ClinicRequest) -> HttpResponse:
    """Show how many patients follow the set in force."""
    context = {"progress": recomputing(clinic_of(request))}
    return render(request, "monitoring/partials/_recomputing.html", context)


@grant_required(Grant.PARAMETERS_ACT)
@require_POST
def parameters_propose(request: ClinicRequest, kind: str) -> HttpResponse:
    """Ask the worker for a refit, or for other lines."""
    clinic = clinic_of(request)
    asked = ParameterProposal.Kind(kind)
    wanted = {}
    if asked == ParameterProposal.Kind.LINES:
        form = LinesForm.of(set_in_force(clinic.pk).parameters.policy, request.POST)
        if not form.is_valid():
            return _page(request, form, status=422)
        wanted = form.cleaned_data
    try:
        proposal = proposal_create(actor=request.user, clinic=clinic, kind=asked, lines=wanted)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("parameters")
    proposal_enqueue(proposal.pk)
    return redirect("parameter_proposal", pk=proposal.pk)


@grant_required(Grant.PARAMETERS_READ)
def parameter_proposal(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show old and new side by side, and what adopting would change."""
    clinic = clinic_of(request)
    proposal = get_object_or_404(proposal_list(request.user, clinic), pk=pk)
    may_see = Grant.REGISTRY_READ in request.grants
    audit_record(
        actor=request.user,
        clinic=clinic,
        action=AuditEntry.Action.READ,
        subject="parameter proposal",
        object_id=proposal.pk,
    )
    context = {
        "proposal": proposal,
        "view": proposal_view(proposal),
        "changes": level_changes(request.user, proposal) if may_see else None,
        "adopt": AdoptForm(),
        "is_stale": set_in_force(clinic.pk).parameters.digest() != proposal.base_digest,
    }
    return render(request, "monitoring/parameter_proposal.html", context)


@grant_required(Grant.PARAMETERS_READ)
def parameter_proposal_state(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show how far the worker is; when it ended, the page is loaded anew."""
    proposal = get_object_or_404(proposal_list(request.user, clinic_of(request)), pk=pk)
    answer = render(request, "monitoring/partials/_proposal_state.html", {"proposal": proposal})
    if not proposal.is_active:
        answer["HX-Refresh"] = "true"
    return answer


@grant_required(Grant.PARAMETERS_ACT)
@require_POST
def parameters_adopt_view(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Adopt a proposal, with a reason."""
    clinic = clinic_of(request)
    proposal = get_object_or_404(proposal_list(request.user, clinic), pk=pk)
    try:
        adoption = parameters_adopt(
            actor=request.user, proposal=proposal, reason=_reason(request)
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("parameter_proposal", pk=pk)
    clinic_refresh_enqueue(clinic.pk)
    messages.success(request, f"{adoption} is in force; every statement is computed anew.")
    return redirect("parameters")


@grant_required(Grant.PARAMETERS_ACT)
@require_POST
def parameters_withdraw_view(request: ClinicRequest) -> HttpResponse:
    """Return to the literature defaults, with a reason."""
    clinic = clinic_of(request)
    try:
        parameters_withdraw(actor=request.user, clinic=clinic, reason=_reason(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        clinic_refresh_enqueue(clinic.pk)
        messages.success(
            request, "The literature defaults are in force; every statement is computed anew."
        )
    return redirect("parameters")


def _reason(request: ClinicRequest) -> str:
    """Return the reason that was typed, empty without one."""
    form = AdoptForm(request.POST)
    return str(form.cleaned_data["reason"]) if form.is_valid() else ""


@grant_required(Grant.PARAMETERS_READ)
def parameter_set_document(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Download the set of a proposal, as `assess --parameters` takes it."""
    proposal = get_object_or_404(
        proposal_list(request.user, clinic_of(request)).exclude(parameter_set=None), pk=pk
    )
    return HttpResponse(
        document_text(proposal),
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{proposal.parameter_set}.json"'
        },
    )


urlpatterns: list[URLPattern] = [
    path("model/", parameters, name="parameters"),
    path("model/progress/", parameters_progress, name="parameters_progress"),
    path("model/propose/<str:kind>/", parameters_propose, name="parameters_propose"),
    path("model/withdraw/", parameters_withdraw_view, name="parameters_withdraw"),
    path("model/proposals/<uuid:pk>/", parameter_proposal, name="parameter_proposal"),
    path(
        "model/proposals/<uuid:pk>/state/",
        parameter_proposal_state,
        name="parameter_proposal_state",
    ),
    path("model/proposals/<uuid:pk>/adopt/", parameters_adopt_view, name="parameters_adopt"),
    path(
        "model/proposals/<uuid:pk>/set.json",
        parameter_set_document,
        name="parameter_set_document",
    ),
]
