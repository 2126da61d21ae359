"""The caveats beside every chart, report and payload; ids are stable (clinical rules, 9)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from monitoring.core.parameter_set import Parameters
from monitoring.core.types import Region
from monitoring.models import Patient

if TYPE_CHECKING:
    from monitoring.selectors.timeline_points import TimelinePoint

# Two-scan smallest detectable change: 1.96 * sqrt(2) standard deviations of one scan.
SDC_FACTOR = 1.96 * math.sqrt(2)

MEASURE_WORDS = {
    "brain_parenchyma": "whole brain parenchyma",
    "cord_pmj_64mm": "area 64 mm below the pontomedullary junction",
    "cord_c2_c3": "area at C2-C3",
}
RESEARCH = (
    "Research use only. Not a medical device. This is not a diagnosis of secondary "
    "progression and must not by itself change treatment."
)
CONFOUNDERS = (
    "Hydration, motion, cord lesions or swelling, cervical stenosis or compression and "
    "degenerative disease can change these values."
)
EVIDENCE = (
    "Evidence for cord loss as a sign of progression is at group level and mixed; applying it "
    "to one patient needs “extreme caution”, and “volume loss cannot be equated with atrophy” "
    "(MAGNIMS 2020, PMC7054210)."
)
PRIOR = "Computed with literature defaults, not yet with this centre's own patients."
DEMO = "Synthetic data. No real patient."


@dataclass(frozen=True, slots=True)
class Caveat:
    """One caveat: its stable id and the words, filled in."""

    id: str
    text: str


def sdc_percent(parameters: Parameters) -> dict[Region, float]:
    """Return the smallest change between two scans that is not measurement error, percent."""
    brain, cord = parameters.error_sd
    return {Region.BRAIN: SDC_FACTOR * brain, Region.CORD: SDC_FACTOR * cord}


def caveat_list(
    *,
    patient: Patient,
    points: Sequence["TimelinePoint"],
    contrasts: Mapping[UUID, str],
    changes: Sequence[date],
    treatments: Sequence[date],
    disturbed: Sequence[tuple[date, int]],
    now: Mapping[str, Any],
    parameters: Parameters,
) -> list[Caveat]:
    """Return the caveats that apply: five always, the others when their fact is there.

    Parameters
    ----------
    points
        The usable points of the trend, oldest first.
    contrasts
        Contrast of each scan, in words.
    changes, treatments
        Days of a scanner change; treatment starts shortly before a scan.
    disturbed
        Days of scans soon after a relapse or steroids, with the days since.
    now
        The model's statement, for offsets.
    parameters
        The set in force, for errors and offsets.
    """
    found = [Caveat("research", RESEARCH)]
    if patient.is_synthetic:
        found.insert(0, Caveat("demo", DEMO))
    if points:
        found += [Caveat("method", _method(points, contrasts)), Caveat("sdc", _sdc(parameters))]
    found += [Caveat("epoch", _epoch(day, points, now, parameters)) for day in changes]
    found += [
        Caveat(
            "relapse",
            f"A scan on {day.isoformat()} was taken {days} days after a relapse or steroids.",
        )
        for day, days in disturbed
    ]
    found += [
        Caveat(
            "dmt",
            f"Treatment started on {day.isoformat()}; brain volume may fall in the first "
            "months without tissue loss.",
        )
        for day in treatments
    ]
    found += [Caveat("confounders", CONFOUNDERS), Caveat("evidence", EVIDENCE)]
    if str(now.get("parameter_set", "")).startswith("literature"):
        found.append(Caveat("prior", PRIOR))
    return found


def _method(points: Sequence["TimelinePoint"], contrasts: Mapping[UUID, str]) -> str:
    """Say what was measured how, over how long and on how many scanners."""
    words = []
    for region in (Region.CORD, Region.BRAIN):
        name = region.value.capitalize()
        own = [point for point in points if point.region is region]
        if not own:
            words.append(f"{name}: no usable value.")
            continue
        measure = MEASURE_WORDS.get(own[-1].structure, own[-1].structure)
        contrast = ", ".join(dict.fromkeys(contrasts.get(p.scan_id, "?") for p in own))
        software = ", ".join(dict.fromkeys(f"{p.method} {p.version}" for p in own))
        words.append(f"{name}: {measure}, {contrast}, {software}.")
    days = sorted({point.when for point in points})
    years = (days[-1] - days[0]).days / 365.25
    epochs = len({point.epoch_id for point in points})
    words.append(
        f"{len(days)} scan{'s' if len(days) > 1 else ''} over {years:.1f} years on "
        f"{epochs} scanner epoch{'s' if epochs > 1 else ''}. 95 % interval shown."
    )
    return " ".join(words)


def _sdc(parameters: Parameters) -> str:
    """Say which change is within the error of two scans."""
    sdc = sdc_percent(parameters)
    return (
        "With this method a change between two scans smaller than "
        f"{sdc[Region.CORD]:.1f} % (cord) or {sdc[Region.BRAIN]:.1f} % (brain) "
        "cannot be told from measurement error."
    )


def _epoch(
    day: date,
    points: Sequence["TimelinePoint"],
    now: Mapping[str, Any],
    parameters: Parameters,
) -> str:
    """Say that values meet across a scanner change only through an estimated offset."""
    offsets = _offset_change(day, points, now)
    priors = dict(zip(Region, parameters.epoch_offset_prior_sd, strict=True))
    sizes = ", ".join(
        f"{region.value} {offset:+.1f} %, prior SD {priors[region]:.1f} %".replace("-", "−")
        for region, offset in offsets.items()
    )
    return (
        f"The scanner or software changed on {day.isoformat()}. Values before and after are "
        f"compared only through an estimated offset{f' ({sizes})' if sizes else ''}."
    )


def _offset_change(
    day: date, points: Sequence["TimelinePoint"], now: Mapping[str, Any]
) -> dict[Region, float]:
    """Return by how many percent the estimated offset changes on a day, per region."""
    found: dict[Region, float] = {}
    for region in (Region.CORD, Region.BRAIN):
        rows = [p for p in points if p.region is region and p.percent and p.percent_corrected]
        before = [p for p in rows if p.when < day]
        after = [p for p in rows if p.when >= day]
        if before and after and now.get("level") != "insufficient":
            found[region] = _offset(after[0]) - _offset(before[-1])
    return found


def _offset(point: "TimelinePoint") -> float:
    """Return the offset that the model took off a point, percent."""
    if not point.percent or not point.percent_corrected:
        return 0.0
    return 100 * math.log(point.percent / point.percent_corrected)
