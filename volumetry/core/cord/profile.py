"""From a trace to the cord that counts: which stretch is cord, and its areas per millimetre."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumetry.core.cord.content import rows_lost
from volumetry.core.cord.contour import diameters
from volumetry.core.cord.geometry import Array, Grid, Sections
from volumetry.core.cord.tracing import Trace

CONFIDENCE_LIMIT = 0.4
"""Sections below it are NaN and out of every mean."""
MAX_GAP_MM = 9.0
MAX_RELATIVE_AREA = 1.5
"""Against the median of the cord: above it the tube has become brainstem."""
MIN_LENGTH_MM = 10.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The cord along its length; NaN where it cannot be measured.

    ``area_mm2``, ``ap_mm``, ``rl_mm`` and ``confidence`` have shape (sections,);
    ``radius_mm`` (sections, angles).
    """

    sections: Sections
    radius_mm: Array
    area_mm2: Array
    ap_mm: Array
    rl_mm: Array
    confidence: Array
    first: int
    """Row of the first section in the trace that the profile was cut from."""

    @property
    def is_measured(self) -> NDArray[np.bool_]:
        """Which sections count."""
        return np.isfinite(self.area_mm2)

    @property
    def length_mm(self) -> float:
        """Arc length from the first to the last measured section, both included."""
        position = self.sections.position_mm[self.is_measured]
        return float(np.ptp(position) + self.sections.step_mm) if len(position) else 0.0

    @property
    def angle_degrees(self) -> float:
        """Median angle between cord and the scan's slice normal where it is measured."""
        down = self.sections.tangent[self.is_measured]
        normal = np.cross(self.sections.y_axis[0], self.sections.x_axis[0])
        return float(np.degrees(np.arccos(np.clip(np.median(down @ normal), -1.0, 1.0))))


def profile_of(traced: Trace, *, is_trusted: bool = False) -> Profile | None:
    """Keep the stretch that is cord; None when less than 10 mm of it is seen.

    Parameters
    ----------
    is_trusted : bool
        The trace was found to be the cord: what lies above a lasting loss of area is left out.
    """
    sections, area = traced.sections, traced.area_mm2
    seen = traced.confidence > CONFIDENCE_LIMIT
    if is_trusted:
        seen[: rows_lost(area, seen, sections)] = False
    if seen.sum() < 2:
        return None
    usual = float(np.median(area[seen & _lower_half(sections, seen)]))
    seen &= (area > usual / 3.0) & (area < MAX_RELATIVE_AREA * usual)
    keep = _main_run(seen, sections)
    if keep is None:
        return None
    first, last = keep
    part = slice(first, last + 1)
    measured = seen[part]
    kept = sections_slice(sections, first, last + 1)
    if measured.sum() * sections.step_mm < MIN_LENGTH_MM:
        return None
    ap, rl = diameters(traced.radius_mm[part])
    ap, rl = _angle_corrected(ap, rl, kept)
    blank = np.where(measured, 1.0, np.nan)
    return Profile(
        kept,
        traced.radius_mm[part],
        area[part] * blank,
        ap * blank,
        rl * blank,
        traced.confidence[part],
        first,
    )


def sections_slice(sections: Sections, first: int, last: int) -> Sections:
    """Cut a run of sections out; positions restart at zero."""
    part = slice(first, last)
    return Sections(
        sections.position_mm[part] - sections.position_mm[first],
        sections.centre_mm[part],
        sections.tangent[part],
        sections.x_axis[part],
        sections.y_axis[part],
        sections.cosine[part],
        sections.step_mm,
    )


def _lower_half(sections: Sections, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the lower half of what is seen: there a head scan has cord, not brainstem."""
    middle = float(np.median(sections.position_mm[seen]))
    return np.asarray(sections.position_mm >= middle)


def _main_run(seen: NDArray[np.bool_], sections: Sections) -> tuple[int, int] | None:
    """Longest run of seen sections in which no gap exceeds 9 mm."""
    at = np.flatnonzero(seen)
    if len(at) == 0:
        return None
    gaps = np.diff(sections.position_mm[at])
    breaks = np.flatnonzero(gaps > max(MAX_GAP_MM, 1.6 * sections.step_mm))
    starts, stops = np.r_[0, breaks + 1], np.r_[breaks, len(at) - 1]
    best = int(np.argmax(stops - starts))
    return int(at[starts[best]]), int(at[stops[best]])


def _angle_corrected(ap: Array, rl: Array, sections: Sections) -> tuple[Array, Array]:
    """Shorten diameters of slices that cut the cord obliquely."""
    down = np.cross(sections.y_axis, sections.x_axis)
    lean_x = np.einsum("si,si->s", sections.tangent, sections.x_axis)
    lean_y = np.einsum("si,si->s", sections.tangent, sections.y_axis)
    straight = np.einsum("si,si->s", sections.tangent, down)
    cos_x = straight / np.hypot(straight, lean_x)
    cos_y = straight / np.hypot(straight, lean_y)
    is_oblique = sections.cosine < 1.0
    return np.where(is_oblique, ap * cos_y, ap), np.where(is_oblique, rl * cos_x, rl)


def points_extend(points_mm: Array, grid: Grid) -> Array:
    """Carry a path on straight to both ends of the scan, at most 12 mm each."""
    up = grid.axes[:, 2]
    step = max(3.0, float(grid.spacing_mm[2]))
    last = grid.values.shape[2] - 1
    order = np.argsort(-(points_mm @ up))
    path = [np.asarray(p) for p in points_mm[order]]
    near = min(len(path) - 1, max(2, round(15.0 / step)))
    for _ in range(max(1, round(12.0 / step))):
        upper = path[0] + (path[0] - path[near]) / near
        if grid.voxels(upper)[2] <= last:
            path.insert(0, upper)
        lower = path[-1] + (path[-1] - path[-1 - near]) / near
        if grid.voxels(lower)[2] >= 0:
            path.append(lower)
    return np.asarray(path)
