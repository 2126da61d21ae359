"""Is the traced tube a cervical cord? An honest number, and a refusal when it is low.

Thirteen looks, each a log evidence; their sum is compared with the limit. The margin
over the second-best tube elsewhere in the scan says how far the finding could have gone wrong.
"""

from dataclasses import dataclass

import numpy as np

from volumetry.core.cord.contour import ANGLES, RADII_MM, harmonics_keep
from volumetry.core.cord.profile import CONFIDENCE_LIMIT, Profile, profile_of
from volumetry.core.cord.tracing import Trace, holds_cord

TYPICAL_AREA_MM2 = 76.0
"""Half-level areas are about 10 % above the 69 mm² that SCT reads at C2 on T2w in adults
(spine-generic, n 203); a spread of 0.35 in the logarithm admits 40 ... 145 mm²."""
NOTHING_SEEN = -20.0
WANTED_LENGTH_MM = 40.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What speaks for a tube being the cord.

    ``looks`` are named log evidences, 0 (perfect) or below; ``evidence`` is their sum, and
    ``plausibility`` = exp(evidence), 0 ... 1.
    """

    looks: dict[str, float]

    @property
    def evidence(self) -> float:
        """Sum of the looks."""
        return float(sum(self.looks.values()))

    @property
    def plausibility(self) -> float:
        """exp(evidence), 0 ... 1."""
        return float(np.exp(self.evidence))

    @property
    def weakest(self) -> str:
        """Name of the look that speaks most against the tube."""
        return min(self.looks, key=lambda name: self.looks[name])


def judge(traced: Trace, *, medialness: float, midline_offset_mm: float | None) -> Judgement:
    """Look at a traced.

    Parameters
    ----------
    traced : Trace
    medialness : float
        Mean path score of its finding.
    midline_offset_mm : float or None
        Mean left-right distance from the body's mirror plane, None where that is unknown.
    """
    profile = profile_of(traced)
    if profile is None:
        return Judgement({"rim": NOTHING_SEEN})
    # A path through a head goes on into the brain: only the stretch that is cord is judged.
    run = np.zeros(len(traced.sections), dtype=np.bool_)
    run[profile.first : profile.first + len(profile.sections)] = True
    seen = run & (traced.confidence > CONFIDENCE_LIMIT)
    area = float(np.log(np.nanmedian(profile.area_mm2) / TYPICAL_AREA_MM2))
    ring_wanted = 1.0 if traced.polarity < 0 else 0.3
    ring = max(0.0, ring_wanted - ring_return(traced, seen)) / (0.3 * ring_wanted)
    spread = float(np.nanstd(profile.area_mm2) / np.nanmean(profile.area_mm2))
    missing_mm = max(0.0, min(WANTED_LENGTH_MM, traced.height_mm) - profile.length_mm)
    off = 0.0 if midline_offset_mm is None else abs(midline_offset_mm)
    return Judgement(
        {
            "rim": -4.0 * max(0.0, 0.75 - float(traced.confidence[run].mean())),
            "area": -0.5 * (area / 0.35) ** 2,
            "homogeneity": -0.5 * (_inhomogeneity(traced, seen) / 0.25) ** 2,
            "ring": -0.5 * ring**2,
            "smoothness": -0.5 * (_roughness(traced, seen) / 0.10) ** 2,
            "steadiness": _beyond(spread, free=0.12, scale=0.12),
            "shape": _beyond(irregularity(profile), free=0.02, scale=0.012),
            "symmetry": _beyond(asymmetry(profile), free=0.06, scale=0.06),
            "course": _beyond(turning_degrees(profile), free=30.0, scale=20.0),
            "midline": _beyond(off, free=6.0, scale=7.0),
            "length": -0.08 * missing_mm,
            "content": -4.0 * max(0.0, float((holds_cord(traced)[run] <= 0.0).mean()) - 0.35),
            "medialness": -0.5 * max(0.0, 5.0 - medialness),
        }
    )


def _beyond(value: float, *, free: float, scale: float) -> float:
    """Gaussian log evidence of how far a value lies beyond what is free."""
    return -0.5 * (max(0.0, value - free) / scale) ** 2


def irregularity(profile: Profile) -> float:
    """Median share of the radius beyond its fourth harmonic: cords are smooth."""
    radius = profile.radius_mm[profile.is_measured]
    fine = radius - harmonics_keep(radius, count=4)
    return float(np.median(np.sqrt((fine**2).mean(axis=1)) / radius.mean(axis=1)))


def asymmetry(profile: Profile) -> float:
    """Median share of the radius that differs between left and right."""
    radius = profile.radius_mm[profile.is_measured]
    mirrored = radius[:, (ANGLES // 2 - np.arange(ANGLES)) % ANGLES]
    difference = np.sqrt(((radius - mirrored) ** 2).mean(axis=1))
    return float(np.median(difference / radius.mean(axis=1)))


def turning_degrees(profile: Profile) -> float:
    """Largest angle between two tangents of the line, its ends left out."""
    tangent = profile.sections.tangent
    if len(tangent) < 8:
        return 0.0
    inner = tangent[2:-2]
    return float(np.degrees(np.arccos(np.clip(inner @ inner.T, -1.0, 1.0)).max()))


def _inhomogeneity(
    traced: Trace, seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float:
    """Spread of intensities inside the cord, relative to the step at its rim."""
    within = 0.6 * traced.outline_mm[seen][..., None] > RADII_MM
    values = np.where(within, traced.rays.values[seen], np.nan)
    spread = np.nanstd(values, axis=(1, 2))
    step = np.median(traced.edge.inside[seen] - traced.edge.outside[seen], axis=1)
    return float(np.median(spread / np.maximum(step, 1e-9)))


def ring_return(traced: Trace, seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """How far intensity comes back beyond the fluid, relative to the step at the rim.

    The fluid around a cord is a ring a few mm wide; around an airway or in fat it is not.
    Lower quartile over angles, median over sections.
    """
    ahead = RADII_MM - traced.outline_mm[seen][..., None]
    values = traced.rays.values[seen]
    beyond = np.where((ahead > 1.5) & (ahead < 6.0), values, -np.inf).max(-1)
    fluid = np.where((ahead > 0.0) & (ahead < 3.0), values, np.inf).min(-1)
    step = np.median(traced.edge.inside[seen] - traced.edge.outside[seen], axis=1)
    back = (beyond - fluid) / np.maximum(step, 1e-9)[:, None]
    back = np.where(np.isfinite(back), back, 0.0)
    return float(np.median(np.quantile(back, 0.35, axis=1)))


def _roughness(traced: Trace, seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """Jump of area from section to section beyond 3 % per mm, relative."""
    area = traced.area_mm2
    both = seen[1:] & seen[:-1]
    if not both.any():
        return 1.0
    jump = np.abs(np.diff(area))[both] / np.median(area[seen])
    return float(np.mean(np.maximum(0.0, jump - 0.01 * traced.sections.step_mm)))
