"""What the statement would be without one value; the record is not changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from monitoring.core.divergence import assess_history
from monitoring.core.errors import MonitoringError
from monitoring.core.parameter_set import Parameters
from monitoring.core.types import Divergence, Quality
from monitoring.models import Patient
from monitoring.selectors.divergence import plain
from monitoring.selectors.observations import (
    event_list,
    observation_list,
    patient_scans,
    point_list,
)
from monitoring.selectors.timeline_points import TimelinePoint, points_in_percent
from monitoring.selectors.timelines import Timeline
from volumetry.models import RunFile

PICTURE = "qc.png"
DROPPED = "left out on this screen only"


@dataclass(frozen=True, slots=True)
class PointGlance:
    """One value beside the one before it, and the statement without it.

    ``without`` is None where the value is in no statistic anyway or nothing else is left.
    ``pictures`` names the runs of both that have a picture.
    """

    point: TimelinePoint
    prior: TimelinePoint | None
    without: Divergence | None
    now: Mapping[str, Any]
    pictures: frozenset[UUID]


def point_glance(
    timeline: Timeline, run_id: UUID, parameters: Parameters
) -> PointGlance | None:
    """Return the glance of the value that a run measured; None if the trend has none of it."""
    point = next((p for p in timeline.points if p.run_id == run_id), None)
    if point is None:
        return None
    earlier = [p for p in timeline.region(point.region) if p.is_usable and p.when < point.when]
    prior = earlier[-1] if earlier else None
    runs = [p.run_id for p in (point, prior) if p is not None]
    pictures = RunFile.objects.filter(run__in=runs, name=PICTURE).values_list("run", flat=True)
    return PointGlance(
        point=point,
        prior=prior,
        without=without_run(timeline.patient, run_id, parameters) if point.is_usable else None,
        now=timeline.now,
        pictures=frozenset(pictures),
    )


def timeline_without(
    timeline: Timeline, run_id: UUID, parameters: Parameters
) -> Timeline | None:
    """Return the course as if a run had been rejected; None if nothing is left to say.

    The value stays in sight, crossed out. Nothing is stored.
    """
    if not any(p.run_id == run_id and p.is_usable for p in timeline.points):
        return None
    found = without_run(timeline.patient, run_id, parameters, with_curves=True)
    if found is None:
        return None
    now = plain(found)
    trend = [
        p._replace(quality=Quality.REJECTED, verdict="rejected", verdict_reason=DROPPED)
        if p.run_id == run_id
        else p
        for p in timeline.every_point
        if p.is_trend
    ]
    points = points_in_percent(
        trend, now=now, relapses=timeline.relapses, skull=timeline.intracranial
    )
    return replace(timeline, points=points, now=now)


def without_run(
    patient: Patient, run_id: UUID, parameters: Parameters, *, with_curves: bool = False
) -> Divergence | None:
    """Return the statement as if a run had measured nothing; None if nothing is left to say."""
    points = [p for p in point_list(patient_scans(patient)) if p.run_id != run_id]
    try:
        history = assess_history(
            observation_list(points),
            event_list(patient),
            parameters=parameters,
            with_curves=with_curves,
        )
    except MonitoringError:
        return None
    return history[-1] if history else None
