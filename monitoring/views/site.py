"""Doorways that belong to no patient: health, clinic switch."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from monitoring.models import Clinic


def healthz(_request: HttpRequest) -> JsonResponse:
    """Say whether the server answers and the database is there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@require_GET
def favicon(_request: HttpRequest) -> HttpResponse:
    """Lead browsers that ask for the old address to the picture of the site."""
    return redirect(static("favicon.svg"), permanent=True)


@login_required
@require_POST
def clinic_switch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Work in another of the person's own clinics."""
    if not Clinic.objects.visible_to(request.user).filter(pk=pk).exists():
        raise Http404("No such clinic.")
    request.session["clinic"] = str(pk)
    return redirect("home")


urlpatterns = [
    path("favicon.ico", favicon, name="favicon"),
    path("healthz", healthz, name="healthz"),
    path("clinics/<uuid:pk>/switch/", clinic_switch, name="clinic_switch"),
]
