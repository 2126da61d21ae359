"""State of brain and cord at the last visit that measured both, against own norms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from monitoring.core.norms import (
    MeasureFacts,
    Norm,
    Sex,
    State,
    ZScore,
    state_quadrant,
    z_score,
)
from monitoring.core.types import Region
from monitoring.models import Patient
from monitoring.selectors.parameters import SetInForce

if TYPE_CHECKING:
    from monitoring.selectors.timeline_points import TimelinePoint


@dataclass(frozen=True, slots=True)
class PatientState:
    """The quadrant of one visit, or why there is none.

    ``trail`` holds (day, brain z, cord z) of the visits that lead to it on the same scanner,
    protocol and method version, oldest first, the visit itself last: others are not joined.
    """

    when: date | None
    brain: ZScore | None
    cord: ZScore | None
    state: State
    trail: tuple[tuple[date, float, float], ...] = ()

    @property
    def is_known(self) -> bool:
        """Say whether there is a quadrant."""
        return self.state.quadrant is not None


def patient_state(
    patient: Patient,
    points: Sequence["TimelinePoint"],
    contrasts: Mapping[UUID, str],
    in_force: SetInForce,
) -> PatientState:
    """Place the last day with usable brain and cord values in the four quadrants."""
    if not in_force.norms:
        return _unknown(" ".join(in_force.norm_refusals))
    days: dict[date, dict[Region, TimelinePoint]] = {}
    for point in points:
        if point.is_usable:
            days.setdefault(point.when, {})[point.region] = point
    both = [day for day, found in days.items() if len(found) == len(Region)]
    if not both:
        return _unknown("No visit has a usable value of both brain and cord.")
    if patient.birth_year is None:
        return _unknown("No z-score: the norm needs the birth year.")
    last = days[max(both)]
    brain, cord = (_z_score(patient, last[region], contrasts, in_force) for region in Region)
    errors = [_error_z(last[region], in_force, index) for index, region in enumerate(Region)]
    state = state_quadrant(
        brain=brain, cord=cord, brain_error_z=errors[0], cord_error_z=errors[1]
    )
    trail = _trail(patient, [(day, days[day]) for day in sorted(both)], contrasts, in_force)
    return PatientState(max(both), brain, cord, state, trail)


def _trail(
    patient: Patient,
    visits: Sequence[tuple[date, Mapping[Region, "TimelinePoint"]]],
    contrasts: Mapping[UUID, str],
    in_force: SetInForce,
) -> tuple[tuple[date, float, float], ...]:
    """Return the z of both regions at every visit that is comparable with the last one."""
    last = visits[-1][1]
    found: list[tuple[date, float, float]] = []
    for day, points in visits:
        if any(points[region].series != last[region].series for region in Region):
            continue
        brain, cord = (
            _z_score(patient, points[region], contrasts, in_force).z for region in Region
        )
        if brain is not None and cord is not None:
            found.append((day, brain, cord))
    return tuple(found)


def _unknown(reason: str) -> PatientState:
    return PatientState(None, None, None, State(None, {}, reason))


def norm_for(region: Region, in_force: SetInForce) -> Norm | None:
    """Return the clinic's norm of a region."""
    is_cord = region is Region.CORD
    return next(
        (norm for norm in in_force.norms if norm.facts.structure.startswith("cord") == is_cord),
        None,
    )


def facts_of(point: "TimelinePoint", contrasts: Mapping[UUID, str]) -> MeasureFacts:
    """Return how a value was measured, as a norm asks."""
    return MeasureFacts(
        structure=point.structure,
        method=f"{point.method} {point.version}",
        contrast=contrasts[point.scan_id],
    )


def _z_score(
    patient: Patient,
    point: "TimelinePoint",
    contrasts: Mapping[UUID, str],
    in_force: SetInForce,
) -> ZScore:
    """Return one region's z, or why there is none."""
    norm = norm_for(point.region, in_force)
    if norm is None:
        words = [w for w in in_force.norm_refusals if point.region.value in w]
        return ZScore(None, None, None, " ".join(words) or f"No {point.region.value} norm.")
    return z_score(
        point.value,
        facts=facts_of(point, contrasts),
        age=point.when.year - (patient.birth_year or 0),
        sex=Sex(patient.sex) if patient.sex in set(Sex) else None,
        norm=norm,
    )


def _error_z(point: "TimelinePoint", in_force: SetInForce, index: int) -> float:
    """Return the error of one scan in SDs of the norm."""
    norm = norm_for(point.region, in_force)
    spread = norm.predictive_sd if norm else 1.0
    percent = in_force.parameters.error_sd[index]
    return max(point.standard_error or 0.0, percent / 100 * point.value) / spread
