"""Doorways: the clinical course. Add, correct, withdraw; every earlier word stays visible."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from monitoring.core.functional_systems import edss_from_systems
from monitoring.forms.clinical import DRUGS, FORMS, FactForm
from monitoring.models import FUNCTIONAL_SYSTEMS, Grant, Patient
from monitoring.models.base import ClinicalFact
from monitoring.requests import ClinicRequest
from monitoring.selectors.clinical import KINDS, fact_get, fact_lines
from monitoring.selectors.people import grants_in
from monitoring.services.access import patient_open
from monitoring.services.clinical import fact_enter, fact_withdraw
from monitoring.tasks import divergence_enqueue


@login_required
def fact_list(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show everything that was entered for a patient, earlier words included."""
    patient = patient_open(request.user, pk, grant=Grant.PATIENT_READ, subject="facts")
    context = {
        "patient": patient,
        "lines": fact_lines(patient),
        "kinds": _kinds(),
        "may_write": Grant.CLINICAL_WRITE in grants_in(request.user, patient.clinic),
    }
    return render(request, "monitoring/fact_list.html", context)


@login_required
def fact_add(request: ClinicRequest, pk: UUID, kind: str) -> HttpResponse:
    """Add a clinical fact."""
    patient = patient_open(request.user, pk, grant=Grant.CLINICAL_WRITE)
    form = _form_class(kind)(
        request.POST or None,
        initial={"date": timezone.localdate(), "onset": None},
    )
    if request.method == "POST" and _store(request, patient, kind, form):
        return _onward(request, patient, kind)
    return _form_page(request, patient, kind, form)


@login_required
def fact_correct(request: ClinicRequest, pk: UUID, kind: str, fact_pk: UUID) -> HttpResponse:
    """Put a new entry in the place of one that was wrong."""
    patient = patient_open(request.user, pk, grant=Grant.CLINICAL_WRITE)
    form_class = _form_class(kind)
    fact = _fact(patient, kind, fact_pk)
    form = form_class(request.POST or None, initial=form_class.filled(fact))
    if request.method == "POST" and _store(request, patient, kind, form, supersedes=fact):
        return redirect("fact_list", pk=patient.pk)
    return _form_page(request, patient, kind, form, fact=fact)


@login_required
@require_POST
def fact_withdraw_view(
    request: ClinicRequest, pk: UUID, kind: str, fact_pk: UUID
) -> HttpResponse:
    """Withdraw an entry that should not be there; the history keeps it."""
    patient = patient_open(request.user, pk, grant=Grant.CLINICAL_WRITE)
    _form_class(kind)
    try:
        fact_withdraw(actor=request.user, fact=_fact(patient, kind, fact_pk))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        divergence_enqueue(patient.pk)
        messages.success(request, "The entry is withdrawn; the history keeps it.")
    return redirect("fact_list", pk=patient.pk)


@login_required
def edss_computed(request: ClinicRequest) -> HttpResponse:
    """Say which EDSS the chosen functional systems allow, beside the entered one."""
    scores = {
        name: int(request.GET[name])
        for name, highest in FUNCTIONAL_SYSTEMS.items()
        if request.GET.get(name, "") in {str(score) for score in range(highest + 1)}
    }
    context = {
        "span": edss_from_systems(scores),
        "entered": request.GET.get("edss", ""),
        "missing": len(FUNCTIONAL_SYSTEMS) - len(scores),
        "is_begun": bool(scores),
    }
    return render(request, "monitoring/partials/_fact_edss.html", context)


def _store(
    request: ClinicRequest,
    patient: Patient,
    kind: str,
    form: FactForm,
    *,
    supersedes: ClinicalFact | None = None,
) -> bool:
    """Store what a form says; otherwise leave the reason in the form."""
    if not form.is_valid():
        return False
    try:
        fact_enter(
            actor=request.user,
            patient=patient,
            kind=KINDS[kind][0],
            values=form.cleaned_data,
            supersedes=supersedes,
        )
    except ValidationError as error:
        for name, words in _by_field(error, form).items():
            form.add_error(name, words)
        return False
    divergence_enqueue(patient.pk)
    messages.success(request, f"{KINDS[kind][1]} stored for {patient.pseudonym}.")
    return True


def _by_field(error: ValidationError, form: FactForm) -> dict[str | None, list[str]]:
    """Return the reasons by field; what no field shows stands above the form."""
    if not hasattr(error, "error_dict"):
        return {None: error.messages}
    found: dict[str | None, list[str]] = {}
    for name, words in error.message_dict.items():
        found.setdefault(name if name in form.fields else None, []).extend(words)
    return found


def _onward(request: ClinicRequest, patient: Patient, kind: str) -> HttpResponse:
    """Lead back to the patient, or to the next entry of the same kind."""
    if "another" in request.POST:
        return redirect("fact_add", pk=patient.pk, kind=kind)
    return redirect("patient_detail", pk=patient.pk)


def _form_page(
    request: ClinicRequest,
    patient: Patient,
    kind: str,
    form: FactForm,
    *,
    fact: ClinicalFact | None = None,
) -> HttpResponse:
    """Show the form of a fact."""
    context = {
        "patient": patient,
        "form": form,
        "kind": kind,
        "label": KINDS[kind][1],
        "kinds": _kinds(),
        "fact": fact,
        "drugs": DRUGS,
    }
    return render(request, "monitoring/fact_form.html", context)


def _kinds() -> list[tuple[str, str]]:
    """Return the kinds of facts as the tabs name them."""
    return [(kind, label) for kind, (_model, label) in KINDS.items()]


def _form_class(kind: str) -> type[FactForm]:
    """Return the form of a kind; an unknown kind is no page."""
    if kind not in FORMS:
        raise Http404("No such kind of entry.")
    return FORMS[kind]


def _fact(patient: Patient, kind: str, pk: UUID) -> ClinicalFact:
    """Return an entry of this patient that counts."""
    fact = fact_get(patient, kind=kind, pk=pk)
    if fact is None:
        raise Http404("No such entry, or somebody corrected it meanwhile.")
    return fact


urlpatterns: list[URLPattern] = [
    path("patients/<uuid:pk>/facts/", fact_list, name="fact_list"),
    path("patients/<uuid:pk>/facts/<slug:kind>/add/", fact_add, name="fact_add"),
    path(
        "patients/<uuid:pk>/facts/<slug:kind>/<uuid:fact_pk>/correct/",
        fact_correct,
        name="fact_correct",
    ),
    path(
        "patients/<uuid:pk>/facts/<slug:kind>/<uuid:fact_pk>/withdraw/",
        fact_withdraw_view,
        name="fact_withdraw",
    ),
    path("edss/", edss_computed, name="edss_computed"),
]
