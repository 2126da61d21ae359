"""From observations to the rows of the model: what is used, merged, refused."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from monitoring.core.errors import InvalidObservation
from monitoring.core.series import Series
from monitoring.core.types import ClinicalEvent, EventKind, Observation, Quality, Region

DAYS_PER_YEAR = 365.25

DIP_MEMORY_YEARS = 2.0
"""A treatment older than this at the first scan left no visible dip: five time constants."""

LARGEST_RATIO = 3.0
"""Largest over smallest value of one region in one patient before units are suspected: no
brain or cord loses two thirds; a factor of 10 or 1000 is a unit or a typing error."""

_QUALITY_INDEX = {Quality.GOOD: 0, Quality.FAIR: 1, Quality.POOR: 2}

MergedNote = tuple[date, str]


def usable_observations(
    observations: Iterable[Observation], *, until: date | None = None
) -> tuple[list[Observation], tuple[MergedNote, ...]]:
    """Return what the model uses, in canonical order, and notes on values that were merged.

    Several values of one region on one day and epoch are one occasion: those of the best
    quality are averaged geometrically (the model is logarithmic), the others are left out.
    Values of one day on *different* epochs stay apart: such bridging scans tie epochs together.
    """
    groups: dict[tuple[date, Region, str], list[Observation]] = {}
    for one in observations:
        check_value(one)
        if one.is_usable and (until is None or one.when <= until):
            groups.setdefault((one.when, one.region, one.epoch), []).append(one)
    used: list[Observation] = []
    notes: list[MergedNote] = []
    for key in sorted(groups, key=lambda k: (k[0], k[1] is Region.CORD, k[2])):
        group = groups[key]
        used.append(group[0] if len(group) == 1 else _merged(group))
        if len(group) > 1:
            when, region, _ = key
            text = (
                f"{len(group)} {region.value} values on {when.isoformat()} count as one scan."
            )
            notes.append((when, text))
    return used, tuple(notes)


def _merged(group: Sequence[Observation]) -> Observation:
    """Return the geometric mean of the values of the best quality."""
    best = min(_QUALITY_INDEX[one.quality] for one in group)
    chosen = sorted(
        (one for one in group if _QUALITY_INDEX[one.quality] == best),
        key=lambda one: (one.value, one.key or ""),
    )
    if len(chosen) == 1:
        return chosen[0]
    mean = math.exp(math.fsum(math.log(one.value) for one in chosen) / len(chosen))
    return replace(chosen[0], value=mean)


def check_value(observation: Observation) -> None:
    """Raise InvalidObservation for a value that no brain or cord can have."""
    if not math.isfinite(observation.value) or observation.value <= 0:
        raise InvalidObservation(
            f"The {observation.region.value} value on {observation.when.isoformat()} is "
            f"{observation.value:g}; a volume or area is a positive number."
        )


def unit_doubt(used: Sequence[Observation]) -> str:
    """Say why the values of one patient cannot be of one unit; nothing where they can."""
    for region in Region:
        values = [one.value for one in used if one.region is region]
        if values and max(values) > LARGEST_RATIO * min(values):
            return (
                f"The {region.value} values range from {min(values):g} to {max(values):g}: "
                "check units and typing."
            )
    return ""


def observation_series(used: Sequence[Observation], events: Iterable[ClinicalEvent]) -> Series:
    """Turn canonical observations (see `usable_observations`) into rows of the model."""
    origin = used[0].when
    starts = sorted(e.when for e in events if e.kind is EventKind.THERAPY_START)
    oldest = origin - timedelta(days=DIP_MEMORY_YEARS * DAYS_PER_YEAR)
    felt = [start for start in starts if start > oldest]
    return Series(
        years=np.array([years_between(origin, one.when) for one in used]),
        y=np.array([100 * math.log(one.value) for one in used]),
        region=np.array([0 if one.region is Region.BRAIN else 1 for one in used]),
        quality=np.array([_QUALITY_INDEX[one.quality] for one in used]),
        epochs=tuple(one.epoch for one in used),
        therapy_years=years_between(origin, felt[0]) if felt else None,
    )


def years_between(start: date, end: date) -> float:
    """Return the years from one day to another."""
    return (end - start).days / DAYS_PER_YEAR


def events_until(events: Iterable[ClinicalEvent], as_of: date | None) -> list[ClinicalEvent]:
    """Return the events known on a day."""
    return [event for event in events if as_of is None or event.when <= as_of]
