"""Healthy people of the patient's age and sex beside the course, where a norm fits the values.

A norm holds for one structure, method and contrast; beside other values it would be a wrong
line, so there the answer is a sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from monitoring.core.norms import Norm, Sex, z_score
from monitoring.core.types import Region
from monitoring.selectors.states import facts_of, norm_for
from monitoring.selectors.timeline_points import Z95, TimelinePoint
from monitoring.selectors.timelines import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBand:
    """Healthy ageing from the patient's own first value, and where 95 % of healthy people lie.

    Everything is in percent of the patient's first usable value. Without days there is no band,
    and ``reason`` says why.
    """

    days: tuple[date, ...] = ()
    ageing: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    reason: str = ""


def norm_band(timeline: Timeline, region: Region) -> NormBand:
    """Return the band of a region from the first usable value to today."""
    usable = [point for point in timeline.region(region) if point.is_usable]
    if not usable:
        return NormBand(reason=f"No usable {region.value} value yet.")
    norm = norm_for(region, timeline.in_force)
    if norm is None:
        own = [w for w in timeline.in_force.norm_refusals if region.value in w]
        return NormBand(reason=" ".join(own or timeline.in_force.norm_refusals))
    sequences = {scan.pk: scan.sequence for scan in timeline.measured}
    return _band(timeline, usable, norm, sequences)


def healthy_words(timeline: Timeline) -> list[str]:
    """Say what stands for healthy people on each row, or why nothing does."""
    drawn: list[str] = []
    reasons: dict[str, list[str]] = {}
    for region in Region:
        band = norm_band(timeline, region)
        if band.days:
            drawn.append(
                f"{region.value.capitalize()}, dash-dotted: healthy ageing from the first "
                f"value; pale band: 95 % of {band.reason}."
            )
        else:
            reasons.setdefault(band.reason, []).append(region.value)
    for reason, regions in reasons.items():
        drawn.append(f"No healthy {' or '.join(regions)} is drawn. {reason}")
    return drawn


def _band(
    timeline: Timeline,
    usable: Sequence[TimelinePoint],
    norm: Norm,
    sequences: Mapping[UUID, str],
) -> NormBand:
    """Return the band, or why the norm says nothing of these values."""
    first, patient = usable[0], timeline.patient
    if patient.birth_year is None:
        return NormBand(reason="The norm needs the birth year.")
    born = date(patient.birth_year, 7, 1)
    sex = Sex(patient.sex) if patient.sex in set(Sex) else None
    days = tuple(date(year, 7, 1) for year in range(first.when.year, timeline.today.year + 1))
    ages = [(day - born).days / 365.25 for day in days]
    facts = facts_of(first, sequences)
    for age in (ages[0], ages[-1]):
        answer = z_score(first.value, facts=facts, age=age, sex=sex, norm=norm)
        if answer.z is None:
            return NormBand(reason=answer.reason.replace("No z-score: the", "The"))
    if sex is None:
        return NormBand(reason="The norm needs the sex.")
    expected = [norm.expected(age=age, sex=sex) for age in ages]
    start = norm.expected(age=(first.when - born).days / 365.25, sex=sex)
    margin = Z95 * norm.predictive_sd
    return NormBand(
        days=days,
        ageing=tuple(100 * value / start for value in expected),
        low=tuple(100 * (value - margin) / first.value for value in expected),
        high=tuple(100 * (value + margin) / first.value for value in expected),
        reason=f"{norm.people} healthy people aged {norm.youngest:g} to {norm.oldest:g}",
    )
