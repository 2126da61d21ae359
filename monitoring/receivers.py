"""What other applications tell the record: a run ended, somebody signed in."""

from typing import Any

from allauth.account.signals import password_changed
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from monitoring.models import FirstPassword
from monitoring.services.clinical import scan_touch
from monitoring.services.methods import method_pin, verdict_carry
from monitoring.tasks import divergence_enqueue
from volumetry.models import VolumetryRun
from volumetry.signals import run_finished


@receiver(run_finished, dispatch_uid="monitoring.run_finished")
def refresh_after_run(sender: type[VolumetryRun], run: VolumetryRun, **_kwargs: Any) -> None:
    """Recompute the divergence of the patient whose scan was measured."""
    scan = getattr(run.image, "scan", None)
    if scan is not None:
        method_pin(run)
        verdict_carry(run)
        scan_touch(scan)
        divergence_enqueue(scan.session.visit.patient_id)


@receiver(user_logged_in, dispatch_uid="monitoring.user_logged_in")
def remember_first_password(
    sender: type[User], request: HttpRequest, user: User, **_kwargs: Any
) -> None:
    """Note in the session that the password was made by somebody else."""
    if FirstPassword.objects.filter(user=user).exists():
        request.session["must_change_password"] = True


@receiver(password_changed, dispatch_uid="monitoring.password_changed")
def forget_first_password(
    sender: type[User], request: HttpRequest, user: User, **_kwargs: Any
) -> None:
    """Open the pages to somebody who chose an own password."""
    FirstPassword.objects.filter(user=user).delete()
    request.session.pop("must_change_password", None)
