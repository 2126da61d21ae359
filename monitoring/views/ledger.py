"""Doorways: the ledger of scans and their epochs."""

import csv
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_POST

from monitoring.forms.ledger import LedgerForm
from monitoring.models import AuditEntry, Clinic, Grant, ScannerEpoch
from monitoring.requests import ClinicRequest
from monitoring.selectors.ledger_tables import EXPORT_COLUMNS, export_lines
from monitoring.selectors.ledgers import epochs_of, ledger_rows, ledger_scans, scanners_of
from monitoring.services.audit import audit_record
from monitoring.services.epochs import epoch_merge, epoch_split
from monitoring.tasks import divergence_enqueue
from monitoring.views.common import clinic_of, grant_required

PAGE = 50
COLUMNS = (
    ("date", "Visit"),
    ("patient", "Patient"),
    ("scanner", "Scanner and epoch"),
    ("sequence", "Sequence"),
    ("brain", "Brain"),
    ("cord", "Cord"),
)


@grant_required(Grant.REVIEW_READ)
@require_GET
def ledger(request: ClinicRequest) -> HttpResponse:
    """List every scan of the clinic with what was measured on it."""
    clinic = clinic_of(request)
    form = _form(request, clinic)
    wanted = form.wanted()
    scans = ledger_scans(request.user, clinic, wanted=wanted)
    page = Paginator(scans, PAGE).get_page(request.GET.get("page"))
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="ledger"
    )
    context = {
        "form": form,
        "page": page,
        "rows": ledger_rows(page),
        "total": page.paginator.count,
        "columns": [_column(name, words, wanted.sort) for name, words in COLUMNS],
        "chosen_epoch": form.cleaned_data.get("epoch"),
    }
    return render(request, "monitoring/ledger.html", context)


def _form(request: ClinicRequest, clinic: Clinic) -> LedgerForm:
    """Return the filter as the address gives it."""
    return LedgerForm(
        request.GET, scanners=scanners_of(clinic), epochs=epochs_of(request.user, clinic)
    )


def _column(name: str, words: str, sort: str) -> dict[str, str]:
    """Return the head of a column: its word, its order now, and the order a click asks for."""
    if sort == name:
        return {"words": words, "order": "ascending", "next": f"-{name}"}
    if sort == f"-{name}":
        return {"words": words, "order": "descending", "next": name}
    newest_first = name in {"date", "brain", "cord"}
    return {"words": words, "order": "", "next": f"-{name}" if newest_first else name}


@grant_required(Grant.REVIEW_READ)
@require_GET
def ledger_export(request: ClinicRequest) -> HttpResponse:
    """Export the filtered ledger as CSV, one line per number."""
    clinic = clinic_of(request)
    wanted = _form(request, clinic).wanted()
    ids = list(ledger_scans(request.user, clinic, wanted=wanted).values_list("pk", flat=True))
    audit_record(
        actor=request.user,
        clinic=clinic,
        action=AuditEntry.Action.EXPORT,
        subject="ledger",
        detail=f"{len(ids)} scans",
    )
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="neuraxis_scans.csv"',
            "Cache-Control": "no-store, private",
        },
    )
    writer = csv.writer(response)
    writer.writerow(EXPORT_COLUMNS)
    writer.writerows(export_lines(ids))
    return response


@grant_required(Grant.EPOCHS_READ)
@require_GET
def ledger_epochs(request: ClinicRequest) -> HttpResponse:
    """Show the periods of comparable scans, and which were declared comparable."""
    clinic = clinic_of(request)
    epochs = list(epochs_of(request.user, clinic))
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="epochs"
    )
    context = {
        "epochs": epochs,
        "targets": [epoch for epoch in epochs if epoch.merged_into_id is None],
    }
    return render(request, "monitoring/ledger_epochs.html", context)


def _epochs(request: ClinicRequest) -> QuerySet[ScannerEpoch]:
    return ScannerEpoch.objects.select_related("scanner__clinic").filter(
        scanner__clinic=clinic_of(request)
    )


@grant_required(Grant.EPOCHS_ACT)
@require_POST
def ledger_epoch_split(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Begin a new epoch on a day within another one."""
    epoch = get_object_or_404(_epochs(request), pk=pk)
    try:
        day = parse_date(request.POST.get("starts_on", ""))
        if day is None:
            raise ValidationError("Give the first day of the new epoch.")
        part, patients = epoch_split(actor=request.user, epoch=epoch, starts_on=day)
    except (ValidationError, ValueError) as error:
        words = error.messages if isinstance(error, ValidationError) else ["This is no day."]
        messages.error(request, " ".join(words))
        return redirect("ledger_epochs")
    for patient_id in patients:
        divergence_enqueue(patient_id)
    messages.success(request, f"{part} begins. Patients to be computed again: {len(patients)}.")
    return redirect("ledger_epochs")


@grant_required(Grant.EPOCHS_ACT)
@require_POST
def ledger_epoch_merge(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Declare an epoch comparable with another, or take that back."""
    own = _epochs(request)
    epoch = get_object_or_404(own, pk=pk)
    into = None
    if request.POST.get("into"):
        try:
            into = own.filter(pk=UUID(request.POST["into"])).first()
        except ValueError:
            into = None
        if into is None:
            messages.error(request, "Choose the epoch that it is comparable with.")
            return redirect("ledger_epochs")
    try:
        patients = epoch_merge(actor=request.user, epoch=epoch, into=into)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("ledger_epochs")
    for patient_id in patients:
        divergence_enqueue(patient_id)
    words = f"declared comparable with {into}" if into else "a period of its own again"
    messages.success(
        request, f"{epoch}: {words}. Patients to be computed again: {len(patients)}."
    )
    return redirect("ledger_epochs")


urlpatterns = [
    path("ledger/", ledger, name="ledger"),
    path("ledger/export.csv", ledger_export, name="ledger_export"),
    path("ledger/epochs/", ledger_epochs, name="ledger_epochs"),
    path("ledger/epochs/<uuid:pk>/merge/", ledger_epoch_merge, name="ledger_epoch_merge"),
    path("ledger/epochs/<uuid:pk>/split/", ledger_epoch_split, name="ledger_epoch_split"),
]
