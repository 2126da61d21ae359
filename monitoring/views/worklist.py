"""Doorways: the start page of each role, the worklist."""

from dataclasses import dataclass
from datetime import date

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone

from monitoring.charts.sparkline import Sparkline, sparkline_pair
from monitoring.models import Attention, AuditEntry, Clinic, Grant, Patient
from monitoring.requests import ClinicRequest
from monitoring.selectors.worklists import (
    CLINICAL,
    SHOW_WORDS,
    Show,
    WorklistQuery,
    list_page,
    listed_patient,
    months_before,
    order_of,
    worklist,
)
from monitoring.services.audit import audit_record
from monitoring.views.common import clinic_of, grant_required

# Where somebody starts: the first page that the roles open.
START_PAGES = (
    (Grant.WORKLIST, "worklist"),
    (Grant.COHORT_READ, "cohort"),
    (Grant.PATIENT_READ, "patient_list"),
    (Grant.REVIEW_READ, "ledger"),
    (Grant.ADMINISTER, "member_list"),
    (Grant.RUN_READ, "run_list"),
)
PAGE_ROWS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One patient as a row shows it."""

    patient: Patient
    why: str
    is_pressing: bool
    age: int | None
    since_scan: str
    is_overdue: bool
    gaps: tuple[str, ...]
    brain: Sparkline | None
    cord: Sparkline | None


@login_required
def home(request: ClinicRequest) -> HttpResponse:
    """Lead to the first page that the roles open."""
    for grant, name in START_PAGES:
        if grant not in request.grants:
            continue
        try:
            return redirect(reverse(name))
        except NoReverseMatch:
            continue
    return render(request, "monitoring/home_empty.html")


@grant_required(Grant.WORKLIST)
def worklist_page(request: ClinicRequest) -> HttpResponse:
    """Show whom to look at today; a search returns the rows alone."""
    is_clinical = Grant.PATIENT_READ in request.grants
    return _patients_page(request, Grant.WORKLIST, is_clinical=is_clinical)


@grant_required(Grant.PATIENT_READ)
def patient_list(request: ClinicRequest) -> HttpResponse:
    """Show the clinic's patients to who reads courses and works off no worklist."""
    return _patients_page(request, Grant.PATIENT_READ, is_clinical=True)


def _patients_page(request: ClinicRequest, grant: Grant, *, is_clinical: bool) -> HttpResponse:
    """Return one page of patients, or its rows alone."""
    clinic, today = clinic_of(request), timezone.localdate()
    query = WorklistQuery.of(request.GET, is_clinical=is_clinical)
    patients = worklist(
        request.user, clinic, query, is_clinical=is_clinical, today=today, grant=grant
    )
    after, before = (
        listed_patient(request.user, clinic, request.GET.get(name))
        for name in ("after", "before")
    )
    page = list_page(
        patients, order_of(is_clinical=is_clinical), size=PAGE_ROWS, after=after,
        before=None if after else before,
    )  # fmt: skip
    audit_record(
        actor=request.user,
        clinic=clinic,
        action=AuditEntry.Action.READ,
        subject="worklist",
        detail=f"{len(page.rows)} rows",
    )
    context = {
        "page": page,
        "rows": [_row(patient, clinic, today) for patient in page.rows],
        "query": query,
        "choices": [
            (show, words)
            for show, words in SHOW_WORDS.items()
            if is_clinical or show not in CLINICAL
        ],
        "is_clinical": is_clinical,
        "show_all": Show.ALL,
        "list_url": request.path,
        "heading": "Worklist" if grant is Grant.WORKLIST else "Patients",
    }
    is_partial = request.htmx and not request.htmx.history_restore_request
    name = "partials/_worklist.html" if is_partial else "worklist.html"
    return render(request, f"monitoring/{name}", context)


def _row(patient: Patient, clinic: Clinic, today: date) -> Row:
    """Return what a row shows of a patient, from its own columns alone."""
    glance = patient.glance
    courses = [
        [(date.fromisoformat(day), value) for day, value in glance.get(region, ())]
        for region in ("brain", "cord")
    ]
    brain, cord = sparkline_pair(courses, names=("Brain", "Cord"))
    last = patient.last_scan_on
    is_control = patient.attention >= Attention.CONTROL
    is_overdue = bool(
        last and not is_control and last < months_before(today, clinic.scan_interval_months)
    )
    return Row(
        patient=patient,
        why=Attention(patient.attention).label,
        is_pressing=patient.attention < Attention.ROUTINE,
        age=today.year - patient.birth_year if patient.birth_year else None,
        since_scan=_ago(last, today),
        is_overdue=is_overdue,
        gaps=() if is_control else (*glance.get("gaps", ()), *_unknown(patient)),
        brain=brain,
        cord=cord,
    )


def _unknown(patient: Patient) -> list[str]:
    """Return which facts beside the statement nobody has entered."""
    facts = {
        "onset": patient.onset_date,
        "birth year": patient.birth_year,
        "EDSS": patient.glance.get("edss") is not None,
    }
    return [f"no {name}" for name, known in facts.items() if not known]


def _ago(day: date | None, today: date) -> str:
    """Return a length of time as a person says it."""
    if day is None:
        return ""
    months = round((today - day).days / 30.44)
    if months < 1:
        return f"{(today - day).days} d"
    return f"{months} mo" if months < 24 else f"{months / 12:.1f} y"


urlpatterns: list[URLPattern] = [
    path("", home, name="home"),
    path("worklist/", worklist_page, name="worklist"),
    path("patients/", patient_list, name="patient_list"),
]
