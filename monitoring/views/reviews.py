"""Doorways: the queue of measurements that wait for a reader, verdicts and landmarks."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from monitoring.charts.profile import profile_chart
from monitoring.forms.reviews import LandmarkForm, VerdictForm
from monitoring.models import AuditEntry, Grant, Review, Scan
from monitoring.requests import ClinicRequest
from monitoring.selectors.levels import area_profile, slices_of
from monitoring.selectors.masks import keeps_outline, masked_runs, takes_mask
from monitoring.selectors.people import grants_in
from monitoring.selectors.reviews import (
    own_series,
    prior_of,
    review_neighbours,
    review_queue,
    reviews_recent,
    sagittal_view,
)
from monitoring.selectors.runs import (
    CORD_METHOD,
    REGION_WORDS,
    run_card,
    run_region,
    run_subject,
)
from monitoring.selectors.scans import run_view
from monitoring.selectors.sheet import sheet_tiles
from monitoring.services.access import run_open
from monitoring.services.audit import audit_record
from monitoring.services.reviews import landmark_place, measurement_review
from monitoring.tasks import divergence_enqueue
from monitoring.views.common import clinic_of, grant_required
from volumetry.masks import OWN_MASKS
from volumetry.models import VolumetryRun
from volumetry.tasks import run_enqueue

PAGE = 40
SHEET = 24
UNPROCESSABLE = 422
# Keys of the reasons after 1 accept, 2 reject, 3 artifact.
REASON_KEYS = {
    Review.Reason.ARTIFACT: "3",
    Review.Reason.OUTLINE: "4",
    Review.Reason.LEVEL: "5",
    Review.Reason.COVERAGE: "6",
    Review.Reason.IDENTITY: "7",
    Review.Reason.OTHER: "8",
}
REASONS = [(reason.value, reason.label, REASON_KEYS[reason]) for reason in Review.Reason]


@grant_required(Grant.REVIEW_READ)
@require_GET
def review_list(request: ClinicRequest) -> HttpResponse:
    """List what waits for a reader, the most urgent first."""
    clinic = clinic_of(request)
    queue = review_queue(request.user, clinic)
    page = Paginator(queue, PAGE).get_page(request.GET.get("page"))
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="review queue"
    )
    context = {
        "page": page,
        "cards": [run_card(run) for run in page],
        "total": page.paginator.count,
        "recent": reviews_recent(request.user, clinic),
        "sees_values": True,
    }
    return render(request, "monitoring/review_queue.html", context)


@grant_required(Grant.REVIEW_READ)
@require_GET
def review_sheet(request: ClinicRequest) -> HttpResponse:
    """Show many waiting measurements at once, each with its picture and its buttons."""
    clinic = clinic_of(request)
    region = request.GET.get("region", "")
    region = region if region in REGION_WORDS else ""
    queue = review_queue(request.user, clinic).filter(method__contains=region)
    page = Paginator(queue, SHEET).get_page(request.GET.get("page"))
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="review queue"
    )
    context = {
        "page": page,
        "tiles": sheet_tiles(page),
        "total": page.paginator.count,
        "region": region,
        "regions": [("", "All"), *REGION_WORDS.items()],
        "reasons": REASONS,
    }
    return render(request, "monitoring/review_sheet.html", context)


@login_required
@require_GET
def review(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Show a measurement to its reader.

    With ``after`` the page is fetched ahead, while that other run is still looked at: the trail
    says so, and the places are counted as if its verdict had been given.
    """
    after = request.GET.get("after", "")
    detail = f"run {pk}, fetched ahead" if after else ""
    run, scan = run_open(request.user, pk, grant=Grant.REVIEW_READ, detail=detail)
    return _review_page(request, run, scan, after=after)


def _review_page(
    request: ClinicRequest,
    run: VolumetryRun,
    scan: Scan,
    *,
    form: VerdictForm | None = None,
    landmark: LandmarkForm | None = None,
    refusal: str = "",
    after: str = "",
) -> HttpResponse:
    """Show picture, numbers, the own series and the prior, with the verdict's buttons."""
    held = {grant.value for grant in grants_in(request.user, scan.clinic)}
    view = run_view(run)
    latest = view.card.review
    queue = review_queue(request.user, scan.clinic)
    sagittal = sagittal_view(view.run) if run.method == CORD_METHOD else None
    seen = {"seen_review": latest.pk if latest else None}
    if form is not None:
        # Who was overtaken sees the other's verdict now, and answers to that one.
        seen["note"] = form.data.get("note", "")
    prior = prior_of(view.run)
    own_profile = area_profile(view.run)
    prior_profile = area_profile(prior.run) if prior else None
    context = {
        "view": view,
        "card": view.card,
        "may": held,
        "slices": slices_of(view.run, prior.run if prior else None),
        "profile": profile_chart(own_profile, prior_profile) if own_profile else None,
        "patient": scan.session.visit.patient,
        "latest": latest,
        "series": own_series(view.run),
        "prior": prior,
        "around": review_neighbours(queue, run.pk, after=after),
        "form": VerdictForm(initial=seen),
        "reasons": REASONS,
        "sagittal": sagittal,
        "masked": [] if run.before_id else masked_runs(view.run),
        "takes_mask": takes_mask(view.run),
        "keeps_outline": keeps_outline(view.run),
        "own_mask": OWN_MASKS.get(run_region(view.run), ""),
        "landmark": landmark or LandmarkForm(),
        "refusal": refusal,
        "sees_values": True,
    }
    status = UNPROCESSABLE if refusal else 200
    return render(request, "monitoring/review_page.html", context, status=status)


