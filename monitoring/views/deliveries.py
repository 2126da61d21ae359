"""Doorways: upload a whole clinic day, and say for each visit whose it is."""

from datetime import date
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from monitoring.forms.deliveries import DayVisitForm
from monitoring.forms.uploads import UploadForm
from monitoring.models import AuditEntry, DeliveredVisit, Delivery, Grant, Patient, UploadDraft
from monitoring.receiving import received_files
from monitoring.requests import ClinicRequest
from monitoring.selectors.deliveries import (
    VisitCard,
    deliveries_arriving,
    deliveries_undecided,
    delivery_refused,
    patient_by_code,
    visit_cards,
)
from monitoring.selectors.uploads import patient_matches, scanner_names
from monitoring.services.access import delivery_open, patient_open
from monitoring.services.audit import audit_record
from monitoring.services.deliveries import (
    delivery_begin,
    delivery_discard,
    delivery_receive,
    delivery_sort,
    visit_assign,
    visit_confirm,
    visit_recognise,
)
from monitoring.services.uploads import SeriesChoice
from monitoring.views.common import clinic_of, grant_required
from volumetry.intake.types import IntakeRefused, Limits
from volumetry.tasks import run_enqueue

UNPROCESSABLE = 422


@grant_required(Grant.UPLOAD)
def day(request: ClinicRequest) -> HttpResponse:
    """Receive the folder of a clinic day; without JavaScript the files come with the form."""
    refusal = ""
    if request.method == "POST":
        delivery = delivery_begin(actor=request.user, clinic=clinic_of(request))
        try:
            with received_files(request) as files:
                delivery_receive(delivery, files)
            delivery_sort(delivery)
        except IntakeRefused as error:
            delivery_discard(delivery)
            refusal = str(error)
        else:
            return redirect("delivery", delivery.pk)
    clinic = clinic_of(request)
    context = {
        "refusal": refusal,
        "arriving": deliveries_arriving(request.user, clinic),
        "undecided": deliveries_undecided(clinic),
        "max_bytes": Limits().max_upload_bytes,
        "max_files": Limits().max_entries,
    }
    status = UNPROCESSABLE if refusal else 200
    return render(request, "monitoring/day.html", context, status=status)


@grant_required(Grant.UPLOAD)
@require_POST
def begin(request: ClinicRequest) -> HttpResponse:
    """Open a delivery for a page that sends its files piece by piece."""
    patient, visit_date = None, None
    clinic = clinic_of(request)
    try:
        if request.POST.get("patient"):
            patient = patient_open(
                request.user,
                UUID(request.POST["patient"]),
                grant=Grant.UPLOAD,
                subject="upload",
            )
            clinic = patient.clinic
            form = UploadForm(request.POST)
            if not form.is_valid():
                return JsonResponse(
                    {"refusal": "Give the visit date as year-month-day."}, status=422
                )
            visit_date = form.cleaned_data["visit_date"]
        delivery = delivery_begin(
            actor=request.user, clinic=clinic, patient=patient, visit_date=visit_date
        )
    except ValidationError as error:
        return JsonResponse({"refusal": " ".join(error.messages)}, status=422)
    except ValueError:
        return JsonResponse({"refusal": "No such patient; reload the page."}, status=422)
    answer = {
        "delivery": str(delivery.pk),
        "files": reverse("delivery_files", args=[delivery.pk]),
        "finish": reverse("delivery_sort", args=[delivery.pk]),
    }
    return JsonResponse(answer, status=201)


