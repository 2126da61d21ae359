"""Ask for the changes that are wanted: every follow-up against baseline and scan before."""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from django.db import transaction

from monitoring.core.types import Region
from monitoring.models import Patient, Slot
from monitoring.selectors.changes import change_plan
from monitoring.selectors.methods import active_methods
from monitoring.selectors.observations import Point, patient_scans, point_list
from monitoring.selectors.runs import CHANGE_METHODS
from volumetry.engines.registry import PAIR_METHODS
from volumetry.models import SourceImage, VolumetryRun
from volumetry.services import parameters_digest, run_request

SLOTS = {Region.BRAIN: Slot.BRAIN_CHANGE, Region.CORD: Slot.CORD_CHANGE}
# What a person says of a cord scan, by the names of a run's parameters.
SAID = ("contrast", "hint_mm", "landmark", "landmark_by")


@transaction.atomic
def pairs_ensure(patient_id: UUID, *, is_background: bool = False) -> list[VolumetryRun]:
    """Request the changes that are wanted and were never asked for; safe to repeat.

    A pair that failed, was refused or was cancelled is not asked for again by itself. A scan
    that a reader rejected is no baseline and no scan before: the next usable one takes its
    place, and the runs that compared with it stay in the record. A cord pair takes along the
    clicks and landmarks of its two scans; when one of them changes it is asked for again.
    """
    # One writer per patient: two refreshes at once must not both ask.
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    scans = patient_scans(patient)
    of_scan = {scan.pk: scan.image_id for scan in scans if scan.has_image}
    if len(of_scan) < 2:
        return []
    points = point_list(scans)
    stored = SourceImage.objects.in_bulk(list(of_scan.values()))
    images = {scan: stored[image] for scan, image in of_scan.items()}
    active = active_methods(patient.clinic_id)
    requested = []
    for region in Region:
        name = CHANGE_METHODS[region.value]
        if name not in PAIR_METHODS:
            continue
        pairs, _ = change_plan(scans, points, region)
        said = _said(points) if region is Region.CORD else {}
        is_asked = _asked(images.values(), name, active.get(SLOTS[region], ("", ""))[1])
        for pair in pairs:
            before, after = images[pair.before], images[pair.after]
            told = {"baseline": said.get(pair.before), "followup": said.get(pair.after)}
            parameters = {visit: facts for visit, facts in told.items() if facts}
            if not is_asked(after, before, parameters):
                requested.append(
                    run_request(
                        image=after,
                        before=before,
                        method=name,
                        parameters=parameters,
                        is_background=is_background,
                    )
                )
    return requested


def _asked(
    images: Iterable[SourceImage], name: str, followed: str
) -> Callable[[SourceImage, SourceImage, Mapping[str, object]], bool]:
    """Return the question whether a pair was asked for already, told the same of its scans.

    What another version measured that the clinic follows is repeated only when somebody asks:
    a run of this version would stand beside it, outside the trend.
    """
    current = PAIR_METHODS[name].version
    runs = VolumetryRun.objects.filter(
        image__in=list(images), before__isnull=False, method=name
    ).values_list("image_id", "before_id", "method_version", "parameters_digest")
    told = set(runs)
    versions = {run[:3] for run in told}

    def is_asked(
        after: SourceImage, before: SourceImage, parameters: Mapping[str, object]
    ) -> bool:
        if followed != current and (after.pk, before.pk, followed) in versions:
            return True
        return (after.pk, before.pk, current, parameters_digest(parameters)) in told

    return is_asked


def _said(points: Iterable[Point]) -> dict[UUID, dict[str, object]]:
    """Return what the run that counts for each cord scan was told, by scan."""
    counted = {
        point.scan_id: point.run_id
        for point in points
        if point.region is Region.CORD and point.since is None and not point.is_rejected
    }
    runs = VolumetryRun.objects.in_bulk(list(counted.values()))
    return {
        scan: {
            name: runs[run].parameters[name] for name in SAID if name in runs[run].parameters
        }
        for scan, run in counted.items()
    }
