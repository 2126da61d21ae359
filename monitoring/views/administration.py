"""Doorways: members, tokens, the audit trail, and what this installation is."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from monitoring.core.parameter_set import MODEL_VERSION
from monitoring.forms.administration import (
    AccountForm,
    AuditForm,
    ClinicForm,
    MemberForm,
    TokenForm,
)
from monitoring.models import AuditEntry, Grant
from monitoring.requests import ClinicRequest
from monitoring.selectors.audit import AuditQuery, audit_trail
from monitoring.selectors.parameters import set_in_force
from monitoring.selectors.people import members_by_person, membership_list, token_list
from monitoring.services.audit import audit_record
from monitoring.services.people import (
    account_create,
    clinic_change,
    membership_add,
    membership_remove,
    password_renew,
    token_create,
    token_revoke,
)
from monitoring.views.common import clinic_of, grant_required
from volumetry.engines.registry import METHODS, PAIR_METHODS

AUDIT_PAGE = 50


@grant_required(Grant.ADMINISTER)
def member_list(request: ClinicRequest) -> HttpResponse:
    """Show who may do what in the clinic."""
    people = members_by_person(request.user, clinic_of(request))
    return render(request, "monitoring/member_list.html", {"people": people})


@grant_required(Grant.ADMINISTER)
def member_add(request: ClinicRequest) -> HttpResponse:
    """Give a role to a person who has an account."""
    form = MemberForm(request.POST or None, initial={"username": request.GET.get("username")})
    if request.method == "POST" and form.is_valid():
        try:
            membership = membership_add(
                actor=request.user, clinic=clinic_of(request), **form.cleaned_data
            )
        except ValidationError as error:
            _say(form, error)
        else:
            messages.success(request, f"{membership}.")
            return redirect("member_list")
    return render(request, "monitoring/member_form.html", {"form": form, "is_new": False})


@grant_required(Grant.ADMINISTER)
def member_create(request: ClinicRequest) -> HttpResponse:
    """Make an account for a colleague; the password is shown once, on this answer."""
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user, password = account_create(
                actor=request.user, clinic=clinic_of(request), **form.cleaned_data
            )
        except ValidationError as error:
            _say(form, error)
        else:
            context = {"member": user, "secret": password}
            return render(request, "monitoring/member_created.html", context)
    return render(request, "monitoring/member_form.html", {"form": form, "is_new": True})


@grant_required(Grant.ADMINISTER)
@require_POST
def member_password(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Give a member who forgot the password a new one, shown once, on this answer."""
    members = membership_list(request.user, clinic_of(request))
    membership = get_object_or_404(members.select_related("clinic"), pk=pk)
    try:
        user, password = password_renew(actor=request.user, membership=membership)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("member_list")
    context = {"member": user, "secret": password, "is_renewed": True}
    return render(request, "monitoring/member_created.html", context)


@grant_required(Grant.ADMINISTER)
@require_POST
def member_remove(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """Take a role away."""
    members = membership_list(request.user, clinic_of(request))
    membership = get_object_or_404(members.select_related("clinic"), pk=pk)
    words = f"{membership.user.get_username()} is no longer {membership.get_role_display()}."
    try:
        membership_remove(actor=request.user, membership=membership)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, words)
    return redirect("member_list")


@grant_required(Grant.ADMINISTER)
def token_list_view(request: ClinicRequest) -> HttpResponse:
    """Show the keys of programs."""
    tokens = token_list(request.user, clinic_of(request))
    live = set(tokens.live().values_list("pk", flat=True))
    return render(request, "monitoring/token_list.html", {"tokens": tokens, "live": live})


@grant_required(Grant.ADMINISTER)
def token_add(request: ClinicRequest) -> HttpResponse:
    """Make a token; its text is shown once, on this answer."""
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            token, text = token_create(
                actor=request.user, clinic=clinic_of(request), **form.cleaned_data
            )
        except ValidationError as error:
            _say(form, error)
        else:
            context = {"token": token, "secret": text}
            return render(request, "monitoring/token_created.html", context)
    return render(request, "monitoring/token_form.html", {"form": form})


@grant_required(Grant.ADMINISTER)
@require_POST
def token_revoke_view(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """End a token at once."""
    tokens = token_list(request.user, clinic_of(request)).select_related("clinic")
    token = get_object_or_404(tokens, pk=pk)
    token_revoke(actor=request.user, token=token)
    messages.success(request, f"{token} is revoked.")
    return redirect("token_list")


@grant_required(Grant.ADMINISTER)
def clinic_settings(request: ClinicRequest) -> HttpResponse:
    """Show and change what the clinic goes by."""
    clinic = clinic_of(request)
    known = {"scan_interval_months": clinic.scan_interval_months}
    form = ClinicForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        clinic_change(actor=request.user, clinic=clinic, **form.cleaned_data)
        messages.success(request, "The settings are stored.")
        return redirect("clinic_settings")
    audit_record(
        actor=request.user, clinic=clinic, action=AuditEntry.Action.READ, subject="settings"
    )
    context = {"form": form, "in_force": set_in_force(clinic.pk)}
    return render(request, "monitoring/clinic_settings.html", context)


@login_required
def audit_list(request: ClinicRequest) -> HttpResponse:
    """Show what was done: the own acts, or the clinic's to its administrators."""
    clinic = clinic_of(request)
    administers = Grant.ADMINISTER in request.grants
    own = not administers or request.GET.get("own") == "yes"
    form = AuditForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    query = AuditQuery(
        text=asked.get("q", "").strip(),
        action=asked.get("action", ""),
        since=asked.get("since"),
        until=asked.get("until"),
    )
    trail = audit_trail(request.user, clinic, query, own=own)
    page = Paginator(trail, AUDIT_PAGE).get_page(request.GET.get("page"))
    entries = list(page.object_list)
    audit_record(
        actor=request.user,
        clinic=clinic,
        action=AuditEntry.Action.READ,
        subject="own trail" if own else "audit trail",
    )
    context = {
        "page": page,
        "entries": entries,
        "form": form,
        "own": own,
        "administers": administers,
        "is_filtered": query != AuditQuery(),
    }
    return render(request, "monitoring/audit_list.html", context)


def about(request: HttpRequest) -> HttpResponse:
    """Say what this is, what it measures with, and what it is not."""
    context = {
        "methods": [*METHODS.values(), *PAIR_METHODS.values()],
        "model_version": MODEL_VERSION,
    }
    return render(request, "monitoring/about.html", context)


def _say(form: forms.Form, error: ValidationError) -> None:
    """Show the reasons beside the fields that they are about."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, words in error.message_dict.items():
        form.add_error(name if name in form.fields else None, words)


urlpatterns: list[URLPattern] = [
    path("administration/members/", member_list, name="member_list"),
    path("administration/members/add/", member_add, name="member_add"),
    path("administration/members/new/", member_create, name="member_create"),
    path("administration/members/<uuid:pk>/remove/", member_remove, name="member_remove"),
    path("administration/members/<uuid:pk>/password/", member_password, name="member_password"),
    path("administration/tokens/", token_list_view, name="token_list"),
    path("administration/tokens/add/", token_add, name="token_add"),
    path("administration/tokens/<uuid:pk>/revoke/", token_revoke_view, name="token_revoke"),
    path("administration/settings/", clinic_settings, name="clinic_settings"),
    path("audit/", audit_list, name="audit_list"),
    path("about/", about, name="about"),
]
