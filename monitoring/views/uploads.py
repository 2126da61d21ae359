"""Doorways: upload a session, confirm what was recognised, watch it being measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from monitoring.forms.uploads import ConfirmForm, NewPatientForm, SeriesForm, UploadForm
from monitoring.models import AuditEntry, Grant, Patient, UploadDraft
from monitoring.receiving import received_files
from monitoring.requests import ClinicRequest
from monitoring.selectors.deliveries import deliveries_arriving
from monitoring.selectors.people import grants_in
from monitoring.selectors.uploads import (
    drafts_waiting,
    patient_matches,
    scanner_names,
    series_list,
    uploaded_scans,
    uploads_recent,
    visit_date_asked,
)
from monitoring.services.access import delivery_open, draft_open, patient_open
from monitoring.services.audit import audit_record
from monitoring.services.deliveries import delivery_discard, delivery_files
from monitoring.services.masks import lesions_give
from monitoring.services.patients import patient_create
from monitoring.services.uploads import draft_confirm, draft_create, draft_discard
from monitoring.views.common import clinic_of, grant_required
from volumetry.intake.types import IntakeRefused, Limits
from volumetry.tasks import run_enqueue

UNPROCESSABLE = 422


@grant_required(Grant.UPLOAD)
def upload_start(request: ClinicRequest) -> HttpResponse:
    """Pick the patient whom the images are of, or add one."""
    clinic = clinic_of(request)
    form = NewPatientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            patient = patient_create(actor=request.user, clinic=clinic, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("upload", patient.pk)
    text = request.GET.get("q", "").strip()
    found = {"patients": patient_matches(request.user, clinic, text=text), "text": text}
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="patient list"
    )
    if request.htmx:
        return render(request, "monitoring/partials/_upload_patients.html", found)
    status = UNPROCESSABLE if form.errors else 200
    return render(
        request, "monitoring/upload_start.html", {"form": form, **found}, status=status
    )


@login_required
def upload(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Receive the files of a visit, and say at once what they are or why not."""
    patient = patient_open(request.user, pk, grant=Grant.UPLOAD, subject="upload")
    if request.method != "POST":
        day = request.GET.get("date") or timezone.localdate().isoformat()
        return _upload_page(request, patient, UploadForm(initial={"visit_date": day}))
    form = UploadForm(request.POST)
    draft: UploadDraft | None = None
    refusal = ""
    try:
        with _sent_files(request, patient) as files:
            if form.is_valid():
                draft = draft_create(
                    actor=request.user,
                    patient=patient,
                    visit_date=form.cleaned_data["visit_date"],
                    files=files,
                )
            else:
                refusal = "Give the visit date as year-month-day."
    except IntakeRefused as error:
        refusal = str(error)
    except ValidationError as error:
        refusal = " ".join(error.messages)
    if draft is None:
        if request.htmx:
            return _refused(request, refusal)
        return _upload_page(request, patient, form, refusal=refusal)
    if request.htmx:
        response = _draft_answer(request, draft)
        response["HX-Push-Url"] = reverse("upload_draft", args=[draft.pk])
        return response
    return redirect("upload_draft", draft.pk)


@contextmanager
def _sent_files(
    request: ClinicRequest, patient: Patient
) -> Iterator[Sequence[tuple[str, Path]]]:
    """Give the files of a visit: those of the request, or those that arrived before it.

    Files that arrived piece by piece go once they were looked at, whatever came out; while one
    is incomplete they stay, to be continued.
    """
    if "delivery" not in request.POST:
        with received_files(request) as files:
            yield files
        return
    try:
        pk = UUID(request.POST["delivery"])
    except ValueError:
        raise Http404("No such upload in your clinics.") from None
    delivery = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    if delivery.patient_id != patient.pk:
        raise Http404("No such upload of this patient.")
    arrived = delivery_files(delivery)
    try:
        yield arrived
    finally:
        delivery_discard(delivery)


def _upload_page(
    request: ClinicRequest, patient: Patient, form: UploadForm, *, refusal: str = ""
) -> HttpResponse:
    """Show the form of a visit's files."""
    limits = Limits()
    context = {
        "patient": patient,
        "form": form,
        "refusal": refusal,
        "waiting": drafts_waiting(patient),
        "recent": uploads_recent(patient),
        "arriving": deliveries_arriving(request.user, patient.clinic, patient=patient),
        "max_bytes": limits.max_upload_bytes,
        "max_files": limits.max_entries,
    }
    status = UNPROCESSABLE if refusal else 200
    return render(request, "monitoring/upload.html", context, status=status)


def _refused(request: ClinicRequest, sentence: str) -> HttpResponse:
    """Say in one sentence what is wrong and what to do."""
    context = {"kind": "error", "text": sentence}
    return render(request, "components/message.html", context, status=UNPROCESSABLE)


