"""Doorways: one patient. Timeline and divergence card, tables, adding and correcting."""

import csv
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from monitoring.charts.card import divergence_card
from monitoring.charts.structures import structure_marks
from monitoring.charts.timeline import timeline_figure
from monitoring.forms.patients import AcknowledgeForm, PatientForm
from monitoring.models import AuditEntry, Grant, Patient
from monitoring.requests import ClinicRequest
from monitoring.selectors.norm_bands import healthy_words
from monitoring.selectors.outlooks import patient_planner
from monitoring.selectors.people import grants_in
from monitoring.selectors.structures import structure_course, structure_kinds
from monitoring.selectors.timeline_tables import TABLES, csv_rows, table_heads
from monitoring.selectors.timelines import timeline_of
from monitoring.selectors.what_if import point_glance, timeline_without
from monitoring.selectors.worklists import WorklistQuery, listed_beside
from monitoring.services.access import patient_open
from monitoring.services.divergence import parameters_of
from monitoring.services.flags import flag_acknowledge
from monitoring.services.patients import patient_change, patient_create
from monitoring.tasks import divergence_enqueue
from monitoring.views.common import clinic_of, grant_required

NEWEST_SCANS = 8


@login_required
def patient_detail(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show the whole course of one patient."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    timeline = timeline_of(patient, today=timezone.localdate())
    context = {
        "patient": patient,
        "timeline": timeline,
        "figure": timeline_figure(timeline),
        "card": divergence_card(timeline),
        "structures": structure_kinds(timeline),
        "healthy": healthy_words(timeline),
        "may": _may(request, patient),
        "acknowledge": AcknowledgeForm(),
        "query": WorklistQuery.of(request.GET, is_clinical=True),
    }
    return render(request, "monitoring/patient_detail.html", context)


@login_required
def patient_below(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show what stands below the figure: the scans, and which tables there are.

    The page asks for it once its answer and its figure stand.
    """
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    timeline = timeline_of(patient, today=timezone.localdate())
    is_whole = request.GET.get("scans") == "all"
    context = {
        "patient": patient,
        "timeline": timeline,
        "tables": table_heads(timeline),
        "scans": timeline.scans[: None if is_whole else NEWEST_SCANS],
        "may": _may(request, patient),
    }
    return render(request, "monitoring/partials/_patient_below.html", context)


def _may(request: ClinicRequest, patient: Patient) -> set[str]:
    """Return what the person may do in the patient's clinic; mostly the active one."""
    is_active = request.clinic is not None and request.clinic.pk == patient.clinic_id
    grants = request.grants if is_active else grants_in(request.user, patient.clinic)
    return {grant.value for grant in grants}


@login_required
def patient_beside(request: ClinicRequest, pk: UUID, way: str) -> HttpResponse:
    """Lead to the next patient of the list, or the one before; at its end say so and stay.

    Who that is, is asked only when somebody goes there.
    """
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    query = WorklistQuery.of(request.GET, is_clinical=True)
    other = listed_beside(request.user, patient, query, is_next=way == "next")
    if other is None:
        end = "last" if way == "next" else "first"
        messages.info(request, f"{patient.pseudonym} is the {end} patient of this list.")
    address = reverse("patient_detail", args=[(other or patient).pk])
    return redirect(f"{address}?{query.address}" if query.address else address)


@login_required
def patient_table_rows(request: ClinicRequest, pk: UUID, slug: str) -> HttpResponse:
    """Show one table of a patient: asked for when somebody opens it."""
    if slug not in TABLES:
        raise Http404("No such table.")
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    table = TABLES[slug](timeline_of(patient, today=timezone.localdate()))
    return render(request, "monitoring/partials/_patient_table.html", {"table": table})


@login_required
def patient_table(request: ClinicRequest, pk: UUID, slug: str) -> HttpResponse:
    """Download one table of a patient: the same data as on the page."""
    if slug not in TABLES:
        raise Http404("No such table.")
    patient = patient_open(
        request.user, pk, grant=Grant.PATIENT_READ, action=AuditEntry.Action.EXPORT
    )
    table = TABLES[slug](timeline_of(patient, today=timezone.localdate()))
    name = f"{patient.pk.hex[:8]}-{slug}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    rows = csv_rows(table, is_synthetic=patient.is_synthetic, note=settings.INTENDED_USE)
    csv.writer(response).writerows(rows)
    return response


@login_required
def patient_point(request: ClinicRequest, pk: UUID, run_pk: UUID) -> HttpResponse:
    """Show one value of the figure beside the one before, and the statement without it."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    timeline = timeline_of(patient, today=timezone.localdate())
    glance = point_glance(timeline, run_pk, parameters_of(patient))
    if glance is None:
        raise Http404("This run measured no value of the trend.")
    context = {"glance": glance, "patient": patient, "may": _may(request, patient)}
    return render(request, "monitoring/partials/_patient_point.html", context)


@login_required
def patient_planner_view(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show what another scan could change on the dates to come."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    planner = patient_planner(patient, parameters_of(patient), today=timezone.localdate())
    return render(request, "monitoring/partials/_patient_planner.html", {"planner": planner})


@login_required
def patient_figure(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Return the figure as if one scan's value had been rejected; nothing is stored."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    timeline = timeline_of(patient, today=timezone.localdate())
    try:
        run_id = UUID(request.GET.get("without", ""))
    except ValueError:
        raise Http404("No such value.") from None
    dropped = timeline_without(timeline, run_id, parameters_of(patient))
    if dropped is None:
        raise Http404("Without this value nothing is left to draw.")
    return JsonResponse(timeline_figure(dropped))


@login_required
def patient_structure(request: ClinicRequest, pk: UUID, slug: str) -> HttpResponse:
    """Return the marks of one more structure for the figure."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ)
    timeline = timeline_of(patient, today=timezone.localdate())
    kinds = structure_kinds(timeline)
    number = next((i for i, kind in enumerate(kinds) if kind.slug == slug), None)
    if number is None:
        raise Http404("This structure was not measured of this patient.")
    course = structure_course(timeline, kinds[number])
    return JsonResponse(structure_marks(kinds[number], course, number=number))


@grant_required(Grant.PATIENT_WRITE)
def patient_add(request: ClinicRequest) -> HttpResponse:
    """Add a patient."""
    clinic = clinic_of(request)
    form = PatientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            patient = patient_create(actor=request.user, clinic=clinic, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, f"{patient.pseudonym} was added.")
            return _onward(request, patient)
    return render(request, "monitoring/patient_add.html", {"form": form})


@login_required
def patient_edit(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Correct who a patient is."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_WRITE)
    form = PatientForm.of(patient, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            patient_change(actor=request.user, patient=patient, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
            patient.refresh_from_db()
        else:
            messages.success(request, "The changes are stored.")
            return _onward(request, patient)
    return render(request, "monitoring/patient_edit.html", {"form": form, "patient": patient})


def _onward(request: ClinicRequest, patient: Patient) -> HttpResponse:
    """Lead to the patient's page, or to the upload where that page is not open to the role."""
    grants = grants_in(request.user, patient.clinic)
    name = "patient_detail" if Grant.PATIENT_READ in grants else "upload"
    return redirect(name, pk=patient.pk)


@login_required
@require_POST
def flag_acknowledge_view(request: ClinicRequest, pk: UUID, flag_pk: UUID) -> HttpResponse:
    """Acknowledge or dismiss a change of level."""
    patient = patient_open(request.user, pk, grant=Grant.FLAG_ACT)
    flag = get_object_or_404(patient.flags.select_related("patient__clinic"), pk=flag_pk)
    form = AcknowledgeForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    is_dismissed = request.POST.get("answer") == "dismiss"
    try:
        flag_acknowledge(
            actor=request.user, flag=flag, reason=reason, is_dismissed=is_dismissed
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        word = "dismissed" if is_dismissed else "acknowledged"
        messages.success(request, f"The change of level is {word}.")
    return redirect("patient_detail", pk=patient.pk)


@login_required
@require_POST
def divergence_retry(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Ask the worker for a statement that could not be computed."""
    patient = patient_open(request.user, pk, grant=Grant.FLAG_ACT)
    divergence_enqueue(patient.pk)
    messages.success(request, f"The statement of {patient.pseudonym} is being computed again.")
    if request.POST.get("back") != "list":
        return redirect("patient_detail", pk=patient.pk)
    query = WorklistQuery.of(request.GET, is_clinical=True)
    address = reverse("worklist")
    return redirect(f"{address}?{query.address}" if query.address else address)


urlpatterns: list[URLPattern] = [
    path("patients/add/", patient_add, name="patient_add"),
    path("patients/<uuid:pk>/", patient_detail, name="patient_detail"),
    path("patients/<uuid:pk>/values/<uuid:run_pk>/", patient_point, name="patient_point"),
    path("patients/<uuid:pk>/edit/", patient_edit, name="patient_edit"),
    path("patients/<uuid:pk>/tables/<slug:slug>.csv", patient_table, name="patient_table"),
    path(
        "patients/<uuid:pk>/tables/<slug:slug>/", patient_table_rows, name="patient_table_rows"
    ),
    path("patients/<uuid:pk>/figure/", patient_figure, name="patient_figure"),
    path(
        "patients/<uuid:pk>/structures/<slug:slug>/",
        patient_structure,
        name="patient_structure",
    ),
    path("patients/<uuid:pk>/planner/", patient_planner_view, name="patient_planner"),
    path("patients/<uuid:pk>/retry/", divergence_retry, name="divergence_retry"),
    path("patients/<uuid:pk>/below/", patient_below, name="patient_below"),
    path("patients/<uuid:pk>/next/", patient_beside, {"way": "next"}, name="patient_next"),
    path(
        "patients/<uuid:pk>/previous/",
        patient_beside,
        {"way": "previous"},
        name="patient_previous",
    ),
    path(
        "patients/<uuid:pk>/flags/<uuid:flag_pk>/acknowledge/",
        flag_acknowledge_view,
        name="flag_acknowledge",
    ),
]
