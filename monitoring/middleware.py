"""Request-wide rules: content security, session age, the active clinic."""

import time
from collections.abc import Callable
from typing import cast

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_structlog.middlewares import RequestMiddleware

from monitoring.requests import ClinicRequest
from monitoring.selectors.people import grants_of, roles_by_clinic

Next = Callable[[HttpRequest], HttpResponse]


class RequestLogMiddleware(RequestMiddleware):
    """Log each request without its query: a search holds what a person typed."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Return method and path."""
        return f"{request.method} {request.path}"


class ContentSecurityPolicyMiddleware:
    """Send the policy of the settings with every page; patient pages are never cached."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer with the headers."""
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        response.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if not request.path.startswith(f"/{settings.STATIC_URL.strip('/')}/"):
            response.setdefault("Cache-Control", "no-store")
        return response


class SessionAgeMiddleware:
    """End a session 12 hours after its login, however busy it is (ASVS v5.0.0-7.3.2).

    That it is in use is written once a minute and not with every answer: each write is a
    commit that the page waits for. An idle session ends a minute early at most.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Log out a session that is too old; note that another one is in use."""
        if request.user.is_authenticated:
            now = int(time.time())
            began = request.session.setdefault("began_at", now)
            if now - began > settings.SESSION_ABSOLUTE_SECONDS:
                auth.logout(request)
                return redirect(settings.LOGIN_URL)
            if now - request.session.get("used_at", 0) >= settings.SESSION_TOUCH_SECONDS:
                request.session["used_at"] = now
                UserSession.objects.create_from_request(request)
        return self.get_response(request)


class FirstPasswordMiddleware:
    """Lead who signed in with an administrator's password to choosing an own one."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Open nothing but the page that changes the password, and the way out."""
        if request.user.is_authenticated and request.session.get("must_change_password"):
            change, leave = reverse("account_change_password"), reverse("account_logout")
            if request.path not in {change, leave}:
                return redirect(change)
        return self.get_response(request)


class ClinicMiddleware:
    """Give each request its clinic, and what the person may do there."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set ``request.clinic``, ``request.roles`` and ``request.grants``."""
        known = cast("ClinicRequest", request)
        known.clinics, known.clinic = [], None
        known.roles, known.grants = frozenset(), frozenset()
        if request.user.is_authenticated:
            held = roles_by_clinic(request.user)
            known.clinics = list(held)
            chosen = request.session.get("clinic")
            known.clinic = next(
                (clinic for clinic in known.clinics if str(clinic.pk) == chosen),
                next(iter(known.clinics), None),
            )
        if known.clinic:
            known.roles = held[known.clinic]
            known.grants = grants_of(known.roles)
        return self.get_response(request)
