"""Doorways: the cohort page, its state while it is computed, saving and downloads."""

import csv
import json
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from monitoring.charts.cohort import room_figures
from monitoring.core.cohort.definition import Definition, definition_from_json
from monitoring.forms.cohort import CohortForm, CohortNameForm, form_values
from monitoring.models import AuditEntry, CohortAnalysis, CohortDefinition, Grant
from monitoring.requests import ClinicRequest
from monitoring.selectors import cohorts as selectors
from monitoring.selectors.cohort_tables import csv_lines, shown_table, table_find
from monitoring.selectors.people import grants_in
from monitoring.services import cohorts as services
from monitoring.services.audit import audit_record
from monitoring.tasks import cohort_send
from monitoring.views.common import clinic_of, grant_required


@grant_required(Grant.COHORT_READ)
@require_GET
def cohort(request: ClinicRequest) -> HttpResponse:
    """Show the cohort that the address defines; the default one without an address."""
    clinic = clinic_of(request)
    epochs = selectors.epoch_choices(request.user, clinic)
    asked = request.GET or form_values(Definition())
    form = CohortForm(asked, epochs=epochs)
    if not form.is_valid():
        audit_record(
            actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="cohort"
        )
        context = {"form": form, "saved": selectors.definition_list(request.user, clinic)}
        return render(request, "monitoring/cohort.html", context, status=200)
    return _page(request, form.cleaned_data["definition"], form=form, definition=None)


