"""Ask for the changes that are wanted: every follow-up against baseline and scan before."""

from uuid import UUID

from django.db import transaction

from monitoring.core.types import Region
from monitoring.models import Patient, Slot
from monitoring.selectors.changes import change_plan
from monitoring.selectors.methods import active_methods
from monitoring.selectors.observations import patient_scans, point_list
from monitoring.selectors.runs import CHANGE_METHODS
from volumetry.engines.registry import PAIR_METHODS
from volumetry.models import VolumetryRun
from volumetry.services import run_request

SLOTS = {Region.BRAIN: Slot.BRAIN_CHANGE, Region.CORD: Slot.CORD_CHANGE}


@transaction.atomic
def pairs_ensure(patient_id: UUID, *, is_background: bool = False) -> list[VolumetryRun]:
    """Request the changes that are wanted and were never asked for; safe to repeat.

    A pair that failed, was refused or was cancelled is not asked for again by itself. A scan
    that a reader rejected is no baseline and no scan before: the next usable one takes its
    place, and the runs that compared with it stay in the record.
    """
    # One writer per patient: two refreshes at once must not both ask.
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    scans = patient_scans(patient)
    images = {scan.pk: scan.image for scan in scans if scan.image.file}
    if len(images) < 2:
        return []
    points = point_list(scans)
    asked = set(
        VolumetryRun.objects.filter(
            image__in=images.values(), before__isnull=False
        ).values_list("image_id", "before_id", "method", "method_version")
    )
    active = active_methods(patient.clinic_id)
    requested = []
    for region in Region:
        name = CHANGE_METHODS[region.value]
        method = PAIR_METHODS.get(name)
        if method is None:
            continue
        pairs, _ = change_plan(scans, points, region)
        for pair in pairs:
            before, after = images[pair.before], images[pair.after]
            # What the followed version measured is repeated only when somebody asks.
            versions = {method.version, active.get(SLOTS[region], ("", ""))[1]}
            if not any((after.pk, before.pk, name, version) in asked for version in versions):
                requested.append(
                    run_request(
                        image=after, before=before, method=name, is_background=is_background
                    )
                )
    return requested
