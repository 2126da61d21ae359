"""What the doorways share: who may pass, and pages that say no."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from monitoring.models import Clinic, Grant
from monitoring.requests import ClinicRequest

P = ParamSpec("P")


def grant_required(
    grant: Grant,
) -> Callable[
    [Callable[Concatenate[ClinicRequest, P], HttpResponse]],
    Callable[Concatenate[ClinicRequest, P], HttpResponse],
]:
    """Let pass who holds a grant in the active clinic: log in first, else 403.

    For pages of one clinic (lists). Pages of one object use `monitoring.services.access`,
    which asks for the grant in the object's own clinic.
    """

    def decorate(
        view: Callable[Concatenate[ClinicRequest, P], HttpResponse],
    ) -> Callable[Concatenate[ClinicRequest, P], HttpResponse]:
        @login_required
        @wraps(view)
        def guarded(request: ClinicRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if grant not in request.grants:
                raise PermissionDenied(f"Your role may not {grant.label}.")
            return view(request, *args, **kwargs)

        return cast("Callable[Concatenate[ClinicRequest, P], HttpResponse]", guarded)

    return decorate


def clinic_of(request: ClinicRequest) -> Clinic:
    """Return the active clinic of a request that passed `grant_required`."""
    if request.clinic is None:
        raise PermissionDenied("You are not a member of any clinic; ask your administrator.")
    return request.clinic