@login_required
@require_POST
def sort(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Sort what arrived into visits, and lead to their page."""
    found = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    try:
        delivery_sort(found)
    except IntakeRefused as error:
        context = {"kind": "error", "text": str(error)}
        return render(request, "components/message.html", context, status=UNPROCESSABLE)
    if request.htmx:
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = reverse("delivery", args=[found.pk])
        return answer
    return redirect("delivery", found.pk)


@login_required
@require_POST
def recognise(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Look at the next visit; without JavaScript at all of them."""
    found = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    for visit in found.visits.exclude(state__in=["recognised", "refused"]):
        if visit_recognise(visit) and request.htmx:
            break
    if request.htmx:
        return render(request, "monitoring/partials/_day_visits.html", _context(found))
    return redirect("delivery", found.pk)


@login_required
def delivery(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show the visits of a clinic day; take the technician's word on one or on all."""
    found = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    if found.is_day is False and found.patient is not None:
        return redirect("upload", found.patient.pk)
    if found.sorted_at is None:
        return redirect("day")
    cards = visit_cards(found)
    for code in {card.suggested.pseudonym if card.suggested else "" for card in cards} or {""}:
        audit_record(
            actor=request.user,
            clinic=found.clinic,
            action=AuditEntry.Action.READ,
            subject="delivery",
            object_id=found.pk,
            pseudonym=code,
        )
    if request.method != "POST":
        return render(request, "monitoring/delivery.html", _context(found))
    forms = [DayVisitForm(request.POST, card=card) for card in cards]
    if "look" in request.POST:
        draft = _look(request, forms)
        if draft is not None:
            return redirect("upload_draft", draft.pk)
    else:
        _confirm_each(request, forms, asked=request.POST.get("confirm", ""))
    if not any(form.refusal for form in forms):
        return redirect("delivery", found.pk)
    context = _context(found, asked={form.card.visit.number: form for form in forms})
    return render(request, "monitoring/delivery.html", context, status=UNPROCESSABLE)


def _context(
    found: Delivery, *, asked: dict[int, DayVisitForm] | None = None
) -> dict[str, object]:
    """Return everything that the page of a delivery shows."""
    forms = []
    for card in visit_cards(found):
        given = (asked or {}).get(card.visit.number)
        form = DayVisitForm(given.data if given else None, card=card)
        form.refusal = given.refusal if given else ""
        forms.append(form)
    state = DeliveredVisit.State
    open_cards = [form.card for form in forms if form.card.is_open]
    return {
        "delivery": found,
        "forms": forms,
        "refused": delivery_refused(found),
        "waiting": sum(
            form.card.visit.state in {state.WAITING, state.READING} for form in forms
        ),
        "looked_at": sum(
            form.card.visit.state in {state.RECOGNISED, state.REFUSED} for form in forms
        ),
        "to_confirm": sum(
            not card.needs_a_look and not card.is_all_held for card in open_cards
        ),
        "confirmed": sum(form.card.is_confirmed for form in forms),
        "scanners": scanner_names(found.clinic),
    }


def _confirm_each(request: ClinicRequest, forms: list[DayVisitForm], *, asked: str) -> None:
    """Confirm one visit, or all that are complete; each keeps its own refusal."""
    stored = 0
    for form in forms:
        card = form.card
        is_asked = asked == str(card.visit.number)
        if not card.is_open or not (is_asked or asked == "all"):
            continue
        is_complete = form.is_valid()
        if asked == "all" and (not is_complete or card.needs_a_look or card.is_all_held):
            continue
        form.refusal = _confirm(request, form)
        stored += not form.refusal
    if stored:
        what = "1 visit is" if stored == 1 else f"{stored} visits are"
        messages.success(request, f"{what} stored; the measurements have been asked for.")
    elif asked == "all" and not any(form.refusal for form in forms):
        messages.warning(
            request, "No visit is complete yet: give each a patient’s code and a date."
        )


def _confirm(request: ClinicRequest, form: DayVisitForm) -> str:
    """Store a visit; return the sentence that says why not."""
    card = form.card
    try:
        patient, visit_date = _whose(form)
        if card.needs_a_look:
            return card.needs_a_look
        stored = visit_confirm(
            actor=request.user,
            visit=card.visit,
            patient=patient,
            visit_date=visit_date,
            choices=_choices(card, form.cleaned_data.get("scanner_name", "")),
        )
    except ValidationError as error:
        return " ".join(error.messages)
    except IntakeRefused as error:
        return str(error)
    for _, runs in stored:
        for run in runs:
            run_enqueue(run.pk)
    return ""


def _look(request: ClinicRequest, forms: list[DayVisitForm]) -> UploadDraft | None:
    """Make a draft of one visit, to be looked at closely; None when that was refused."""
    for form in forms:
        if request.POST["look"] != str(form.card.visit.number) or not form.card.is_open:
            continue
        try:
            patient, visit_date = _whose(form)
            return visit_assign(
                actor=request.user,
                visit=form.card.visit,
                patient=patient,
                visit_date=visit_date,
            )
        except ValidationError as error:
            form.refusal = " ".join(error.messages)
        except IntakeRefused as error:
            form.refusal = str(error)
    return None


def _whose(form: DayVisitForm) -> tuple[Patient, date]:
    """Return patient and date as given, or raise ValidationError with what is missing."""
    if not form.is_valid() and "patient" in form.errors:
        raise ValidationError("Say whose visit this is: give the patient’s code.")
    if not form.is_valid():
        raise ValidationError("Give the visit date as year-month-day.")
    code = form.cleaned_data["patient"]
    patient = patient_by_code(form.card.visit.delivery.clinic, code)
    if patient is None:
        raise ValidationError(
            f"Your clinic has no patient with the code {code}. Check it, or add the patient."
        )
    return patient, form.cleaned_data["visit_date"]


def _choices(card: VisitCard, scanner_name: str) -> list[SeriesChoice]:
    """Take what was recognised as the choice."""
    return [
        SeriesChoice(
            index=view.index,
            sequence=view.sequence,
            measure_brain=view.measure_brain,
            measure_cord=view.measure_cord,
            scanner_name="" if view.names_scanner else scanner_name,
        )
        for view in card.series
        if view.is_worth_keeping
    ]


@login_required
@require_POST
def discard(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Forget what was not confirmed."""
    found = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    patient_pk = found.patient_id
    delivery_discard(found)
    messages.info(request, "The files were discarded; visits that you confirmed stay.")
    return redirect("upload", patient_pk) if patient_pk else redirect("day")


@grant_required(Grant.UPLOAD)
@require_GET
def patient_options(request: ClinicRequest) -> HttpResponse:
    """Offer patients whose code holds what was typed."""
    text = next((str(value) for key, value in request.GET.items() if "patient" in key), "")
    clinic = clinic_of(request)
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="patient list"
    )
    found = patient_matches(request.user, clinic, text=text.strip())
    return render(request, "monitoring/partials/_patient_options.html", {"patients": found})


urlpatterns = [
    path("upload/day/", day, name="day"),
    path("upload/patients/", patient_options, name="patient_options"),
    path("deliveries/", begin, name="delivery_begin"),
    path("upload/day/<uuid:pk>/", delivery, name="delivery"),
    path("upload/day/<uuid:pk>/sort/", sort, name="delivery_sort"),
    path("upload/day/<uuid:pk>/recognise/", recognise, name="delivery_recognise"),
    path("upload/day/<uuid:pk>/discard/", discard, name="delivery_discard"),
]