@login_required
@require_GET
def cohort_saved(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Reopen a saved cohort, on the data of today."""
    saved = _saved(request, pk)
    definition = definition_from_json(saved.fields)
    epochs = selectors.epoch_choices(request.user, saved.clinic)
    form = CohortForm(form_values(definition), epochs=epochs)
    return _page(request, definition, form=form, definition=saved)


def _page(
    request: ClinicRequest,
    chosen: Definition,
    *,
    form: CohortForm,
    definition: CohortDefinition | None,
) -> HttpResponse:
    """Show what is stored of a definition, or compute it."""
    clinic = definition.clinic if definition else clinic_of(request)
    analysis, is_new = services.analysis_request(
        actor=request.user, clinic=clinic, definition=chosen
    )
    if is_new:
        cohort_send(analysis.pk)
    audit_record(
        actor=request.user,
        clinic=clinic,
        action=AuditEntry.Action.READ,
        subject="cohort",
        object_id=definition.pk if definition else "",
        detail=f"sha256 {chosen.digest[:16]}",
    )
    saved_as = definition or selectors.definition_of(analysis)
    context = {
        "form": form,
        "analysis": analysis,
        "saved_as": saved_as,
        "citation": (
            selectors.citation_of(saved_as, analysis)
            if saved_as and analysis.finished_at
            else ""
        ),
        "saved": selectors.definition_list(request.user, clinic),
        "name_form": CohortNameForm(),
        "query": request.GET.urlencode(),
        "may": {grant.value for grant in grants_in(request.user, clinic)},
        "is_synthetic": clinic.is_synthetic,
        **_result(analysis),
    }
    return render(request, "monitoring/cohort.html", context)


def _result(analysis: CohortAnalysis) -> dict[str, Any]:
    """Return rooms with their figures and tables, as the page prints them."""
    result = analysis.result
    is_synthetic = bool(result.get("is_synthetic"))
    rooms = [
        {
            **room,
            "tables": [shown_table(table) for table in room["tables"]],
            "figures": room_figures(room, is_synthetic=is_synthetic),
        }
        for room in result.get("rooms", ())
    ]
    return {"result": result, "rooms": rooms}


@login_required
@require_GET
def cohort_state(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Say how far an analysis is; the page loads itself again once it has ended."""
    analysis = _analysis(request, pk)
    context = {"analysis": analysis}
    response = render(request, "monitoring/partials/_cohort_state.html", context)
    if not analysis.is_active:
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_POST
def cohort_retry(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Compute a failed analysis once more."""
    analysis = _analysis(request, pk)
    if services.analysis_retry(analysis):
        cohort_send(analysis.pk)
    data = QueryDict(mutable=True)
    for name, value in form_values(definition_from_json(analysis.fields)).items():
        data.setlist(name, value if isinstance(value, list) else [value or ""])
    return redirect(f"{reverse('cohort')}?{data.urlencode()}")


@grant_required(Grant.COHORT_WRITE)
@require_POST
def cohort_save(request: ClinicRequest) -> HttpResponse:
    """Save the cohort of an address under a name."""
    clinic = clinic_of(request)
    address = QueryDict(request.POST.get("query", "")) or form_values(Definition())
    epochs = selectors.epoch_choices(request.user, clinic)
    form, named = CohortForm(address, epochs=epochs), CohortNameForm(request.POST)
    if not (form.is_valid() and named.is_valid()):
        messages.error(request, "Give the cohort a name of up to 80 letters.")
        return redirect("cohort")
    try:
        saved = services.definition_save(
            actor=request.user,
            clinic=clinic,
            name=named.cleaned_data["name"],
            definition=form.cleaned_data["definition"],
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect(f"{reverse('cohort')}?{request.POST.get('query', '')}")
    messages.success(request, f"The cohort is saved as “{saved.name}”.")
    return redirect("cohort_saved", saved.pk)


@login_required
@require_GET
def cohort_definition(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Export a saved definition as JSON."""
    saved = _saved(request, pk)
    audit_record(
        actor=request.user,
        clinic=saved.clinic,
        action=AuditEntry.Action.EXPORT,
        subject="cohort definition",
        object_id=saved.pk,
    )
    body = {
        "name": saved.name,
        "saved_at": saved.created_at.isoformat(),
        "sha256": saved.digest,
        "definition": saved.fields,
    }
    return _download(json.dumps(body, indent=2), f"cohort_{saved.digest[:12]}.json")


@login_required
@require_GET
def cohort_table(request: ClinicRequest, pk: UUID, slug: str) -> HttpResponse:
    """Download one table of an analysis as CSV."""
    analysis = _analysis(request, pk)
    table = table_find(analysis, slug)
    if table is None:
        raise Http404("This analysis has no such table.")
    _exported(request, analysis, f"table {slug}")
    name = _name(analysis, slug, "csv")
    response = _download("", name, content_type="text/csv; charset=utf-8")
    csv.writer(response).writerows(csv_lines(analysis, table, note=settings.INTENDED_USE))
    return response


@login_required
@require_GET
def cohort_analysis(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Download the whole analysis as JSON: definition, versions, results, all its inputs."""
    analysis = _analysis(request, pk)
    if not analysis.result:
        raise Http404("This analysis has no result yet.")
    _exported(request, analysis, "analysis")
    body = {
        "intended_use": settings.INTENDED_USE,
        "software": f"Neuraxis {settings.VERSION}",
        "computed_at": analysis.finished_at.isoformat() if analysis.finished_at else None,
        "data_version": analysis.data_version,
        **analysis.result,
        "rows": analysis.rows,
        "inputs": selectors.analysis_inputs(analysis),
    }
    return _download(orjson.dumps(body), _name(analysis, "analysis", "json"))


def _exported(request: ClinicRequest, analysis: CohortAnalysis, what: str) -> None:
    """Write an export down."""
    audit_record(
        actor=request.user,
        clinic=analysis.clinic,
        action=AuditEntry.Action.EXPORT,
        subject="cohort",
        object_id=analysis.pk,
        detail=f"{what}, sha256 {analysis.digest[:16]}",
    )


def _name(analysis: CohortAnalysis, what: str, suffix: str) -> str:
    """Return the name of a download; it says when nothing in it is real."""
    synthetic = "synthetic_" if analysis.result.get("is_synthetic") else ""
    return f"{synthetic}cohort_{analysis.digest[:12]}_{what}.{suffix}"


def _download(
    text: str | bytes, name: str, *, content_type: str = "application/json"
) -> HttpResponse:
    """Return a file to keep."""
    return HttpResponse(
        text,
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, private",
        },
    )


def _analysis(request: ClinicRequest, pk: UUID) -> CohortAnalysis:
    """Return an analysis of the person's clinics: 404 to strangers, 403 without the role."""
    analysis = selectors.analysis_get(request.user, pk)
    if analysis is None:
        raise Http404("No such analysis in your clinics.")
    if Grant.COHORT_READ not in grants_in(request.user, analysis.clinic):
        raise PermissionDenied(f"Your role may not {Grant.COHORT_READ.label}.")
    return analysis


def _saved(request: ClinicRequest, pk: UUID) -> CohortDefinition:
    """Return a saved cohort of the person's clinics; errors as `_analysis`."""
    saved = selectors.definition_get(request.user, pk)
    if saved is None:
        raise Http404("No such cohort in your clinics.")
    if Grant.COHORT_READ not in grants_in(request.user, saved.clinic):
        raise PermissionDenied(f"Your role may not {Grant.COHORT_READ.label}.")
    return saved


urlpatterns = [
    path("cohort/", cohort, name="cohort"),
    path("cohort/save/", cohort_save, name="cohort_save"),
    path("cohort/<uuid:pk>/", cohort_saved, name="cohort_saved"),
    path("cohort/<uuid:pk>/definition.json", cohort_definition, name="cohort_definition"),
    path("cohort/analyses/<uuid:pk>/state/", cohort_state, name="cohort_state"),
    path("cohort/analyses/<uuid:pk>/retry/", cohort_retry, name="cohort_retry"),
    path("cohort/analyses/<uuid:pk>/analysis.json", cohort_analysis, name="cohort_analysis"),
    path("cohort/analyses/<uuid:pk>/tables/<slug:slug>.csv", cohort_table, name="cohort_table"),
]
