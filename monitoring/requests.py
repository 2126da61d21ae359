"""What a request carries after the middleware has seen it."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from monitoring.models import Clinic, Grant, Role


class ClinicRequest(HttpRequest):
    """A request of a signed-in person, with the active clinic and what may be done there."""

    user: User
    htmx: HtmxDetails
    clinic: Clinic | None
    clinics: list[Clinic]
    roles: frozenset[Role]
    grants: frozenset[Grant]
