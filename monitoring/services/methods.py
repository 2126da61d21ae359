"""Follow one method and version; measure a patient or a clinic again; switch in one step."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.models import (
    AuditEntry,
    Clinic,
    Grant,
    MethodChoice,
    Patient,
    Review,
    Scan,
    Slot,
)
from monitoring.selectors.methods import (
    BUILT_IN,
    active_methods,
    runs_of_slot,
    slot_of,
    tasks_measured,
)
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant
from volumetry.engines.registry import METHODS, PAIR_METHODS
from volumetry.models import Outcome, Status, VolumetryRun
from volumetry.services import parameters_digest

if TYPE_CHECKING:
    from monitoring.models.people import Actor

BATCH = 500
# Why a scan was rejected for what it shows: measuring it again changes nothing about that.
OF_THE_IMAGE = (Review.Reason.ARTIFACT, Review.Reason.IDENTITY)


def method_pin(run: VolumetryRun) -> None:
    """Let the first measurement of a clinic decide what its trends follow.

    A newer version that is installed later measures beside it until somebody switches.
    """
    slot = slot_of(run.method, is_pair=run.before_id is not None)
    is_ours = run.method == BUILT_IN[slot]
    if run.status != Status.SUCCEEDED or run.outcome == Outcome.REFUSED or not is_ours:
        return
    clinic = run.image.scan.clinic
    if not clinic.methods.filter(slot=slot).exists():
        MethodChoice.objects.create(
            clinic=clinic, slot=slot, method=run.method, version=run.method_version
        )


def verdict_carry(run: VolumetryRun) -> Review | None:
    """Reject a new measurement of a scan that a reader rejected for what it shows.

    Artifacts and mistaken identity are of the image, not of the outline: a new version must not
    bring such a scan back by itself. A reader may accept the new run all the same.
    """
    if run.status != Status.SUCCEEDED or run.outcome == Outcome.REFUSED:
        return None
    slot = slot_of(run.method, is_pair=run.before_id is not None)
    earlier = runs_of_slot(slot).filter(image=run.image_id, before=run.before_id)
    judged = (
        Review.objects.filter(run__in=earlier)
        .exclude(run=run.pk)
        .select_related("run", "reviewer")
        .order_by("created_at", "id")
        .last()
    )
    if judged is None or judged.reason not in OF_THE_IMAGE or run.reviews.exists():
        return None
    return Review.objects.create(
        run=run,
        verdict=Review.Verdict.REJECTED,
        reason=judged.reason,
        reviewer=judged.reviewer,
        note=(
            f"Carried over from the measurement with {judged.run.method} "
            f"{judged.run.method_version}: what was wrong is in the image. {judged.note}"
        ).strip(),
    )


@transaction.atomic
def remeasure_request(
    *, actor: "Actor", clinic: Clinic, slot: str, method: str, patient: Patient | None = None
) -> int:
    """Ask the installed version of a method for all that the followed version has measured.

    The runs stand beside the old ones and change no trend. They wait in the background: the
    scan of a visit never waits behind them. What was asked for already is not asked for again.

    Returns
    -------
    int
        How many runs were asked for.

    Raises
    ------
    ValidationError
        If the method is none of this installation, or nothing is left to ask for.
    """
    require_grant(actor, clinic, Grant.METHODS)
    known = METHODS if slot in {Slot.BRAIN, Slot.CORD} else PAIR_METHODS
    if slot not in Slot.values or method not in known:
        raise ValidationError("This installation offers no such method; reload the page.")
    version = known[method].version
    runs = runs_of_slot(slot).filter(image__scan__clinic=clinic)
    if patient is not None:
        runs = runs.filter(image__scan__session__visit__patient=patient)
    active = active_methods(clinic.pk).get(slot)
    if active is None:
        raise ValidationError("Nothing was measured yet, so there is nothing to repeat.")
    asked = set(
        runs.filter(method=method, method_version=version)
        .exclude(status__in=[Status.CANCELLED, Status.FAILED])
        .values_list("image_id", "before_id")
    )
    # The newest request of the followed version: its contrast, landmark and click go along.
    # What it refused is asked for too: a new version may see more.
    newest = {
        (image, before): parameters
        for image, before, parameters in runs.filter(
            method=active[0], method_version=active[1], status=Status.SUCCEEDED
        )
        .order_by("finished_at")
        .values_list("image_id", "before_id", "parameters")
    }
    wanted = newest.keys() - asked
    if not wanted:
        raise ValidationError(f"{method} {version} was asked for all of it already.")
    new = [
        VolumetryRun(
            image_id=image,
            before_id=before,
            method=method,
            method_version=version,
            parameters=newest[image, before],
            parameters_digest=parameters_digest(newest[image, before]),
            is_background=True,
        )
        for image, before in sorted(wanted, key=str)
    ]
    VolumetryRun.objects.bulk_create(new, batch_size=BATCH, ignore_conflicts=True)
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.ADMINISTER,
        subject="method",
        pseudonym=patient.pseudonym if patient else "",
        detail=f"{slot}: {len(new)} asked for with {method} {version}",
    )
    return len(new)


@transaction.atomic
def method_switch(
    *,
    actor: "Actor",
    clinic: Clinic,
    slot: str,
    method: str,
    version: str,
    leaves_out: int = 0,
) -> list[UUID]:
    """Let the clinic's trends follow another version from now on, all of them at once.

    Switching back is the same act with the old version: its numbers are all still there.

    Parameters
    ----------
    leaves_out : int
        How many measurements the person agreed to lose from the trends because the new version
        does not have them; the page names the number.

    Returns
    -------
    list of UUID
        The patients whose divergence the doorway has to have recomputed.

    Raises
    ------
    ValidationError
        If the version measured nothing here, is followed already, or lacks more than agreed.
    """
    require_grant(actor, clinic, Grant.METHODS)
    # One switch at a time: two people must not both decide from the same page.
    Clinic.objects.select_for_update().get(pk=clinic.pk)
    if slot not in Slot.values:
        raise ValidationError("There is nothing of that name to follow; reload the page.")
    active = active_methods(clinic.pk).get(slot)
    if active == (method, version):
        raise ValidationError(f"The clinic follows {method} {version} already.")
    runs = runs_of_slot(slot).filter(image__scan__clinic=clinic)
    measured = tasks_measured(runs, method, version)
    if not measured:
        raise ValidationError(
            f"{method} {version} has measured nothing here yet; measure again with it first."
        )
    missing = len(tasks_measured(runs, *active) - measured) if active else 0
    if missing > leaves_out:
        raise ValidationError(
            f"{missing} measurement{'s' if missing > 1 else ''} of the version in use "
            f"{'are' if missing > 1 else 'is'} missing in {method} {version} and would leave "
            "the trends. Measure again first, or tick that they may be left out."
        )
    MethodChoice.objects.create(
        clinic=clinic,
        slot=slot,
        method=method,
        version=version,
        left_out=missing,
        chosen_by=actor if isinstance(actor, User) else None,
    )
    now = timezone.now()
    scans = Scan.objects.filter(clinic=clinic, image__in=runs.values("image"))
    touched = Patient.objects.filter(visits__sessions__scans__in=scans).distinct()
    ids = list(touched.values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        Patient.objects.filter(pk__in=ids[start : start + BATCH]).update(
            facts_changed_at=now, updated_at=now
        )
    scans.update(updated_at=now)  # registries pull the numbers that count from now on
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.ADMINISTER,
        subject="method",
        detail=f"{slot}: {' '.join(active or ('nothing',))} to {method} {version}, "
        f"{missing} left out",
    )
    return ids
