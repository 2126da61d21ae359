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
from volumetry.models import SourceImage, VolumetryRun
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
    of_scan = {scan.pk: scan.image_id for scan in scans if scan.has_image}
    if len(of_scan) < 2:
        return []
    points = point_list(scans)
    asked = set(
        VolumetryRun.objects.filter(
            image__in=of_scan.values(), before__isnull=False
        ).values_list("image_id", "before_id", "method", "method_version")
    )
    images = SourceImage.objects.in_bulk(list(of_scan.values()))
    active = active_methods(patient.clinic_id)
    requested = []
    for region in Region:
        name = CHANGE_METHODS[region.value]
        method = PAIR_METHODS.get(name)
        if method is None:
            continue
        pairs, _ = change_plan(scans, points, region)
        for pair in pairs:
            before, after = of_scan[pair.before], of_scan[pair.after]
            # What the followed version measured is repeated only when somebody asks.
            versions = {method.version, active.get(SLOTS[region], ("", ""))[1]}
            if not any((after, before, name, version) in asked for version in versions):
                requested.append(
                    run_request(
                        image=images[after],
                        before=images[before],
                        method=name,
                        is_background=is_background,
                    )
                )
    return requested