@login_required
def review_verdict(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Take a verdict, and lead to the next measurement that waits."""
    if request.method != "POST":  # the address of a refused verdict, opened again
        return redirect("review", pk)
    run, scan = run_open(request.user, pk, grant=Grant.REVIEW_WRITE)
    form = VerdictForm(request.POST)
    from_sheet = request.POST.get("from") == "sheet" and request.accepts("application/json")
    from_sheet = from_sheet and not request.accepts("text/html")
    if not form.is_valid() and from_sheet:
        return JsonResponse({"words": "Choose a verdict."}, status=UNPROCESSABLE)
    if not form.is_valid():
        return _review_page(request, run, scan, form=form, refusal="Choose a verdict.")
    around = review_neighbours(review_queue(request.user, scan.clinic), run.pk)
    verdict, reason = form.verdict_and_reason
    try:
        given = measurement_review(
            actor=request.user,
            run=run,
            verdict=verdict,
            reason=reason,
            note=form.cleaned_data["note"],
            seen_review=form.cleaned_data["seen_review"],
        )
    except ValidationError as error:
        refusal = " ".join(error.messages)
        if from_sheet:
            return JsonResponse({"words": refusal}, status=UNPROCESSABLE)
        return _review_page(request, run, scan, form=form, refusal=refusal)
    patient = scan.session.visit.patient
    divergence_enqueue(patient.pk)
    words = given.get_verdict_display()
    if given.reason:
        words = f"{words}: {given.get_reason_display().lower()}"
    if from_sheet:
        return JsonResponse({"words": f"{words}.", "review": given.pk})
    words = f"{patient.pseudonym}, {scan.session.visit.date}, {run_subject(run)}: {words}."
    where = reverse("review", args=[around.next]) if around.next else reverse("review_queue")
    if request.POST.get("ahead") == where:  # the browser holds that page already
        return JsonResponse({"words": words})
    messages.success(request, words)
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": where})
    return redirect(where)


@login_required
def review_landmark(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Take a point on the sagittal picture and measure again with it."""
    if request.method != "POST":
        return redirect("review", pk)
    run, scan = run_open(request.user, pk, grant=Grant.REVIEW_WRITE)
    form = LandmarkForm(_click(request))
    picture = sagittal_view(run) if run.method == CORD_METHOD else None
    refusal = ""
    if picture is None:
        refusal = "This run drew no sagittal picture, so nothing can be marked on it."
    elif not form.is_valid():
        refusal = "Place the cross on the picture and say what it marks."
    else:
        given = form.cleaned_data
        try:
            new = landmark_place(
                actor=request.user,
                run=run,
                kind=given["kind"],
                point_mm=picture.world_of(given["px"], given["py"]),
            )
        except ValidationError as error:
            refusal = " ".join(error.messages)
        except ValueError as error:
            refusal = str(error)
        else:
            run_enqueue(new.pk)
            return redirect("review", new.pk)
    return _review_page(request, run, scan, landmark=form, refusal=refusal)


def _click(request: ClinicRequest) -> dict[str, str]:
    """Return the fields; without JavaScript the picture itself is the button (at.x, at.y)."""
    posted = {name: request.POST.get(name, "") for name in ("kind", "px", "py")}
    if "at.x" in request.POST:
        posted["px"], posted["py"] = request.POST["at.x"], request.POST.get("at.y", "")
    return posted


urlpatterns = [
    path("reviews/", review_list, name="review_queue"),
    path("reviews/sheet/", review_sheet, name="review_sheet"),
    path("reviews/<uuid:pk>/", review, name="review"),
    path("reviews/<uuid:pk>/verdict/", review_verdict, name="review_verdict"),
    path("reviews/<uuid:pk>/landmark/", review_landmark, name="review_landmark"),
]