@login_required
def upload_draft(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show what was recognised; take the technician's word; show what became of it."""
    draft = draft_open(request.user, pk, grant=Grant.UPLOAD)
    if request.method != "POST" or draft.confirmed_at is not None:
        if request.method == "POST" and not request.htmx:
            return redirect("upload_draft", draft.pk)
        return _draft_answer(request, draft)
    forms = _series_forms(draft, request.POST, request.FILES)
    answer = ConfirmForm(request.POST)
    left_out: list[str] = []
    try:
        with received_files(request):
            refusal = _confirm(request, draft, forms, answer, left_out)
    except IntakeRefused as error:
        refusal = str(error)
    if refusal:
        return _draft_answer(request, draft, forms=forms, refusal=refusal)
    draft.refresh_from_db()
    if request.htmx:
        return _draft_answer(request, draft, left_out=left_out)
    for sentence in left_out:
        messages.warning(request, sentence)
    return redirect("upload_draft", draft.pk)


def _series_forms(draft: UploadDraft, data: object, files: object = None) -> list[SeriesForm]:
    """Return one form per series; those that the clinic holds already have none to fill."""
    return [SeriesForm(data, files, view=view) for view in series_list(draft)]


def _confirm(
    request: ClinicRequest,
    draft: UploadDraft,
    forms: list[SeriesForm],
    answer: ConfirmForm,
    left_out: list[str],
) -> str:
    """Store what was chosen and wake the worker; return the sentence that says why not.

    A lesion mask that does not fit its series leaves the scan as it is; ``left_out`` says why.
    """
    new = [form for form in forms if form.view.held is None]
    if not all([answer.is_valid(), *(form.is_valid() for form in new)]):
        return "A choice is not one of those offered; reload the page."
    _, stated = visit_date_asked([form.view for form in forms])
    kept = [form for form in new if form.cleaned_data["keep"]]
    choices = [form.choice(answers_question=answer.keeps_visit_date) for form in kept]
    try:
        stored = draft_confirm(
            actor=request.user,
            draft=draft,
            choices=[choice for choice in choices if choice is not None],
            visit_date=answer.day(stated),
        )
    except ValidationError as error:
        return " ".join(error.messages)
    for form, (scan, runs) in zip(kept, stored, strict=True):
        asked = list(runs)
        if given := form.cleaned_data.get("lesions"):
            try:
                asked.append(lesions_give(actor=request.user, scan=scan, file=given.path))
            except (IntakeRefused, ValidationError) as error:
                reason = " ".join(getattr(error, "messages", [str(error)]))
                left_out.append(
                    f"Series {form.view.number} is stored, its lesion mask is not: {reason}"
                )
        for run in asked:
            run_enqueue(run.pk)
    return ""


def _draft_answer(
    request: ClinicRequest,
    draft: UploadDraft,
    *,
    forms: list[SeriesForm] | None = None,
    refusal: str = "",
    left_out: Sequence[str] = (),
) -> HttpResponse:
    """Show a draft or what it became: alone for htmx, inside its page otherwise."""
    audit_record(
        actor=request.user,
        clinic=draft.clinic,
        action=AuditEntry.Action.READ,
        subject="upload",
        object_id=draft.pk,
        pseudonym=draft.patient.pseudonym,
    )
    context: dict[str, object] = {"draft": draft, "patient": draft.patient, "refusal": refusal}
    context["left_out"] = left_out
    if draft.confirmed_at is not None:
        context |= _states(request, draft)
        partial = "monitoring/partials/_upload_result.html"
    else:
        forms = forms or _series_forms(draft, None)
        asked, stated = visit_date_asked([form.view for form in forms])
        context |= {
            "forms": forms,
            "date_is_asked": asked,
            "question": next((form.view.question for form in forms if form.view.question), ""),
            "stated_date": _possible(stated),
            "scanners": scanner_names(draft.clinic),
            "is_all_held": all(form.view.held for form in forms),
        }
        partial = "monitoring/partials/_upload_draft.html"
    status = UNPROCESSABLE if refusal else 200
    if request.htmx:
        return render(request, partial, context, status=status)
    context["partial"] = partial
    return render(request, "monitoring/upload_draft.html", context, status=status)


def _possible(stated: date | None) -> date | None:
    """Return the date that the images give, unless it lies in the future."""
    return stated if stated is not None and stated <= timezone.localdate() else None


def _states(request: ClinicRequest, draft: UploadDraft) -> dict[str, object]:
    """Return the scans of a confirmed upload with their runs."""
    scans = uploaded_scans(draft)
    cards = [card for uploaded in scans for card in uploaded.cards]
    return {
        "scans": scans,
        "is_active": any(card.is_active for card in cards),
        "waits_for_reader": any(card.waits_for_reader for card in cards),
        "sees_values": Grant.REVIEW_READ in grants_in(request.user, draft.clinic),
    }


@login_required
@require_GET
def upload_runs(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Say where the measurements of an upload stand; asked again while one is active."""
    draft = draft_open(request.user, pk, grant=Grant.UPLOAD)
    context = {"draft": draft, **_states(request, draft)}
    return render(request, "monitoring/partials/_upload_runs.html", context)


@login_required
@require_POST
def upload_discard(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Forget files that were not confirmed."""
    draft = draft_open(request.user, pk, grant=Grant.UPLOAD)
    patient_pk = draft.patient_id
    draft_discard(draft)
    messages.info(request, "The files were discarded; nothing was stored.")
    return redirect("upload", patient_pk)


urlpatterns = [
    path("upload/", upload_start, name="upload_start"),
    path("patients/<uuid:pk>/upload/", upload, name="upload"),
    path("uploads/<uuid:pk>/", upload_draft, name="upload_draft"),
    path("uploads/<uuid:pk>/runs/", upload_runs, name="upload_runs"),
    path("uploads/<uuid:pk>/discard/", upload_discard, name="upload_discard"),
]
