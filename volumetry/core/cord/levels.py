"""Levels along the cord: where a landmark lies on the centreline, and the windows below it."""

from dataclasses import dataclass

import numpy as np

from volumetry.core.cord.geometry import Array, Sections
from volumetry.core.types import Landmark, LandmarkKind, Structure

WINDOW_MM: dict[LandmarkKind, tuple[float, float]] = {
    LandmarkKind.PMJ: (54.0, 74.0),
    LandmarkKind.C2C3: (-16.0, 18.0),
}
"""Arc length below the landmark. PMJ: 64 ± 10 mm, the mean distance from the pontomedullary
junction to the C2-C3 disc (n 804, 10.3389/fnimg.2022.1031253). C2-C3: the extent of the
vertebral levels C2 and C3 around their disc in the PAM50 template."""

STRUCTURE: dict[LandmarkKind, Structure] = {
    LandmarkKind.PMJ: Structure.CORD_PMJ_64MM,
    LandmarkKind.C2C3: Structure.CORD_C2_C3,
}

MIN_COVERED = 0.8
"""Share of a window that must be measured for its mean to be reported."""

MAX_LANDMARK_DISTANCE_MM = {LandmarkKind.PMJ: 40.0, LandmarkKind.C2C3: 30.0}
MAX_BEYOND_END_MM = {LandmarkKind.PMJ: 60.0, LandmarkKind.C2C3: 12.0}


@dataclass(frozen=True, slots=True)
class Projection:
    """A landmark on the centreline.

    ``position_mm`` is arc length from the upper end (negative above it), ``distance_mm`` how
    far the point lies from the line.
    """

    position_mm: float
    distance_mm: float

    def is_plausible(self, kind: LandmarkKind, sections: Sections) -> bool:
        """Whether the point can be this landmark of this cord."""
        reach = MAX_BEYOND_END_MM[kind]
        last = float(sections.position_mm[-1])
        return (
            self.distance_mm <= MAX_LANDMARK_DISTANCE_MM[kind]
            and -reach <= self.position_mm <= last + reach
        )


def landmark_project(landmark: Landmark, sections: Sections) -> Projection:
    """Project a landmark to the nearest point of the centreline, straight beyond its ends.

    ``sections`` may reach above the measured cord: the line through the medulla leads to the
    pontomedullary junction better than a straight one.
    """
    point = np.asarray(landmark.point_mm)
    centre, tangent = sections.centre_mm, sections.tangent
    along = np.einsum("si,si->s", point - centre, tangent)
    # Only the nearest section's tangent plane counts; at the ends the line goes on straight.
    nearest = int(np.argmin(np.linalg.norm(point - centre, axis=1)))
    if 0 < nearest < len(sections) - 1:
        along[nearest] = np.clip(along[nearest], -sections.step_mm, sections.step_mm)
    position = float(sections.position_mm[nearest] + along[nearest])
    foot = centre[nearest] + along[nearest] * tangent[nearest]
    return Projection(position, float(np.linalg.norm(point - foot)))


@dataclass(frozen=True, slots=True)
class WindowMean:
    """Area over a window of arc length.

    ``covered`` is the measured share of the window's length, 0 ... 1; ``mean_mm2`` is the mean
    of the measured sections, gaps filled linearly; ``used`` marks the sections.
    """

    mean_mm2: float
    length_mm: float
    covered: float
    used: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def window_mean(position_mm: Array, area_mm2: Array, *, low: float, high: float) -> WindowMean:
    """Average areas over arc length ``low`` ... ``high``; NaN areas are not measured.

    The mean is an integral of the linearly interpolated profile, so a window that begins
    between two sections has no jump.
    """
    measured = np.isfinite(area_mm2)
    step = float(np.median(np.diff(position_mm))) if len(position_mm) > 1 else 1.0
    fine = np.arange(low + 0.05, high, 0.1)
    used = measured & (position_mm >= low - 0.5 * step) & (position_mm <= high + 0.5 * step)
    if not used.any():
        return WindowMean(float("nan"), high - low, 0.0, used)
    nearest = np.abs(fine[:, None] - position_mm[None, measured]).min(axis=1)
    covered = float(np.mean(nearest <= 0.5 * step + 1e-6))
    known = np.interp(fine, position_mm[measured], area_mm2[measured])
    near = nearest <= max(3.0, 1.5 * step)
    return WindowMean(float(known[near].mean()), high - low, covered, used)
